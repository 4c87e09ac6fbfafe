"""Bad input: a clear error that names the mend, the documented exit code, and nothing half-committed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.execution.conftest import Workplace, debate_run

Serve = Callable[..., str]


def committed(place: Workplace) -> list[Path]:
    return list(place.folder.glob(".agentark/stages/*/*/manifest.json"))


def test_a_server_that_is_not_there(place: Workplace) -> None:
    place.questions(3)
    place.write("run.yaml", debate_run("http://127.0.0.1:9/v1"))
    output = place.run("run", "-f", "run.yaml", expect=69)
    assert "127.0.0.1:9" in output
    assert not committed(place)


def test_a_store_that_is_not_there(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.questions(3)
    place.write("run.yaml", debate_run("http://127.0.0.1:9/v1"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    output = place.run("run", "-f", "run.yaml", "--store", "s3://bucket/store", expect=69)
    assert "bucket 'bucket' at http://127.0.0.1:9 cannot be reached (no connection): check that" in output


def test_a_model_that_the_server_does_not_have(place: Workplace, serve: Serve) -> None:
    place.questions(3)
    place.write("run.yaml", debate_run(serve(), model="other"))
    output = place.run("run", "-f", "run.yaml", expect=2)
    assert "'other'" in output and "test" in output
    assert not committed(place)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (b"", "empty"),
        (b'{"question": "q", "answer": "1"}\n{"question": "q"}\n', ":2"),
        (b'{"id": "a", "question": "q", "answer": "1"}\n{"id": "a", "question": "r", "answer": "2"}\n', "'a'"),
        (b'{"question": "caf\xe9", "answer": "1"}\n', "UTF-8"),
        (b'{"question": "q", "answer": NaN}\n', ":1"),
        (b"not json\n", ":1"),
    ],
)
def test_a_broken_data_set_is_refused_before_the_first_call(
    place: Workplace, serve: Serve, rows: bytes, expected: str
) -> None:
    (place.folder / "questions.jsonl").write_bytes(rows)
    place.write("run.yaml", debate_run(serve()))
    assert expected in place.run("run", "-f", "run.yaml", expect=2)
    assert not committed(place)


def test_a_data_set_and_a_model_that_do_not_exist(place: Workplace) -> None:
    place.write("run.yaml", debate_run("http://127.0.0.1:9/v1"))
    output = place.run("run", "-f", "run.yaml", expect=2)
    assert "questions.jsonl does not exist; file: addresses are relative to the manifest's folder" in output
    place.questions(3)
    manifest = debate_run("http://127.0.0.1:9/v1")
    manifest["spec"]["teacher"] = {"model": {"uri": "file:nowhere"}}
    place.write("run.yaml", manifest)
    assert "nowhere does not exist" in place.run("run", "-f", "run.yaml", expect=2)


def test_a_digest_that_does_not_fit(place: Workplace) -> None:
    place.questions(3)
    manifest = debate_run("http://127.0.0.1:9/v1")
    manifest["spec"]["dataset"]["digest"] = "sha256:" + "0" * 64
    place.write("run.yaml", manifest)
    assert "correct the digest or restore the content" in place.run("run", "-f", "run.yaml", expect=2)


@pytest.mark.long
def test_a_half_written_store_is_named_and_mended_by_what_the_error_says(place: Workplace, serve: Serve) -> None:
    url = serve("--template", "The answer is {index}.")
    place.questions(5)
    place.write("run.yaml", debate_run(url))
    place.run("run", "-f", "run.yaml")
    (manifest,) = committed(place)
    manifest.write_bytes(manifest.read_bytes()[:40])
    output = place.run("run", "-f", "run.yaml", expect=1)
    assert "is no stage manifest" in output and "delete it to run the stage again" in output
    manifest.unlink()
    place.run("run", "-f", "run.yaml")
    assert json.loads(manifest.read_bytes())["kind"] == "debate"


def test_a_store_that_cannot_be_written_to_is_an_error_not_a_crash(place: Workplace) -> None:
    place.questions(3)
    (place.folder / "taken").write_text("a file where a folder should be")
    place.write("run.yaml", debate_run("http://127.0.0.1:9/v1"))
    output = place.run("run", "-f", "run.yaml", "--store", "taken/store", expect=1)
    assert "taken" in output and "Traceback" not in output
