"""Supervised distillation, from rows to a student's folder.

Runs the same on one process and on many under torchrun: then every process calls `train` and the first one writes.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PrinterCallback, TrainerState
from trl.trainer.sft_config import SFTConfig

from agentark.devices import placement
from agentark.distill.encoding import Fitted, encode, fit, order
from agentark.distill.measuring import Measure
from agentark.distill.params import StepAccuracy, StepLoss, TrainParams, TrainResult
from agentark.distill.rows import read_held_out, read_rows
from agentark.distill.student import (
    Base,
    adapters,
    load_weights,
    read_base,
    without_warning_of_tied_weights,
    write_student,
)
from agentark.distill.trainer import WeightedCollator, WeightedSFTTrainer, ordered
from agentark.errors import AgentArkError, Interrupted
from agentark.processes import leaving_process_group
from agentark.tasks import Policy
from agentark.training.arguments import divided, micro_batch, trainer_arguments
from agentark.training.attempts import begin, failures, identity_of, restore
from agentark.training.checkpoints import Checkpoint, Checkpoints, best_first
from agentark.training.supervision import Supervisor

_log = logging.getLogger(__name__)


@leaving_process_group()
def train(
    *,
    model: Path,
    rows: Path,
    held_out: Path | None,
    policy: Policy,
    out: Path,
    work: Path,
    params: TrainParams,
    checkpoints: Checkpoints,
    on_progress: Callable[[int, int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    """Train a student and write it as a plain model folder.

    Goes on from the latest complete checkpoint of the same training. The output is the checkpoint with the highest
    verified accuracy on the held-out questions, of equals the latest, or the last one where none was measured.

    Args:
        model: Folder of the model to start from, with a chat template.
        rows: JSON lines ``{"prompt", "completion", "weight"}``; see `agentark.distill.rows`.
        held_out: JSON lines ``{"prompt", "gold"}``; None or empty: no evaluation during training.
        policy: What counts as the right answer to them.
        out: Folder of the student; appears whole or not at all.
        work: Scratch folder.
        params: How to train.
        checkpoints: Where checkpoints are kept, reachable from every machine of the training.
        on_progress: Called on the main process after each step with step, total and metrics.
        should_stop: Asked before the first and after each step on every process.

    Raises:
        InvalidInput: If data, model or parameters cannot be used.
        Interrupted: If it was told to stop; a complete checkpoint has been left.
        AgentArkError: If the loss or gradient is no finite number, memory runs out, or nothing can be written.
    """
    started = time.monotonic()
    transformers.utils.logging.disable_progress_bar()
    base = read_base(model)
    fitted = fit(
        encode(read_rows(rows), base.tokenizer, base.ends),
        max_length=params.max_length,
        context=base.context,
        keep=params.long_traces == "Keep",
    )
    _log.info("%d rows of at most %d tokens, %d dropped", len(fitted.rows), fitted.max_length, fitted.dropped)
    measure = _measure(base, held_out, policy, params)
    begin(should_stop)
    arguments = _arguments(params, fitted, work / "trainer")
    identity = identity_of(params, model=model, rows=rows, held_out=held_out) if arguments.process_index == 0 else ""
    resume = work / "resume"
    restored = restore(checkpoints, identity, resume, arguments)
    steps = params.total_steps(len(fitted.rows))
    if restored is not None and restored.step >= steps:
        state = TrainerState.load_from_json(str(resume / "trainer_state.json"))
    else:
        supervisor = Supervisor(
            checkpoints=checkpoints,
            training=identity,
            save_steps=params.save_steps,
            evaluation_steps=params.evaluation_steps(steps) if measure else frozenset(),
            on_progress=on_progress,
            should_stop=should_stop,
        )
        state = _run(base, fitted, params, arguments, measure, supervisor, resume if restored else None)
        if supervisor.stopped:
            raise Interrupted(f"training stopped after step {state.global_step} of {steps}; run it again to go on")
    best_step = _write_best(base, checkpoints, identity, out, work / "best", arguments, lora=params.lora_rank > 0)
    shutil.rmtree(resume, ignore_errors=True)
    return _result(params, fitted, state, best_step, arguments, restored, time.monotonic() - started)


def _measure(base: Base, held_out: Path | None, policy: Policy, params: TrainParams) -> Measure | None:
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


def _arguments(params: TrainParams, fitted: Fitted, folder: Path) -> SFTConfig:
    per_process = divided(params.batch_size, what=f"training: batch_size {params.batch_size}", hint="choose a multiple")
    return trainer_arguments(
        SFTConfig,
        params,
        folder,
        what="training",
        batch=params.batch_size,
        micro=micro_batch(per_process=per_process, longest=max(len(row.ids) for row in fitted.rows)),
        # One "epoch": the passes lie one after the other in the order of rows.
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        gradient_checkpointing=placement("training").device != "cpu",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _run(
    base: Base,
    fitted: Fitted,
    params: TrainParams,
    arguments: SFTConfig,
    measure: Measure | None,
    supervisor: Supervisor,
    resume: Path | None,
) -> Any:
    """Train to the end, or to where the supervisor stops it; return the trainer's state."""
    transformers.set_seed(params.seed)
    places = order(len(fitted.rows), total=params.total_rows(len(fitted.rows)), seed=params.seed)
    with failures(arguments, max(len(row.ids) for row in fitted.rows)):
        trainer = WeightedSFTTrainer(
            measure=measure,
            model=load_weights(base, "training"),
            args=arguments,
            train_dataset=ordered(fitted.rows, places, multiple=params.batch_size),
            data_collator=WeightedCollator(base.pad),
            processing_class=base.tokenizer,
            peft_config=adapters(params.lora_rank, params.lora_alpha),
            callbacks=[supervisor],
        )
        trainer.remove_callback(PrinterCallback)
        with without_warning_of_tied_weights(base):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer.state


