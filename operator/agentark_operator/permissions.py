"""What the operator may do: one table, and the roles that come of it. `--help` says how to print them."""

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from agentark.terminal import printable
from agentark_operator.backends import BACKENDS, Backend

_RBAC = "rbac.authorization.k8s.io"
_NAME = "agentark-operator"
_SEEN = ("list", "watch")
_APPLIED = ("create", "patch")
"""Applying on the server is a patch that creates."""
_OWN = ("get", *_SEEN, *_APPLIED, "delete")
"""Of children; one that fell silent is asked about by name."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A row of the table."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    needed: str
    """For what: "always", a backend's name, "teachers", or "everywhere" (all namespaces)."""
    why: str


def _of_backend(backend: Backend) -> Iterator[Permission]:
    yield Permission(backend.group, (backend.plural,), _OWN, backend.kind, backend.purpose)
    for plural, why in (backend.beside or {}).items():
        yield Permission("", (plural,), _APPLIED, backend.kind, why)


TABLE = (
    Permission("agentark.dev", ("distilljobs",), _SEEN, "always", "what to do"),
    Permission(
        "agentark.dev",
        ("debateruns", "prmtrainings"),
        (*_SEEN, *_APPLIED, "delete"),
        "always",
        "what to do; what a job embeds becomes one of its own, which goes when its time is over",
    ),
    Permission("agentark.dev", ("modelreleases",), (*_SEEN, "create"), "always", "a job releases its student there"),
    Permission(
        "agentark.dev",
        tuple(f"{kind}/status" for kind in ("debateruns", "prmtrainings", "distilljobs", "modelreleases")),
        ("update",),
        "always",
        "how it is",
    ),
    Permission(
        "agentark.dev",
        tuple(f"{kind}/finalizers" for kind in ("debateruns", "prmtrainings", "distilljobs")),
        ("update",),
        "always",
        "children that hold up their owner's deletion, where OwnerReferencesPermissionEnforcement is on (OpenShift)",
    ),
    Permission("", ("pods",), ("get", *_SEEN), "always", "why an attempt waits or failed"),
    Permission("", ("secrets",), ("get",), "always", "credentials of a run's store, by the name that its spec gives"),
    Permission("", ("events",), ("list", "create"), "always", "why no pod is made; what happened, for people"),
    *(row for backend in BACKENDS.values() for row in _of_backend(backend)),
    Permission("apps", ("deployments",), _OWN, "teachers", "vLLM for a teacher's weights"),
    Permission("", ("services",), _APPLIED, "teachers", "its address"),
    Permission(
        "apiextensions.k8s.io",
        ("customresourcedefinitions",),
        _SEEN,
        "everywhere",
        "which backends are installed",
    ),
    Permission("", ("namespaces",), _SEEN, "everywhere", "where resources can be"),
)


def rules(backends: Collection[str], teachers: bool, namespaced: bool) -> list[dict[str, Any]]:
    """The rules of the operator's role.

    Args:
        backends: Names of backends for trainings; Jobs run all other stages and are always among them.
        teachers: Whether it serves teachers' weights.
        namespaced: Whether it looks after named namespaces rather than all.
    """
    needed = {"always", "Job", *backends} | ({"teachers"} if teachers else set())
    needed |= set() if namespaced else {"everywhere"}
    granted: list[dict[str, Any]] = []
    for row in TABLE:
        rule = {"apiGroups": [row.group], "resources": list(row.resources), "verbs": list(row.verbs)}
        if row.needed in needed and rule not in granted:
            granted.append(rule)
    return granted


def manifests(
    namespace: str, *, watched: Sequence[str], backends: Collection[str], teachers: bool
) -> list[dict[str, Any]]:
    """The operator's service account and its roles.

    Args:
        namespace: In which it runs.
        watched: Namespaces that it looks after; none means all.
    """
    account = {"kind": "ServiceAccount", "name": _NAME, "namespace": namespace}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _NAME, "namespace": namespace}}
    ]
    prefix = "" if watched else "Cluster"
    for place in watched or ("",):
        metadata = {"name": _NAME} | ({"namespace": place} if place else {})
        role = {"rules": rules(backends, teachers, namespaced=bool(watched))}
        reference = {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": _NAME}
        for kind, content in (("Role", role), ("RoleBinding", {"roleRef": reference, "subjects": [account]})):
            objects.append({"apiVersion": f"{_RBAC}/v1", "kind": f"{prefix}{kind}", "metadata": metadata, **content})
    return objects


def main(arguments: Sequence[str]) -> int:
    """Print the manifests as YAML."""
    backends = sorted(BACKENDS)
    parser = argparse.ArgumentParser(
        prog="python -m agentark_operator.permissions", description="Print the operator's service account and roles."
    )
    parser.add_argument("--namespace", required=True, help="in which the operator runs")
    parser.add_argument(
        "--watch", action="append", default=[], help="namespace it looks after (again for more); its own by default"
    )
    parser.add_argument("--cluster-wide", action="store_true", help="it looks after all namespaces")
    parser.add_argument(
        "--backend", action="append", choices=backends, help="for trainings (again for more); all by default"
    )
    parser.add_argument("--no-teachers", action="store_true", help="it serves no teachers' weights")
    options = parser.parse_args(arguments)
    if options.cluster_wide and options.watch:
        parser.error("--watch and --cluster-wide exclude each other; leave one out")
    watched = [] if options.cluster_wide else options.watch or [options.namespace]
    objects = manifests(
        options.namespace, watched=watched, backends=options.backend or backends, teachers=not options.no_teachers
    )
    print(printable(yaml.safe_dump_all(objects, sort_keys=False)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
