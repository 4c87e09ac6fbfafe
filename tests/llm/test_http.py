"""The HTTP engine against a real server in another process."""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentark.errors import EngineError, EngineUnavailable, InvalidInput
from agentark.llm import Message, Sampling
from agentark.llm.connection import Connection
from agentark.llm.http import HttpEngine
from agentark.llm.wire import Malformed, parse_reply

ASK = (Message("system", "be brief"), Message("user", "what is 2 + 2 ?"))
SAMPLING = Sampling(max_tokens=64)
KEY = "sk-" + "not-a-real-key-" * 2
Serve = Callable[..., Any]


def counts(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/counts") as response:
        found: dict[str, Any] = json.load(response)
        return found


def engine_of(url: str, **options: Any) -> HttpEngine:
    return HttpEngine(Connection(url, "test", **{"backoff_s": 0.001, **options}))


async def test_a_reply_carries_texts_usage_and_latency(serve: Serve) -> None:
    url = serve("--latency-s", "0.05").url
    engine = engine_of(url + "/")
    await engine.check()
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=7, max_tokens=2, stop=("END",))
    reply = await engine.chat(ASK, sampling=sampling, n=2, seed=2**62)
    again = await engine.chat(ASK, sampling=sampling, n=2, seed=2**62)
    await engine.aclose()
    assert [c.text.split()[1] for c in reply.completions] == ["answer", "answer"]
    assert reply.completions == again.completions
    assert [(c.finish_reason, c.completion_tokens) for c in reply.completions] == [("length", 2)] * 2
    assert reply.prompt_tokens == 8
    assert 0.05 <= reply.latency_s < 5
    assert counts(url)["last_request"] == {
        "model": "test",
        "messages": [{"role": m.role, "content": m.content} for m in ASK],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "max_tokens": 2,
        "stop": ["END"],
        "n": 2,
        "seed": 2**62,
    }


async def test_neutral_settings_are_not_sent(serve: Serve) -> None:
    url = serve().url
    engine = engine_of(url)
    await engine.chat(ASK, sampling=SAMPLING, seed=1)
    await engine.aclose()
    assert set(counts(url)["last_request"]) == {"model", "messages", "temperature", "max_tokens", "seed"}


async def test_faults_lose_no_request_and_each_is_tried_again(serve: Serve) -> None:
    url = serve("--fault-rate", "0.3", "--faults", "429", "500", "cut", "malformed", "timeout", "--hang-s", "0.2").url
    engine = engine_of(url, max_connections=32, max_retries=20)
    replies = await asyncio.gather(*(engine.chat(ASK, sampling=SAMPLING, seed=s) for s in range(200)))
    await engine.aclose()
    seen = counts(url)
    assert len({r.completions[0].text for r in replies}) == 200
    assert set(seen["faults"]) == {"429", "500", "cut", "malformed", "timeout"}
    assert engine.retries == sum(seen["faults"].values())
    assert (engine.requests, seen["answered"], seen["requests"]) == (200, 200, 200 + engine.retries)
    assert seen["peak_in_flight"] <= 32


async def test_connections_are_kept(serve: Serve) -> None:
    url = serve().url
    engine = engine_of(url, max_connections=4)
    await asyncio.gather(*(engine.chat(ASK, sampling=SAMPLING, seed=s) for s in range(100)))
    await engine.aclose()
    assert counts(url)["connections"] <= 4 + 1  # The one that asks for the counts.


async def test_a_silent_server_is_left_after_the_timeout_and_the_deadline(serve: Serve) -> None:
    url = serve("--fault-rate", "1", "--faults", "timeout").url
    engine = engine_of(url, timeout_s=0.1, max_retries=2)
    with pytest.raises(EngineError, match=r"3 tries \(max_retries=2\).*did not answer within 0\.1 s"):
        await engine.chat(ASK, sampling=SAMPLING, seed=1)
    await engine.aclose()
    engine = engine_of(url, timeout_s=60, deadline_s=0.2)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(EngineError, match=r"1 try \(deadline_s=0\.2\)"):
        await engine.chat(ASK, sampling=SAMPLING, seed=1)
    assert loop.time() - started < 2
    await engine.aclose()


