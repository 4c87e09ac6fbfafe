"""Links and headings of a page, as GitHub makes anchors of them."""

import re
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)|!\[[^\]]*\]\((?P<image>[^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<title>.+?)\s*$", re.MULTILINE)
_FENCED = re.compile(r"^(`{3,}).*?^\1\s*$", re.DOTALL | re.MULTILINE)


def links(file: Path) -> Iterator[str]:
    """Targets of links and pictures, in order."""
    for found in _LINK.finditer(_prose(file)):
        yield found["target"] or found["image"]


def anchors(file: Path) -> set[str]:
    """What may stand behind a # in a link to a page."""
    found: set[str] = set()
    for heading in _HEADING.finditer(_prose(file)):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["title"])
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        number = sum(one == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", one) is not None for one in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


def _prose(file: Path) -> str:
    """A page without its code, which links to nothing."""
    return re.sub(r"`[^`\n]*`", lambda code: code[0].replace("](", "] ("), _FENCED.sub("", file.read_text()))
