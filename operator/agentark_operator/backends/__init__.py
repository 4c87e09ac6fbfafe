"""Kubernetes objects that run attempts, one module each with the same four functions."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentark_operator.attempts.workload import Workload
from agentark_operator.backends import job, pytorchjob, trainjob
from agentark_operator.backends.observation import Observation, State

__all__ = ["BACKENDS", "Backend", "Observation", "State"]


class Backend(Protocol):
    """What a module of this package offers."""

    INSTALL: str
    """What to do where its CustomResourceDefinitions are missing."""

    def render(self, workload: Workload, schema: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The objects of an attempt, the child first.

        Args:
            workload: The attempt.
            schema: openAPIV3Schema of the child's kind as the cluster has it; None where it cannot be asked.
        """

    def observe(
        self, child: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]] = ()
    ) -> Observation:
        """Where an attempt stands.

        Args:
            child: The object.
            pods: All that are left of it.
            events: Of both, where they have been asked for.
        """

    def suspend(self, child: Mapping[str, Any], on: bool) -> dict[str, Any]:
        """A merge patch that takes the pods away, or lets them come."""

    def required_crds(self) -> tuple[str, ...]:
        """CustomResourceDefinitions that have to be there."""


BACKENDS: dict[str, Backend] = {"Job": job, "PyTorchJob": pytorchjob, "TrainJob": trainjob}
"""By the name in `training.backend`, which is the child's kind."""
