"""Step labels from Monte-Carlo roll-outs: how often a model that goes on from a step ends right.

The label of a step is the share of right answers among continuations of the solution up to that step's end (Math-
Shepherd's soft estimate). It says what can still be made of a beginning, not whether its sums are true: a model that
mends its own slips gives a wrong step a high label. The last step is not rolled out; its solution's answer is known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentark.errors import InvalidInput
from agentark.llm import Engine, Message, Reply, Sampling
from agentark.reward.labels.asking import Asked, Ledger, Query, ask_all
from agentark.reward.labels.discussions import Candidate, Discussion
from agentark.reward.labels.merging import Labels, texts_of
from agentark.reward.rows import Source
from agentark.reward.steps import SplitRule, Step


@dataclass(frozen=True, slots=True)
class RolloutParams:
    """How beginnings are continued.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    rollouts: int = 8
    """Continuations of each step, >= 1; a label is a multiple of one over it."""
    temperature: float = 0.8
    """> 0, as equal continuations say nothing."""
    max_tokens: int = 1024
    """Longest continuation; one that reaches it counts as wrong."""
    seed: int = 0
    concurrency: int = 64
    """Requests at once, >= 1; each asks for all continuations of one step."""

    def __post_init__(self) -> None:
        for name, good, accepted in (
            ("rollouts", self.rollouts >= 1, "1 or more"),
            ("temperature", self.temperature > 0, "more than 0"),
            ("max_tokens", self.max_tokens >= 1, "1 or more"),
            ("concurrency", self.concurrency >= 1, "1 or more"),
        ):
            if not good:
                raise InvalidInput(f"rollouts.{name} is {getattr(self, name)!r}; accepted: {accepted}")

    @property
    def sampling(self) -> Sampling:
        """How a continuation is drawn."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class RolledOut:
    """Labels by roll-outs."""

    labels: Mapping[str, Labels]
    """By id of the discussion, as `label_discussions` takes them."""
    asked: Asked
    truncated: int
    """Continuations that reached the token limit, over all queries."""


async def roll_out(
    discussions: Sequence[Discussion],
    *,
    rule: SplitRule,
    sources: Sequence[Source],
    engine: Engine,
    model: str,
    params: RolloutParams,
    is_right: Callable[[str, str], bool],
    ledger: Path,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> RolledOut:
    """Label steps by continuing from each.

    Plain solutions and attempts are rolled out, each beginning once however many solutions share it. A critique and the
    solution after it are not: the model would have to go on with a form of text that only self-corrections have.

    Args:
        discussions: Those without a gold answer get no label.
        rule: As for `label_discussions`.
        sources: As for `label_discussions`; they decide which texts there are.
        engine: Continues an assistant message; see `agentark.llm.chat.Engine.chat`.
        model: Identity of the model behind it, for example the digest of its weights.
        params: How many continuations, and how drawn.
        is_right: Grades a whole solution against a gold answer.
        ledger: File that keeps the outcomes.
        should_stop: Asked before each request.
        on_progress: Called with the requests done and their number.

    Raises:
        EngineError: If every request failed, for example because the server cannot continue a message.
        Interrupted: If it had to stop; the ledger holds what was done.
        StoreError: If the ledger cannot be written.
    """

    def read(query: Query, reply: Reply) -> dict[str, int]:
        beginning = query.messages[-1].content
        ended = [found for found in reply.completions if found.finish_reason == "stop"]
        right = sum(is_right(beginning + found.text, query.gold) for found in ended)
        truncated = sum(found.finish_reason == "length" for found in reply.completions)
        return {"right": right, "of": len(reply.completions), "truncated": truncated}

    texts = {one.id: texts_of(one, rule=rule, sources=sources) for one in discussions}
    gold = {one.id: one.gold for one in discussions}
    queries = [
        query for name, found in texts.items() for text in found for _, query in _queries(text, gold[name], params)
    ]
    with Ledger(ledger) as outcomes:
        asked = await ask_all(
            queries,
            engine,
            read,
            outcomes,
            model=model,
            concurrency=params.concurrency,
            should_stop=should_stop,
            on_progress=on_progress,
        )
        labels = {
            name: [_labels(text, gold[name], params, model, outcomes) for text in found]
            for name, found in texts.items()
        }
        keys = {query.key(model) for query in queries}
        truncated = sum(outcomes[key]["truncated"] for key in keys if key in outcomes)
    return RolledOut(labels, asked, truncated)


def _queries(text: Candidate, gold: str | None, params: RolloutParams) -> Iterator[tuple[int, Query]]:
    """The query of each step that is rolled out, with the step's index."""
    if gold is None:
        return
    for index, step in enumerate(text.steps):
        if _ends(text, index) is None and (not text.critique_end or text.part(step) == 0):
            beginning = Message("assistant", text.words(Step(0, step.end)))
            yield index, Query((*text.prompt, beginning), params.sampling, params.rollouts, gold, params.seed)


def _ends(text: Candidate, index: int) -> bool | None:
    """Whether the solution that ends with a step is right; None where it does not end there or that is unknown."""
    if index == len(text.steps) - 1:
        return text.correct if not text.critique_end else None
    ends_attempt = text.critique_end and text.part(text.steps[index]) == 0 < text.part(text.steps[index + 1])
    return text.attempt_correct if ends_attempt else None


def _labels(
    text: Candidate, gold: str | None, params: RolloutParams, model: str, outcomes: Ledger
) -> list[float | None]:
    known = [_ends(text, index) for index in range(len(text.steps))]
    labels = [None if right is None else float(right) for right in known]
    for index, query in _queries(text, gold, params):
        key = query.key(model)
        if key in outcomes:
            labels[index] = outcomes[key]["right"] / outcomes[key]["of"]
    return labels
