"""Process-aware distillation, from questions to a student's folder.

Runs the same on one process and on many under torchrun: then every process calls `train_pad` and the first one writes.
"""

import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer, TrainingArguments
from trl.trainer.grpo_config import GRPOConfig

from agentark.api import PAD, Training
from agentark.devices import placement
from agentark.distill.pad.assessing import Assessor
from agentark.distill.pad.params import PadResult, StepScorer
from agentark.distill.pad.rollouts import InProcessRollouts, vllm_arguments
from agentark.distill.pad.supervisor import PadSupervisor, read_curves, read_stop
from agentark.distill.pad.trainer import PadTrainer
from agentark.distill.recipe import StudentRecipe, accuracies, evaluation_steps, held_out_measure
from agentark.distill.rows import Question, read_questions
from agentark.distill.student import Base, adapters, load_weights, read_base
from agentark.errors import InvalidInput
from agentark.llm.chat import Message, Sampling
from agentark.llm.decoding import encode
from agentark.tasks import Policy
from agentark.training.arguments import divided, micro_batch, trainer_arguments
from agentark.training.checkpoints import Checkpoint, Checkpoints, best_first
from agentark.training.harness import Course, run
from agentark.training.supervision import Supervisor


def train_pad(
    *,
    model: Path,
    questions: Path,
    held_out: Path | None,
    policy: Policy,
    scorer: StepScorer | None,
    out: Path,
    work: Path,
    pad: PAD,
    training: Training,
    max_new_tokens: int,
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
        pad: How to train.
        training: Adapters, precision, schedule, evaluations and seed; the rest of it is not read.
        max_new_tokens: Longest answer in tokens, where `pad` does not say.
        checkpoints: Where checkpoints are kept, reachable from every machine of the training.
        on_progress: Called on the main process after each step with step, total and metrics.
        should_stop: Asked before the first and after each batch of roll-outs on every process.

    Raises:
        InvalidInput: If data, model or parameters cannot be used.
        Interrupted: If it was told to stop; a complete checkpoint has been left.
        AgentArkError: If the loss or gradient is no finite number, memory runs out, or nothing can be written.
    """
    started = time.monotonic()
    base = read_base(model)
    asked = _questions(questions)
    longest, sampling = _room(base, asked, pad, pad.max_new_tokens or max_new_tokens)
    recipe = PadRecipe(
        pad=pad,
        training=training,
        questions=asked,
        longest=longest,
        sampling=sampling,
        assessor=Assessor(base.tokenizer, base.ends, policy, scorer),
        sources={
            "model": model,
            "questions": questions,
            "held_out": held_out,
            "scored": scorer is not None,
            "pad": pad.keyed("StepScores"),
            "training": training.keyed("PAD"),
            "max_new_tokens": pad.max_new_tokens or max_new_tokens,
        },
        base=base,
        measure=held_out_measure(
            base,
            held_out,
            policy,
            evaluations=training.evaluations,
            max_new_tokens=pad.max_new_tokens or max_new_tokens,
        ),
        out=out,
    )
    course = run(recipe, work=work, checkpoints=checkpoints, on_progress=on_progress, should_stop=should_stop)
    return _result(recipe, course, time.monotonic() - started)


class PadRecipe(StudentRecipe):
    """Learn from the student's own answers, verified and scored.

    Args:
        pad: How to train.
        training: Of it, what `train_pad` reads.
        questions: At least one.
        longest: Most tokens of a question with its answer.
        sampling: Of the answers.
        assessor: What an answer is worth.
        sources: What decides the course of the training.
        common: As StudentRecipe's.
    """

    name = "PAD"

    def __init__(
        self,
        *,
        pad: PAD,
        training: Training,
        questions: Sequence[Question],
        longest: int,
        sampling: Sampling,
        assessor: Assessor,
        sources: Mapping[str, Any],
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.pad = pad
        own = {"learning_rate": pad.learning_rate, "checkpoint_steps": pad.checkpoint_steps}
        self.training = training.model_copy(update=own)
        self.questions = questions
        self.assessor = assessor
        self.sources = sources
        self.steps = pad.steps
        self.longest = longest
        self.sampling = sampling
        if self.measure:
            self.evaluation_steps = evaluation_steps(
                pad.steps, evaluations=training.evaluations, multiple=pad.iterations
            )

    def arguments(self, folder: Path) -> GRPOConfig:
        """GRPOTrainer's settings."""
        pad = self.pad
        batch = pad.prompts_per_step * pad.group
        per_process = divided(
            batch,
            what=f"PAD: {pad.prompts_per_step} questions of {pad.group} answers",
            hint="choose a number of questions per step that can",
        )
        size = micro_batch(per_process=per_process, longest=self.longest)
        return trainer_arguments(
            GRPOConfig,
            self.training,
            folder,
            what=self.name,
            batch=batch,
            micro=size,
            num_generations=pad.group,
            steps_per_generation=per_process // size,
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


def _questions(path: Path) -> list[Question]:
    questions = read_questions(path)
    if not questions:
        raise InvalidInput(f"{path}: holds no questions to train on")
    return questions


def _room(base: Base, questions: Sequence[Question], pad: PAD, max_new_tokens: int) -> tuple[int, Sampling]:
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


def ordered(questions: Sequence[Question], pad: PAD, *, seed: int) -> Dataset:
    """Questions in the order of training: one fresh shuffle per pass, passes one after the other.

    It depends on nothing but number and seed, so any number of processes sees the same batches.
    """
    total = pad.steps // pad.iterations * pad.prompts_per_step
    draw = random.Random(seed)
    places: list[int] = []
    while len(places) < total:
        places += draw.sample(range(len(questions)), len(questions))
    columns = {
        "prompt": [[turn.model_dump() for turn in question.prompt] for question in questions],
        "gold": [question.gold for question in questions],
    }
    return Dataset.from_dict(columns).select(places[:total])


@contextmanager
def _known_warning() -> Iterator[None]:
    """TRL warns that its `rollout_func` may change; its version is pinned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'", category=UserWarning)
        yield


def _result(recipe: PadRecipe, course: Course[None], seconds: float) -> PadResult:
    measured = accuracies(course.history)
    at = {entry.step: entry.accuracy for entry in measured}
    return PadResult(
        steps=course.steps,
        questions=len(recipe.questions),
        curves=tuple(read_curves(course.history)),
        accuracy=measured,
        start_accuracy=at.get(0),
        best_accuracy=at.get(course.best_step),
        best_step=course.best_step,
        stopped=read_stop(course.history),
        train_tokens=course.tokens,
        seconds=seconds,
        world_size=course.world_size,
        resumed_from=course.resumed_from,
    )
