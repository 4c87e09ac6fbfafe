"""Which of a question's traces are trained on.

Each trace is taken out by the first filter that applies, in the order of `TRACE_FILTERS`, so that the counts of all
filters and of the selected traces add up to the number of traces.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from agentark.curate.params import MethodCuration
from agentark.curate.traces import Trace
from agentark.tasks.critiques import PeerNames
from agentark.tasks.operations import distance, operations

TRACE_FILTERS = {
    "filtered": "ended by a content filter, or refused",
    "truncated": "cut off at the token limit",
    "wrong": "the grader does not find the gold answer",
    "too_few_correct_agents": "DA only: fewer than two agents of the question ended with the right answer",
    "not_mended": "DPO only: mends no wrong first attempt of its agent that was written to its end",
    "later_round": "OwnAnswers only: written after the first round",
    "too_long": "longer than maxTraceCharacters",
    "names_peers": "speaks of other agents, which a single pass does not have",
    "near_duplicate": "the same calculations as a better placed trace of the question",
    "not_selected": "right, but a better placed or more different trace was taken",
}


class Selection(NamedTuple):
    """What became of one question's traces."""

    traces: list[Trace]
    removed: Counter[str]
    """Traces by the filter that took them out."""


class _Candidate(NamedTuple):
    trace: Trace
    operations: tuple[str, ...]


def select(traces: Sequence[Trace], *, question_id: str, params: MethodCuration, names: PeerNames) -> Selection:
    """Select the traces of one question.

    Args:
        traces: All of them.
        question_id: Its id, which decides between equals together with the seed.
        params: The method and its bounds.
        names: How peers are spoken of.
    """
    removed: Counter[str] = Counter()
    dropped = params.method == "DA" and sum(trace.final and trace.correct for trace in traces) < 2
    kept = []
    for trace in traces:
        reason = _reason(trace, params, names, dropped)
        if reason:
            removed[reason] += 1
        else:
            kept.append(trace)
    kept.sort(key=lambda trace: _rank(trace, params, question_id))
    distinct: dict[tuple[str, ...], Trace] = {}
    for trace in kept:
        if distinct.setdefault(operations(trace.solution), trace) is not trace:
            removed["near_duplicate"] += 1
    candidates = [_Candidate(trace, found) for found, trace in distinct.items()]
    if params.method == "DA":
        chosen = _most_different(candidates, params.max_traces)
    else:
        chosen = [c.trace for c in candidates if params.method != "RSFT" or c.trace.corrective or c.trace.final][:1]
    if len(chosen) < len(candidates):
        removed["not_selected"] += len(candidates) - len(chosen)
    return Selection(chosen, removed)


def _reason(trace: Trace, params: MethodCuration, names: PeerNames, dropped: bool) -> str:
    if trace.filtered:
        return "filtered"
    if trace.truncated:
        return "truncated"
    if not trace.correct:
        return "wrong"
    if dropped:
        return "too_few_correct_agents"
    if params.method == "DPO" and not trace.first_attempt:
        return "not_mended"
    if params.method == "OwnAnswers" and trace.round > 0:
        return "later_round"
    longest = max(trace.solution, trace.first_attempt, key=len) if params.method == "DPO" else trace.solution
    if len(longest) > params.max_trace_characters:
        return "too_long"
    if trace.round > 0 and names.mentioned(trace.solution):
        return "names_peers"
    return ""


def _rank(trace: Trace, params: MethodCuration, question_id: str) -> tuple[bool, bool, bool, bytes]:
    """Sort corrective traces first, those with a critique ahead where one is wanted, then the last round's."""
    wanted = params.form != "Solution"
    tie = f"{params.seed}\0{question_id}\0{trace.round}/{trace.agent}".encode()
    return (
        not trace.corrective,
        wanted and not (trace.attempt and trace.critique),
        not trace.final,
        hashlib.sha256(tie).digest(),
    )


def _most_different(candidates: Sequence[_Candidate], most: int) -> list[Trace]:
    """Take the first, then again and again the one whose nearest taken neighbour is farthest away."""
    rest, taken = list(candidates), list(candidates[:1])
    nearest = [distance(candidate.operations, candidates[0].operations) for candidate in rest]
    while len(taken) < min(most, len(rest)):
        # Those taken are at distance 0; max() keeps the better placed of equals.
        index = max(range(len(rest)), key=nearest.__getitem__)
        taken.append(rest[index])
        nearest = [
            min(old, distance(c.operations, rest[index].operations)) for old, c in zip(nearest, rest, strict=True)
        ]
    return [candidate.trace for candidate in taken]
