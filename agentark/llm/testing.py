"""The public test double of `agentark.llm.chat.Engine`.

A debate, a stage or an application can be tested against a scripted engine without any model. It behaves like a real
engine where tests look: errors, truncation, waiting, many requests at once, calls that cost something.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from agentark.llm.chat import Completion, Message, Reply, Sampling

Answer = str | Completion | Exception
Script = Callable[[Sequence[Message], Sampling, int, int], Answer]


class ScriptedEngine:
    """Answers from a function.

    Args:
        script: Called with (messages, sampling, sample index in ``range(n)``, seed) for each completion. A text is
            counted in words and cut at ``sampling.max_tokens`` of them; a `Completion` is passed on as it is; an
            exception, returned or raised, fails the request.
        model: Name that replies carry.
        latency_s: Seconds reported as each reply's latency.
        wait: Really wait `latency_s` before each reply. Otherwise control is given up once, so that requests still
            interleave.
        call_log: File to which every finished call appends one JSON line ``{"pid", "digest", "n"}`` in a single
            write, so that calls of several (killed) processes can be counted together.

    Attributes:
        calls: Finished requests.
        failures: Requests that the script failed.
        in_flight: Requests waiting now.
        peak_in_flight: The most requests that waited at once.
    """

    def __init__(
        self,
        script: Script,
        *,
        model: str = "scripted",
        latency_s: float = 0.0,
        wait: bool = False,
        call_log: Path | None = None,
    ) -> None:
        self._script = script
        self._model = model
        self._latency_s = latency_s
        self._wait_s = latency_s if wait else 0.0
        self._log = None if call_log is None else os.open(call_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.calls = 0
        self.failures = 0
        self.in_flight = 0
        self.peak_in_flight = 0

    @property
    def model(self) -> str:
        """Name of the model that replies carry."""
        return self._model

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """Answer from the script.

        Raises:
            Exception: Whatever the script raised or returned as an exception.
        """
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._wait_s)
            completions = tuple(self._completion(messages, sampling, index, seed) for index in range(n))
        except Exception:
            self.failures += 1
            raise
        finally:
            self.in_flight -= 1
        self.calls += 1
        prompt_tokens = sum(_tokens(message.content) for message in messages)
        reply = Reply(completions, prompt_tokens, self._latency_s, self._model)
        if self._log is not None:
            line = {"pid": os.getpid(), "digest": request_digest(messages, sampling, n, seed), "n": n}
            # Last of all: a call counts as finished when the caller has its reply.
            os.write(self._log, (json.dumps(line) + "\n").encode())
        return reply

    async def aclose(self) -> None:
        """Close the call log."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _completion(self, messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> Completion:
        answer = self._script(messages, sampling, index, seed)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            return answer
        if _tokens(answer) <= sampling.max_tokens:
            return Completion(answer, "", "stop", _tokens(answer))
        return Completion(" ".join(answer.split()[: sampling.max_tokens]), "", "length", sampling.max_tokens)


def request_digest(messages: Sequence[Message], sampling: Sampling, n: int, seed: int) -> str:
    """Name a request by its content: 16 hex digits, equal for equal requests in any process."""
    content = [[m.role, m.content] for m in messages], repr(sampling), n, seed
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _tokens(text: str) -> int:
    return len(text.split())
