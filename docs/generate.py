"""What the pages hold that is made from code or examples: fields, settings, rights, backends, manifests.

    python docs/generate.py [--check]

A page marks such a part by comments, `<!-- made: WHAT -->` and `<!-- end -->`; what stands between them is replaced.
"""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from agentark_operator.backends import BACKENDS
from agentark_operator.permissions import TABLE
from agentark_operator.settings import Settings, variable_of

from agentark.api import Training
from agentark.api.reference import pages, render_page

DOCS = Path(__file__).parent
ROOT = DOCS.parent
_PART = re.compile(r"<!-- made: (?P<what>[^\n]+?) -->\n(?P<old>.*?)<!-- end -->", re.DOTALL)
_NEEDED = {"always": "", "everywhere": "if it looks after all namespaces", "teachers": "if it serves teachers"}


def filled(page: Path, text: str) -> str:
    """A page with its made parts as they should be.

    Args:
        page: Where it lies, relative to docs/.
        text: As it is.

    Raises:
        KeyError: A part is asked for that nothing makes.
    """

    def made(match: re.Match[str]) -> str:
        kind, _, argument = match["what"].partition(" ")
        content = _MAKERS[kind](argument or page.with_suffix("").as_posix())
        return f"<!-- made: {match['what']} -->\n{content.rstrip()}\n<!-- end -->"

    return _PART.sub(made, text)


def settings_table(_: str) -> str:
    """The operator's environment variables."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, meaning in _docstrings().items():
        lines.append(f"| `{variable_of(name)}` | {_shown(getattr(Settings(), name))} | {meaning} |")
    return "\n".join(lines)


def _shown(default: object) -> str:
    """A default as it is written in a variable."""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, frozenset):
        return f"`{','.join(sorted(default))}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`" if default else "none"


def rights_table(_: str) -> str:
    """What the operator may do."""
    lines = ["| group | resources | verbs | for what | only |", "|---|---|---|---|---|"]
    for row in TABLE:
        only = _NEEDED.get(row.needed, f"with the backend {row.needed}")
        cells = [row.group or "core", ", ".join(row.resources), ", ".join(row.verbs), row.why, only]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def backends(_: str) -> str:
    """What has to be installed for each backend, and how."""
    parts = []
    for name, backend in BACKENDS.items():
        if backend.install:
            default = ", the default" if name == Training().backend else ""
            parts.append(f"`training.backend: {name}`{default}: {backend.software}")
            parts.append(f"<!-- run: e2e -->\n```sh\n{backend.install}\n```")
    return "\n\n".join(parts)


def transcript(command: str) -> str:
    """What the last end-to-end run printed at a command, as its scenario keeps it; nothing before there is one.

    Of what was watched only the first line of each phase and stage is shown.
    """
    file = DOCS / "data" / "e2e-transcript.txt"
    parts = re.split(r"^\$ ", file.read_text(), flags=re.MULTILINE)[1:] if file.exists() else []
    found = next((part.strip() for part in parts if part.startswith(command)), "")
    if not found:
        return ""
    asked, *lines = found.splitlines()
    if asked.endswith(" -w"):
        lines = [
            line for before, line in zip(["", *lines], lines, strict=False) if line.split()[:3] != before.split()[:3]
        ]
    shown = "\n".join(line.rstrip() for line in [f"$ {asked}", *lines])
    return f"<!-- run: e2e{' until=Succeeded' if asked.endswith(' -w') else ''} -->\n```console\n{shown}\n```"


def example(file: str) -> str:
    """A manifest of this repository, whole."""
    return f"```yaml\n{(ROOT / file).read_text().rstrip()}\n```"


def _docstrings() -> dict[str, str]:
    """Field of the settings -> what it means."""
    (found,) = (one for one in ast.parse(inspect.getsource(Settings)).body if isinstance(one, ast.ClassDef))
    meanings = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            meanings[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return meanings


_MAKERS: Mapping[str, Callable[[str], str]] = {
    "fields": render_page,
    "settings": settings_table,
    "rights": rights_table,
    "backends": backends,
    "example": example,
    "transcript": transcript,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check only say which are not current."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="only see whether all pages are current")
    check = parser.parse_args(arguments).check
    stale = []
    for file in sorted(DOCS.rglob("*.md")):
        text = file.read_text()
        wanted = filled(file.relative_to(DOCS), text)
        if text == wanted:
            continue
        stale.append(str(file.relative_to(ROOT)))
        if not check:
            file.write_text(wanted)
    lacking = [page for page in pages() if "<!-- made: fields -->" not in (DOCS / f"{page}.md").read_text()]
    if lacking:
        names = ", ".join(lacking)
        print(f"without their fields: {names}; add <!-- made: fields --> and <!-- end -->", file=sys.stderr)
    if check and stale:
        print(f"not current: {', '.join(stale)}; run: make generate", file=sys.stderr)
    return int(bool(lacking or (check and stale)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
