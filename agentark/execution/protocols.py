"""Protocol and prompts of a debate, as a stage's parameters hold them."""

from typing import Any

from agentark.debate import DebateProtocol, Prompts
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
        prompts=prompts_from(params["prompts"]),
        roles=tuple(params.get("roles", ())),
        engines=tuple(params.get("engines", ())),
    )


def prompts_from(params: dict[str, str]) -> Prompts:
    """Prompts from a stage's parameters; what is left out has its default."""
    names = {"solutionMarker": "solution_marker"}
    return Prompts(**{names.get(name, name): text for name, text in params.items()})
