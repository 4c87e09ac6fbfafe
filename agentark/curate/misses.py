"""What the answers of a debate looked like where none of its traces was right."""

from collections.abc import Sequence

from agentark.debate.transcript import Record, Turn

SHOWN_MISSES = 3
_SHOWN = 60  # characters of a text


def miss(record: Record) -> str:
    """Describe a question's last complete reply, or its last one, beside the gold answer."""
    turns = [turn for turn in record.turns if turn.role == "agent"]
    turn = next((turn for turn in reversed(turns) if turn.complete), turns[-1])
    return f"question {shown(record.id)}: {_ended(turn)}, gold {shown(record.gold)}"


def advice(misses: Sequence[str], *, cut: int, filtered: int, empty: int, traces: int) -> str:
    """Say what the answers looked like, and what to do about it.

    Args:
        misses: Of a few questions, from `miss`.
        cut: Traces that reached the token limit.
        filtered: Those that a content filter ended, and refusals.
        empty: Those that ended by themselves without a text.
        traces: All of them, >= 1.
    """
    examples = "; ".join(misses)
    if 2 * cut > traces:
        mend = "most were cut: raise protocol.sampling.maxTokens of the debate"
    elif 2 * filtered > traces:
        mend = (
            "most were filtered or refused: take another teacher, or leave such questions out of the debate's dataset"
        )
    elif 2 * empty > traces:
        mend = (
            "most were empty: see whether the teacher's server keeps answers as reasoning or tool calls, or take "
            "another teacher"
        )
    elif 2 * (cut + filtered + empty) > traces:
        mend = (
            f"most could not count: {cut:,} were cut (raise protocol.sampling.maxTokens of the debate), "
            f"{filtered:,} filtered or refused, {empty:,} empty (take another teacher)"
        )
    else:
        mend = (
            "if they are right, they or the gold answers are written in a way that dataset.task does not read: name "
            "another task, or say in protocol.prompts.solve how to write the answer; if they are wrong, take another "
            "teacher or easier questions"
        )
    return f"no trace was right, so more questions alone would not help. {examples}. {mend[0].upper()}{mend[1:]}"


def shown(text: str) -> str:
    """A text in quotes on one line: its end if it is long, without characters that could steer a terminal."""
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(text[-20 * _SHOWN :].split()))
    return f"'…{line[-_SHOWN:]}'" if len(line) > _SHOWN or len(text) > 20 * _SHOWN else f"'{line}'"


def _ended(turn: Turn) -> str:
    if turn.finish_reason == "filtered":
        return f"filtered or refused {shown(turn.text)}"
    if not turn.complete:
        return f"cut after {shown(turn.text)}"
    if turn.answer:
        return f"answer {shown(turn.answer)}"
    return f"no answer read from {shown(turn.text)}" if turn.text.strip() else "an empty reply"
