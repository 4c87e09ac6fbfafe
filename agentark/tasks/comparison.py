"""Equality of two answers under a policy.

Exact rules come first (letters, words, rational numbers with units, parts of collections); the symbolic checker, slow
and in a process of its own, is asked last and only where the policy allows it.
"""

import re
from collections.abc import Callable
from typing import Final

from agentark.tasks import symbolic
from agentark.tasks.arithmetic import divides_by_zero, grouped_digits
from agentark.tasks.choices import letter, stated
from agentark.tasks.collections import Collection, collection, without_brackets
from agentark.tasks.normalisation import MAX_ANSWER, plain, words
from agentark.tasks.notations import based, choice_letter, clock, listed_letter, ratio, same_clock
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import Quantity, equal_quantities, is_date, quantity, split_unit
from agentark.tasks.relations import Statement, as_interval, statement

MAX_NESTING: Final = 3
CHECKER_SECONDS: Final = 0.3
"""Processor seconds that one comparison may spend in the symbolic checker, all parts together."""

_EARLY_GROUPS: Final = frozenset("' ")


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
        # An answer that has no word, as ☆, is what it is.
        left, right = words(answer) or answer.strip(), words(gold) or gold.strip()
        return bool(left) and left == right
    if max(len(answer), len(gold)) > MAX_ANSWER:
        return answer.strip() == gold.strip()
    return _Comparison(policy).same(plain(answer), plain(gold), depth=0)


