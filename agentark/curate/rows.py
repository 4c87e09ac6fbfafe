"""Rows of a training set in TRL's conversational prompt/completion form, and the texts they hold."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentark.api import Prompts
from agentark.curate.params import Form
from agentark.curate.traces import Trace
from agentark.debate.prompts import solve_text
from agentark.tasks import Policy, equal
from agentark.tasks.critiques import CHECK_WORDS, MEND_WORDS

_STATED = re.compile(r"\\boxed\{([^{}]+)\}|####\s*(\S+)|\b(?:final )?answer(?:\s+is|\s*[:=])\s*(\S+)", re.I)
_BOXED = re.compile(r"\\boxed\{")
_LONGEST_SENTENCE = 200  # characters of a line that only states the answer
_SURE_GOLD = 3  # characters, from which on a number in the instructions is no coincidence

Chat = tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class CuratedRow:
    """One training example."""

    prompt: Chat
    """What a single pass is sent: messages with ``role`` and ``content``."""
    completion: str
    """The trace to learn; of a bare question its right answer, empty where none is known."""
    question_id: str
    weight: float
    """1 over the number of rows of the question, so that every question weighs the same."""
    form: Form
    rejected: str = ""
    """Of a pair, the text to turn away from."""

    def as_json(self) -> dict[str, Any]:
        """Return the row as TRL reads it; of a bare question, what PAD's roll-outs need."""
        completion = [{"role": "assistant", "content": self.completion}]
        named = {"question_id": self.question_id, "weight": self.weight, "form": self.form}
        if self.form == "Question":
            return {"id": self.question_id, "prompt": list(self.prompt), "gold": self.completion or None}
        if self.form == "Pair":
            rejected = [{"role": "assistant", "content": self.rejected}]
            return {"prompt": list(self.prompt), "chosen": completion, "rejected": rejected, **named}
        return {"prompt": list(self.prompt), "completion": completion, **named}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One question kept out of training, for in-training evaluation."""

    prompt: Chat
    gold: str
    question_id: str

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {"prompt": list(self.prompt), "gold": self.gold, "question_id": self.question_id}


def single_pass_prompt(prompts: Prompts, question: str) -> Chat:
    """Return exactly the messages that a single pass without a role is sent."""
    solve = {"role": "user", "content": solve_text(prompts, question)}
    return ({"role": "system", "content": prompts.system}, solve) if prompts.system else (solve,)


def is_held_out(question_id: str, share: float) -> bool:
    """Decide by a hash of the id alone: the same for every data set, method, seed and order of questions."""
    digest = hashlib.sha256(f"held-out\0{question_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def shows_gold(prompts: Prompts, question: str, gold: str, policy: Policy) -> bool:
    """Say whether a prompt gives its answer away.

    It does where an answer is stated (boxed, after ``####``, "the answer is …") that equals the gold one, and where the
    instructions around the question hold a gold answer of at least three characters with a digit. A number that the
    question itself mentions is no leak.
    """
    prompt = "\n".join(message["content"] for message in single_pass_prompt(prompts, question))
    for match in _STATED.finditer(prompt):
        stated = next(group for group in match.groups() if group is not None).strip(".,;:*\"'")
        if stated and equal(stated, gold, policy):
            return True
    if len(gold) < _SURE_GOLD or not re.search(r"\d", gold):
        return False
    instructions = f"{prompts.system}\n{prompts.solve}"
    return re.search(rf"(?<![\w.]){re.escape(gold)}(?!\w|\.\d)", instructions) is not None


def monologue(trace: Trace) -> str:
    """Join attempt, critique and mended solution into one text; the connecting words are fixed.

    Returns:
        The monologue; empty if the trace mended nothing, or nobody named what was wrong.
    """
    if not (trace.attempt and trace.critique):
        return ""
    return f"{trace.attempt}\n\n{CHECK_WORDS}\n{trace.critique}\n\n{MEND_WORDS}\n{trace.solution}"


def answer_sentence(solution: str) -> str:
    """Return the last line of a solution if it states the answer in a box and is short, else an empty text."""
    last = solution.rstrip().rpartition("\n")[2].strip()
    return last if len(last) <= _LONGEST_SENTENCE and _box(last) else ""


def answer_form(sentences: Sequence[str]) -> str:
    r"""Find the form in which a data set states answers.

    Args:
        sentences: Results of `answer_sentence`.

    Returns:
        The sentence around the box that most of them share, with ``\boxed{}`` for the box; the bare box if none is
        shared by at least half.
    """
    forms = Counter(sentence.replace(_box(sentence), r"\boxed{}") for sentence in sentences)
    if forms:
        form, count = forms.most_common(1)[0]
        if 2 * count >= len(sentences):
            return form
    return r"\boxed{}"


def filled_answer(form: str, gold: str) -> str:
    """Put an answer into a form."""
    return form.replace(r"\boxed{}", rf"\boxed{{{gold}}}")


def _box(text: str) -> str:
    r"""Return the last ``\boxed{…}`` of a text with its balanced braces, empty if there is none."""
    found = ""
    for match in _BOXED.finditer(text):
        depth = 1
        for end in range(match.end(), len(text)):
            depth += (text[end] == "{") - (text[end] == "}")
            if not depth:
                found = text[match.start() : end + 1]
                break
    return found
