"""The `distill` stage where its method is PAD: the student answers, its steps are scored, and it learns from that."""

from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from agentark.api import PAD, Training
from agentark.distill.pad.params import PadResult, StepScorer
from agentark.errors import EngineError, InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.engines import connection
from agentark.execution.stages.training import held_out_of, run_training
from agentark.execution.weights import model_folder
from agentark.tasks import policy_of


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base); the output is never worse on the held-out questions."""
    from agentark.distill.pad.training import train_pad

    params, settings = context.stage.params, context.stage.settings
    kept_apart = {name: settings[name] for name in ("checkpointSteps", "vllmUrl", "prmEndpoint") if name in settings}
    pad = PAD.model_validate(params["pad"] | kept_apart)
    with ExitStack() as stack:
        return run_training(
            context,
            train_pad,
            folder="student",
            history=_history,
            metrics=lambda result: {
                "steps": result.steps,
                "questions": result.questions,
                "best_step": result.best_step,
                "start_accuracy": result.start_accuracy,
                "best_accuracy": result.best_accuracy,
                "stopped": result.stopped,
            },
            questions=context.input_output("rows", "rows"),
            held_out=held_out_of(context),
            policy=policy_of(params),
            scorer=_scorer(context, pad, stack),
            pad=pad,
            training=Training.model_validate(params["training"]),
            max_new_tokens=params["maxNewTokens"],
        )


def _history(result: PadResult) -> dict[str, Any]:
    named = {name: [point._asdict() for point in getattr(result, name)] for name in ("curves", "accuracy")}
    return asdict(result) | named


def _scorer(context: StageContext, pad: PAD, stack: ExitStack) -> StepScorer | None:
    if "prm" in context.stage.inputs:
        from agentark.reward.scoring import PRM

        return PRM.load(context.input_output("prm", "model"))
    if (endpoint := pad.prm_endpoint) is not None:
        from agentark.reward.remote import RemotePRM

        prm = stack.enter_context(RemotePRM(connection(endpoint), model_folder(context, endpoint.weights.uri)))
        try:
            prm.check()
        except (InvalidInput, EngineError) as error:
            kind = InvalidInput if isinstance(error, InvalidInput) else EngineError
            raise kind(f"pad.prmEndpoint: {error}") from error
        return prm
    return None
