"""The `distill` stage where its method is PAD: the student answers, its steps are scored, and it learns from that."""

from contextlib import ExitStack

from agentark.api import PAD, Training
from agentark.distill.pad.params import StepScorer
from agentark.errors import EngineError, InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.engines import connection
from agentark.execution.stages.training import train_student
from agentark.execution.weights import model_folder


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base); the output is never worse on the held-out questions."""
    from agentark.distill.pad.training import PadRecipe

    params, settings = context.stage.params, context.stage.settings
    kept_apart = {name: settings[name] for name in ("checkpointSteps", "vllmUrl", "prmEndpoint") if name in settings}
    pad = PAD.model_validate(params["pad"] | kept_apart)
    with ExitStack() as stack:
        return train_student(
            context,
            PadRecipe,
            metrics=("steps", "questions", "best_step", "start_accuracy", "best_accuracy", "stopped"),
            questions=context.input_output("rows", "rows"),
            scorer=_scorer(context, pad, stack),
            pad=pad,
            training=Training.model_validate(params["training"]),
            max_new_tokens=params["maxNewTokens"],
        )


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