class _Comparison:
    """One comparison and what it may still spend."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seconds_left = CHECKER_SECONDS
        self._early = "".join(mark for mark in policy.thousands if mark in _EARLY_GROUPS)

    def same(self, left: str, right: str, *, depth: int) -> bool:
        if not left or not right or divides_by_zero(left) or divides_by_zero(right):
            return False
        if left == right:
            return True
        if is_date(left) or is_date(right):
            return False
        a, b = quantity(left, self._policy), quantity(right, self._policy)
        if a is not None and b is not None:
            return equal_quantities(a, b, self._policy)
        left, right = (as_interval(grouped_digits(text, self._early)) for text in (left, right))
        if left == right:
            return True
        first, second = collection(left), collection(right)
        if first is None and second is None:
            left, right = without_brackets(left), without_brackets(right)
        if (first is None or first.opening) and (second is None or second.opening):
            # No list at the outermost level, where each part has a relation of its own.
            return self._same_statements(left, right, depth=depth)
        return self._same_lists(left, right, first, second, depth=depth)

    def _same_statements(self, left: str, right: str, *, depth: int) -> bool:
        a, b = statement(left), statement(right)
        if a.is_equation or b.is_equation or a.is_relation or b.is_relation:
            return self._same_relations(left, right, a, b)
        if a.names and b.names and a.names != b.names:
            return False
        return self._same_values(a.value, b.value, depth=depth)

    def _same_relations(self, left: str, right: str, a: Statement, b: Statement) -> bool:
        """Compare where at least one side is an equation or an inequality: that is no value."""
        if _squeezed(left) == _squeezed(right):
            return True
        equations = all(side.is_equation or (side.names and not side.is_range) for side in (a, b))
        inequalities = all(side.is_relation or side.is_range for side in (a, b))
        if not (equations or inequalities):
            return False
        return self._policy.kind != "number" and self._policy.symbolic and self._checked(left, right)

    def _same_values(self, left: str, right: str, *, depth: int) -> bool:
        if not left or not right:
            return False
        if left == right:
            return True
        if (verdict := _same_notation(left, right)) is not None:
            return verdict
        policy = self._policy
        a, b = quantity(left, policy), quantity(right, policy)
        if a is not None and b is not None:
            return equal_quantities(a, b, policy)
        if (verdict := _same_ratio(left, right, a, b)) is not None:
            return verdict
        first, second = collection(left), collection(right)
        if first is not None and second is not None:
            return depth < MAX_NESTING and self._same_parts(first, second, depth=depth)
        if (first is None) != (second is None) and not (left.startswith("\\begin") and right.startswith("\\begin")):
            return False
        left, right = without_brackets(left), without_brackets(right)
        a, b = a or quantity(left, policy), b or quantity(right, policy)
        if a is not None and b is not None:
            return equal_quantities(a, b, policy)
        if _squeezed(left) == _squeezed(right):
            return True
        return policy.kind != "number" and policy.symbolic and self._same_symbols(left, right)

    def _same_lists(
        self, left: str, right: str, first: Collection | None, second: Collection | None, *, depth: int
    ) -> bool:
        """Compare where at least one side is a list without brackets."""
        if depth >= MAX_NESTING:
            return False
        if first is None or second is None:
            # "x = 1, y = 2" against "(x, y) = (1, 2)".
            listed, other = (second, statement(left)) if first is None else (first, statement(right))
            values = collection(other.value)
            if listed is None or values is None or other.is_equation or other.is_relation:
                return False
            if len(other.names) < 2:
                return other.is_range is False and self._same_parts(listed, values, depth=depth)
            named = tuple(f"{name}={item}" for name, item in zip(other.names, values.items, strict=False))
            return self._same_parts(listed, Collection("", "", named), depth=depth)
        return self._same_parts(first, second, depth=depth)

    def _same_parts(self, left: Collection, right: Collection, *, depth: int) -> bool:
        if {left.word, right.word} == {"and", "or"}:
            return False
        left_ranges, right_ranges = _as_union(left), _as_union(right)
        if left_ranges and right_ranges and "|" in (left.opening, right.opening):
            return self._same_set(left.items, right.items, depth=depth)
        if len(left.items) != len(right.items):
            return False
        kinds = {part.opening + part.closing for part in (left, right)}
        ends_apart = kinds <= {"()", "[]", "(]", "[)"} and self._policy.intervals == "AnyEnds"
        if len(kinds) > 1 and not ends_apart and not _list_of_bracketed(left, right):
            return False
        names, other_names = _names(left), _names(right)
        if names and other_names:
            return set(names) == set(other_names) and self._same_set(left.items, right.items, depth=depth)
        if (names or other_names) and "or" in (left.word, right.word):
            # One value for each of two names is no choice between two values.
            return False
        unordered = left.alternatives or right.alternatives
        if kinds == {""} and self._policy.lists == "Unordered":
            unordered = True
        if unordered:
            return self._same_set(left.items, right.items, depth=depth)
        return all(self.same(a, b, depth=depth + 1) for a, b in zip(left.items, right.items, strict=True))

    def _same_set(self, left: tuple[str, ...], right: tuple[str, ...], *, depth: int) -> bool:
        if len(left) != len(right):
            return False
        return _matched(left, right, lambda a, b: self.same(a, b, depth=depth + 1))

    def _same_symbols(self, left: str, right: str) -> bool:
        (left, left_unit), (right, right_unit) = split_unit(left, self._policy), split_unit(right, self._policy)
        if left_unit and right_unit and left_unit != right_unit and self._policy.units == "Match":
            if left_unit.dimension != right_unit.dimension:
                return False
            left, right = f"({left_unit.factor})*({left})", f"({right_unit.factor})*({right})"
        return _squeezed(left) == _squeezed(right) or self._checked(left, right)

    def _checked(self, left: str, right: str) -> bool:
        if self._seconds_left <= 0:
            return False
        absolute, relative = float(self._policy.absolute_tolerance), float(self._policy.relative_tolerance)
        verdict = symbolic.compare(left, right, limit_s=self._seconds_left, absolute=absolute, relative=relative)
        self._seconds_left -= verdict.seconds
        return verdict.equal is True


def _same_notation(left: str, right: str) -> bool | None:
    """Compare times of day, numbers in a base and lettered options; None where neither side is one."""
    time, other_time = clock(left), clock(right)
    if time or other_time:
        return time is not None and other_time is not None and same_clock(time, other_time)
    numbers = based(left), based(right)
    if any(numbers):
        return numbers[0] == numbers[1]
    letters = choice_letter(left), choice_letter(right)
    if letters[0] and letters[1] is None and (listed := listed_letter(right)):
        return letters[0] == listed
    if letters[1] and letters[0] is None and (listed := listed_letter(left)):
        return letters[1] == listed
    return None


def _same_ratio(left: str, right: str, a: Quantity | None, b: Quantity | None) -> bool | None:
    """Compare where one side is a ratio, the other one too or a plain number; None where neither is a ratio."""
    ratios = [ratio(side) if ":" in side or " to " in side else None for side in (left, right)]
    if not any(ratios):
        return None
    if all(ratios):
        return ratios[0] == ratios[1]
    parts, number = (ratios[0], b) if ratios[0] else (ratios[1], a)
    return number is not None and number.unit is None and not number.percent and parts == (number.value,)


def _names(parts: Collection) -> tuple[str, ...]:
    """Names of a list whose every part is named, each once: such a list has no order."""
    names = [statement(item).names for item in parts.items]
    single = tuple(name[0] for name in names if len(name) == 1)
    return single if len(set(single)) == len(parts.items) > 1 else ()


def _as_union(parts: Collection) -> bool:
    """Whether the parts are intervals that may be united: `\\cup`, or rays and inequalities joined otherwise."""
    if parts.opening == "|":
        return True
    items = [as_interval(item) for item in parts.items]
    rays = all("\\infty" in item and item[0] in "([" for item in items)
    return not parts.opening and (rays or (parts.word == "or" and all(statement(item).is_range for item in items)))


def _list_of_bracketed(left: Collection, right: Collection) -> bool:
    """Whether a list without brackets says the same as one with: `1, 2` and {1, 2}; `x=1, y=2` and (1, 2)."""
    listed, bracketed = (left, right) if not left.opening else (right, left)
    if listed.opening or listed.closing:
        return False
    if bracketed.opening == "{":
        return listed.word != "and" or bracketed.alternatives
    return bracketed.opening == "(" and bool(names := _names(listed)) and list(names) == sorted(names)


def _matched(left: tuple[str, ...], right: tuple[str, ...], same: Callable[[str, str], bool]) -> bool:
    """Whether the parts pair off, whatever their order (augmenting paths, as 50% may fit 0.5 and 50)."""
    partner: dict[int, int] = {}
    fits = [[j for j, b in enumerate(right) if same(a, b)] for a in left]

    def place(i: int, seen: set[int]) -> bool:
        for j in fits[i]:
            if j not in seen:
                seen.add(j)
                if j not in partner or place(partner[j], seen):
                    partner[j] = i
                    return True
        return False

    return all(place(i, set()) for i in range(len(left)))


def _squeezed(text: str) -> str:
    """Drop blanks; drop case where the answer is words, not symbols."""
    squeezed = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)
    is_words = len(squeezed) > 1 and all(c.isalpha() or c in "-'" for c in squeezed)
    if not is_words:
        return squeezed
    # "an ellipse" is an ellipse, and "on Tuesday" is Tuesday.
    return re.sub(r"\s+", "", re.sub(r"^(?:on|in|at)?\s*(?:(?:an?|the)\s+)?(?=\w{3})", "", text.casefold()))
