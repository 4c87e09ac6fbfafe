"""What answers are worth, and which token gets which advantage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from agentark.api import PAD
from agentark.distill.pad.assessing import Assessed, Assessor, advantages, batch_statistics, process_rewards, summary
from agentark.llm.chat import Message
from agentark.tasks import task
from tests.distill.pad_world import Step, count_digits

PROMPT = [{"role": "user", "content": "1+0=?"}]


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> Any:
    return AutoTokenizer.from_pretrained(model)


def params(**changes: Any) -> PAD:
    return PAD(**{"group": 2, **changes})


def assess(tokenizer: Any, texts: Sequence[str], gold: str | None = "1", scorer: Any = count_digits) -> list[Assessed]:
    """Texts that end in | were finished."""
    end = tokenizer.eos_token_id
    ids = [tokenizer.encode(text.rstrip("|"), add_special_tokens=False) + [end] * text.endswith("|") for text in texts]
    assessor = Assessor(tokenizer, [end], task("gsm8k").policy, scorer)
    return assessor([PROMPT] * len(texts), ids, [gold] * len(texts))


def test_right_wrong_truncated_and_unverifiable_answers(tokenizer: Any) -> None:
    right, wrong, cut = assess(tokenizer, ["\\boxed{1}|", "\\boxed{2}|", "\\boxed{1}"])
    assert (right.right, right.outcome, right.answer) == (True, 1.0, "1")
    assert (wrong.right, wrong.outcome, wrong.answer) == (False, 0.0, "2")
    # The right number in an answer that never ended is no answer, and costs more than a wrong one.
    assert (cut.right, cut.outcome, cut.answer, cut.truncated) == (False, -0.5, None, True)
    unknown, endless = assess(tokenizer, ["\\boxed{1}|", "\\boxed{1}"], gold=None)
    assert (unknown.right, unknown.outcome, unknown.answer) == (None, 0.0, "1")
    assert (endless.right, endless.outcome) == (None, -0.5)


def test_steps_lie_on_tokens_and_an_unfinished_one_is_bad(tokenizer: Any) -> None:
    whole, cut, empty = assess(tokenizer, ["1112a|", "1112a", "|"])
    assert (whole.scores, whole.ends) == ((1.0, pytest.approx(1 / 3)), (2, 4))
    assert (cut.scores, cut.ends) == ((1.0, 0.0), (2, 4))
    # An empty answer is one bad step: saying nothing is no way around the scorer.
    assert (empty.scores, empty.ends) == ((0.0,), (0,))


def test_without_a_scorer_there_are_no_steps(tokenizer: Any) -> None:
    (one,) = assess(tokenizer, ["111|"], scorer=None)
    assert (one.scores, one.ends) == ((), ())


def test_equal_answers_are_scored_once(tokenizer: Any) -> None:
    asked: list[str] = []

    def scorer(prompts: Sequence[Sequence[Message]], texts: Sequence[str]) -> list[list[Step]]:
        assert list(prompts[0]) == [Message("user", "1+0=?")]
        asked.extend(texts)
        return count_digits(prompts, texts)

    found = assess(tokenizer, ["1|", "2|", "1|"], scorer=scorer)
    assert asked == ["1", "2"]
    assert found[0] == found[2]


def test_a_bad_step_costs_what_leads_to_it_and_the_end_token_is_paid(tokenizer: Any) -> None:
    everyone = assess(tokenizer, ["111aaa111|", "111111111|"])
    given = params(outcome_weight=0.0)
    spoilt, good = advantages(everyone, process_rewards(everyone, given), given)
    assert len(spoilt) == 10
    assert spoilt[0] < -0.5
    assert spoilt[5] == pytest.approx(spoilt[0])
    assert abs(spoilt[6]) < abs(spoilt[5])
    assert spoilt[9] == spoilt[8]
    assert good[0] > good[3] > good[9] > 0
    # At the first token it is the advantage of the whole answer (paper, eq. 5).
    assert good[0] == pytest.approx(-spoilt[0])


def test_processes_get_their_part_of_one_comparison(tokenizer: Any) -> None:
    texts = ["\\boxed{1}|", "12|", "a1|", "\\boxed{1}", "1a2|", "\\boxed{2}|"]
    everyone = assess(tokenizer, texts)
    for changes in ({}, {"baseline": "LeaveOneOut", "aggregation": "Mean", "format_weight": 0.5}):
        given = params(group=3, **changes)
        process = process_rewards(everyone, given)
        whole = advantages(everyone, process, given)
        halves = [one for start in (0, 2, 4) for one in advantages(everyone, process, given, slice(start, start + 2))]
        assert all((one == other).all() for one, other in zip(whole, halves, strict=True))
        assert len({len(one) for one in whole}) > 1


def test_equal_answers_have_no_advantage(tokenizer: Any) -> None:
    everyone = assess(tokenizer, ["\\boxed{1}|"] * 4)
    given = params()
    for one in advantages(everyone, process_rewards(everyone, given), given):
        # Over the answer there is nothing to gain; inside it, what is left falls from step to step.
        assert one[0] == pytest.approx(0)
        assert np.isfinite(one).all()
    scoreless = assess(tokenizer, ["\\boxed{1}|"] * 4, scorer=None)
    for one in advantages(scoreless, process_rewards(scoreless, given), given):
        assert not one.any()


def test_figures_of_a_batch(tokenizer: Any) -> None:
    # One group with a right answer without digits before it, and a wrong one that the scorer likes better.
    everyone = assess(tokenizer, ["aaaaaa\\boxed{1}|", "999999\\boxed{2}|", "\\boxed{1}|", "\\boxed{1}|"])
    process = process_rewards(everyone, params())
    found = batch_statistics(everyone, process, 2)
    assert (found.pairs, found.contested) == (1, 1)
    assert found.spread is not None
    point = summary(3, everyone, process, found)
    assert (point.step, point.accuracy, point.truncated, point.kl) == (3, 0.75, 0.0, None)
    assert point.disagreement in (0.0, 0.5, 1.0)
    # Without gold an answer is contested where the answers differ.
    unknown = assess(tokenizer, ["\\boxed{1}|", "\\boxed{2}|", "\\boxed{1}|", "\\boxed{1}|"], gold=None)
    assert batch_statistics(unknown, process_rewards(unknown, params()), 2).contested == 1
