"""Links lead somewhere: files, anchors, and from each alert to what to do about it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.commands import DOCS
from tests.docs.markdown import anchors, links

ROOT = DOCS.parent
RUNBOOK = "operations.md"


def pages() -> list[str]:
    """Every page of the repository."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return sorted(name for name in found if (ROOT / name).exists())


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    broken = []
    for link in links(file):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_names_every_page() -> None:
    named = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "README.md") if "://" not in link}
    assert {file.resolve() for file in DOCS.rglob("*.md")} - {DOCS / "README.md"} <= named


_ROOMS = ("", "agentark", "operator/agentark_operator")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_code_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`((?:[a-z_\d]+/)+[a-z_\d]+(?:/|\.py))`", (ROOT / page).read_text())
    assert len(named) >= 10
    assert not [path for path in named if not any((ROOT / room / path).exists() for room in _ROOMS)]


def alerts() -> dict[str, str]:
    """Alert -> the page that its rule links to; empty where it names none."""
    found = {}
    for file in sorted(ROOT.glob("charts/*/files/rules/*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found[rule["alert"]] = str(rule["annotations"].get("runbook_url", ""))
    return found


def test_every_alert_has_its_section_and_links_to_it() -> None:
    _, _, rest = (DOCS / RUNBOOK).read_text().partition("## Alerts\n")
    sections = {
        line.removeprefix("### ") for line in rest.partition("\n## ")[0].splitlines() if line.startswith("### ")
    }
    found = alerts()
    assert sections == set(found), f"docs/{RUNBOOK} has a section ### NAME for each alert, and no others"
    for name, url in found.items():
        assert not url or url.endswith(f"docs/{RUNBOOK}#{name.lower()}"), f"{name}: {url}"


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `kubectl get`, and more\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n[a](b.md#c) `[x](y)`\n"
    )
    assert anchors(page) == {"kubectl-get-and-more", "twice", "twice-1"}
    assert list(links(page)) == ["b.md#c"]
