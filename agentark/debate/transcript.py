"""What a debate leaves behind: one record per question with every turn, in zstd JSON-lines shards.

`docs/transcripts.md` describes the format for readers in other languages. Messages are kept by reference (which text of
the prompts, filled with which turns' solutions) and `render_messages` gives back exactly what a model was sent. Every
field is always there and never null, and no list is always empty, so that readers which infer a schema from the first
rows (`datasets`, `pandas`, DuckDB) infer the same one for all shards.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import zstandard
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentark.api import Prompts
from agentark.debate.prompts import review_text, shown_solution, solve_text, summarise_text
from agentark.errors import StoreError
from agentark.llm.chat import FinishReason, Message, Role
from agentark.store import Store

SCHEMA_VERSION = 1

_ZSTD_LEVEL = 3

Template = Literal["system", "solve", "solution", "review", "summarise"]
DecidedBy = Literal["Consensus", "Majority", "Summariser", "Single", "None"]
Strategy = Literal["Debate", "SelfConsistency", "SinglePass"]
Count = Annotated[int, Field(ge=0)]


class MessageRef(BaseModel):
    """One message of a request, by reference."""

    model_config = ConfigDict(frozen=True)

    role: Role
    template: Template
    """Text it was made from: a field of the prompts; ``system`` = the reader's entry in `Record.roles`; ``solution`` =
    the bare solution of the turn."""
    turns: str = ""
    """Turns whose solutions fill it, as "round/agent" separated by spaces, in the order shown; empty for none."""

    @property
    def refs(self) -> tuple[str, ...]:
        """The turns as single "round/agent" references."""
        return tuple(self.turns.split())


class Turn(BaseModel):
    """One sampled reply."""

    model_config = ConfigDict(frozen=True)

    agent: Count
    """Index of the agent, from 0; the summariser's is the number of agents."""
    round: Count
    """Index of the round, from 0; the summariser's is one after the last."""
    role: Literal["agent", "summariser"]
    model: str
    messages: tuple[MessageRef, ...]
    """What the model was sent; see `render_messages`."""
    text: str
    """The visible reply; of a filtered one what the filter left, or the refusal."""
    reasoning: str
    """Hidden thinking; never shown to other agents."""
    critique: str
    """What stands before the solution marker; empty if the reply was filtered."""
    solution: str
    """The reply from the solution marker on; the whole text where there is no marker; empty if it was filtered."""
    answer: str
    """Final answer as the grader reads it from the solution; empty for none. Counts only if the turn is `complete`."""
    finish_reason: FinishReason
    truncated: bool
    """The token limit cut the reply; its answer counts in no vote."""
    prompt_tokens: Count
    """Tokens of the request, on its first sample; 0 on the others."""
    completion_tokens: Count
    latency_s: float
    """Seconds of the whole request."""
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    """Seed of the request, 63 bits."""
    sample: Count
    """Index of this reply among the samples of its request."""
    samples: Annotated[int, Field(ge=1)]
    """Samples of its request (`n`)."""

    @property
    def ref(self) -> str:
        """How messages name this turn."""
        return turn_ref(self.round, self.agent)

    @property
    def complete(self) -> bool:
        """Whether the model ended the reply by itself: neither a token limit nor a filter did."""
        return self.finish_reason == "stop" and not self.truncated

    @property
    def vote(self) -> str:
        """The answer as it counts in votes: empty where there is none or the turn is not complete."""
        return self.answer if self.complete else ""


class Record(BaseModel):
    """Everything that happened to one question."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    id: str
    question: str
    gold: str
    strategy: Strategy
    agents: Annotated[int, Field(ge=1)]
    roles: tuple[str, ...]
    """System message of each agent; empty text for none."""
    turns: tuple[Turn, ...]
    """By round, then agent; the summariser's last."""
    rounds: Count
    """Rounds that were held."""
    consensus: bool
    """All agents gave the same answer in the last round."""
    answer: str
    """The question's final answer; empty for none."""
    solution: str
    """The solution it came with: of the first agent that gave it, or the summariser's."""
    decided_by: DecidedBy
    """``None``: no agent's last turn was complete and held an answer."""
    calls: Count
    """Requests to engines."""
    prompt_tokens: Count
    completion_tokens: Count

    def turn(self, ref: str) -> Turn:
        """Return the turn that a reference ("round/agent") names.

        Raises:
            KeyError: If there is none.
        """
        for turn in self.turns:
            if turn.ref == ref:
                return turn
        raise KeyError(ref)

    def last_turns(self) -> tuple[Turn, ...]:
        """Return the agents' turns of the last round, by agent."""
        return tuple(turn for turn in self.turns if turn.role == "agent" and turn.round == self.rounds - 1)


def turn_ref(round_index: int, agent: int) -> str:
    """Name a turn as `MessageRef.turns` does."""
    return f"{round_index}/{agent}"


