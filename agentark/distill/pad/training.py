"""Process-aware distillation, from questions to a student's folder.

Runs the same on one process and on many under torchrun: then every process calls `train_pad` and the first one writes.
"""

import logging
import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers import PrinterCallback, TrainerState
from trl.trainer.grpo_config import GRPOConfig

from agentark.devices import placement
from agentark.distill.measuring import Measure
from agentark.distill.pad.assessing import Assessor
from agentark.distill.pad.params import PadParams, PadResult, StepScorer
from agentark.distill.pad.rollouts import InProcessRollouts, vllm_arguments
from agentark.distill.pad.supervising import PadSupervisor, read_curves, read_stop
from agentark.distill.pad.trainer import PadTrainer
from agentark.distill.params import StepAccuracy
from agentark.distill.rows import Question, read_held_out, read_questions
from agentark.distill.student import (
    Base,
    adapters,
    load_weights,
    read_base,
    without_warning_of_tied_weights,
    write_student,
)
from agentark.errors import AgentArkError, Interrupted, InvalidInput
from agentark.llm.chat import Message, Sampling
from agentark.llm.decoding import encode
from agentark.processes import leaving_process_group
from agentark.tasks import Policy
from agentark.training.arguments import divided, micro_batch, trainer_arguments
from agentark.training.attempts import begin, failures, identity_of, restore
from agentark.training.checkpoints import Checkpoint, Checkpoints, best_first

_log = logging.getLogger(__name__)


