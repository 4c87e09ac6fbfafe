"""Training of a process reward model, from labelled rows to a model folder."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import Trainer, TrainingArguments

from agentark.api import Lora, PRMSpec
from agentark.errors import InvalidInput
from agentark.llm.chat import Message
from agentark.reward.encoding import encode
from agentark.reward.metrics import Calibration, Metrics, ScoredSolution, measure
from agentark.reward.model import Card, load_backbone, load_config, load_tokenizer, window_tokens, write_prm
from agentark.reward.params import PRMResult, StepLoss
from agentark.reward.rows import PRMRow, read_rows
from agentark.reward.scoring import PRM
from agentark.reward.steps import Step
from agentark.reward.trainer import Phases, PRMTrainer, QuestionSolutions, Solution, collate, in_order, projector_for
from agentark.training.arguments import trainer_arguments
from agentark.training.checkpoints import Checkpoint
from agentark.training.harness import Course, Recipe
from agentark.training.supervision import Supervisor

_MICRO_TOKENS = 32_768
SOLUTIONS = 8
"""Most solutions of a question in one step."""


class PRMRecipe(Recipe[PRMResult]):
    """Learn to tell right steps from wrong ones; the output is a plain token-classification folder.

    Held-out rows are never trained on; they give the threshold, the calibration and the figures.

    Args:
        model: Folder of the backbone, usually the student's.
        rows: JSON lines as `agentark.reward.rows` describes.
        out: Folder of the reward model; appears whole or not at all.
        spec: How to train: its loss, `head_fraction` and `training`; debate, labels and the rest are not read.
        solutions: Most solutions of a question in one step, drawn anew in each pass, >= 2.
    """

    name = "PRM training"

    def __init__(self, *, model: Path, rows: Path, out: Path, spec: PRMSpec, solutions: int = SOLUTIONS) -> None:
        super().__init__()
        self.spec = spec
        self.training = spec.training
        self.solutions = solutions
        self.sources = {"model": model, "rows": rows, "spec": spec.keyed("PRM"), "solutions": solutions}
        self.out = out
        self.model = model
        self.rows = read_rows(rows)
        self.tokenizer = load_tokenizer(model)
        self.max_length = window_tokens(load_config(model), spec.training.max_length_tokens)
        questions = _questions([row for row in self.rows if not row.held_out], self.tokenizer, self.max_length)
        self.usable = _usable(questions, spec, rows)
        self.unusable = len(questions) - len(self.usable)
        self.steps = max(1, math.ceil(self.training.epochs * len(self.usable) / self.training.batch_size))
        self.head_steps = min(self.steps - 1, round(spec.head_fraction * self.steps))
        self.longest = max(question.tokens(solutions) for question in self.usable)
        self.held_out: Metrics | None = None
        self.scores: tuple[tuple[float, ...], ...] = ()

    def arguments(self, folder: Path) -> TrainingArguments:
        """Trainer's settings."""
        batch = self.training.batch_size
        return trainer_arguments(
            TrainingArguments,
            self.training,
            folder,
            name=self.name,
            batch=batch,
            batch_name=f"batchSize {batch}",
            longest=self.longest,
            budget=_MICRO_TOKENS,
            unused_parameters=True,  # the backbone learns in the second phase only
            num_train_epochs=1,  # the passes lie one after the other in the order of questions
            train_sampling_strategy="sequential",
        )

    def trainer(self, arguments: TrainingArguments, supervisor: Supervisor) -> Trainer:
        """A trainer whose batches are questions, in two phases."""
        projector = self.spec.loss == "Representation"
        model = load_backbone(self.model, "training")
        if projector:
            model.projector = projector_for(model)
        if self.training.lora:
            model = get_peft_model(model, adapters(self.training.lora, projector=projector))
        count = self.steps * self.training.batch_size
        return PRMTrainer(
            spec=self.spec,
            model=model,
            args=arguments,
            train_dataset=in_order(self.usable, count=count, solutions=self.solutions, seed=self.training.seed),
            data_collator=collate,
            processing_class=self.tokenizer,
            callbacks=[Phases(self.head_steps), supervisor],
        )

    def preferred(
        self, checkpoints: Sequence[Checkpoint], history: Sequence[Mapping[str, Any]]
    ) -> Sequence[Checkpoint | None]:
        """The latest: nothing is measured on the way."""
        return checkpoints

    def write(self, checkpoint: Path | None) -> None:
        """Write a plain token-classification model, once it is measured on the held-out rows."""
        if self.training.lora:
            base = load_backbone(self.model, "writing")
            if self.spec.loss == "Representation":
                base.projector = projector_for(base)
            trained = PeftModel.from_pretrained(base, checkpoint, torch_device="cpu").merge_and_unload()
        else:
            trained = load_backbone(checkpoint or self.model, "writing")
        if hasattr(trained, "projector"):
            del trained.projector  # it served the training alone
        rule = self.rows[0].rule
        draft = PRM(trained, self.tokenizer, Card(rule, self.max_length, self.spec.loss, Calibration()))
        scored = _score_rows(draft, [row for row in self.rows if row.held_out])
        self.held_out = measure(scored) if scored else None
        self.scores = tuple(solution.scores for solution in scored)
        calibration = self.held_out.calibration if self.held_out else Calibration()
        write_prm(trained, self.tokenizer, Card(rule, self.max_length, self.spec.loss, calibration), self.out)

    def result(self, course: Course) -> PRMResult:
        """Losses, and on the main process how it does on the held-out rows."""
        solutions = [solution for question in self.usable for solution in question.solutions]
        return PRMResult(
            steps=course.steps,
            head_steps=self.head_steps,
            questions=len(self.usable),
            solutions=len(solutions),
            windowed=sum(len(solution.windows) > 1 for solution in solutions),
            unusable=self.unusable,
            losses=tuple(StepLoss(entry["step"], entry["loss"]) for entry in course.history if "loss" in entry),
            held_out=self.held_out,
            scores=self.scores,
            seconds=course.seconds,
            world_size=course.world_size,
            resumed_from=course.resumed_from,
        )


