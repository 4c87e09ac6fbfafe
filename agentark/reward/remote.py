"""Step scores from a process reward model that a server holds (vLLM's pooling runner)."""

import asyncio
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from agentark.errors import EngineError
from agentark.llm.chat import Message
from agentark.llm.connection import Connection
from agentark.llm.wire import Malformed
from agentark.reward.encoding import Window
from agentark.reward.model import load_config, load_tokenizer, read_card, window_tokens
from agentark.reward.scoring import ScoredStep, scored_steps, windows_of
from agentark.reward.steps import split_steps

_WINDOWS_PER_REQUEST = 16  # A reply holds a number for every token of every window.


class RemotePRM:
    """A process reward model behind a server's ``/pooling``.

    The server is given token ids, so that the scores are those of the same weights in process, whatever a server does
    with text. Use it as a context manager; what it asks runs in an event loop of its own.

    Args:
        connection: To the server and its model.
        folder: The folder that is served: its tokenizer and `prm.json` say what the server is asked, no weights are
            loaded.

    Raises:
        InvalidInput: If the folder is no process reward model.
    """

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.card = read_card(folder)
        self._tokenizer = load_tokenizer(folder)
        self._max_length = window_tokens(load_config(folder), self.card.max_length)
        self._connection = connection
        self._url = f"{connection.url.removesuffix('/v1')}/pooling"  # vLLM keeps it beside /v1, not below.
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._connection.aclose())
        self._runner.close()

    def check(self) -> None:
        """Make sure that the server is there and serves the model.

        Raises:
            InvalidInput: If the address, the key or the model's name is wrong.
            EngineError: If the server cannot be reached, or scores no tokens.
        """
        self._runner.run(self._connection.check())
        self([[Message("user", "?")]], ["1"])

    def __call__(self, prompts: Sequence[Sequence[Message]], texts: Sequence[str]) -> list[list[ScoredStep]]:
        """Split and score solutions, as `agentark.reward.scoring.PRM` does.

        Raises:
            InvalidInput: If a prompt is too long for the model.
            EngineError: If the server refuses, or no try within the deadline gave scores.
        """
        steps = [split_steps(text, self.card.rule) for text in texts]
        windows = windows_of(self._tokenizer, prompts, texts, steps, max_length=self._max_length)
        found = self._runner.run(self._ask([window for _, window in windows]))
        scores: list[dict[int, float]] = [{} for _ in texts]
        for (number, window), values in zip(windows, found, strict=True):
            scores[number].update(zip(window.steps, values, strict=True))
        return scored_steps(steps, scores)

    async def _ask(self, windows: Sequence[Window]) -> list[list[float]]:
        """Scores at the positions of each window."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._post(windows[first : first + _WINDOWS_PER_REQUEST]))
                    for first in range(0, len(windows), _WINDOWS_PER_REQUEST)
                ]
        except BaseExceptionGroup as failures:  # Callers wait for an EngineError, and one is as good as several.
            raise failures.exceptions[0] from failures
        return [scores for task in tasks for scores in task.result()]

    async def _post(self, windows: Sequence[Window]) -> list[list[float]]:
        asked = {
            "model": self._connection.model,
            "input": [window.ids for window in windows],
            "task": "token_classify",
            "encoding_format": "float",
        }
        parse = partial(_parse, windows=windows, url=self._url)
        scores, _ = await self._connection.post(self._url, json.dumps(asked).encode(), parse)
        return scores


def _parse(body: bytes, *, windows: Sequence[Window], url: str) -> list[list[float]]:
    try:
        entries = sorted(json.loads(body)["data"], key=lambda entry: int(entry["index"]))
        found = [[_score(value) for value in entry["data"]] for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"holds no scores per token ({error!r})") from error
    if len(found) != len(windows):
        raise Malformed(f"holds scores for {len(found)} texts of {len(windows)}")
    for scores, window in zip(found, windows, strict=True):
        if len(scores) != len(window.ids):
            raise EngineError(
                f"{url} gave {len(scores)} scores for {len(window.ids)} tokens; serve the folder that PRMTraining "
                "wrote, with vllm serve FOLDER --runner pooling"
            )
    wrong = next((value for scores in found for value in scores if not 0 <= value <= 1), None)
    if wrong is not None:
        raise EngineError(
            f"{url} gave the score {wrong:g}, which is not in [0, 1]; leave the server's activation of scores switched "
            "on (--pooler-config sets it)"
        )
    return [[scores[place] for place in window.positions] for window, scores in zip(windows, found, strict=True)]


def _score(value: list[float]) -> float:
    """The one score of a token; more mean a head of another kind."""
    (score,) = value
    if not math.isfinite(score):
        raise ValueError(f"a score is {score}")
    return float(score)
