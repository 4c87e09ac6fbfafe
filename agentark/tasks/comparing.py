"""Equality of two answers under a policy.

Exact rules come first (letters, words, rational numbers with units, parts of collections); the symbolic checker, slow
and in a process of its own, is asked last and only where the policy allows it.
"""

import re
from typing import Final

from agentark.tasks import symbolic
from agentark.tasks.choosing import letter, stated
from agentark.tasks.collecting import Collection, collection, without_brackets
from agentark.tasks.normalising import MAX_ANSWER, plain, words
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import equal_quantities, quantity, split_unit

MAX_NESTING: Final = 3
CHECKER_SECONDS: Final = 0.3
"""Processor seconds that one comparison may spend in the symbolic checker, all parts together."""

_ASSIGNMENT: Final = re.compile(
    r"^\s*((?:[A-Za-z]|\\[a-z]+)(?:_\{?\w\}?)?(?:\s?\([a-z]\))?)\s*(?:=|:=|\\in(?![a-z]))\s*(?=[^=])"
)

_INEQUALITY: Final = re.compile(r"[<>]|\\(?:le|ge|leq|geq|lt|gt)(?![a-z])")


def equal(answer: str, gold: str, policy: Policy) -> bool:
    """Whether two answers are the same under a policy; symmetric, bounded in time, raises for no text.

    Args:
        answer: An answer as `extract` returns it.
        gold: Another answer, or the gold one.
        policy: What counts as equal.
    """
    if policy.kind == "choice":
        chosen = stated(answer, policy.letters) or letter(answer, policy.letters)
        return chosen is not None and chosen == (stated(gold, policy.letters) or letter(gold, policy.letters))
    if policy.kind == "text":
        left = words(answer)
        return bool(left) and left == words(gold)
    if max(len(answer), len(gold)) > MAX_ANSWER:
        return answer.strip() == gold.strip()
    return _Comparison(policy).same(plain(answer), plain(gold), depth=0)


class _Comparison:
    """One comparison and what it may still spend."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seconds_left = CHECKER_SECONDS

    def same(self, left: str, right: str, *, depth: int) -> bool:
        policy = self._policy
        if not left or not right:
            return False
        if left == right:
            return True
        (left_name, left_value), (right_name, right_value) = _unassigned(left), _unassigned(right)
        if left_name and right_name and left_name != right_name:
            return False
        # "x = 3" against "3" compares values; against an equation in another form it stays an equation.
        if "=" not in left_value + right_value:
            left, right = left_value, right_value
        a, b = quantity(left, policy), quantity(right, policy)
        if a is not None and b is not None:
            return equal_quantities(a, b, policy)
        first, second = collection(left), collection(right)
        if first is not None and second is not None:
            return depth < MAX_NESTING and self._same_parts(first, second, depth=depth)
        left, right = without_brackets(left), without_brackets(right)
        a, b = a or quantity(left, policy), b or quantity(right, policy)
        if a is not None and b is not None:
            return equal_quantities(a, b, policy)
        if _squeezed(left) == _squeezed(right):
            return True
        if policy.kind == "number" or not policy.symbolic:
            return False
        if (first is None) != (second is None) and not (_INEQUALITY.search(left) or _INEQUALITY.search(right)):
            return False
        return self._same_symbols(left, right)

    def _same_parts(self, left: Collection, right: Collection, *, depth: int) -> bool:
        if len(left.items) != len(right.items):
            return False
        kinds = {part.opening + part.closing for part in (left, right)}
        ends_apart = kinds <= {"()", "[]", "(]", "[)"} and self._policy.intervals == "AnyEnds"
        # {1,2} and "1 or 2" say the same; (1,2) and "1,2" do not.
        sets_apart = kinds <= {"{}", ""} and left.alternatives and right.alternatives
        if len(kinds) > 1 and not ends_apart and not sets_apart:
            return False
        unordered = left.alternatives and right.alternatives
        if kinds == {""}:
            unordered = left.alternatives or right.alternatives or self._policy.lists == "Unordered"
        if unordered:
            return self._same_set(left.items, right.items, depth=depth)
        return all(self.same(a, b, depth=depth + 1) for a, b in zip(left.items, right.items, strict=True))

    def _same_set(self, left: tuple[str, ...], right: tuple[str, ...], *, depth: int) -> bool:
        rest = list(right)
        for item in left:
            match = next((i for i, other in enumerate(rest) if self.same(item, other, depth=depth + 1)), None)
            if match is None:
                return False
            del rest[match]
        return True

    def _same_symbols(self, left: str, right: str) -> bool:
        (left, left_unit), (right, right_unit) = split_unit(left, self._policy), split_unit(right, self._policy)
        if left_unit and right_unit and left_unit != right_unit and self._policy.units == "Match":
            return False
        if _squeezed(left) == _squeezed(right):
            return True
        if self._seconds_left <= 0:
            return False
        verdict = symbolic.compare(left, right, limit_s=self._seconds_left)
        self._seconds_left -= verdict.seconds
        return verdict.equal is True


def _unassigned(text: str) -> tuple[str, str]:
    """Split `x = 3` into the name and the value; a text that is no assignment has no name."""
    match = _ASSIGNMENT.match(text)
    if match is None or "=" in text[match.end() :]:
        return "", text
    return match[1].replace(" ", ""), text[match.end() :]


def _squeezed(text: str) -> str:
    """Drop blanks; drop case where the answer is words, not symbols."""
    squeezed = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)
    is_words = len(squeezed) > 1 and all(c.isalpha() or c in "-'" for c in squeezed)
    return squeezed.casefold() if is_words else squeezed
