"""What watches a PAD run from inside its loop: the start's accuracy, the guards, and steps that share roll-outs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from agentark.api import PAD
from agentark.distill.pad.guards import BatchStatistics, breach
from agentark.distill.pad.params import PadStep
from agentark.training.supervision import Supervisor

_STOPPED = "pad/stopped"


class PadSupervisor(Supervisor):
    """A supervisor that measures the start, and stops a run that games its reward.

    Args:
        pad: Guards and iterations.
        measure: Gives accuracy in [0, 1] and number of questions; None: nothing to measure.
        arguments: As Supervisor's.
    """

    def __init__(self, *, pad: PAD, measure: Callable[[Any], tuple[float, int]] | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._pad = pad
        self._measure = measure

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        """Measure the start: no student may be worse."""
        if self._measure is not None and state.global_step == 0:
            accuracy, n = self._measure(model)
            state.log_history.append({"eval_accuracy": accuracy, "eval_n": float(n), "step": 0})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **keywords: Any
    ) -> TrainerControl:
        """Set what is due, at the end of a batch of roll-outs alone: nothing goes on exactly from within one."""
        step, iterations = state.global_step, self._pad.iterations
        if step % iterations:
            control.should_evaluate = control.should_save = False
            return control
        control = super().on_step_end(args, state, control, **keywords)
        passed = step // self._save_steps > (step - iterations) // self._save_steps
        control.should_save = control.should_save or passed
        return control

    def _judge(self, state: TrainerState, control: TrainerControl) -> None:
        """Check the guards on the statistics of all batches so far; a breach ends the run with a last checkpoint."""
        if state.global_step % self._pad.iterations:
            return
        if reason := breach(read_statistics(state.log_history), self._pad.guards):
            state.log_history.append({_STOPPED: reason, "step": state.global_step})
            control.should_training_stop = control.should_save = True

    def _metrics(self, state: TrainerState, logs: Mapping[str, float]) -> dict[str, float]:
        metrics = super()._metrics(state, logs)
        if points := read_curves(state.log_history):
            shown = points[-1]._asdict()
            metrics |= {
                {"accuracy": "rollout_accuracy"}.get(name, name): value
                for name, value in shown.items()
                if name != "step" and value is not None
            }
        return metrics


def read_stop(history: Sequence[Mapping[str, Any]]) -> str:
    """The reason a guard gave; empty if none did."""
    return next((str(entry[_STOPPED]) for entry in history if _STOPPED in entry), "")


def read_statistics(history: Sequence[Mapping[str, Any]]) -> list[BatchStatistics]:
    """The statistics that guards read, batch by batch, from a trainer's log."""
    return [
        BatchStatistics(
            length=entry["pad/length"],
            step_count=entry["pad/step_count"],
            pairs=round(entry["pad/pairs"]),
            discordant=entry["pad/discordant"],
            contested=round(entry["pad/contested"]),
            spread=entry["pad/spread"],
            kl=entry.get("kl"),
        )
        for entry in history
        if "pad/length" in entry
    ]


def read_curves(history: Sequence[Mapping[str, Any]]) -> list[PadStep]:
    """The curves, batch by batch, from a trainer's log."""
    return [
        PadStep(
            **{name: entry[f"pad/{name}"] for name in PadStep._fields if name not in ("step", "kl")},
            step=entry["step"],
            kl=entry.get("kl"),
        )
        for entry in history
        if "pad/length" in entry
    ]
