"""What stands on the pages is current and valid: made parts, manifests, places of commands."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from agentark.api import KINDS, check_manifest
from agentark.api.reference import pages as reference_pages
from agentark.api.reference import render_page
from tests.docs.commands import DOCS, LANGUAGES, Unplaced, all_pages, blocks, commands, differences

ROOT = DOCS.parent
_PROGRAMS = re.compile(
    r"^\s*(\$ )?(sudo )?(kubectl|helm|agentark|make|curl|python|pip|flux|argocd|docker|buildah) ", re.M
)


def test_what_is_made_from_code_is_current() -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", all_pages())
def test_every_command_has_a_place(page: str) -> None:
    commands(page)
    for block in blocks(page):
        hidden = _PROGRAMS.search(block.text) if block.language not in (*LANGUAGES, "yaml") else None
        assert not hidden, f"{page}:{block.line}: {hidden}: fence it as sh or console"


def test_every_place_is_used() -> None:
    assert {one.place for page in all_pages() for one in commands(page)} == {"laptop", "cluster", "e2e"}


@pytest.mark.parametrize("page", [*all_pages(), "../README.md"])
def test_manifests_are_valid(page: str, tmp_path: Any) -> None:
    for block in blocks(page):
        if block.language != "yaml":
            continue
        documents = [one for one in yaml.safe_load_all(block.text) if one]
        if documents and all(one.get("apiVersion", "").startswith("agentark.dev/") for one in documents):
            file = tmp_path / "block.yaml"
            file.write_text(block.text)
            _, issues = check_manifest(file)
            assert not issues, f"{page}:{block.line}: {issues}"


def test_every_field_is_on_a_page() -> None:
    text = "\n".join(render_page(page) for page in reference_pages())
    for kind in KINDS.values():
        for part in kind.model_json_schema(by_alias=True)["$defs"].values():
            for field in part.get("properties", {}) if part["type"] == "object" else ():
                assert f"| `{field}` |" in text or field in ("name", "namespace"), field


def test_the_first_screen_shows_rows_of_the_whole_table() -> None:
    def rows(page: str) -> list[list[str]]:
        tables = [block.text for block in blocks(page) if "single pass" in block.text and not block.language]
        return [re.split(r"  +", row.strip()) for row in "".join(tables).splitlines() if "[" in row]

    whole = rows("benchmarks.md")
    shown = rows("../README.md")
    assert len(shown) == 3
    assert all(any(row[: len(columns)] == columns for row in whole) for columns in shown), shown


def test_a_block_without_a_place_is_told(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.commands.DOCS", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("Do:\n\n```sh\nkubectl get dj\n```\n")
    with pytest.raises(Unplaced, match=r"page\.md:3: no <!-- run: laptop\|cluster\|e2e -->"):
        commands("page.md")
    page.write_text("<!-- run: moon -->\n```sh\nkubectl get dj\n```\n")
    with pytest.raises(Unplaced, match="run: moon; give laptop, cluster, e2e"):
        commands("page.md")
    page.write_text(
        "<!-- run: laptop exit=2 -->\n```console\n$ agentark validate \\\n    -f x\nno such file\n$ true\n```\n"
    )
    first, second = commands("page.md")
    assert (first.text, first.expected, first.exit_code) == ("agentark validate \\\n    -f x\n", "no such file", 2)
    assert (second.text, second.expected) == ("true\n", "")


def test_output_is_compared_by_its_words() -> None:
    expected = "NAME   PHASE      AGE\nsums   Succeeded  12m\n...\ndone"
    assert not differences(expected, "NAME  PHASE  AGE\nsums  Succeeded  3s\nmore\nall is done")
    assert differences(expected, "NAME  PHASE  AGE\nsums  Failed  3s\ndone") == ["sums   Succeeded  12m"]
