"""What a kind of object that runs attempts is, and what the operator asks of it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

from agentark_operator.attempts.workload import Workload
from agentark_operator.backends.observation import Body, Child, Observation, observed, over


class Render(Protocol):
    """Makes the objects of an attempt, the child first."""

    def __call__(self, workload: Workload, schema: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The objects.

        Args:
            schema: openAPIV3Schema of the child's kind as the cluster has it; None where it was not asked for.
        """


@dataclass(frozen=True, slots=True)
class Backend:
    """All that the operator, its rights, its charts and its uninstallation know of a kind."""

    kind: str
    """Also the name in `training.backend`."""
    api_version: str
    plural: str
    container: str
    """What it calls the stage's container."""
    main_label: tuple[str, str]
    """Name and value of the label of the pod that commits the result."""
    suspend_path: tuple[str, ...]
    """Of the field within spec that takes the pods away while it is true."""
    render: Render
    read: Callable[[Body, Sequence[Body]], Child]
    """What its object says of the attempt; takes the object and the pods that are left of it."""
    over: Callable[[Body], bool] = over
    """Whether its object alone says that the attempt has ended."""
    software: str = ""
    """What has to be installed, with its version; empty for a kind of Kubernetes itself."""
    install: str = ""
    """The command that installs that, and with it the CustomResourceDefinition."""
    purpose: str = "trainings on this backend"
    """Why the operator may have such objects."""
    beside: Mapping[str, str] | None = None
    """Plural of a kind in v1 that is made beside the child -> why."""
    asks_schema: bool = False
    """What is rendered depends on the schema that the cluster has."""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def crd(self) -> str:
        """Name of the CustomResourceDefinition that has to be there; empty if there is none."""
        return f"{self.plural}.{self.group}" if self.install else ""

    def observe(self, child: Body, pods: Sequence[Body], events: Sequence[Body] = ()) -> Observation:
        """Where an attempt stands.

        Args:
            pods: All that are left of it.
            events: Of both, where they have been asked for.
        """
        fields: Any = child["spec"]
        for name in self.suspend_path:
            fields = (fields or {}).get(name)
        return observed(
            child,
            self.read(child, pods),
            container=self.container,
            main_label=self.main_label,
            suspended=bool(fields),
            pods=pods,
            events=events,
        )

    def suspend(self, on: bool) -> dict[str, Any]:
        """A merge patch that takes the pods away, or lets them come."""
        start: Any = on
        return {"spec": reduce(lambda inner, name: {name: inner}, reversed(self.suspend_path), start)}
