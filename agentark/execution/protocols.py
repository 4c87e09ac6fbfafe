"""Protocol of a debate, as a stage's parameters hold it."""

from typing import Any

from agentark.api import Prompts
from agentark.debate import DebateProtocol
from agentark.llm import Sampling


def protocol_from(params: dict[str, Any]) -> DebateProtocol:
    """A protocol from a stage's parameters."""
    sampling = params["sampling"]
    return DebateProtocol(
        type=params["type"],
        agents=params["agents"],
        rounds=params["rounds"],
        stop_on_consensus=params.get("stopOnConsensus", True),
        peers=params.get("peers", "Others"),
        tie=params.get("tie", "First"),
        sampling=Sampling(
            temperature=float(sampling["temperature"]),
            top_p=float(sampling["topP"]),
            top_k=sampling["topK"],
            max_tokens=sampling["maxTokens"],
        ),
        prompts=Prompts.model_validate(params["prompts"]),
        roles=tuple(params.get("roles", ())),
        engines=tuple(params.get("engines", ())),
    )
