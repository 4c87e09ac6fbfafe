"""The stages of a process reward model."""

from collections.abc import Mapping

from agentark.api import PRMTraining, Resource
from agentark.errors import InvalidInput
from agentark.planning.building import LATER, Builder
from agentark.planning.references import referenced_debate


def prm_training(builder: Builder, resource: PRMTraining, others: Mapping[str, Resource]) -> None:
    """Lay out a PRMTraining that stands for itself."""
    spec = resource.spec
    if spec.debate is None and spec.debate_ref is None:
        raise InvalidInput(f"PRMTraining {resource.metadata.name!r}: give spec.debate or spec.debateRef")
    debate_spec = spec.debate or referenced_debate(
        resource, "debateRef", spec.debate_ref.name if spec.debate_ref else "", others
    )
    debate = builder.debate(debate_spec, name="debate")
    builder.add(
        "prm",
        "prm",
        params={"loss": spec.loss, "temperature": spec.temperature, "labels": list(spec.labels)},
        inputs={"debate": debate.key},
        unavailable=LATER["PRMTraining"],
    )
