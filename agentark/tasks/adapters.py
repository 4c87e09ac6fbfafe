"""The data sets AgentArk knows: how their rows read and how their answers are graded."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from agentark.errors import InvalidInput
from agentark.tasks.extraction import reference
from agentark.tasks.normalisation import plain
from agentark.tasks.policy import CHOICE, MATH, NUMBER, Policy
from agentark.tasks.quantities import quantity


@dataclass(frozen=True, slots=True)
class Fields:
    """One question of a row, before it has an id."""

    text: str
    gold: str
    """Empty where the row gives none."""
    choices: tuple[str, ...] = ()
    id: str = ""
    """Empty: the reader derives one from the content."""
    lacks: str = ""
    """Why there is no gold answer, for the reader's message; empty where there is one."""


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of data set."""

    name: str
    policy: Policy
    parse: Callable[[Mapping[str, object]], Sequence[Fields]]
    """From a row to its questions: usually one, several where a row is a document with many queries. Raises
    InvalidInput naming the field."""


def task(name: str) -> Task:
    """Look a task up by name.

    Raises:
        InvalidInput: If there is none; the message names the nearest.
    """
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InvalidInput(f"task {name!r}: unknown; there are {', '.join(sorted(TASKS))}{hint}")


def policy_of(dataset: Mapping[str, Any]) -> Policy:
    """How the answers of a data set are compared.

    Args:
        dataset: A data set as a manifest has it, or the parameters of a stage: `task`, and perhaps `grading` with
            `absoluteTolerance`, `relativeTolerance` (decimal texts) and `lists`; what is left out is the task's own.

    Raises:
        InvalidInput: If there is no such task.
    """
    grading = dataset.get("grading") or {}
    policy = task(dataset["task"]).policy
    return replace(
        policy,
        absolute_tolerance=Fraction(grading.get("absoluteTolerance", policy.absolute_tolerance)),
        relative_tolerance=Fraction(grading.get("relativeTolerance", policy.relative_tolerance)),
        lists=grading.get("lists", policy.lists),
    )


def _gsm8k(row: Mapping[str, object]) -> Sequence[Fields]:
    text = _text(row, "question")
    if lacks := _lacks_text(row, "answer"):
        return [Fields(text, "", id=_identity(row), lacks=lacks)]
    solution = _text(row, "answer")
    if "####" not in solution:
        raise InvalidInput(
            f"field 'answer': no '####' before the final answer, found {_shown(solution)}; "
            "rows with bare answers are task 'jsonl'"
        )
    gold = solution.rpartition("####")[2].strip()
    if quantity(plain(gold), NUMBER) is None:
        raise InvalidInput(f"field 'answer': a number must follow '####', found {_shown(gold)}")
    return [Fields(text, gold, id=_identity(row))]


def _medmcqa(row: Mapping[str, object]) -> Sequence[Fields]:
    question = _text(row, "question")
    choices = tuple(_text(row, name) for name in ("opa", "opb", "opc", "opd"))
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=True))
    text = f"{question}\n{listed}"
    right = row.get("cop")
    if right is None or right == -1:
        problem = "found -1 (the label of the unlabelled test split)" if right == -1 else _missing(row, "cop")
        lacks = f"field 'cop': no gold answer: {problem}; use a labelled split such as validation"
        return [Fields(text, "", choices, _identity(row), lacks)]
    if isinstance(right, bool) or not isinstance(right, int) or not 0 <= right <= 3:
        raise InvalidInput(
            f"field 'cop': must be 0, 1, 2 or 3, found {_shown(right)}; files that count from 1 need 1 subtracted"
        )
    return [Fields(text, "ABCD"[right], choices, _identity(row))]


def _jsonl(row: Mapping[str, object]) -> Sequence[Fields]:
    text = _text(row, "question")
    gold = row.get("answer")
    if isinstance(gold, int | float) and not isinstance(gold, bool):
        return [Fields(text, str(gold), id=_identity(row))]
    if lacks := _lacks_text(row, "answer"):
        return [Fields(text, "", id=_identity(row), lacks=lacks)]
    gold = reference(_text(row, "answer"), MATH)
    return [Fields(text, gold, id=_identity(row))]


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if value is None:
        raise InvalidInput(f"field {name!r}: {_missing(row, name)}")
    if not isinstance(value, str):
        raise InvalidInput(f"field {name!r}: must be a text, found {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"field {name!r}: half of a surrogate pair in {_shown(value)}; export it again") from None
    if not value.strip():
        raise InvalidInput(f"field {name!r}: empty; give it a text or remove the row")
    return value.strip()


def _lacks_text(row: Mapping[str, object], name: str) -> str:
    """Say why a row has nothing in a field; empty where it has something, right or wrong."""
    value = row.get(name)
    if value is None:
        return f"field {name!r}: {_missing(row, name)}"
    if isinstance(value, str) and not value.strip():
        return f"field {name!r}: empty; give it a text or remove the row"
    return ""


def _identity(row: Mapping[str, object]) -> str:
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InvalidInput(f"field 'id': must be a text or a whole number, found {_shown(value)}")
    return _text({"id": str(value)}, "id")


def _missing(row: Mapping[str, object], name: str) -> str:
    if name in row:
        return "found null"
    return f"missing; the row has {', '.join(repr(key)[:40] for key in list(row)[:12]) or 'no fields'}"


def _shown(value: object) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


TASKS: Final[Mapping[str, Task]] = MappingProxyType(
    {
        "gsm8k": Task("gsm8k", NUMBER, _gsm8k),
        "jsonl": Task("jsonl", MATH, _jsonl),
        "medmcqa": Task("medmcqa", CHOICE, _medmcqa),
    }
)
"""Name to task: what the field `task` of a data set accepts."""