@leaving_process_group()
def train_pad(
    *,
    model: Path,
    questions: Path,
    held_out: Path | None,
    policy: Policy,
    scorer: StepScorer | None,
    out: Path,
    work: Path,
    params: PadParams,
    checkpoints: Checkpoints,
    on_progress: Callable[[int, int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> PadResult:
    """Train a student by its own verified and scored answers, and write it as a plain model folder.

    Goes on from the latest complete checkpoint of the same training. The output is the checkpoint with the highest
    verified accuracy on the held-out questions, of equals the latest; the start itself where none is at least as good.
    Without held-out questions it is the last checkpoint, or the start if a guard stopped the run.

    Args:
        model: Folder of the model to start from, with a chat template.
        questions: JSON lines ``{"id", "prompt", "gold"}``; gold null: no verifiable reward.
        held_out: JSON lines ``{"prompt", "gold"}``. None or empty: no evaluation during training.
        policy: What counts as the right answer.
        scorer: Scores the steps of answers; None: outcome rewards alone (plain GRPO).
        out: Folder of the student; appears whole or not at all.
        work: Scratch folder.
        params: How to train.
        checkpoints: Where checkpoints are kept, reachable from every machine of the training.
        on_progress: Called on the main process after each step with step, total and metrics.
        should_stop: Asked before the first and after each batch of roll-outs on every process.

    Raises:
        InvalidInput: If data, model or parameters cannot be used.
        Interrupted: If it was told to stop; a complete checkpoint has been left.
        AgentArkError: If the loss or gradient is no finite number, memory runs out, or nothing can be written.
    """
    started = time.monotonic()
    transformers.utils.logging.disable_progress_bar()
    base = read_base(model)
    asked = _questions(questions)
    longest, sampling = _room(base, asked, params)
    measure = _measure(base, held_out, policy, params)
    begin(should_stop)
    arguments = _arguments(params, longest, sampling, work / "trainer")
    identity = ""
    if arguments.process_index == 0:
        scored = scorer is not None
        identity = identity_of(params, model=model, questions=questions, held_out=held_out, scored=scored)
    resume = work / "resume"
    restored = restore(checkpoints, identity, resume, arguments)
    state = TrainerState.load_from_json(str(resume / "trainer_state.json")) if restored else None
    if state is None or not (state.global_step >= params.steps or read_stop(state.log_history)):
        supervisor = PadSupervisor(
            params=params,
            measure=measure,
            checkpoints=checkpoints,
            training=identity,
            save_steps=params.save_steps,
            evaluation_steps=params.evaluation_steps() if measure else frozenset(),
            on_progress=on_progress,
            should_stop=should_stop,
        )
        assessor = Assessor(base.tokenizer, base.ends, policy, scorer)
        with failures(arguments, longest + sampling.max_tokens):
            trainer = _trainer(base, asked, sampling, params, arguments, assessor, measure, supervisor)
            state = _run(trainer, base, resume if restored else None)
        if supervisor.stopped and not read_stop(state.log_history):
            raise Interrupted(f"training stopped after step {state.global_step} of {params.steps}; run it again")
    best_step = _write_best(base, checkpoints, identity, out, work / "best", arguments, params, state.log_history)
    shutil.rmtree(resume, ignore_errors=True)
    return _result(len(asked), state, best_step, arguments, restored, time.monotonic() - started)


def _questions(path: Path) -> list[Question]:
    found = read_questions(path)
    if not found:
        raise InvalidInput(f"{path}: holds no questions to train on")
    return found


def _room(base: Base, questions: Sequence[Question], params: PadParams) -> tuple[int, Sampling]:
    """Tokens of the longest prompt, and the sampling that still fits behind it."""
    if base.tokenizer.chat_template is None:
        raise InvalidInput("student model: its tokenizer has no chat template; take an instruction-tuned model")
    longest = max(len(encode(base.tokenizer, [Message(t.role, t.content) for t in one.prompt])) for one in questions)
    if longest >= base.context:
        raise InvalidInput(
            f"PAD: the longest prompt has {longest} tokens, but the student model reads {base.context}; shorten the "
            "questions or take a model that reads longer texts"
        )
    room = min(params.max_new_tokens, base.context - longest)
    return longest, Sampling(temperature=params.temperature, max_tokens=room)


def _measure(base: Base, held_out: Path | None, policy: Policy, params: PadParams) -> Measure | None:
    """The in-training evaluation; None where there is nothing to measure."""
    questions = read_held_out(held_out) if held_out is not None and params.evals else []
    if not questions:
        return None
    return Measure(
        questions,
        tokenizer=base.tokenizer,
        policy=policy,
        max_new_tokens=params.max_new_tokens,
        context=base.context,
    )


def ordered(questions: Sequence[Question], params: PadParams) -> Dataset:
    """Questions in the order of training: one fresh shuffle per pass, passes one after the other.

    It depends on nothing but number and seed, so any number of processes sees the same batches.
    """
    total = params.steps // params.iterations * params.prompts_per_step
    draw = random.Random(params.seed)
    places: list[int] = []
    while len(places) < total:
        places += draw.sample(range(len(questions)), len(questions))
    columns = {
        "prompt": [[turn.model_dump() for turn in one.prompt] for one in questions],
        "gold": [one.gold for one in questions],
    }
    return Dataset.from_dict(columns).select(places[:total])


def _trainer(
    base: Base,
    questions: Sequence[Question],
    sampling: Sampling,
    params: PadParams,
    arguments: GRPOConfig,
    assessor: Assessor,
    measure: Measure | None,
    supervisor: PadSupervisor,
) -> PadTrainer:
    transformers.set_seed(params.seed)
    with _known_warning():
        trainer = PadTrainer(
            params=params,
            assessor=assessor,
            measure=measure,
            model=load_weights(base, "training"),
            args=arguments,
            train_dataset=ordered(questions, params),
            processing_class=base.tokenizer,
            peft_config=adapters(params.lora_rank, params.lora_alpha),
            callbacks=[supervisor],
            rollout_func=_rollouts(base, sampling, params),
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _rollouts(base: Base, sampling: Sampling, params: PadParams) -> InProcessRollouts | None:
    if params.rollouts != "InProcess":
        return None
    return InProcessRollouts(base.tokenizer, sampling=sampling, group=params.group, seed=params.seed)


def _arguments(params: PadParams, longest: int, sampling: Sampling, folder: Path) -> GRPOConfig:
    per_process = divided(
        params.batch,
        what=f"PAD: {params.prompts_per_step} questions of {params.group} answers",
        hint="choose a number of questions per step that can",
    )
    size = micro_batch(per_process=per_process, longest=longest + sampling.max_tokens)
    return trainer_arguments(
        GRPOConfig,
        params,
        folder,
        what="PAD",
        batch=params.batch,
        micro=size,
        num_generations=params.group,
        steps_per_generation=per_process // size,
        num_iterations=params.iterations,
        # The passes lie one after the other in the order of questions.
        shuffle_dataset=False,
        max_steps=params.steps,
        max_completion_length=sampling.max_tokens,
        loss_type="dapo",
        beta=params.kl,
        epsilon=params.clip,
        temperature=params.temperature,
        scale_rewards="group",
        gradient_checkpointing=placement("training").device != "cpu",
        **vllm_arguments(params),
    )


@contextmanager
def _known_warning() -> Iterator[None]:
    """TRL warns that its `rollout_func` may change; its version is pinned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'", category=UserWarning)
        yield


def _run(trainer: PadTrainer, base: Base, resume: Path | None) -> Any:
    """Train to the end, or to where the supervisor stops it; return the trainer's state."""
    with without_warning_of_tied_weights(base):
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer.state


def _accuracies(history: Sequence[Mapping[str, Any]]) -> list[StepAccuracy]:
    measured = (one for one in history if "eval_accuracy" in one)
    return [StepAccuracy(one["step"], one["eval_accuracy"], round(one["eval_n"])) for one in measured]


def _write_best(
    base: Base,
    checkpoints: Checkpoints,
    identity: str,
    out: Path,
    folder: Path,
    arguments: GRPOConfig,
    params: PadParams,
    history: Sequence[Mapping[str, Any]],
) -> int:
    """Write the student on the main process: the best checkpoint, or the start; return its step everywhere."""
    step = [0]
    if arguments.process_index == 0:
        candidates = best_first(checkpoints.find(identity))
        if measured := _accuracies(history):
            floor = measured[0].accuracy
            candidates = [one for one in candidates if one.accuracy is not None and one.accuracy >= floor]
        elif read_stop(history):
            candidates = []
        best = checkpoints.restore_first(candidates, folder)
        if best is None and candidates:
            raise AgentArkError(
                "training: it ended, but none of its checkpoints in the store is whole; check whether something else "
                "writes or deletes there, and run it again"
            )
        write_student(base, folder if best else base.folder, out, lora=best is not None and params.lora_rank > 0)
        shutil.rmtree(folder, ignore_errors=True)
        step = [best.step if best else 0]
    if arguments.world_size > 1:
        torch.distributed.broadcast_object_list(step, src=0, device=arguments.device)
    return step[0]


def _result(
    questions: int, state: Any, best_step: int, arguments: GRPOConfig, restored: Checkpoint | None, seconds: float
) -> PadResult:
    measured = _accuracies(state.log_history)
    at = {one.step: one.accuracy for one in measured}
    return PadResult(
        steps=state.global_step,
        questions=questions,
        curves=tuple(read_curves(state.log_history)),
        accuracy=tuple(measured),
        start_accuracy=at.get(0),
        best_accuracy=at.get(best_step),
        best_step=best_step,
        stopped=read_stop(state.log_history),
        train_tokens=round(state.num_input_tokens_seen),
        seconds=seconds,
        world_size=arguments.world_size,
        resumed_from=restored.step if restored else 0,
    )
