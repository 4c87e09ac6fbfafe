"""What resources and pods look like to Prometheus at the moment that it asks. Pure.

Made of the statuses as they are, so nothing is counted in a pass, and what a resource leaves behind is gone with it.
`kind`, `namespace` and `name` are those of a resource; `stage` is a kind of stage, `stage_name` its name in a plan.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from agentark.api import OPERATOR, RunPolicy
from agentark_operator.informers.resources import Body, Key
from agentark_operator.timestamps import parse_time

Sample = tuple[tuple[str, ...], float]
"""Values of further labels, and the value."""
Held = Mapping[tuple[str, str], float]
"""Namespace and resource -> how much of it pods hold."""


class Figure(NamedTuple):
    """A metric of which each resource may have some samples."""

    name: str
    what: str
    labels: tuple[str, ...]
    """Beside kind, namespace and name."""
    read: Callable[[Body, Mapping[str, Any]], Iterable[Sample]]
    """From the resource and its status."""


def resource_families(
    resources: Iterable[tuple[Key, Body]], heard: Mapping[Key, Mapping[str, float]], currency: str = ""
) -> Iterator[Metric]:
    """Metrics of resources.

    Args:
        resources: All of them; those that somebody else looks after are left out.
        heard: Resource and running stage's name -> when it was last heard of, in seconds since the epoch.
        currency: Of the price table; empty where there is none, and then nothing is said of costs.
    """
    ours = [(key, body, body.get("status") or {}) for key, body in resources if _is_ours(body)]
    phases = GaugeMetricFamily("agentark_resources", "Resources by phase.", labels=("kind", "namespace", "phase"))
    counts = Counter((key.kind, key.namespace, phase_of(status)) for key, _, status in ours)
    for labels, count in counts.items():
        phases.add_metric(labels, count)
    yield phases
    for figure in FIGURES:
        family = GaugeMetricFamily(figure.name, figure.what, labels=("kind", "namespace", "name", *figure.labels))
        for key, body, status in ours:
            for more, value in figure.read(body, status):
                family.add_metric((*key, *more), value)
        yield family
    last = GaugeMetricFamily(
        "agentark_run_heartbeat_timestamp_seconds",
        "When a running stage was last heard of.",
        labels=("kind", "namespace", "name", "stage_name"),
    )
    for key, _, _ in ours:
        for stage, at in heard.get(key, {}).items():
            last.add_metric((*key, stage), at)
    yield last
    costs = GaugeMetricFamily(
        "agentark_run_cost",
        "What the ended attempts of the last run cost.",
        labels=("kind", "namespace", "name", "currency"),
    )
    for key, _, status in ours if currency else ():
        if "runId" in status:
            usage = status.get("usage") or {}
            costs.add_metric((*key, usage.get("currency", currency)), float(usage.get("cost", 0)))
    yield costs


def phase_of(status: Mapping[str, Any]) -> str:
    """The phase of a status; of a ModelRelease, which has none, what its conditions say."""
    if "phase" in status:
        return str(status["phase"])
    types = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}
    if types.get("Stalled") == "True":
        return "Failed"
    return {"True": "Ready", "False": "Pending"}.get(types.get("Ready", ""), "Unknown")


def held(pods: Iterable[Body], resources: Iterable[str]) -> dict[tuple[str, str], float]:
    """What the pods that have a node and have not ended ask for, by namespace.

    Args:
        pods: The operator's: of stages, and of teachers.
        resources: What to look for, such as nvidia.com/gpu.
    """
    amounts: dict[tuple[str, str], float] = {}
    wanted = tuple(resources)
    for pod in pods:
        spec, phase = pod.get("spec") or {}, (pod.get("status") or {}).get("phase")
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            continue
        namespace = pod["metadata"]["namespace"]
        for container in spec.get("containers") or ():
            requirements = container.get("resources") or {}
            asked = {**(requirements.get("limits") or {}), **(requirements.get("requests") or {})}
            for resource in wanted:
                if resource in asked:
                    place = namespace, resource
                    amounts[place] = amounts.get(place, 0.0) + _quantity(asked[resource])
    return amounts


def rates(holding: Held, prices: Mapping[str, Decimal]) -> dict[str, float]:
    """Namespace -> what its pods cost for an hour."""
    per_hour: dict[str, float] = {}
    for (namespace, resource), amount in holding.items():
        per_hour[namespace] = per_hour.get(namespace, 0.0) + amount * float(prices.get(resource, 0))
    return per_hour


def _quantity(text: object) -> float:
    """Of CPUs or devices; what is written otherwise, as memory is, has no price by the piece and counts nothing."""
    number = str(text)
    scale = 0.001 if number.endswith("m") else 1.0
    try:
        return float(number.removesuffix("m")) * scale
    except ValueError:
        return 0.0


def _is_ours(body: Body) -> bool:
    policy = (body.get("spec") or {}).get("runPolicy") or {}
    return bool(policy.get("managedBy", OPERATOR) == OPERATOR)


def _conditions(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    for condition in status.get("conditions") or ():
        yield (condition["type"], condition["status"], condition["reason"]), 1


def _info(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    if "runId" in status:
        methods = "+".join((body.get("spec") or {}).get("methods") or ())
        yield (status["runId"], phase_of(status), methods), 1


def _progress(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    if "progress" in status:
        yield (status.get("currentStage", ""),), status["progress"]["percent"] / 100


def _remaining(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    if "remainingSeconds" in (status.get("progress") or {}):
        yield (status.get("currentStage", ""),), status["progress"]["remainingSeconds"]


def _patience(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    if status.get("phase") == "Running":
        policy = (body.get("spec") or {}).get("runPolicy") or {}
        yield (), policy.get("stallTimeoutSeconds", RunPolicy().stall_timeout_seconds)


def _failed_attempts(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    stages = status.get("stages")
    if stages:
        yield ("Failed",), sum(stage.get("failures", 0) for stage in stages)
        yield ("Interrupted",), sum(stage.get("interruptions", 0) for stage in stages)


def _moment(field: str) -> Callable[[Body, Mapping[str, Any]], Iterator[Sample]]:
    def read(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
        if field in status:
            yield (), parse_time(status[field])

    return read


def _usage(field: str) -> Callable[[Body, Mapping[str, Any]], Iterator[Sample]]:
    def read(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
        if "runId" in status:
            yield (), (status.get("usage") or {}).get(field, 0)

    return read


def _score(field: str) -> Callable[[Body, Mapping[str, Any]], Iterator[Sample]]:
    def read(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
        for score in status.get("scores") or ():
            if field in score:
                yield (score["suite"], score["metric"], score["subject"]), float(score[field])

    return read


def _version(body: Body, status: Mapping[str, Any]) -> Iterator[Sample]:
    if "current" in status:
        yield (), status["current"]["version"]


_OF_SCORES = ("suite", "metric", "subject")
FIGURES = (
    Figure("agentark_condition", "Conditions of resources.", ("type", "status", "reason"), _conditions),
    Figure("agentark_run_info", "The last run of a resource.", ("run_id", "phase", "methods"), _info),
    Figure("agentark_run_start_timestamp_seconds", "When it began.", (), _moment("startedAt")),
    Figure("agentark_run_completed_timestamp_seconds", "When it ended.", (), _moment("completedAt")),
    Figure("agentark_run_progress_ratio", "How far its current stage is.", ("stage_name",), _progress),
    Figure("agentark_run_remaining_seconds", "Time to the end of that stage.", ("stage_name",), _remaining),
    Figure("agentark_run_stall_timeout_seconds", "How long a stage may say nothing.", (), _patience),
    Figure("agentark_run_failed_attempts", "Attempts without a result, so far.", ("outcome",), _failed_attempts),
    Figure("agentark_run_tokens", "Tokens so far, of stages that are done.", (), _usage("tokens")),
    Figure("agentark_run_gpu_seconds", "GPUs times seconds of ended attempts.", (), _usage("gpuSeconds")),
    Figure("agentark_eval_score", "Accuracy by the last comparison, 0 to 1.", _OF_SCORES, _score("value")),
    Figure("agentark_eval_score_low", "Lower end of its 95 % interval.", _OF_SCORES, _score("low")),
    Figure("agentark_eval_score_high", "Upper end of its 95 % interval.", _OF_SCORES, _score("high")),
    Figure("agentark_release_current_version", "The version to serve.", (), _version),
)
"""Metrics that follow from a resource alone."""
