"""Manifests that are wrong in every way that people and machines find: named, never a crash, never slow."""

import copy
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.api import check_manifest
from agentark.cli.app import run
from tests.api.manifests import ACCEPTED, SPECS, manifest

COUNT = 200
VALUES: list[Any] = [
    *(None, True, -1, 0, 2**63, 1.5, float("nan"), float("inf"), b"\xff\xfe"),
    *("", " ", "\u0000", "\u202egnp.exe", "💥" * 500, "x" * 100_000, "!!python/object:os.system"),
    *(1, 3, 16, "0.5", "1", "2e-3", "s3://data/other", "First", "DA", ["PAD"]),  # right here and there
    *([], [None], [[]], {}, {"": ""}, {"a": {"b": [1, {"c": None}]}}, list(range(10_000))),
]
TEXTS = [
    b"",
    b"\xff\xfe\x00",
    b"\x00" * 100,
    b"{" * 5_000,
    b"[" * 100_000,
    b"- " * 50_000,
    b"a: &a [*a]\n",
    b"spec: *nothing\n",
    b"a: 1\na: 2\n",
    b"? [complex, key]\n: 1\n",
    b"--- !!python/object/apply:os.system [exit]\n",
    b"%YAML 9.9\n---\na: 1\n",
    b"kind: DistillJob\n\tspec: {}\n",
    "kind: DistillJob\nname: \ud7ff\u2028\n".encode(),
    b"---\n" * 10_000,
    b"a: |\n" + b" x\n" * 100_000,
]


def broken(number: int) -> bytes:
    """A whole manifest of which one to three places are changed at random."""
    rng = random.Random(number)
    kind, changes = rng.choice([*ACCEPTED, *((kind, {}) for kind in SPECS)])
    document = copy.deepcopy(manifest(kind, changes))
    for _ in range(rng.randint(1, 3)):
        node: Any = document if rng.random() < 0.1 else document.get("spec")
        if not isinstance(node, dict) or not node:
            break
        while True:
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            child = node[key]
            if not isinstance(child, dict | list) or not child or rng.random() < 0.2:
                break
            node = child
        if isinstance(node, dict) and rng.random() < 0.3:
            node[rng.choice(["unknown", "Spec", "ключ", "a.b", "x" * 1000])] = copy.deepcopy(rng.choice(VALUES))
        else:
            node[key] = copy.deepcopy(rng.choice(VALUES))
    return yaml.dump(document, allow_unicode=rng.random() < 0.5).encode()


def test_every_malformed_manifest_is_answered_quickly(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    refused = 0
    started = time.process_time()
    for number in range(COUNT):
        file.write_bytes(broken(number))
        resources, issues = check_manifest(file)
        refused += bool(issues)
        assert issues or resources
        assert all(issue.message for issue in issues)
    assert refused > COUNT // 2, "most of the changes are wrong"
    assert time.process_time() - started < 60


def without_one(node: Any) -> Iterator[Any]:
    """A document without each of its fields in turn; of a list, its entries without theirs."""
    if isinstance(node, dict):
        for key, child in node.items():
            rest = {other: value for other, value in node.items() if other != key}
            yield rest
            yield from (rest | {key: less} for less in without_one(child))
    elif isinstance(node, list):
        for place, child in enumerate(node):
            yield from ([*node[:place], less, *node[place + 1 :]] for less in without_one(child))


def test_every_required_field_that_is_left_out_says_what_it_holds(tmp_path: Path) -> None:
    file, named = tmp_path / "manifest.yaml", set()
    for kind, changes in [*ACCEPTED, *((kind, {}) for kind in SPECS)]:
        for document in without_one(manifest(kind, changes)):
            file.write_text(json.dumps(document))
            for issue in check_manifest(file)[1]:
                if issue.message.startswith("missing"):
                    assert re.fullmatch(r"missing, and it has no default; what it holds: [^.].+", issue.message), issue
                    named.add(issue.field)
    assert len(named) > 20, named


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_what_is_no_manifest_ends_with_one_line_and_code_2(
    tmp_path: Path, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_bytes(text)
    try:
        code = run(["validate", "-f", str(file)])
    except SystemExit as left:
        code = int(str(left.code))
    assert code == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "manifest.yaml" in shown.out + shown.err
