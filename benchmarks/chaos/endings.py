"""How resources end, whether what they say of themselves holds together, and in what two runs differ. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.operator.kstatus import health

Body = Mapping[str, Any]
_CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "Succeeded": {"Ready": "True", "Complete": "True"},
    "Failed": {"Ready": "False", "Stalled": "True", "Failed": "True"},
    "Suspended": {"Ready": "False", "Suspended": "True"},
    "Running": {"Ready": "False", "Reconciling": "True"},
    "Pending": {"Ready": "False", "Reconciling": "True"},
}
_HEALTH = {"Succeeded": "Current", "Failed": "Failed", "Suspended": "InProgress"}
_USERS_OWN = frozenset({"agentark.dev/requestedAt", "kubectl.kubernetes.io/last-applied-configuration"})
_OF_DELETING = frozenset({"foregroundDeletion", "orphan"})
"""Finalizers with which the server remembers how an object is to be deleted."""


def over(body: Body) -> bool:
    """Whether a resource says that it has ended, of its spec and its user's last request."""
    status = body.get("status") or {}
    asked = (body["metadata"].get("annotations") or {}).get("agentark.dev/requestedAt", "")
    return bool(
        status.get("phase") in ("Succeeded", "Failed")
        and status.get("observedGeneration") == body["metadata"]["generation"]
        and status.get("requestedAt", "") == asked
    )


def untruths(body: Body) -> list[str]:
    """What a resource says that contradicts itself, or what is on it that belongs to the operator."""
    status, metadata = body.get("status") or {}, body["metadata"]
    problems = []
    if finalizers := set(metadata.get("finalizers") or ()) - _OF_DELETING:
        problems.append(f"finalizers {sorted(finalizers)}")
    users_own = not metadata.get("ownerReferences")  # what is made of what a job embeds is the operator's
    if users_own and (others := set(metadata.get("annotations") or {}) - _USERS_OWN):
        problems.append(f"annotations {sorted(others)}")
    phase = status.get("phase")
    if not phase:
        return problems
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    # A run at rest of which the sight is lost, as when its store is down, is looked at again: its health is InProgress.
    sought = {"Reconciling"} if phase == "Suspended" else set()
    wanted = _CONDITIONS[phase] | dict.fromkeys(conditions.keys() & sought, "True")
    if conditions != wanted and not (phase == "Pending" and conditions.get("Stalled") == "True"):
        problems.append(f"phase {phase} with conditions {conditions}")
    generations = {condition.get("observedGeneration") for condition in status["conditions"]}
    if generations != {status["observedGeneration"]}:
        problems.append(f"conditions of generations {generations}, status of {status['observedGeneration']}")
    if status["observedGeneration"] == metadata["generation"] and "deletionTimestamp" not in metadata:
        wanted = _HEALTH.get(phase, "Failed" if conditions.get("Stalled") == "True" else "InProgress")
        if health(body) != wanted:
            problems.append(f"phase {phase} with health {health(body)}")
    states = [stage["state"] for stage in status.get("stages", ())]
    if phase == "Succeeded" and set(states) - {"Done", "Cached"}:
        problems.append(f"phase Succeeded with stages {states}")
    if phase == "Failed" and "Running" in states:
        problems.append(f"phase Failed with stages {states}")
    return problems


def ending(body: Body) -> dict[str, Any]:
    """What must be the same of a resource however it came there.

    Not whether a stage was done or found: of two resources that share it either may have run it. Nor how far the
    branches came that do not depend on a stage that failed.
    """
    status = body.get("status") or {}
    ready = next((condition for condition in status.get("conditions", ()) if condition["type"] == "Ready"), {})
    stages = {
        stage["name"]: "Done" if stage["state"] == "Cached" else stage["state"] for stage in status.get("stages", ())
    }
    keys = {stage["name"]: stage["key"] for stage in status.get("stages", ())}
    summary = {
        "phase": status.get("phase"),
        "reason": ready.get("reason"),
        "keys": keys,
        "scores": status.get("scores"),
        "score": status.get("score"),
    }
    if summary["phase"] == "Succeeded":
        summary["stages"] = stages
        summary["outputs"] = {output["name"]: output.get("digest") for output in status.get("outputs", ())}
    else:
        summary["stages"] = {name: state for name, state in stages.items() if state == "Failed"}
    return summary


def differences(expected: Mapping[str, Body], actual: Mapping[str, Body]) -> list[str]:
    """In what the ends of two runs differ.

    Args:
        expected: Kind/name -> resource as last seen in the undisturbed run.
        found: The same of the other. Those that a job embeds go with the job's objects, so one may have been missed.
    """
    told = []
    for name in sorted(expected.keys() | actual.keys()):
        if name not in expected or name not in actual:
            other = expected.get(name) or actual[name]
            if not other["metadata"].get("ownerReferences"):
                told.append(f"{name} is in one run only")
            continue
        undisturbed, two = expected[name], actual[name]
        if undisturbed["metadata"].get("ownerReferences") and not (over(undisturbed) and over(two)):
            continue
        if not over(two):
            told.append(f"{name} has not ended: {two.get('status')}")
            continue
        before, after = ending(undisturbed), ending(two)
        told += [
            f"{name}: {field} is {after[field]!r}, undisturbed {before[field]!r}"
            for field in before
            if before[field] != after.get(field)
        ]
    return told


def wrong_facts(resources: Iterable[Body], committed: Iterable[str]) -> list[str]:
    """Stages whose state is not that of the store.

    Args:
        resources: As last seen.
        committed: Keys of the stages with a manifest.
    """
    done = set(committed)
    return [
        f"{body['kind']}/{body['metadata']['name']}: stage {stage['name']} is {stage['state']}, its manifest is "
        + ("there" if stage["key"] in done else "missing")
        for body in resources
        if over(body)
        for stage in (body.get("status") or {}).get("stages", ())
        if (stage["state"] in ("Done", "Cached")) != (stage["key"] in done)
    ]
