"""What every training of a student has in common: where it starts, verified evaluation, what is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic

from transformers import TrainerControl

from agentark.api import Training
from agentark.distill.evaluation import Measure
from agentark.distill.params import StepAccuracy
from agentark.distill.rows import read_held_out
from agentark.distill.student import read_base, write_student
from agentark.tasks import Policy
from agentark.training.harness import Recipe, Result


def accuracies(history: Sequence[Mapping[str, Any]]) -> tuple[StepAccuracy, ...]:
    """The in-training evaluations, from a trainer's log."""
    return tuple(
        StepAccuracy(entry["step"], entry["eval_accuracy"], round(entry["eval_n"]))
        for entry in history
        if "eval_accuracy" in entry
    )


def evaluation_steps(steps: int, *, evaluations: int, multiple: int = 1) -> frozenset[int]:
    """Steps after which the student is evaluated, evenly spread, the last of them among them, each a multiple."""
    parts = (part * steps / evaluations / multiple for part in range(1, evaluations + 1))
    return frozenset(max(1, round(part)) * multiple for part in parts)


class StudentRecipe(Recipe[Result], Generic[Result]):
    """A recipe whose model is a student.

    Args:
        training: How to train.
        max_new_tokens: Longest answer in the evaluation during training, in tokens.
        model: Folder of the model to start from, with a chat template.
        held_out: JSON lines ``{"prompt", "gold"}``; None or empty: no evaluation during training.
        policy: What counts as the right answer to them.
        out: Folder of the student; appears whole or not at all.
    """

    measure: Measure | None = None
    """The in-training evaluation; None: nothing is measured."""

    def __init__(
        self,
        *,
        training: Training,
        max_new_tokens: int,
        model: Path,
        held_out: Path | None,
        policy: Policy,
        out: Path,
    ) -> None:
        super().__init__()
        self.training = training
        self.sources = {
            "model": model,
            "held_out": held_out,
            "max_new_tokens": max_new_tokens,
            "policy": repr(policy),
        }
        self.base = base = read_base(model)
        self.out = out
        if training.evaluations and held_out is not None and (questions := read_held_out(held_out)):
            self.measure = Measure(
                questions,
                tokenizer=base.tokenizer,
                policy=policy,
                max_new_tokens=max_new_tokens,
                context=base.context,
            )

    def write(self, checkpoint: Path | None) -> None:
        """Write the student as a plain model folder."""
        lora = checkpoint is not None and self.training.lora is not None
        write_student(self.base, checkpoint or self.base.folder, self.out, lora=lora)


class VerifiedEvaluation:
    """Mixed into a trainer of TRL: "evaluate" means verified accuracy, and nothing is sent or written beside the model.

    Args:
        measure: Called with the student when an evaluation is due; gives accuracy in [0, 1] and number of questions.
        arguments: As the trainer's.
    """

    control: TrainerControl
    state: Any
    model: Any
    args: Any
    callback_handler: Any

    def __init__(self, *, measure: Measure | None, **arguments: Any) -> None:
        self._measure = measure
        super().__init__(**arguments)

    def evaluate(self, *_arguments: Any, **_keywords: Any) -> dict[str, float]:
        """Measure the student and keep the figure in the training's history."""
        if self._measure is None:
            return {}
        accuracy, n = self._measure(self.model)
        metrics = {"eval_accuracy": accuracy, "eval_n": float(n)}
        self.state.log_history.append({**metrics, "step": self.state.global_step})
        # Tells Trainer that this evaluation is done, or the end of the pass repeats it.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def create_model_card(self, *_arguments: Any, **_keywords: Any) -> None:
        """Write none: the student's card is the pipeline's to write."""

    def _send_telemetry(self) -> None:
        """Send none."""
