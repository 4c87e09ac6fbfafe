"""Process-aware distillation, from questions to a student's folder."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer, TrainingArguments
from trl.trainer.grpo_config import GRPOConfig

from agentark.api import PAD, Training
from agentark.devices import placement
from agentark.distill.encoding import order
from agentark.distill.pad.assessing import Assessor
from agentark.distill.pad.params import PadResult, StepScorer
from agentark.distill.pad.rollouts import InProcessRollouts, vllm_arguments
from agentark.distill.pad.supervisor import PadSupervisor, read_curves, read_stop
from agentark.distill.pad.trainer import PadTrainer
from agentark.distill.recipe import StudentRecipe, accuracies, evaluation_steps
from agentark.distill.rows import RolloutQuestion, read_questions
from agentark.distill.student import Base, adapters, load_weights
from agentark.errors import InvalidInput
from agentark.llm.chat import Message, Sampling
from agentark.llm.decoding import encode
from agentark.tasks import Policy
from agentark.training.arguments import trainer_arguments
from agentark.training.checkpoints import Checkpoint, best_first
from agentark.training.harness import Course
from agentark.training.supervision import Supervisor


class PadRecipe(StudentRecipe[PadResult]):
    """Learn from the student's own answers, verified and scored.

    The output is the checkpoint with the highest verified accuracy on the held-out questions, of equals the latest; the
    start itself where none is at least as good. Without held-out questions it is the last checkpoint, or the start if a
    guard stopped the run.

    Args:
        questions: JSON lines ``{"id", "prompt", "gold"}``; gold null: no verifiable reward.
        scorer: Scores the steps of answers; None: outcome rewards alone (plain GRPO).
        pad: How to train.
        training: Adapters, precision, schedule, evaluations and seed; the rest of it is not read.
        max_new_tokens: Longest answer in tokens, where `pad` does not say.
        policy: What counts as the right answer.
        common: As StudentRecipe's.
    """

    name = "PAD"

    def __init__(
        self,
        *,
        questions: Path,
        scorer: StepScorer | None,
        pad: PAD,
        training: Training,
        max_new_tokens: int,
        policy: Policy,
        **common: Any,
    ) -> None:
        longest_answer = pad.max_new_tokens or max_new_tokens
        own = {"learning_rate": pad.learning_rate, "checkpoint_steps": pad.checkpoint_steps}
        super().__init__(
            training=training.model_copy(update=own), max_new_tokens=longest_answer, policy=policy, **common
        )
        self.pad = pad
        self.sources |= {
            "questions": questions,
            "scored": scorer is not None,
            "pad": pad.keyed("StepScores"),
            "training": training.keyed("PAD"),
        }
        self.questions = _questions(questions)
        self.longest, self.sampling = _room(self.base, self.questions, pad, longest_answer)
        self.assessor = Assessor(self.base.tokenizer, self.base.ends, policy, scorer)
        self.steps = pad.steps
        if self.measure:
            self.evaluation_steps = evaluation_steps(
                pad.steps, evaluations=training.evaluations, multiple=pad.iterations
            )

    def arguments(self, folder: Path) -> GRPOConfig:
        """GRPOTrainer's settings."""
        pad = self.pad
        return trainer_arguments(
            GRPOConfig,
            self.training,
            folder,
            name=self.name,
            batch=pad.prompts_per_step * pad.group,
            batch_name=f"{pad.prompts_per_step} questions of {pad.group} answers",
            longest=self.longest,
            num_generations=pad.group,
            num_iterations=pad.iterations,
            # The passes lie one after the other in the order of questions.
            shuffle_dataset=False,
            max_steps=pad.steps,
            max_completion_length=self.sampling.max_tokens,
            loss_type="dapo",
            beta=pad.kl,
            epsilon=pad.clip,
            temperature=pad.temperature,
            scale_rewards="group",
            gradient_checkpointing=placement("training").device != "cpu",
            **vllm_arguments(pad),
        )

    def supervisor(self, **arguments: Any) -> PadSupervisor:
        """The guards watch too."""
        return PadSupervisor(pad=self.pad, measure=self.measure, **arguments)

    def trainer(self, arguments: TrainingArguments, supervisor: Supervisor) -> Trainer:
        """TRL's trainer with an advantage per token."""
        with _known_warning():
            return PadTrainer(
                pad=self.pad,
                assessor=self.assessor,
                measure=self.measure,
                model=load_weights(self.base, "training"),
                args=arguments,
                train_dataset=ordered(self.questions, self.pad, seed=self.training.seed),
                processing_class=self.base.tokenizer,
                peft_config=adapters(self.training.lora),
                callbacks=[supervisor],
                rollout_func=self._rollouts(),
            )

    def _rollouts(self) -> InProcessRollouts | None:
        if self.pad.rollouts != "InProcess":
            return None
        seed = self.training.seed
        return InProcessRollouts(self.base.tokenizer, sampling=self.sampling, group=self.pad.group, seed=seed)

    def ended_early(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a guard stopped the run."""
        return bool(read_stop(history))

    def preferred(
        self, checkpoints: Sequence[Checkpoint], history: Sequence[Mapping[str, Any]]
    ) -> Sequence[Checkpoint | None]:
        """Checkpoints at least as good as the start, else the start; it too where a guard stopped an unmeasured run."""
        candidates = best_first(checkpoints)
        if measured := accuracies(history):
            floor = measured[0].accuracy
            candidates = [entry for entry in candidates if entry.accuracy is not None and entry.accuracy >= floor]
        elif self.ended_early(history):
            candidates = []
        return candidates or [None]

    def result(self, course: Course) -> PadResult:
        """Curves, accuracies, and whether a guard stopped the run."""
        measured = accuracies(course.history)
        at = {entry.step: entry.accuracy for entry in measured}
        return PadResult(
            steps=course.steps,
            questions=len(self.questions),
            curves=tuple(read_curves(course.history)),
            accuracy=measured,
            start_accuracy=at.get(0),
            best_accuracy=at.get(course.best_step),
            best_step=course.best_step,
            stopped=read_stop(course.history),
            train_tokens=course.tokens,
            seconds=course.seconds,
            world_size=course.world_size,
            resumed_from=course.resumed_from,
        )


def _questions(path: Path) -> list[RolloutQuestion]:
    questions = read_questions(path)
    if not questions:
        raise InvalidInput(f"{path}: holds no questions to train on")
    return questions


def _room(base: Base, questions: Sequence[RolloutQuestion], pad: PAD, max_new_tokens: int) -> tuple[int, Sampling]:
    """Most tokens of a prompt with its answer, and the sampling that still fits behind the longest prompt."""
    if base.tokenizer.chat_template is None:
        raise InvalidInput("student model: its tokenizer has no chat template; take an instruction-tuned model")
    prompts = ([Message(turn.role, turn.content) for turn in question.prompt] for question in questions)
    longest = max(len(encode(base.tokenizer, prompt)) for prompt in prompts)
    if longest >= base.context:
        raise InvalidInput(
            f"PAD: the longest prompt has {longest} tokens, but the student model reads {base.context}; shorten the "
            "questions or take a model that reads longer texts"
        )
    room = min(max_new_tokens, base.context - longest)
    return longest + room, Sampling(temperature=pad.temperature, max_tokens=room)


def ordered(questions: Sequence[RolloutQuestion], pad: PAD, *, seed: int) -> Dataset:
    """Questions in the order of training."""
    total = pad.steps // pad.iterations * pad.prompts_per_step
    columns = {
        "prompt": [[turn.model_dump() for turn in question.prompt] for question in questions],
        "gold": [question.gold for question in questions],
    }
    return Dataset.from_dict(columns).select(order(len(questions), total=total, seed=seed))


@contextmanager
def _known_warning() -> Iterator[None]:
    """TRL warns that its `rollout_func` may change; its version is pinned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'", category=UserWarning)
        yield
