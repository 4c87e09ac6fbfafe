"""Step labels from verified traces: what a right solution of the same debate calculates is right.

A step is good if every calculation in it stands in verified traces of the question, bad if one contradicts a verified
trace (the same operation, another result), and bad as well if it follows a bad step, since it builds on it. A step that
takes a way nobody verified is left without a label.

A right answer can come of two errors that cancel, so where several agents have a verified trace, what only one of them
calculates is left without a label, too, and a right answer makes the line that states it good only if all steps before
it are. On the quickstart's world (`benchmarks/step_labels.py`) 98.4 % of these labels are true, 97.2 % without the two
precautions; calling bad whatever no verified trace holds is true for 94 % of the steps that calculate.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from agentark.reward.labels.discussions import Candidate, Discussion
from agentark.tasks.operations import operations

_AGENTS = 2  # that must hold a calculation, where so many have a verified trace


class VerifiedTraces:
    """What the solutions with a right answer calculate.

    Verified traces may contradict each other. Then the result that more of them have counts, each different trace and
    each agent's last one once; of a draw nothing is known.

    Args:
        discussion: Its turns with `correct` True are the verified traces, incomplete ones left out.
    """

    def __init__(self, discussion: Discussion) -> None:
        verified = [turn for turn in discussion.turns if turn.correct and turn.complete]
        last = {turn.agent: turn.solution for turn in sorted(verified, key=lambda turn: turn.round)}
        votes: dict[str, Counter[str]] = {}
        for trace in [*dict.fromkeys(turn.solution for turn in verified), *last.values()]:
            for one in set(_calculations(trace)):
                votes.setdefault(_operation(one), Counter())[one] += 1
        self._result = {operation: _winner(found) for operation, found in votes.items()}
        held: dict[str, set[int]] = {}
        for turn in verified:
            for one in _calculations(turn.solution):
                held.setdefault(one, set()).add(turn.agent)
        enough = min(_AGENTS, len(last))
        self._shared = frozenset(one for one, agents in held.items() if len(agents) >= enough)

    def __bool__(self) -> bool:
        """Whether there is any trace to agree with."""
        return bool(self._result)

    def judge(self, words: str) -> bool | None:
        """Say whether a step's calculations agree with the traces (True), contradict one (False) or neither (None)."""
        said = [(one, self._result.get(_operation(one))) for one in _calculations(words)]
        if any(known is not None and known != one for one, known in said):
            return False
        return True if said and all(one == known and one in self._shared for one, known in said) else None


def _winner(votes: Counter[str]) -> str | None:
    (best, most), *others = votes.most_common(2)
    return best if not others or most > others[0][1] else None


def agreement(discussion: Discussion, texts: Iterable[Candidate]) -> list[list[float | None]]:
    """Label the steps of texts by the discussion's verified traces.

    A step without a calculation is the final answer where it is the last one: bad if the answer is wrong, good if it is
    right and all steps before it are good. Elsewhere it says nothing that could be checked and has no label of its own,
    though it is bad where it follows a bad one.

    Returns:
        Per text and step 1.0 (good), 0.0 (bad) or None; the lines of a critique are None.
    """
    traces = VerifiedTraces(discussion)
    return [_labels(traces, text) for text in texts]


def _labels(traces: VerifiedTraces, text: Candidate) -> list[float | None]:
    labels: list[float | None] = []
    part, wrong, sure = 0, False, True
    for index, step in enumerate(text.steps):
        if text.part(step) != part:
            part, wrong, sure = text.part(step), False, True
        if part == 1 or not traces:
            labels.append(None)
            continue
        words = text.words(step)
        said = traces.judge(words)
        calculates = bool(_calculations(words))
        if index == len(text.steps) - 1 and not calculates and text.correct is not None:
            said = False if not text.correct else True if sure else None
        wrong = wrong or said is False
        sure = sure and (said is True or not calculates)
        labels.append(0.0 if wrong else None if said is None else 1.0)
    return labels


def _calculations(text: str) -> Sequence[str]:
    return [element for element in operations(text) if "=" in element]


def _operation(calculation: str) -> str:
    return calculation.rpartition("=")[0]
