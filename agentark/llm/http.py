"""Chat with any server that speaks the OpenAI format: vLLM, llama.cpp, a cloud."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from functools import partial

from agentark.llm.chat import Message, Reply, Sampling
from agentark.llm.connection import Connection, Refused
from agentark.llm.rendering import continues
from agentark.llm.wire import Answer, filtered_reply, parse_reply, request_body

_CONTINUE_HINT = (
    "; the request asks to continue the last message (continue_final_message), which not every server can: if that is "
    "what it refuses, serve the model with vLLM or run it in process"
)


class HttpEngine:
    """An engine behind ``{base_url}/chat/completions``.

    Asking again is safe, since a request names its seed.

    Args:
        connection: To the server and its model; closed with the engine.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ignores_n = False

    @property
    def model(self) -> str:
        return self._connection.model

    @property
    def requests(self) -> int:
        return self._connection.requests

    @property
    def retries(self) -> int:
        """Tries beyond the first."""
        return self._connection.retries

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """Sample `n` next turns of the conversation.

        A server that returns fewer choices than asked for is asked for each missing one by itself, under a seed
        derived from `seed` and the choice's index.

        A prompt that the server's content filter refuses (status 400) gives empty completions that are ``filtered``.

        Raises:
            EngineError: If the server refuses the request, or no try within the deadline gave a usable reply.
        """
        started = time.perf_counter()
        first, waited_s = await self._ask(messages, sampling, 1 if self._ignores_n else n, seed)
        completions = first.completions[:n]
        if len(completions) < n:
            self._ignores_n = self._ignores_n or len(completions) == 1
            missing = range(len(completions), n)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._ask(messages, sampling, 1, _derived_seed(seed, index)))
                        for index in missing
                    ]
            except BaseExceptionGroup as failures:  # Callers wait for an EngineError, and one is as good as several.
                raise failures.exceptions[0] from failures
            completions += tuple(task.result()[0].completions[0] for task in tasks)
        return Reply(completions, first.prompt_tokens, time.perf_counter() - started - waited_s, self.model)

    async def check(self) -> None:
        """Make sure that the server is there and serves the model.

        Raises:
            InvalidInput: If the address, the key or the model's name is wrong.
            EngineError: If the server cannot be reached or fails.
        """
        await self._connection.check()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def _ask(self, messages: Sequence[Message], sampling: Sampling, n: int, seed: int) -> tuple[Answer, float]:
        """Ask until there is an answer; also the seconds spent waiting for a slot."""
        body = request_body(self.model, messages, sampling, n, seed)
        url = f"{self._connection.url}/chat/completions"
        try:
            return await self._connection.post(url, body, partial(parse_reply, messages=messages))
        except Refused as refusal:
            filtered = filtered_reply(refusal.body, messages, n) if refusal.status == 400 else None
            if filtered is not None:
                return filtered, 0.0
            hint = _CONTINUE_HINT if continues(messages) and refusal.status in (400, 422) else ""
            raise Refused(f"{refusal}{hint}", refusal.status) from refusal


def _derived_seed(seed: int, index: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
