"""What the troubleshooting page quotes is what the code says."""

import ast
import re
from functools import cache

import pytest

from tests.docs.commands import DOCS

ROOT = DOCS.parent
FROM_OTHERS = {
    # Kubernetes' scheduler and kubelet
    *("Insufficient nvidia.com/gpu", "Insufficient cpu", "memory", "had untolerated taint", "not found"),
    *("ErrImagePull", "unauthorized", "no such host", "timeout"),
}


@cache
def said() -> str:
    """Every text in the code that people may get to read, one a line."""
    texts = []
    for folder in ("operator/agentark_operator", "agentark/store", "agentark/planning", "agentark/tasks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    texts.append(
                        "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


def quoted() -> list[str]:
    """What tables of messages hold in their first column."""
    found, inside = [], False
    for line in (DOCS / "troubleshooting.md").read_text().splitlines():
        inside = line.startswith("|") and (inside or line.startswith("| the message says |"))
        if inside:
            found += re.findall(r"`([^`]+)`", line.split("|")[1])
    return found


@pytest.mark.parametrize("text", [text for text in quoted() if text not in FROM_OTHERS])
def test_each_quoted_message_is_in_the_code(text: str) -> None:
    pattern = ".*".join(re.escape(part) for part in text.split("…"))
    alone = re.sub(r"accessKey|secretKey", "…", pattern)
    assert re.search(pattern, said()) or re.search(alone, said()), text
