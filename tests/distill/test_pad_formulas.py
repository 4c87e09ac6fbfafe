"""PAD's formulas against worked numbers of the published code and of the paper, and against plain loops."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentark.distill.losses import weighted_nll
from agentark.distill.pad.advantages import (
    credit,
    group_advantages,
    leave_one_out,
    mean_rewards,
    soft_min_rewards,
    step_advantages,
    step_rewards,
)
from agentark.distill.pad.losses import clipped_surrogate, kl_k1, kl_k3, sequence_mean

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "pad-vectors.json").read_text())


def near(expected: object) -> Any:
    return pytest.approx(expected, abs=1e-5)


def test_min_form_step_rewards() -> None:
    group = VECTORS["prm_min_form_rewards"]
    for logits, mask, raw, number in zip(
        group["logits_incorrect_correct"], group["step_mask"], group["raw_step_reward"], range(3), strict=True
    ):
        steps = sum(mask)
        scores = [1 / (1 + math.exp(wrong - right)) for wrong, right in logits[:steps]]
        rewards = step_rewards(scores)
        assert rewards.tolist() == near(raw[:steps])
        for case in group["cases"]:
            mean = case["disable_weighted_reward"]
            found = mean_rewards(rewards) if mean else soft_min_rewards(rewards, case["temperature"])
            assert found.tolist() == near(case["weighted_step_rewards"][number][:steps])
            assert found.sum() == near(case["outcome"][number])


def test_kl_estimators() -> None:
    group = VECTORS["kl_estimators"]
    given = [torch.tensor(group[name]) for name in ("log_probs", "log_probs_ref", "mask")]
    assert kl_k1(*given).tolist() == [near(row) for row in group["k1"]]
    assert kl_k3(*given).tolist() == [near(row) for row in group["k3"]]


def test_policy_loss() -> None:
    """The published code averages over answers; our trainer averages over tokens (see test_pad_trainer)."""
    group = VECTORS["policy_loss"]
    log_probs, old, advantages, mask = (
        torch.tensor(group[name]) for name in ("log_probs", "old_log_probs", "advantages", "mask")
    )
    assert sequence_mean(clipped_surrogate(log_probs, old, advantages, 0.2), mask).item() == near(group["loss"])
    assert sequence_mean(torch.exp(log_probs - old), mask).item() == near(group["avg_ratio"])
    assert sequence_mean(advantages, mask).item() == near(group["avg_advantage"])


def test_leave_one_out_of_verified_rewards() -> None:
    group = VECTORS["rloo_verifiable"]
    rewards = np.array(group["verifier_rewards"])
    assert leave_one_out(rewards, 4).reshape(2, 4).tolist() == [near(row) for row in group["advantages"]]
    expected = group["group_mean_std_for_comparison_paper_formula"][0]
    assert group_advantages(rewards, 4, epsilon=1e-8).reshape(2, 4).tolist() == [near(row) for row in expected]


def test_group_advantage_of_the_paper() -> None:
    group = VECTORS["paper_formulas"]["grpo_advantage_eq5"]
    rewards = np.array(group["rewards"])
    found = group_advantages(rewards, 4, epsilon=0.0)
    assert found.tolist() == near(group["sample_std"])
    # The paper leaves the deviation's convention open; ours is the unbiased one.
    assert (found * math.sqrt(4 / 3)).tolist() == near(group["population_std"])


def test_sums_of_the_supervised_methods() -> None:
    group = VECTORS["paper_formulas"]["rsft_and_da_losses"]
    traces = [torch.tensor([[*one["reasoning_logp"], *one["answer_logp"]]]) for one in group["traces"]]
    assert [weighted_nll(one, torch.ones(1)).item() for one in traces] == near(group["rsft_per_trace"])
    half = torch.tensor([1 / len(traces)])
    assert sum(weighted_nll(one, half).item() for one in traces) == near(group["da_k2"])


def published_advantages(mode: str, record: dict[str, Any], base: dict[str, Any]) -> list[list[float]]:
    """The published path from step rewards to advantages, made of our parts where ours has them.

    Our trainer differs on purpose: the divergence is a term of the loss, with a gradient, not of the reward; step ends
    and the end-of-turn token are trained (here their advantage is set to 0, so a student never learns to stop); a
    truncated answer stays one (here its last token is overwritten by an end-of-turn token).
    """
    weighted = record.get("weighted_step_reward_by_token")
    totals = np.array(record.get("outcome_reward") or [sum(row) for row in weighted])
    counts, lengths = np.array(base["num_steps"]), np.array(base["response_length"])
    n = len(counts)
    verified = leave_one_out(np.array(base["solved"]) - 1.0, n) if "VR" in mode else np.zeros(n)
    rows = []
    for i in range(n):
        positions = [t for t, end in enumerate(base["reward_positions"][i]) if end]
        length = int(lengths[i])
        rewards = np.array([weighted[i][t] for t in positions])
        others = [j for j in range(n) if j != i]
        if mode == "VR_step":
            rewards = np.zeros(len(positions))
        elif mode.endswith("token"):
            per_token = sum(totals[others]) / sum(lengths[others])
            widths = np.diff([-1, *positions]) - 1  # The token that ends a step is not counted.
            rewards = rewards - per_token * widths
        else:
            rewards = rewards - np.mean(totals[others] / counts[others])
        rewards[-1] += verified[i]
        returns = credit(rewards, positions, length)
        plain = mode.endswith("no_kl_no_separator_mask")
        if not plain:
            kl = np.array([0.02 + 0.001 * token for token in base["sequences"][i][2 : 2 + length]])
            returns = returns - 0.01 * np.cumsum(kl[::-1])[::-1]
            returns[positions] = 0.0
        rows.append([*returns, *[0.0] * (len(base["reward_positions"][i]) - length)])
    return rows


@pytest.mark.parametrize("mode", VECTORS["rollout_to_advantage"]["runs"])
def test_rollout_to_advantage(mode: str) -> None:
    runs = VECTORS["rollout_to_advantage"]["runs"]
    for record, base in zip(runs[mode], runs["PRMVR_step"], strict=True):
        given = dict(record)
        if "unweighted_mean" in mode:
            given["weighted_step_reward_by_token"] = _unweighted(base)
        given.setdefault("weighted_step_reward_by_token", base["weighted_step_reward_by_token"])
        given.setdefault("outcome_reward", base["outcome_reward"])
        found = published_advantages(mode, given, base)
        assert found == [near(row) for row in record["advantages"]]


def _unweighted(base: dict[str, Any]) -> list[list[float]]:
    """Step rewards of the mean form, from the toy reward model that the vectors describe."""
    runs = VECTORS["rollout_to_advantage"]["runs"]["PRMVR_step"]
    inputs = VECTORS["rollout_to_advantage"]["segmentation"]["prm_input_ids"][runs.index(base)]
    rows = []
    for ids, marks in zip(inputs, base["reward_positions"], strict=True):
        z = [1.5 * math.sin(0.7 * place + 0.3 * (ids[place - 1] if place else 0)) for place in range(len(ids))]
        ends = [place for place, token in enumerate(ids) if token == 2]
        values = iter(mean_rewards(step_rewards([1 / (1 + math.exp(-z[place])) for place in ends])))
        rows.append([float(next(values)) if mark else 0.0 for mark in marks])
    return rows


def test_whole_buffer_normalisation_of_the_published_code() -> None:
    """Over all tokens of the buffer and with zeros left out of the count; ours compares inside each group instead."""
    group = VECTORS["advantage_normalisation"]
    flat = np.array([value for row in group["before"] for value in row])
    count = (flat != 0).sum()
    mean = flat.sum() / count
    deviation = math.sqrt(((flat - mean) ** 2).sum() / count)
    found = np.where(flat != 0, (flat - mean) / deviation, 0.0)
    assert found.tolist() == near([value for row in group["after"] for value in row])


# Plain loops, and what must hold whatever the numbers.


def loop_advantages(rewards: Sequence[Sequence[float]], baseline: str, epsilon: float) -> list[list[float]]:
    totals = [sum(one) for one in rewards]
    mean = sum(totals) / len(totals)
    deviation = math.sqrt(sum((total - mean) ** 2 for total in totals) / (len(totals) - 1))
    result = []
    for place, one in enumerate(rewards):
        if baseline == "Group":
            level, scale = mean, deviation + epsilon
        else:
            level, scale = sum(t for other, t in enumerate(totals) if other != place) / (len(totals) - 1), 1.0
        result.append([(value - level / len(one)) / scale for value in one])
    return result


@pytest.mark.parametrize("baseline", ["Group", "LeaveOneOut"])
def test_step_advantages_as_a_loop(baseline: Any) -> None:
    draw = random.Random(3)
    for _ in range(20):
        rewards = [[draw.uniform(-1, 1) for _ in range(draw.randint(1, 6))] for _ in range(5)]
        found = step_advantages([np.array(one) for one in rewards], 5, baseline, epsilon=0.1)
        assert [one.tolist() for one in found] == [
            pytest.approx(one) for one in loop_advantages(rewards, baseline, 0.1)
        ]


def test_the_number_of_steps_is_worth_nothing() -> None:
    few, many = [np.array([0.6])], [np.full(6, 0.1)]
    for one in step_advantages([*few, *many, np.array([-0.2, 0.1])], 3, "Group")[:2]:
        assert one.sum() == pytest.approx(1.0 * step_advantages([*few, *many, np.array([-0.1])], 3, "Group")[0].sum())


def test_each_token_is_credited_with_the_steps_that_end_at_or_after_it() -> None:
    draw = random.Random(5)
    for _ in range(20):
        tokens = draw.randint(1, 12)
        ends = sorted(draw.choices(range(tokens), k=draw.randint(1, 4)))
        values = [draw.uniform(-1, 1) for _ in ends]
        last = [*ends[:-1], tokens - 1]  # What follows the last step, the end-of-turn token too, belongs to it.
        expected = [sum(v for v, end in zip(values, last, strict=True) if end >= t) for t in range(tokens)]
        assert credit(np.array(values), ends, tokens).tolist() == pytest.approx(expected)


def test_degenerate_cases_are_zero_and_never_nan() -> None:
    empty = np.array([])
    assert soft_min_rewards(empty, 0.1).tolist() == mean_rewards(empty).tolist() == []
    assert credit(empty, [], 3).tolist() == [0, 0, 0]
    assert credit(np.array([1.0]), [0], 0).tolist() == []
    for baseline in ("Group", "LeaveOneOut"):
        compare = group_advantages if baseline == "Group" else leave_one_out
        assert compare(np.full(4, 0.3), 4).tolist() == pytest.approx([0] * 4)
        unknown = np.array([np.nan, 1.0, np.nan, np.nan])
        assert compare(unknown, 4).tolist() == [0] * 4
        same = step_advantages([np.array([0.5, 0.1]), np.array([0.3, 0.3])], 2, baseline)  # type: ignore[arg-type]
        assert [one.sum() for one in same] == pytest.approx([0, 0])
        alone = step_advantages([np.array([0.5]), empty], 2, baseline)  # type: ignore[arg-type]
        assert [one.tolist() for one in alone] == [[0.0], []]
    assert soft_min_rewards(np.array([-1.0, 1.0]), 1e-6).tolist() == pytest.approx([-1, 0])
    masked = clipped_surrogate(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2), 0.2)
    assert sequence_mean(masked, torch.zeros(1, 2)).item() == 0
