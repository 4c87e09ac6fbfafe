"""`agentark stage` with a scripted engine, to be killed: ``python -m tests.execution.worker CALL_LOG stage …``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from agentark.cli.app import run
from agentark.execution.context import StageContext
from agentark.execution.stages import answering
from agentark.llm import Engine, Message, Sampling
from agentark.llm.testing import ScriptedEngine


def words(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
    """An answer that depends on all that a reply may depend on."""
    return f"The answer is {(len(messages[-1].content) + seed // 7 + index) % 3}."


def main(log: Path, arguments: list[str]) -> int:
    def engines(context: StageContext) -> list[Engine]:
        return [ScriptedEngine(words, latency_s=0.02, wait=True, call_log=log)]

    answering.build_engines = engines
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
