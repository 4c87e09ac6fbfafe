"""Which program builds images, and what it is told."""

import stat
from pathlib import Path

import pytest

from images.engine import Build, Engine, EngineFailed, choose


def program(folder: Path, name: str, script: str) -> None:
    """A program of that name that does what the shell script says."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are looked for in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_client_without_its_service_is_passed_over(folder: Path) -> None:
    program(folder, "docker", "echo Cannot connect to the Docker daemon >&2; exit 1")
    program(folder, "buildah", "exit 0")
    assert choose() == Engine("buildah")


def test_the_first_that_works_is_taken(folder: Path) -> None:
    for name in ("docker", "podman", "buildah"):
        program(folder, name, "exit 0")
    assert choose() == Engine("docker")
    assert choose("podman") == Engine("podman")


def test_where_nothing_works_each_reason_is_told(folder: Path) -> None:
    program(folder, "docker", "echo Cannot connect to the Docker daemon >&2; exit 1")
    with pytest.raises(EngineFailed) as error:
        choose()
    assert "docker does not work: Cannot connect to the Docker daemon" in str(error.value)
    assert "podman is not installed" in str(error.value)
    assert "buildah is not installed" in str(error.value)


def test_the_wanted_one_is_not_replaced_by_another(folder: Path) -> None:
    program(folder, "buildah", "exit 0")
    with pytest.raises(EngineFailed, match="podman is not installed"):
        choose("podman")
    with pytest.raises(EngineFailed, match="ENGINE is 'kaniko': take one of docker, podman, buildah"):
        choose("kaniko")


BUILD = Build(
    dockerfile=Path("images/worker/Dockerfile"),
    context=Path(),
    tag="localhost/agentark-worker:1",
    arguments={"VERSION": "1", "BASE": "debian"},
    secrets={"pip": Path("/tmp/pip.conf")},
    epoch=7,
)


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_each_engine_is_told_the_same(name: str) -> None:
    words = Engine(name).build_command(BUILD)
    text = " ".join(words)
    assert words[:2] == [name, "build"]
    assert "--tag localhost/agentark-worker:1" in text
    assert "--file images/worker/Dockerfile" in text
    assert "--build-arg BASE=debian --build-arg VERSION=1" in text
    assert "--secret id=pip,src=/tmp/pip.conf" in text
    assert words[-1] == "."
    assert ("--timestamp 7" in text) != ("--build-arg SOURCE_DATE_EPOCH=7" in text)


def test_what_fails_names_the_command_and_its_last_words(folder: Path) -> None:
    program(folder, "podman", "echo no space left on device >&2; exit 125")
    with pytest.raises(EngineFailed, match=r"podman run .* ended with 125: no space left on device"):
        Engine("podman").run("localhost/agentark-worker:1", ["python", "--version"])
