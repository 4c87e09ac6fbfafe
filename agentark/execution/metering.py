"""An engine whose requests are counted."""

from collections.abc import Sequence

from agentark.errors import EngineError
from agentark.llm import Engine, Message, Reply, Sampling
from agentark.telemetry import StageFigures


class MeteredEngine:
    """An engine that asks as another one does, and counts requests, tokens and times.

    Args:
        engine: The other one.
        name: What its model is called in metrics, one of few.
        figures: Where they are counted.
    """

    def __init__(self, engine: Engine, name: str, figures: StageFigures) -> None:
        self.engine = engine
        self._name, self._figures = name, figures
        figures.asks(name)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.engine.model

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """As `Engine.chat`."""
        try:
            reply = await self.engine.chat(messages, sampling=sampling, n=n, seed=seed)
        except EngineError:
            self._figures.refused(self._name)
            raise
        self._figures.answered(
            self._name,
            reply.latency_s,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=sum(one.completion_tokens for one in reply.completions),
        )
        return reply

    async def aclose(self) -> None:
        """As `Engine.aclose`."""
        await self.engine.aclose()