def _score_rows(prm: PRM, rows: Sequence[PRMRow]) -> list[ScoredSolution]:
    """Score labelled solutions as `agentark.reward.metrics` takes them."""
    spans = [[Step(step.start, step.end) for step in row.steps] for row in rows]
    prompts = [[Message(turn.role, turn.content) for turn in row.prompt] for row in rows]
    scores = prm.score(prompts, [row.solution for row in rows], spans)
    return [
        ScoredSolution(
            row.question,
            tuple(step.score for step in scored),
            tuple(step.label for step in row.steps),
            row.correct,
            row.answer,
        )
        for row, scored in zip(rows, scores, strict=True)
    ]


def _questions(rows: Sequence[PRMRow], tokenizer: Any, max_length: int) -> list[QuestionSolutions]:
    grouped: dict[str, list[Solution]] = {}
    for row in rows:
        known = [step for step in row.steps if step.label is not None and step.weight > 0]
        if not known:
            continue
        prompt = [Message(turn.role, turn.content) for turn in row.prompt]
        spans = [Step(step.start, step.end) for step in known]
        windows = encode(tokenizer, prompt, row.solution, spans, max_length=max_length)
        labels = [float(step.label or 0.0) for step in known]
        grouped.setdefault(row.question, []).append(Solution(windows, labels, [step.weight for step in known]))
    return [QuestionSolutions(solutions) for solutions in grouped.values()]


def _usable(questions: list[QuestionSolutions], spec: PRMSpec, rows: Path) -> list[QuestionSolutions]:
    """The questions that a loss can learn from."""
    contrasting = [question for question in questions if question.contrasts()]
    if not contrasting:
        raise InvalidInput(
            f"{rows}: no question has both right and wrong steps, so there is nothing to learn from; "
            "take more questions, more agents, or further label sources"
        )
    return contrasting if spec.loss == "Contrastive" else questions


def adapters(lora: Lora, *, projector: bool) -> LoraConfig:
    """Adapters on every linear layer of the backbone; head and projector are trained whole."""
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=["score", "classifier", "projector"],
        task_type="TOKEN_CLS",
        modules_to_save=["projector"] if projector else None,
    )