def _write_best(
    base: Base, checkpoints: Checkpoints, identity: str, out: Path, folder: Path, arguments: SFTConfig, *, lora: bool
) -> int:
    """Write the student from the best undamaged checkpoint on the main process; return its step everywhere."""
    step = [0]
    if arguments.process_index == 0:
        best = checkpoints.restore_first(best_first(checkpoints.find(identity)), folder)
        if best is None:
            raise AgentArkError(
                "training: it ended, but none of its checkpoints in the store is whole; check whether something else "
                "writes or deletes there, and run it again"
            )
        write_student(base, folder, out, lora=lora)
        shutil.rmtree(folder, ignore_errors=True)
        step = [best.step]
    if arguments.world_size > 1:
        torch.distributed.broadcast_object_list(step, src=0, device=arguments.device)
    return step[0]


def _result(
    params: TrainParams,
    fitted: Fitted,
    state: Any,
    best_step: int,
    arguments: SFTConfig,
    restored: Checkpoint | None,
    seconds: float,
) -> TrainResult:
    total = params.total_rows(len(fitted.rows))
    history = state.log_history
    measured = [one for one in history if "eval_accuracy" in one]
    return TrainResult(
        steps=state.global_step,
        epochs=total / len(fitted.rows),
        rows=len(fitted.rows),
        dropped=fitted.dropped,
        max_length=fitted.max_length,
        losses=tuple(StepLoss(one["step"], one["loss"]) for one in history if "loss" in one),
        accuracy=tuple(StepAccuracy(one["step"], one["eval_accuracy"], round(one["eval_n"])) for one in measured),
        best_step=best_step,
        train_tokens=sum(
            len(fitted.rows[place].ids) for place in order(len(fitted.rows), total=total, seed=params.seed)
        ),
        seconds=seconds,
        world_size=arguments.world_size,
        resumed_from=restored.step if restored else 0,
    )