async def test_retry_after_is_honoured(serve: Serve) -> None:
    url = serve("--fault-rate", "1", "--faults", "429", "--retry-after-s", "0.3").url
    engine = engine_of(url, max_retries=1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(EngineError, match=r"429.*slow down"):
        await engine.chat(ASK, sampling=SAMPLING, seed=1)
    assert loop.time() - started >= 0.3
    await engine.aclose()
    engine = engine_of(url, deadline_s=0.2)
    with pytest.raises(EngineError, match=r"1 try \(deadline_s"):
        await engine.chat(ASK, sampling=SAMPLING, seed=2)
    await engine.aclose()


async def test_a_wrong_model_is_not_tried_again_and_the_right_ones_are_listed(serve: Serve) -> None:
    url = serve("--model", "qwen").url
    engine = engine_of(url)
    with pytest.raises(EngineError, match=r"status 404.*does not exist.*it offers: qwen"):
        await engine.chat(ASK, sampling=SAMPLING, seed=1)
    with pytest.raises(InvalidInput, match=r"does not serve 'test'; it offers: qwen"):
        await engine.check()
    await engine.aclose()
    assert (counts(url)["requests"], engine.retries) == (1, 0)


async def test_a_wrong_address_names_the_mend(serve: Serve) -> None:
    server = serve()
    root = HttpEngine(Connection(server.url.removesuffix("/v1"), "test"))
    with pytest.raises(InvalidInput, match="ends in /v1"):
        await root.check()
    await root.aclose()
    server.process.terminate()
    server.process.wait(timeout=10)
    gone = engine_of(server.url, max_retries=2)
    for call, kind in ((gone.check(), EngineUnavailable), (gone.chat(ASK, sampling=SAMPLING, seed=1), EngineError)):
        with pytest.raises(kind, match=rf"no server answers at {server.url}.*start it"):
            await call
    assert gone.retries == 2
    await gone.aclose()


@pytest.mark.parametrize("way", ["argument", "environment", "file"])
async def test_keys_are_sent_and_never_shown(
    serve: Serve, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(key: str) -> dict[str, Any]:
        monkeypatch.setenv("MY_KEY", key)
        (tmp_path / "key").write_text(key + "\n")
        return {
            "argument": {"api_key": key},
            "environment": {"api_key_env": "MY_KEY"},
            "file": {"api_key_file": tmp_path / "key"},
        }[way]

    url = serve("--api-key", KEY).url
    right = engine_of(url, **options(KEY))
    await right.check()
    assert (await right.chat(ASK, sampling=SAMPLING, seed=1)).completions
    await right.aclose()
    wrong_key = KEY.replace("real", "right")
    wrong = engine_of(url, **options(wrong_key))
    source = {"argument": "api_key", "environment": "MY_KEY", "file": str(tmp_path / "key")}[way]
    for call, kind in ((wrong.check(), InvalidInput), (wrong.chat(ASK, sampling=SAMPLING, seed=1), EngineError)):
        with pytest.raises(kind) as caught:
            await call
        assert "status 401" in str(caught.value)
        assert source in str(caught.value)
        assert wrong_key not in str(caught.value)
        assert "***" in str(caught.value)
    assert wrong.retries == 0
    assert wrong_key not in repr(wrong)
    await wrong.aclose()
    keyless = engine_of(url)
    with pytest.raises(EngineError, match=r"no key was sent.*api_key_env"):
        await keyless.chat(ASK, sampling=SAMPLING, seed=1)
    await keyless.aclose()


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"base URL is 'localhost:8000'; accepted: .*http://"):
        Connection("localhost:8000", "m")
    with pytest.raises(InvalidInput, match="user or password") as caught:
        Connection(f"http://me:{KEY}@host/v1", "m")
    assert KEY not in str(caught.value)
    with pytest.raises(InvalidInput, match=r"AGENTARK_NO_SUCH_KEY.*is not set"):
        Connection("http://host/v1", "m", api_key_env="AGENTARK_NO_SUCH_KEY")
    with pytest.raises(InvalidInput, match="missing cannot be read: No such file"):
        Connection("http://host/v1", "m", api_key_file=tmp_path / "missing")
    with pytest.raises(InvalidInput, match="only one of"):
        Connection("http://host/v1", "m", api_key=KEY, api_key_env="X")
    with pytest.raises(InvalidInput, match="no header can carry") as caught:
        Connection("http://host/v1", "m", api_key=KEY + "\nX-Evil: 1")
    assert KEY not in str(caught.value)


async def test_servers_that_ignore_n_are_asked_for_each_missing_choice(serve: Serve) -> None:
    url = serve("--ignore-n").url
    engine = engine_of(url)
    first = await engine.chat(ASK, sampling=SAMPLING, n=4, seed=1)
    second = await engine.chat(ASK, sampling=SAMPLING, n=4, seed=1)
    await engine.aclose()
    assert len({c.text for c in first.completions}) == 4
    # The body differs by "n" at first, and the test server answers by the body.
    assert first.completions[1:] == second.completions[1:]
    assert counts(url)["requests"] == 8


async def test_a_failure_among_the_missing_choices_is_an_engine_error(serve: Serve) -> None:
    url = serve("--ignore-n", "--fault-rate", "0.5", "--faults", "500", "--seed", "3").url
    engine = engine_of(url, max_retries=0)
    results = await asyncio.gather(
        *(engine.chat(ASK, sampling=SAMPLING, n=3, seed=s) for s in range(20)), return_exceptions=True
    )
    await engine.aclose()
    assert {type(r) for r in results} >= {EngineError}
    assert not any(isinstance(r, BaseExceptionGroup) for r in results)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "tags"])
async def test_reasoning_is_kept_apart(serve: Serve, field: str) -> None:
    engine = engine_of(serve("--reasoning", field).url)
    reply = await engine.chat(ASK, sampling=SAMPLING, n=2, seed=1)
    await engine.aclose()
    assert [c.reasoning for c in reply.completions] == ["hm 0", "hm 1"]
    assert all(c.text.endswith(f"answer {i}") for i, c in enumerate(reply.completions))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"x"',
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": [1]}}]}',
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]}',
        b'\xff\xfe{"choices"',
    ],
)
def test_malformed_bodies_are_named_as_such(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_reply(body, ASK)


def test_tokens_are_spread_over_choices_and_estimated_without_usage() -> None:
    choices = [{"index": i, "message": {"content": "x" * 40 * (i + 1)}, "finish_reason": "stop"} for i in range(3)]
    body = {"choices": choices[::-1], "usage": {"completion_tokens": 61, "prompt_tokens": 9}}
    answer = parse_reply(json.dumps(body).encode(), ASK)
    assert [c.completion_tokens for c in answer.completions] == [10, 20, 31]
    assert sum(c.completion_tokens for c in answer.completions) == 61
    del body["usage"]
    answer = parse_reply(json.dumps(body).encode(), ASK)
    assert [c.completion_tokens for c in answer.completions] == [10, 20, 30]
    assert answer.prompt_tokens == 6
