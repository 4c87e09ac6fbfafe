"""From lines to questions, one at a time; every fault of the data is an error that names the line."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final, Never

from agentark.errors import InvalidInput
from agentark.tasks.adapters import Fields, Task
from agentark.tasks.question import Question

MAX_LINE_BYTES: Final = 16 * 1024**2
"""A longer line is no question but a file without line ends, or one that would not fit a model anyway."""

_BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def read_questions(
    task: Task, lines: Iterable[bytes], *, source: str, limit: int | None = None, needs_gold: bool = True
) -> Iterator[Question]:
    """Read the questions of a data set as a stream.

    Args:
        task: Says how a row reads.
        lines: One JSON object a line; blank lines are skipped.
        source: Name of the data for messages, for example the file.
        limit: Stop after so many questions, at least 1; None reads all.
        needs_gold: Whether a question without a gold answer is a fault; else its `gold` is empty.

    Yields:
        Questions in the order of the rows. Memory grows by a few dozen bytes a question (for duplicate ids).

    Raises:
        InvalidInput: At the first faulty row, naming `source:line`, the field, what was found and what is accepted; or
            if there is no question at all.
    """
    if limit is not None and limit < 1:
        raise InvalidInput(f"{source}: limit must be at least 1, found {limit}")
    seen: set[bytes] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip(b" \t\r\n"):
            continue
        where = f"{source}:{number}"
        row = parse_row(line, where, first=number == 1)
        try:
            questions = [_question(fields, needs_gold) for fields in task.parse(row)]
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error}") from None
        for question in questions:
            digest = hashlib.blake2b(question.id.encode(), digest_size=8).digest()
            if digest in seen:
                id_source = "field 'id'" if "id" in row else "the row has no 'id', and its content"
                raise InvalidInput(f"{where}: {id_source} was seen before: {question.id!r:.80}; make ids unique")
            seen.add(digest)
            yield question
            if len(seen) == limit:
                return
    if not seen:
        raise InvalidInput(f"{source}: no questions: it is empty or holds blank lines only")


def parse_row(line: bytes, where: str, *, first: bool = False) -> dict[str, object]:
    """Parse one line as a JSON object.

    Args:
        line: UTF-8 text of at most `MAX_LINE_BYTES`.
        where: Place of the line for messages.
        first: Whether a byte order mark may stand before it.

    Raises:
        InvalidInput: If the line is too long, no UTF-8, no JSON (NaN is none), or no object.
    """
    if len(line) > MAX_LINE_BYTES:
        raise InvalidInput(
            f"{where}: the line is longer than {MAX_LINE_BYTES // 1024**2} MiB; write one JSON object a line (JSONL)"
        )
    for mark, name in _WIDE:
        if first and line.startswith(mark):
            raise InvalidInput(f"{where}: byte 0x{mark[0]:02x} at 1: the file is {name}; save it as UTF-8")
    try:
        text = (line[len(_BOM) :] if first and line.startswith(_BOM) else line).decode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InvalidInput(f"{where}: byte 0x{byte:02x} at {error.start + 1} is not UTF-8; save it as UTF-8") from None
    try:
        row = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        near = ascii(text[max(0, error.pos - 20) : error.pos + 20])
        raise InvalidInput(f"{where}: not JSON: {error.msg} at {error.pos + 1}, near {near}") from None
    except RecursionError:
        raise InvalidInput(f"{where}: not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise InvalidInput(f"{where}: not JSON that can be read: {error}") from None
    if not isinstance(row, dict):
        raise InvalidInput(f"{where}: must be a JSON object {{...}}, found {type(row).__name__} {ascii(row)[:60]}")
    return row


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON value; write a number, a text or null")


def _question(fields: Fields, needs_gold: bool) -> Question:
    if needs_gold and fields.lacks:
        raise InvalidInput(fields.lacks)
    identity = fields.id
    if not identity:
        content = json.dumps([fields.text, fields.gold], ensure_ascii=False)
        identity = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Question(identity, fields.text, fields.gold, fields.choices)
