"""How one question is worked on: debate, self-consistency or a single pass.

All three are the same thing in different sizes. Agents answer alone (round 0); in each later round every agent reads
its own and its peers' last solutions and revises or defends its own; equal answers of all agents end the debate early;
the answer with most votes wins. Self-consistency is round 0 of many agents, a single pass is round 0 of one.

The decisions here are pure; `discuss` only sends the requests they name. It knows no journal, no shard and no other
question.
"""

import asyncio
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from agentark.api import Protocol
from agentark.api.debaterun import Agent
from agentark.debate.prompts import split_reply
from agentark.debate.transcript import DecidedBy, MessageRef, Record, Strategy, Template, Turn, messages_of, turn_ref
from agentark.errors import EngineError, InvalidInput
from agentark.llm.chat import Engine, Message, Reply, Role, Sampling
from agentark.tasks import Policy, Question, equal, extract, partition


class DebateProtocol(Protocol):
    """The manifest's protocol, and what a plan adds to it."""

    agents: Annotated[int, Field(ge=1)] = 5
    """Debaters, or samples of self-consistency, which may be as many as a debate has replies; a single pass takes the
    first one only."""
    team: Annotated[list[Agent], Field(max_length=0)] = []
    """Stands in `roles` and `engines`."""
    peers: Literal["Others", "Own"] = "Others"
    """Whose solutions a review shows; ``Own`` is the control that shows the reader's own solution in place of each
    peer's, so that whatever a debate gains over it comes from the others."""
    roles: list[str] = []
    """System message per agent, an empty one standing for `Prompts.system`; empty: no agent has a role."""
    engines: list[Annotated[int, Field(ge=0)]] = []
    """Index of each agent's engine; empty: all use the first."""

    @model_validator(mode="after")
    def _agents_are_complete(self) -> Self:
        for name in ("roles", "engines"):
            entries = len(getattr(self, name))
            if entries not in (0, self.agents):
                raise ValueError(f"{name} has {entries} entries for {self.agents} agents; give one each, or none")
        return self


class _Agent(NamedTuple):
    """What makes two agents alike before they have read anything."""

    engine: int
    system: str


class _Request(NamedTuple):
    """One request; each of `agents` gets one of its samples."""

    agents: tuple[int, ...]
    round: int
    role: Literal["agent", "summariser"]
    reader: _Agent
    refs: tuple[MessageRef, ...]


class _Decision(NamedTuple):
    answer: str
    solution: str
    decided_by: DecidedBy


async def discuss(question: Question, *, protocol: DebateProtocol, engines: Sequence[Engine], policy: Policy) -> Record:
    """Work on one question.

    Args:
        question: The question.
        protocol: How; each request's seed is derived from its seed, the question's id, the round and the agent.
        engines: The engines that `DebateProtocol.engines` counts.
        policy: How answers are read and compared.

    Raises:
        EngineError: If a request failed. Requests sent at the same time are waited for first, none is cut off.
        InvalidInput: If the protocol names an engine that is not there, or its sampling keeps no token.
    """
    team = _team(protocol, len(engines))
    sender = _Sender(question, protocol, engines, policy)
    rounds = protocol.rounds if protocol.type == "Debate" else 1
    held = 0
    groups: list[list[Turn]] = []
    while held < rounds:
        await sender.send(_first_requests(team) if held == 0 else _review_requests(team, held, protocol.peers))
        held += 1
        groups = await _voted(sender.turns[-len(team) :], policy)
        if protocol.stop_on_consensus and _unanimous(groups, team):
            break
    consensus = _unanimous(groups, team)
    if protocol.type == "Debate" and protocol.tie == "Summariser" and _tied(groups):
        await sender.send([_summary_request(team, held, protocol)])
    decision = _decide(groups, consensus, sender.turns[-1], protocol.type)
    return Record(
        id=clean(question.id),
        question=sender.question,
        gold=clean(question.gold),
        strategy=protocol.type,
        agents=len(team),
        roles=tuple(agent.system for agent in team),
        turns=tuple(sender.turns),
        rounds=held,
        consensus=consensus,
        answer=decision.answer,
        solution=decision.solution,
        decided_by=decision.decided_by,
        calls=sender.calls,
        prompt_tokens=sum(turn.prompt_tokens for turn in sender.turns),
        completion_tokens=sum(turn.completion_tokens for turn in sender.turns),
    )


