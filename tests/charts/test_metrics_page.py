"""docs/metrics.md names every metric that there is, with its labels, and no other."""

import re

from tests.charts.catalogue import POD_LABELS, SERVICE_LABELS, Catalogue
from tests.charts.charting import ROOT

CODE = Catalogue.of_code().labels
PAGE = (ROOT / "docs" / "metrics.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `agentark_")]
_RESOURCE = {"kind", "namespace", "name"}


def family(series: str) -> str:
    """The name under which a series is documented."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if f"{base}_bucket" in CODE else series


def test_every_metric_has_its_row() -> None:
    written = set(re.findall(r"`(agentark_\w+)`", "\n".join(ROWS)))
    assert written == {family(name) for name in CODE if name.startswith("agentark_")}


def test_a_row_names_the_labels() -> None:
    named: dict[str, set[str]] = {}
    for row in ROWS:
        first, labels = row.split("|")[1:3]
        given = set(re.findall(r"\w+", re.sub(r"of a \w+", " ".join(_RESOURCE), labels)))
        for name in re.findall(r"`(agentark_\w+)`", first):
            named.setdefault(name, set()).update(given)
    for name, labels in CODE.items():
        if name.startswith("agentark_"):
            own = labels - {"le"} - (SERVICE_LABELS | POD_LABELS - _RESOURCE)
            assert own - _RESOURCE <= named[family(name)], name
            assert named[family(name)] <= labels, name
