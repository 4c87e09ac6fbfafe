"""Every reason that the operator can give is in the pages, and the pages have no others.

That the code gives no word beside these and those of Kubernetes is what `AnyReason` is for: mypy refuses a plain text.
"""

import re
from typing import get_args

from agentark_operator.reasons import COMES_BY_ITSELF, Reason
from agentark_operator.status.conditions import ConditionType

from tests.docs.commands import DOCS


def words(text: str, heading: str = "reason") -> set[str]:
    """The words in the first column of every table that is headed like this."""
    found, inside = set(), False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        inside = line.startswith("|") and (inside or cells[0] == heading)
        found |= set(re.findall(r"`(\w+)`", cells[0])) if inside else set()
    return found


PAGE, OF_RELEASES = ((DOCS / page).read_text() for page in ("reasons.md", "kinds/modelrelease.md"))


def test_the_pages_have_each_reason_and_no_other() -> None:
    assert words(PAGE) | words(OF_RELEASES) == set(Reason)


def test_each_reason_is_used() -> None:
    source = "".join(path.read_text() for path in (DOCS.parent / "operator").rglob("*.py"))
    assert set(re.findall(r"\bReason\.(\w+)", source)) == set(Reason.__members__)


def test_the_page_has_each_condition_and_no_other() -> None:
    assert words(PAGE, "condition") == set(get_args(ConditionType))


def test_what_comes_by_itself_is_told_so() -> None:
    section = PAGE.partition("## Comes by itself\n")[2].partition("\n## ")[0]
    good = {Reason.ADMITTED, Reason.COMPLETE}  # nothing is awaited
    assert words(section) - good == COMES_BY_ITSELF - words(OF_RELEASES)


def test_words_are_read_from_tables() -> None:
    table = "| reason | why |\n|---|---|\n| `A`, `B` | `C` |\n\n`D`\n| other |\n|---|\n| `E` |"
    assert words(table) == {"A", "B"}
    assert words(table, "other") == {"E"}
