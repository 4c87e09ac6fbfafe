"""What the operator writes about others' texts is text in a terminal, too."""

import logging

import pytest
from agentark_operator.__main__ import _log_to_stderr


@pytest.mark.parametrize("form", ["plain", "json"])
def test_control_characters_of_messages_and_names_are_spelled_out(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    _log_to_stderr(form)
    logging.getLogger("agentark_operator").warning(
        "pod said %s", "\x1b]0;owned\x07\u202e", extra={"reason": "\x1b[2J\x9b"}
    )
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "owned" in line
    assert line.isascii() and not set(line) & {"\x1b", "\x07"}
