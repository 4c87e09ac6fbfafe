"""What a failing stage leaves for Kubernetes to show: what is wrong, in few words, and no secret."""

from pathlib import Path

import pytest

from agentark.errors import AgentArkError, EngineError, Interrupted, InvalidInput
from agentark.execution.ending import ProcessEnding, leaving_word, read_endings
from tests.execution.conftest import Workplace


def left(path: Path, error: Exception, **environment: str) -> str:
    with pytest.raises(type(error)), leaving_word({"AGENTARK_TERMINATION_LOG": str(path), **environment}):
        raise error
    return path.read_text()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidInput("spec.a: is 1; accepted: 2"), "InvalidInput: spec.a: is 1; accepted: 2"),
        (Interrupted("stopped; run it again"), "Interrupted: stopped; run it again"),
        (EngineError("gave up"), "Failed: gave up"),
        (ValueError("first line\nlast line"), "Unforeseen: ValueError: last line"),
        (KeyError(), "Unforeseen: KeyError"),
    ],
)
def test_the_message_names_the_class_of_the_failure(tmp_path: Path, error: Exception, expected: str) -> None:
    assert left(tmp_path / "log", error) == expected


def test_the_message_holds_no_secret_of_the_environment(tmp_path: Path) -> None:
    secrets = {
        "AGENTARK_SECRET_LLM_APIKEY": "sk-12345678",
        "AWS_SECRET_ACCESS_KEY": "abcdefgh",
        "HF_TOKEN": "hf_xyzxyz",
    }
    text = f"key sk-12345678 at https://x/y?X-Amz-Signature=0123abc&a=b: {secrets} Bearer abc.def"
    found = left(tmp_path / "log", RuntimeError(text), **secrets, TOKENIZERS_PARALLELISM="Signature")
    assert not any(secret in found for secret in (*secrets.values(), "0123abc", "abc.def"))
    assert found.startswith("Unforeseen: RuntimeError: key *** at https://x/y?X-Amz-Signature=***&a=b: ")


def test_a_long_message_is_cut_at_what_the_kubelet_keeps(tmp_path: Path) -> None:
    found = left(tmp_path / "log", AgentArkError("ä" * 5000))
    assert len(found.encode()) in (4095, 4096) and found.endswith("ä...")


def test_a_message_that_cannot_be_written_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environment = {"AGENTARK_TERMINATION_LOG": str(tmp_path)}
    with pytest.raises(InvalidInput, match="wrong"), leaving_word(environment):
        raise InvalidInput("wrong")
    assert "cannot be written: Is a directory" in caplog.text


def test_a_failure_counts_more_than_the_stop_that_it_causes(tmp_path: Path) -> None:
    for rank, error in enumerate((Interrupted("stopped"), InvalidInput("batch"), AgentArkError("late"))):
        environment = {"AGENTARK_OUTCOMES": str(tmp_path), "RANK": str(rank)}
        with pytest.raises(AgentArkError), leaving_word(environment):
            raise error
    assert read_endings(tmp_path) == ProcessEnding(2, "InvalidInput", "batch")
    for rank in (1, 2):  # torchrun starts them again, and now they end well
        with leaving_word({"AGENTARK_OUTCOMES": str(tmp_path), "RANK": str(rank)}):
            pass
    ending = read_endings(tmp_path)
    assert ending is not None and isinstance(ending.error(), Interrupted)


def test_a_stage_without_its_plan_says_so(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTARK_TERMINATION_LOG", str(place.folder / "log"))
    stage = ("stage", "debate", "--key", "0123456789abcdef", "--store", "here")
    assert "--plan none.json: cannot be read: No such file" in place.run(*stage, "--plan", "none.json", expect=2)
    assert (place.folder / "log").read_text().startswith("InvalidInput: --plan none.json: cannot be read")
    place.run(*stage, "--plan", "store:plans/default/talk/0123456789abcdef.json", expect=2)
    assert "no plan lies at plans/default/talk/0123456789abcdef.json" in (place.folder / "log").read_text()
    place.write("plan.json", "{}")
    assert "is no plan that this version reads (kind: Field required)" in place.run(
        *stage, "--plan", "plan.json", expect=2
    )
