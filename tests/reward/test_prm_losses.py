"""Losses of the reward model: published numbers, the paper's formula, plain loops, degenerate cases."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentark.reward.losses import cross_entropy, info_nce, supervised_contrastive

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "prm-vectors.json").read_text())


@pytest.mark.parametrize("case", VECTORS["prm_contrastive_eq7"]["cases"], ids=lambda case: f"tau {case['tau']}")
def test_info_nce_is_the_paper_s_equation_7(case: dict[str, Any]) -> None:
    found = []
    for step in VECTORS["prm_contrastive_eq7"]["steps"]:
        logits = torch.tensor([step["pos"], *step["neg"]])
        labels = torch.tensor([1.0] + [0.0] * len(step["neg"]))
        found.append(info_nce(logits, labels, torch.ones_like(labels), temperature=case["tau"]).item())
    assert found == pytest.approx(case["per_step"], abs=1e-5)
    assert sum(found) == pytest.approx(case["total"], abs=1e-5)


def test_info_nce_against_a_plain_loop() -> None:
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(9), torch.rand(9), torch.rand(9) + 0.1
    expected = 0.0
    scores = [1 / (1 + math.exp(-value)) / 0.3 for value in logits.tolist()]
    for i, label in enumerate(labels.tolist()):
        if label > 0.5:
            against = sum(
                weights[j].item() * math.exp(scores[j]) for j, other in enumerate(labels.tolist()) if other <= 0.5
            )
            expected -= weights[i].item() * math.log(math.exp(scores[i]) / (math.exp(scores[i]) + against))
    assert info_nce(logits, labels, weights, temperature=0.3).item() == pytest.approx(expected, rel=1e-5)


def test_the_representation_term_is_the_published_code_s() -> None:
    group = VECTORS["prm_supcon_loss"]
    embeddings, labels = torch.tensor(group["embeddings"]), torch.tensor(group["labels"], dtype=torch.float32)
    for case in group["cases"]:
        found = supervised_contrastive(embeddings, labels, temperature=case["temperature"]).item()
        assert found == pytest.approx(case["loss"], abs=1e-5)
    for case in group["edge_cases"]:
        vectors = torch.tensor(case.get("embeddings", group["embeddings"]))
        found = supervised_contrastive(
            vectors, torch.tensor(case["labels"], dtype=torch.float32), temperature=case["temperature"]
        ).item()
        assert found == pytest.approx(case["loss"], abs=1e-5), case["name"]


def test_cross_entropy_and_representation_add_up_to_the_published_total() -> None:
    group = VECTORS["prm_total_loss"]
    labels = torch.tensor(group["labels"]).flatten()
    known = labels >= 0
    # One score per step is the difference of the published code's two.
    logits = torch.tensor(group["logits"]).reshape(-1, 2)
    right = labels[known].float()
    entropy = cross_entropy((logits[:, 1] - logits[:, 0])[known], right, torch.ones_like(right)) / len(right)
    assert entropy.item() == pytest.approx(group["cross_entropy"], abs=1e-5)
    weights = {name: torch.tensor(value) for name, value in group["projector"].items()}
    states = torch.tensor(group["hidden_states"]).reshape(-1, 4)[known]
    projected = (states @ weights["w1"].T + weights["b1"]).relu() @ weights["w2"].T + weights["b2"]
    term = supervised_contrastive(projected, right, temperature=0.1)
    assert term.item() == pytest.approx(group["supcon"], abs=1e-5)
    assert (entropy + 0.5 * term).item() == pytest.approx(group["total"], abs=1e-5)


@pytest.mark.parametrize("labels", [[], [1.0], [0.0], [1.0, 1.0], [0.0, 0.0]], ids=str)
def test_without_a_contrast_loss_and_gradient_are_zero(labels: list[float]) -> None:
    logits = torch.zeros(len(labels), requires_grad=True)
    found = info_nce(logits, torch.tensor(labels), torch.ones(len(labels)), temperature=0.1)
    found.backward()
    assert found.item() == 0
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("count", [0, 1])
def test_few_steps_give_numbers(count: int) -> None:
    logits = torch.zeros(count, requires_grad=True)
    entropy = cross_entropy(logits, torch.ones(count), torch.ones(count))
    term = supervised_contrastive(torch.ones(count, 3, requires_grad=True), torch.ones(count), temperature=0.1)
    assert entropy.item() == pytest.approx(count * math.log(2))
    assert term.item() == 0


@pytest.mark.parametrize("extreme", [-200.0, 200.0])
def test_extreme_scores_give_finite_gradients(extreme: float) -> None:
    logits = torch.tensor([extreme, -extreme, 0.0], requires_grad=True)
    labels = torch.tensor([1.0, 0.0, 1.0])
    loss = info_nce(logits, labels, torch.ones(3), temperature=0.01) + cross_entropy(logits, labels, torch.ones(3))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()


def test_gradients_are_those_of_the_formulas() -> None:
    labels, weights = torch.tensor([1.0, 0.0, 1.0, 0.0]).double(), torch.tensor([1.0, 0.5, 2.0, 1.0]).double()
    logits = torch.randn(4, dtype=torch.float64, requires_grad=True)
    states = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def contrast(x: Tensor) -> Tensor:
        return info_nce(x, labels, weights, temperature=0.2)

    assert torch.autograd.gradcheck(contrast, (logits,))
    assert torch.autograd.gradcheck(lambda x: supervised_contrastive(x, labels, temperature=0.3), (states,))
