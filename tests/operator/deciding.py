"""Facts to decide over, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentark_operator.attempts.facts import Attempt, Facts, Run
from agentark_operator.decide.decision import Decision, decide
from agentark_operator.diagnosis.failures import Failure, FailureKind
from agentark_operator.timestamps import format_time

from agentark.api import RunPolicy
from agentark.planning import Stage
from agentark.planning.stage import Resources
from agentark.store import Progress

NOW = 1_800_000_000.0
KEY, NEXT = "0123456789abcdef", "fedcba9876543210"
STAGE = Stage(kind="debate", name="debate", key=KEY, params={}, resources=Resources(nodes=2, gpus_per_node=4))
AFTER = Stage(kind="curate", name="curate", key=NEXT, params={}, inputs={"debate": KEY})
FAILURES: Mapping[FailureKind, Failure] = {
    "Application": Failure("Application", "OOMKilled", "killed at its memory limit of 4Gi"),
    "Interruption": Failure("Interruption", "NodeLost", "its node does not know what became of it"),
    "InvalidInput": Failure("InvalidInput", "InvalidInput", "no column answer"),
}


def at(seconds: float) -> str:
    """So many seconds from now."""
    return format_time(NOW + seconds)


def run(*, suspended: bool = False, started_s: float = -60, **policy: Any) -> Run:
    return Run("uid", RunPolicy.model_validate(policy), suspended, at(started_s), NOW, base_wait_s=10.0)


def attempt(state: str, number: int = 1, *, queue: bool = False, made_s: float = -50, **more: Any) -> Attempt:
    labels = {"kueue.x-k8s.io/queue-name": "team"} if queue else {}
    metadata = {"name": f"a-{number}", "labels": labels, "creationTimestamp": at(made_s)}
    body = {"kind": "Job", "metadata": metadata, "status": {"conditions": more.pop("conditions", [])}}
    started = at(-40) if state in ("Running", "Succeeded", "Failed") else ""
    ended = at(-10) if state in ("Succeeded", "Failed") else ""
    times = {"started_at": started, "working_since": started, "ended_at": ended}
    return Attempt(number, body, state, **(times | more))  # type: ignore[arg-type]


def failed(kind: FailureKind, number: int = 1) -> Attempt:
    return attempt("Failed", number, failure=FAILURES[kind])


def heartbeat(seconds: float) -> Progress:
    counts = {"percent": 1, "done": 1, "total": 2, "failed": 0, "rate": 0, "eta_s": None, "metrics": {}, "unit": "rows"}
    return Progress.model_validate(counts | {"heartbeat_at": at(seconds)})


def one(*attempts: Attempt, **facts: Any) -> Facts:
    alive = sum(found.state in ("Pending", "Running") for found in attempts)
    return Facts(STAGE, attempts=attempts, **({"pods_alive": alive} | facts))


def decided(facts: Facts, asked: Run | None = None, *others: Facts) -> Decision:
    return decide([facts, *others], asked or run())


def names(bodies: Sequence[Mapping[str, Any]]) -> list[str]:
    return [body["metadata"]["name"] for body in bodies]


def told(decision: Decision) -> tuple[str, str]:
    view = decision.views[KEY]
    return view.state, view.reason