def conversations(question: str, protocol: DebateProtocol, *, solution: str) -> list[tuple[int, list[Message]]]:
    """Write what a debate may send, one conversation of each kind.

    Args:
        question: Text of the question.
        protocol: The debate.
        solution: Stands for the agents' solutions.

    Returns:
        The engine's index, and the messages.
    """
    team = _team(protocol, max(protocol.engines, default=0) + 1)
    requests = _first_requests(team)
    if protocol.type == "Debate" and protocol.rounds > 1:
        requests += _review_requests(team, 1, protocol.peers)
    if protocol.type == "Debate" and protocol.tie == "Summariser":
        requests.append(_summary_request(team, 1, protocol))
    solutions = {turn_ref(0, agent): solution for agent in range(len(team))}
    written: list[tuple[int, list[Message]]] = []
    for request in requests:
        messages = messages_of(
            request.refs,
            question=clean(question),
            system=request.reader.system,
            solutions=solutions,
            prompts=protocol.prompts,
        )
        if (request.reader.engine, messages) not in written:
            written.append((request.reader.engine, messages))
    return written


def vote(turns: Sequence[Turn], policy: Policy) -> list[list[Turn]]:
    """Group complete turns by equal answers, the largest group first, equally large ones by their first agent.

    Truncated turns and turns without an answer are in no group. Who is in a group does not depend on the order of the
    turns, nor does the answer of its first turn: the spelling that most of the group use.
    """
    spellings = partition([turn.vote for turn in turns], policy, same=_equal)
    groups = [
        sorted((turn for turn in turns if turn.vote in group), key=lambda turn: group.index(turn.vote))
        for group in spellings
    ]
    place = {id(turn): index for index, turn in enumerate(turns)}
    return sorted(groups, key=lambda group: (-len(group), min(place[id(turn)] for turn in group)))


# The same few answers meet again in every round of a question.
_equal = functools.lru_cache(maxsize=4096)(equal)


