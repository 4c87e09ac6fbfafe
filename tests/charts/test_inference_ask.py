"""What `helm test` runs: the very command of the pod, against a server."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.charts.charting import Helm, only
from tests.charts.inference import container, render, variables

KEY = "only-for-tests-on-loopback"
Servers = Callable[..., str]


def ask(helm: Helm, url: str, *, expect: str = "", code: int = 0, key: str = "", aliases: tuple[str, ...] = ()) -> str:
    """What the test pod of a model says, its server being at `url`."""
    model: dict[str, Any] = {"release": "math-student", "aliases": list(aliases)}
    if key:
        model["apiKey"] = {"secretName": "keys"}
    test = {"question": 'What is 17 + 25? Say "42".', "expect": expect}
    one = container(only(render(helm, models={"math": model}, test=test), "Pod")["spec"], "ask")
    script, address, *names = one["args"]
    assert address == "http://math.team-a.svc/v1" and one["command"] == ["python", "-c"]
    env = {name: key if isinstance(value, dict) else value for name, value in variables(one).items()}
    command = [sys.executable, "-c", script, url, *names]
    done = subprocess.run(
        command,
        env={**env, "WAIT_S": "1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def serve(servers: Servers) -> Servers:
    """Start a server of the model `math`; returns its URL."""
    return lambda *options: servers("benchmarks/server.py", "--model", "math", *options)


def test_a_question_and_its_answer_are_shown(helm_newest: Helm, serve: Servers) -> None:
    said = ask(helm_newest, serve("--template", "17 + 25 = 42"), expect="42")
    assert 'Q: What is 17 + 25? Say "42".' in said and "A: 17 + 25 = 42" in said


def test_another_answer_is_a_failure(helm_newest: Helm, serve: Servers) -> None:
    url = serve("--template", "17 + 25 = 41")
    assert "the answer does not hold '42'" in ask(helm_newest, url, expect="42", code=1)
    assert "math gave an empty answer" in ask(helm_newest, serve("--template", ""), code=1)


def test_the_key_is_sent(helm_newest: Helm, serve: Servers) -> None:
    url = serve("--api-key", KEY)
    ask(helm_newest, url, key=KEY)
    assert "answered 401" in ask(helm_newest, url, code=1)


def test_each_name_is_asked(helm_newest: Helm, serve: Servers) -> None:
    said = ask(helm_newest, serve(), aliases=("maths",), code=1)
    assert "math at" in said and "answered 404" in said and "`maths` does not exist" in said


def test_no_server_is_a_failure_after_a_while(helm_newest: Helm) -> None:
    assert "gave no answer" in ask(helm_newest, "http://127.0.0.1:9/v1", code=1)
