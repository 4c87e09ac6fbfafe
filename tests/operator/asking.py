"""What people ask of resources, and what is waited for then."""

import time
from collections.abc import Callable

from tests.operator.running import Bench, Body, condition, phase, states
from tests.servers.player import Play, Player

AGAIN = "agentark.dev/requestedAt"
QUEUE = "kueue.x-k8s.io/queue-name"
MERGE = "application/merge-patch+json"
GOOD = Play()


def settled(*phases: str) -> Callable[[Body], bool]:
    """In one of these phases, as far as the spec and the last request go."""

    def right(resource: Body) -> bool:
        status, metadata = resource.get("status", {}), resource["metadata"]
        requested = (metadata.get("annotations") or {}).get(AGAIN, "")
        heard = (
            status.get("observedGeneration") == metadata["generation"] and status.get("requestedAt", "") == requested
        )
        return heard and phase(resource) in phases

    return right


OVER = settled("Succeeded", "Failed")


def change(bench: Bench, path: str, spec: Body | None = None, **annotations: str) -> None:
    """Change a resource as `kubectl patch` and `kubectl annotate` do."""
    content = ({"spec": spec} if spec else {}) | ({"metadata": {"annotations": annotations}} if annotations else {})
    answer = bench.server.request("PATCH", path, content, form=MERGE)
    assert answer.status == 200, answer.message


def ask_again(bench: Bench, path: str, when: str = "2026-11-25T12:00:00Z") -> None:
    answer = bench.server.request("PATCH", path, {"metadata": {"annotations": {AGAIN: when}}}, form=MERGE)
    assert answer.status == 200, answer.message


def until(right: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not right():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)


def alive(bench: Bench) -> list[str]:
    """Names of pods that run or may yet."""
    return [pod["metadata"]["name"] for pod in bench.pods if pod["status"]["phase"] in ("Pending", "Running")]


def hold(pod: Body) -> Play:
    """Nothing ends by itself."""
    return Play(None)


def succeed(pod: Body) -> Play:
    return GOOD


def only(kind: str) -> Callable[[Body], Play]:
    """Stages of a kind run on, all others end well."""
    return lambda pod: Play(None) if pod["metadata"]["labels"]["agentark.dev/stage-kind"] == kind else Play()


def stage(resource: Body, name: str) -> Body:
    found: Body = next(one for one in resource["status"]["stages"] if one["name"] == name)
    return found


def in_turn(*plays: Play, kind: str = "") -> Callable[[Body], Play]:
    """What becomes of each attempt of a stage of this kind, in turn; the last play goes on. Others end well."""

    def act(pod: Body) -> Play:
        labels = pod["metadata"]["labels"]
        if kind and labels["agentark.dev/stage-kind"] != kind:
            return GOOD
        return plays[min(int(labels["agentark.dev/attempt"]), len(plays)) - 1]

    return act


def running(resource: Body) -> set[str]:
    return {name for name, state in states(resource).items() if state == "Running"}


def sound(player: Player) -> bool:
    """No two attempts at once, and nothing done twice."""
    return not player.overlaps and set(player.commits.values()) <= {1}


def admit(bench: Bench, admitted: bool = True) -> None:
    """What Kueue does to the Jobs in its queue."""
    found = [one for one in bench.jobs if one["spec"]["suspend"] is admitted]
    assert found
    for job in found:
        path = f"/apis/batch/v1/namespaces/{bench.namespace}/jobs/{job['metadata']['name']}"
        assert job["metadata"]["labels"][QUEUE] == "team"
        answer = bench.server.request("PATCH", path, {"spec": {"suspend": not admitted}}, form=MERGE)
        assert answer.status == 200, answer.message


def queued(resource: Body) -> bool:
    return condition(resource, "QuotaReserved")["status"] == "False"