def request_seed(seed: int, question_id: str, round_index: int, agent: int) -> int:
    """Derive a request's seed: 63 bits, the same in every process and on every machine."""
    content = json.dumps([seed, question_id, round_index, agent]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1


def clean(text: str) -> str:
    """Replace lone surrogates, which JSON can carry but UTF-8 cannot, by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def _voted(turns: Sequence[Turn], policy: Policy) -> list[list[Turn]]:
    """Vote without holding up the other questions: the symbolic checker may think for seconds."""
    if policy.symbolic and len({turn.vote for turn in turns}) > 1:
        return await asyncio.to_thread(vote, turns, policy)
    return vote(turns, policy)


class _Sender:
    """Sends the requests of one question and collects their turns."""

    def __init__(self, question: Question, protocol: DebateProtocol, engines: Sequence[Engine], policy: Policy) -> None:
        self.question = clean(question.text)
        self.turns: list[Turn] = []
        self.calls = 0
        self._id = question.id
        self._protocol = protocol
        self._engines = engines
        self._policy = policy
        self._sampling = Sampling(**dict(protocol.sampling))

    async def send(self, requests: Sequence[_Request]) -> None:
        """Send requests at once and add their turns by agent."""
        # A failed request must not cancel its siblings: they are being paid for, and a restart finds them finished.
        results = await asyncio.gather(*map(self._turns, requests), return_exceptions=True)
        turns: list[Turn] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            turns += result
        self.calls += len(requests)
        self.turns += sorted(turns, key=lambda turn: turn.agent)

    async def _turns(self, request: _Request) -> list[Turn]:
        engine = self._engines[request.reader.engine]
        seed = request_seed(self._protocol.seed, self._id, request.round, request.agents[0])
        messages = messages_of(
            request.refs,
            question=self.question,
            system=request.reader.system,
            solutions={turn.ref: turn.solution for turn in self.turns},
            prompts=self._protocol.prompts,
        )
        wanted = len(request.agents)
        reply = await engine.chat(messages, sampling=self._sampling, n=wanted, seed=seed)
        if len(reply.completions) != wanted:
            raise EngineError(
                f"model {reply.model!r} returned {len(reply.completions)} completions where n={wanted} were asked for; "
                "use a server that supports n"
            )
        return [self._turn(request, sample, reply, seed) for sample in range(wanted)]

    def _turn(self, request: _Request, sample: int, reply: Reply, seed: int) -> Turn:
        completion = reply.completions[sample]
        text = clean(completion.text)
        # What a filter left, or a refusal, is no solution to be shown to the others, graded or trained on.
        filtered = completion.finish_reason == "filtered"
        critique, solution = split_reply("" if filtered else text, self._protocol.prompts.solution_marker)
        return Turn(
            agent=request.agents[sample],
            round=request.round,
            role=request.role,
            model=reply.model,
            messages=request.refs,
            text=text,
            reasoning=clean(completion.reasoning),
            critique=critique,
            solution=solution,
            answer=extract(solution, self._policy) or "",
            finish_reason=completion.finish_reason,
            truncated=completion.finish_reason == "length",
            prompt_tokens=reply.prompt_tokens if sample == 0 else 0,
            completion_tokens=completion.completion_tokens,
            latency_s=reply.latency_s,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            top_k=self._sampling.top_k,
            max_tokens=self._sampling.max_tokens,
            seed=seed,
            sample=sample,
            samples=len(request.agents),
        )


def _team(protocol: DebateProtocol, engines: int) -> tuple[_Agent, ...]:
    size = 1 if protocol.type == "SinglePass" else protocol.agents
    indices = protocol.engines or (0,) * size
    roles = protocol.roles or ("",) * size
    last = max(indices[:size])
    if last >= engines:
        raise InvalidInput(f"protocol.engines names engine {last}, but only {engines} are given, counted from 0")
    return tuple(
        _Agent(index, role or protocol.prompts.system) for index, role in zip(indices[:size], roles[:size], strict=True)
    )


def _first_requests(team: Sequence[_Agent]) -> list[_Request]:
    """Round 0: agents that are alike share one request with as many samples."""
    alike: dict[_Agent, list[int]] = {}
    for index, agent in enumerate(team):
        alike.setdefault(agent, []).append(index)
    return [
        _Request(tuple(indices), 0, "agent", agent, (*_system(agent), _ref("user", "solve")))
        for agent, indices in alike.items()
    ]


def _review_requests(team: Sequence[_Agent], round_index: int, peers: Literal["Others", "Own"]) -> list[_Request]:
    requests = []
    for index, agent in enumerate(team):
        own = turn_ref(round_index - 1, index)
        others = [turn_ref(round_index - 1, other) for other in range(len(team)) if other != index]
        shown = others if peers == "Others" else [own] * len(others)
        refs = (
            *_system(agent),
            _ref("user", "solve"),
            _ref("assistant", "solution", own),
            _ref("user", "review", *shown),
        )
        requests.append(_Request((index,), round_index, "agent", agent, refs))
    return requests


def _summary_request(team: Sequence[_Agent], held: int, protocol: DebateProtocol) -> _Request:
    reader = _Agent(team[0].engine, protocol.prompts.system)
    shown = [turn_ref(held - 1, agent) for agent in range(len(team))]
    refs = (*_system(reader), _ref("user", "summarise", *shown))
    return _Request((len(team),), held, "summariser", reader, refs)


def _system(agent: _Agent) -> tuple[MessageRef, ...]:
    return (_ref("system", "system"),) if agent.system else ()


def _ref(role: Role, template: Template, *turns: str) -> MessageRef:
    return MessageRef(role=role, template=template, turns=" ".join(turns))


def _unanimous(groups: Sequence[Sequence[Turn]], team: Sequence[_Agent]) -> bool:
    return bool(groups) and len(groups[0]) == len(team)


def _tied(groups: Sequence[Sequence[Turn]]) -> bool:
    return len(groups) > 1 and len(groups[0]) == len(groups[1])


def _decide(groups: Sequence[Sequence[Turn]], consensus: bool, last: Turn, strategy: Strategy) -> _Decision:
    if last.role == "summariser" and last.vote:
        return _Decision(last.vote, last.solution, "Summariser")
    if not groups:
        return _Decision("", "", "None")
    first = groups[0][0]
    if strategy == "SinglePass":
        return _Decision(first.vote, first.solution, "Single")
    # A summariser that was cut off or gave no answer decides nothing: the first of the tied answers stands.
    return _Decision(first.vote, first.solution, "Consensus" if consensus else "Majority")