def messages_of(
    refs: Sequence[MessageRef], *, question: str, system: str, solutions: Mapping[str, str], prompts: Prompts
) -> list[Message]:
    """Fill references with their texts.

    Args:
        refs: The messages.
        question: Text of the question.
        system: System message of the reader.
        solutions: Solutions by "round/agent".
        prompts: The texts of the debate.
    """
    messages = []
    for ref in refs:
        shown = [solutions[name] for name in ref.refs]
        match ref.template:
            case "system":
                text = system
            case "solve":
                text = solve_text(prompts, question)
            case "solution":
                text = shown_solution(shown[0])
            case "review":
                text = review_text(prompts, shown)
            case "summarise":
                text = summarise_text(prompts, question, shown)
        messages.append(Message(ref.role, text))
    return messages


def render_messages(record: Record, turn: Turn, prompts: Prompts) -> list[Message]:
    """Rebuild exactly the messages that a model was sent for a turn.

    Args:
        record: The question's record.
        turn: One of its turns.
        prompts: The prompts that the debate ran with.
    """
    return messages_of(
        turn.messages,
        question=record.question,
        system=record.roles[turn.agent] if turn.role == "agent" else prompts.system,
        solutions={other.ref: other.solution for other in record.turns},
        prompts=prompts,
    )


def shard_path(prefix: str, index: int) -> str:
    """Return the store path of a shard."""
    return f"{prefix}/shards/{index:06d}.jsonl.zst"


def write_shard(lines: Iterable[bytes]) -> bytes:
    """Compress JSON lines (without line ends) into one shard; equal lines give equal bytes."""
    data = b"".join(line + b"\n" for line in lines)
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def shard_lines(shard: bytes, *, source: str = "shard") -> Iterator[bytes]:
    """Yield the JSON lines of a shard without parsing them.

    Raises:
        StoreError: If the bytes are not a whole shard.
    """
    try:
        data = zstandard.ZstdDecompressor().decompress(shard)
    except zstandard.ZstdError as error:
        raise StoreError(f"{source} is damaged ({error}); delete it and run again, its questions are redone") from error
    for line in io.BytesIO(data):
        yield line.rstrip(b"\n")


def read_shard(shard: bytes, *, source: str = "shard") -> Iterator[Record]:
    """Yield the records of a shard in data-set order.

    Args:
        shard: Content of a ``.jsonl.zst`` file.
        source: What to call it in errors.

    Raises:
        StoreError: If it is damaged or was written by a newer version.
    """
    for number, line in enumerate(shard_lines(shard, source=source), 1):
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            raise StoreError(f"{source}:{number}: {_mismatch(line, error)}") from error
        if record.schema_version != SCHEMA_VERSION:
            raise StoreError(f"{source}:{number}: {_mismatch(line, None)}")
        yield record


def read_records(store: Store, prefix: str) -> Iterator[Record]:
    """Yield all records below a debate's prefix in data-set order, one shard in memory at a time."""
    for entry in store.entries(f"{prefix}/shards"):
        yield from read_shard(store.read(entry.path), source=entry.path)


def format_record(record: Record) -> str:
    """Lay a record out as plain text for a terminal: every turn in order, then how it was decided."""
    blocks = [f"Question {record.id}\n{_indented(record.question)}", f"Gold answer: {record.gold or '(none)'}"]
    if any(record.roles):
        blocks += [f"Role of agent {agent}: {role}" for agent, role in enumerate(record.roles) if role]
    for turn in record.turns:
        blocks.append(_formatted_turn(turn))
    blocks.append(_formatted_decision(record))
    return "\n\n".join(blocks) + "\n"


def _formatted_turn(turn: Turn) -> str:
    who = "Summariser" if turn.role == "summariser" else f"Round {turn.round}, agent {turn.agent}"
    answer = f"answer {turn.answer}" if turn.answer else "no answer"
    ended = {"stop": "", "length": ", cut at the token limit: does not count", "filtered": ", filtered: does not count"}
    parts = [
        f"== {who} ({turn.model}): {answer}{ended[turn.finish_reason]} "
        f"[{turn.completion_tokens} tokens, {turn.latency_s:.2f} s]"
    ]
    if turn.reasoning:
        parts.append(f"  (thinking, {len(turn.reasoning):,} characters, hidden from the other agents)")
    if turn.critique:
        parts.append(_indented(turn.critique) + "\n")
    parts.append(_indented(turn.solution or turn.text or "(nothing)"))
    return "\n".join(parts)


def _formatted_decision(record: Record) -> str:
    how = {
        "Consensus": "all agents agree",
        "Majority": "most votes",
        "Summariser": "tie, decided by the summariser",
        "Single": "single pass",
        "None": "no agent gave a complete answer",
    }[record.decided_by]
    rounds = f"{record.rounds} round{'' if record.rounds == 1 else 's'}"
    return (
        f"Final answer: {record.answer or '(none)'} ({how}; {rounds}, {record.calls} calls, "
        f"{record.prompt_tokens} + {record.completion_tokens} tokens)"
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _mismatch(line: bytes, error: ValidationError | None) -> str:
    try:
        version = json.loads(line)["schema_version"]
    except (ValueError, TypeError, KeyError):
        version = None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return f"has schema version {version}, this agentark reads {SCHEMA_VERSION}; upgrade agentark"
    detail = "" if error is None else f" ({error.errors()[0]['loc']}: {error.errors()[0]['msg']})"
    return f"is not a debate record{detail}; delete the shard and run again, its questions are redone"
