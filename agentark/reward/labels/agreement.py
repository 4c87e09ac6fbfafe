"""Step labels from verified traces: what a right solution of the same debate calculates is right.

A step is good if every calculation in it stands in a verified trace of the question, bad if one contradicts a verified
trace (the same operation, another result), and bad as well if it follows a bad step, since it builds on it. A step that
takes a way nobody verified is left without a label. Calling it bad instead is wrong for a quarter of the steps of the
quickstart's world, where this rule is wrong for one in a thousand.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from agentark.reward.labels.discussions import Candidate, Discussion
from agentark.tasks.operations import operations


class VerifiedTraces:
    """What the solutions with a right answer calculate.

    A right answer can be reached by two errors that cancel, so verified traces may contradict each other. Then the
    result that more of them have counts, each agent's last such trace once; of a draw nothing is known.

    Args:
        discussion: Its turns with `correct` True are the verified traces, truncated ones left out.
    """

    def __init__(self, discussion: Discussion) -> None:
        last = {
            turn.agent: turn.solution
            for turn in sorted(discussion.turns, key=lambda turn: turn.round)
            if turn.correct and not turn.truncated
        }
        verified = [turn.solution for turn in discussion.turns if turn.correct and not turn.truncated]
        votes: dict[str, Counter[str]] = {}
        for trace in [*dict.fromkeys(verified), *last.values()]:
            for one in set(_calculations(trace)):
                votes.setdefault(_operation(one), Counter())[one] += 1
        self._result = {operation: _winner(found) for operation, found in votes.items()}

    def __bool__(self) -> bool:
        """Whether there is any trace to agree with."""
        return bool(self._result)

    def judge(self, words: str) -> bool | None:
        """Say whether a step's calculations agree with the traces (True), contradict one (False) or neither (None)."""
        said = [(one, self._result.get(_operation(one))) for one in _calculations(words)]
        if any(known is not None and known != one for one, known in said):
            return False
        return True if said and all(known is not None for _, known in said) else None


def _winner(votes: Counter[str]) -> str | None:
    (best, most), *others = votes.most_common(2)
    return best if not others or most > others[0][1] else None


def agreement(discussion: Discussion, texts: Iterable[Candidate]) -> list[list[float | None]]:
    """Label the steps of texts by the discussion's verified traces.

    A step without a calculation is the final answer where it is the last one: right if the answer is. Elsewhere it says
    nothing that could be checked and has no label of its own, though it is bad where it follows a bad one.

    Returns:
        Per text and step 1.0 (good), 0.0 (bad) or None; the lines of a critique are None.
    """
    traces = VerifiedTraces(discussion)
    return [_labels(traces, text) for text in texts]


def _labels(traces: VerifiedTraces, text: Candidate) -> list[float | None]:
    labels: list[float | None] = []
    wrong = False
    part = 0
    for index, step in enumerate(text.steps):
        if text.part(step) != part:
            part, wrong = text.part(step), False
        if part == 1 or not traces:
            labels.append(None)
            continue
        said = traces.judge(text.words(step))
        last = index == len(text.steps) - 1
        if last and said is None and text.correct is not None:
            said = text.correct
        wrong = wrong or said is False
        labels.append(0.0 if wrong else None if said is None else 1.0)
    return labels


def _calculations(text: str) -> Sequence[str]:
    return [element for element in operations(text) if "=" in element]


def _operation(calculation: str) -> str:
    return calculation.rpartition("=")[0]
