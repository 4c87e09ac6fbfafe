"""transformers' Trainer for a process reward model: batches of questions, a loss over their steps, two phases."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agentark.api import PRMSpec
from agentark.reward.encoding import Window
from agentark.reward.losses import cross_entropy, info_nce, supervised_contrastive
from agentark.reward.model import is_head, last_layer, step_logits

REPRESENTATION_WEIGHT = 0.5
"""Weight of the representation term where the settings do not say."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution as the model reads it; only labelled steps are scored."""

    windows: list[Window]
    labels: list[float]
    weights: list[float]


@dataclass(frozen=True, slots=True)
class QuestionSolutions:
    """All solutions of one question."""

    solutions: list[Solution]

    def contrasts(self) -> bool:
        """Whether it has both right and wrong steps."""
        sides = {label > 0.5 for solution in self.solutions for label in solution.labels}
        return len(sides) == 2

    def tokens(self, most: int) -> int:
        """Most tokens that `most` of its solutions can have."""
        sizes = sorted((sum(len(window.ids) for window in one.windows) for one in self.solutions), reverse=True)
        return sum(sizes[:most])

    def drawn(self, most: int, rng: random.Random) -> "QuestionSolutions":
        """The same with at most so many solutions, among them right and wrong steps."""
        if len(self.solutions) <= most:
            return self
        order = rng.sample(self.solutions, len(self.solutions))
        chosen = QuestionSolutions(order[:most])
        if self.contrasts() and not chosen.contrasts():
            other = next(one for one in order[most:] if QuestionSolutions([*chosen.solutions, one]).contrasts())
            chosen = QuestionSolutions([*chosen.solutions[:-1], other])
        return chosen


class Ordered(Dataset[QuestionSolutions]):
    """Questions in the order of training."""

    def __init__(self, questions: Sequence[QuestionSolutions]) -> None:
        self._questions = questions

    def __len__(self) -> int:
        """Their number, repetitions counted."""
        return len(self._questions)

    def __getitem__(self, index: int) -> QuestionSolutions:
        """The question at a place in the order."""
        return self._questions[index]


def in_order(questions: Sequence[QuestionSolutions], *, count: int, solutions: int, seed: int) -> Ordered:
    """Lay out `count` questions: each pass in an order of its own, solutions drawn anew; the same for the same seed."""
    rng = random.Random(seed)
    laid: list[QuestionSolutions] = []
    while len(laid) < count:
        laid += [question.drawn(solutions, rng) for question in rng.sample(questions, len(questions))]
    return Ordered(laid[:count])


def collate(questions: Sequence[QuestionSolutions]) -> dict[str, Any]:
    """Questions stay as they are; tensors are made per micro-batch."""
    return {"questions": list(questions)}


def projector_for(model: Any) -> nn.Module:
    """Two layers for the representation loss; part of the model, so that the optimiser trains them."""
    width = int(model.config.get_text_config().hidden_size)
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


class PRMTrainer(Trainer):  # type: ignore[misc]
    """Minimises the mean over the questions of a global batch, however it is split over processes and micro-batches.

    A question's loss is itself a mean: over its right steps (Contrastive) or its labelled steps (the others).
    """

    # The divisor covers the whole global batch: Trainer must not divide by the accumulation steps again.
    loss_is_scaled_for_ga = True

    def __init__(self, *, spec: PRMSpec, **arguments: Any) -> None:
        self._spec = spec
        super().__init__(**arguments)
        self._pad = next(
            int(one)
            for one in (self.processing_class.pad_token_id, self.processing_class.eos_token_id, 0)
            if one is not None
        )

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Return this micro-batch's share of the step's loss; DDP averages over processes."""
        questions: list[QuestionSolutions] = inputs["questions"]
        windows = [window for one in questions for solution in one.solutions for window in solution.windows]
        wants_hidden = self._spec.loss == "Representation"
        logits, hidden = step_logits(model, windows, self._pad, hidden=wants_hidden)
        total = logits.sum() * 0.0
        begin = 0
        for question in questions:
            labels = torch.tensor([v for one in question.solutions for v in one.labels], device=logits.device)
            weights = torch.tensor([v for one in question.solutions for v in one.weights], device=logits.device)
            end = begin + len(labels)
            states = hidden[begin:end] if hidden is not None else None
            total = total + self._of_question(model, logits[begin:end], labels, weights, states)
            begin = end
        loss: Tensor = total / (self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps)
        return loss

    def _of_question(
        self, model: Any, logits: Tensor, labels: Tensor, weights: Tensor, states: Tensor | None
    ) -> Tensor:
        tau = self._spec.temperature
        if self._spec.loss == "Contrastive":
            positives = weights[labels > 0.5].sum().clamp(min=1e-9)
            return info_nce(logits, labels, weights, temperature=tau) / positives
        loss = cross_entropy(logits, labels, weights) / weights.sum().clamp(min=1e-9)
        if states is not None:
            projector = self.accelerator.unwrap_model(model).projector
            term = supervised_contrastive(projector(states), labels, temperature=tau)
            weight = self._spec.representation_weight
            loss = loss + (REPRESENTATION_WEIGHT if weight is None else weight) * term
        return loss

    def create_model_card(self, *_arguments: Any, **_keywords: Any) -> None:
        """Write none: the model's card is the pipeline's to write."""


class Phases(TrainerCallback):  # type: ignore[misc]
    """Trains the head and the last layer first, then everything (paper B.1).

    Adapters stand for the weights of their layer: with LoRA the first phase trains the last layer's adapters.
    """

    def __init__(self, head_steps: int) -> None:
        self._head_steps = head_steps
        self._learning: list[str] | None = None

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        """Freeze and unfreeze by the step, so that a resumed training is in the same phase."""
        plain = getattr(model, "module", model)
        if self._learning is None:
            self._learning = [name for name, weight in plain.named_parameters() if weight.requires_grad]
        first = state.global_step < self._head_steps
        early = first_phase(plain) if first else set()
        wanted = set(self._learning)
        for name, weight in plain.named_parameters():
            weight.requires_grad_(name in wanted and (not first or name in early))


def first_phase(model: Any) -> set[str]:
    """Names of the parameters of the head and of the last layer."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    last = {id(weight) for weight in last_layer(plain).parameters()}
    heads = {id(weight) for name, weight in plain.named_parameters() if is_head(plain, name)}
    return {name for name, weight in model.named_parameters() if id(weight) in last | heads}
