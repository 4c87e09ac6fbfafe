"""What watches a training from inside its loop: progress, bad losses, the wish to stop, checkpoints."""

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agentark.errors import AgentArkError
from agentark.training.checkpoints import Checkpoints

_log = logging.getLogger(__name__)


class Supervisor(TrainerCallback):  # type: ignore[misc]
    """Decides at each step's end what happens next; every process decides the same.

    Args:
        checkpoints: Where they are kept.
        training: Identity of the training.
        save_steps: Steps between checkpoints.
        evaluation_steps: Steps after which the student is measured (and saved).
        on_progress: Told step, total and metrics on the main process.
        should_stop: Asked once per step; True ends the training after a checkpoint.
    """

    def __init__(
        self,
        *,
        checkpoints: Checkpoints,
        training: str,
        save_steps: int,
        evaluation_steps: frozenset[int],
        on_progress: Callable[[int, int, Mapping[str, float]], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.stopped = False
        """Whether the training ended early because it was told to."""
        self._checkpoints = checkpoints
        self._training = training
        self._save_steps = save_steps
        self._evaluation_steps = evaluation_steps
        self._on_progress = on_progress
        self._should_stop = should_stop

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Set what is due after this step."""
        step = state.global_step
        last = step >= state.max_steps
        if not last and _any_process(self._should_stop(), args):
            self.stopped = control.should_training_stop = True
        control.should_evaluate = step in self._evaluation_steps
        control.should_save = last or self.stopped or control.should_evaluate or step % self._save_steps == 0
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float],
        **_: Any,
    ) -> None:
        """Stop at once on a loss or gradient that is no number; else report progress."""
        if "loss" not in logs:
            return
        step, rate = state.global_step, logs["learning_rate"]
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise AgentArkError(
                    f"training: {name} is {logs[name]} at step {step} of {state.max_steps} (learning rate {rate:.3g}); "
                    "nothing was written. Lower the learning rate or lengthen the warm-up; with bfloat16 try float32; "
                    "if it happens at step 1, the student model itself is damaged"
                )
        if state.is_world_process_zero:
            self._on_progress(step, state.max_steps, self._metrics(state, logs))
        self._judge(state, control)

    def _judge(self, state: TrainerState, control: TrainerControl) -> None:
        """Stop for reasons that only this kind of training has; called once a step is in the log."""

    def _metrics(self, state: TrainerState, logs: Mapping[str, float]) -> dict[str, float]:
        """What progress shows of a step."""
        metrics = {"loss": logs["loss"], "learning_rate": logs["learning_rate"]}
        if accuracy := _accuracies(state):
            metrics["accuracy"] = accuracy[max(accuracy)]
        return metrics

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the checkpoint that the trainer has just written into the store."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        _gather_random_states(folder, args)
        if state.is_world_process_zero:
            accuracy = _accuracies(state).get(state.global_step)
            saved = self._checkpoints.save(folder, step=state.global_step, accuracy=accuracy, training=self._training)
            self._checkpoints.prune(self._training)
            _log.info("checkpoint %s is complete", saved.name)
        _barrier(args)
        shutil.rmtree(folder, ignore_errors=True)


def _accuracies(state: TrainerState) -> dict[int, float]:
    return {entry["step"]: entry["eval_accuracy"] for entry in state.log_history if "eval_accuracy" in entry}


def _any_process(wish: bool, args: TrainingArguments) -> bool:
    if args.world_size == 1:
        return wish
    flag = torch.tensor(float(wish), device=args.device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def _gather_random_states(folder: Path, args: TrainingArguments) -> None:
    """Bring the files of processes on other machines, each of which wrote its own, to the main process."""
    if args.world_size == 1:
        return
    name = f"rng_state_{args.process_index}.pth"
    found: list[tuple[str, bytes] | None] = [None] * args.world_size
    torch.distributed.all_gather_object(found, (name, (folder / name).read_bytes()))
    for one in found:
        if one is not None and not (folder / one[0]).exists() and args.process_index == 0:
            (folder / one[0]).write_bytes(one[1])


def _barrier(args: TrainingArguments) -> None:
    if args.world_size > 1:
        torch.distributed.barrier()
