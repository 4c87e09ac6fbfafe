"""Every metric that the operator and stages have, from their own registries, and what a query asks of which."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import promql_parser as promql
from agentark_operator.informers.resources import Key
from agentark_operator.metrics.endings import Ending
from agentark_operator.metrics.telemetry import Telemetry
from prometheus_client import generate_latest

from agentark.store import Progress
from agentark.telemetry import StageFigures
from agentark.telemetry.exposition import stage_registry
from tests.telemetry.scraping import Samples, samples

POD_LABELS = frozenset({"namespace", "pod", "job", "instance", "container", "endpoint", "kind", "name", "stage"})
"""That a scrape of a stage adds, as the chart's PodMonitor says."""
SERVICE_LABELS = frozenset({"namespace", "pod", "job", "instance", "container", "endpoint", "service"})
"""That a scrape of the operator adds."""
_SCORE = {"suite": "a", "metric": "accuracy", "subject": "student", "value": "0.5", "low": "0.4", "high": "0.6"}
_STATUS: Mapping[str, Any] = {
    "phase": "Running",
    "runId": "r",
    "startedAt": "2026-01-01T00:00:00Z",
    "completedAt": "2026-01-01T00:00:00Z",
    "currentStage": "debate",
    "progress": {"percent": 1, "remainingSeconds": 1},
    "conditions": [{"type": "Ready", "status": "False", "reason": "Running"}],
    "stages": [{"name": "debate", "kind": "debate", "key": "0", "state": "Running"}],
    "scores": [_SCORE],
    "current": {"version": 1},
}
_REPORTED = ("loss", "learning_rate", "accuracy", "rollout_accuracy", "reward", "process_reward", "kl", "length")


@dataclass(frozen=True)
class Catalogue:
    """Names and labels."""

    labels: Mapping[str, frozenset[str]]
    """Metric -> labels that its series may have, those of the scrape among them."""

    @classmethod
    def of_code(cls) -> "Catalogue":
        """From registries in which everything has happened once."""
        found: dict[str, frozenset[str]] = {}
        for shown, added in ((_operator(), SERVICE_LABELS), (_stage(), POD_LABELS)):
            for name, labels in shown:
                found[name] = found.get(name, frozenset()) | added | {label for label, _ in labels}
        return cls(found)


@dataclass(frozen=True)
class Selected:
    """One selector of a query."""

    metric: str
    labels: frozenset[str]
    """That it is narrowed by."""


def selectors(expression: str) -> list[Selected]:
    """Every selector in a query.

    Raises:
        ValueError: It is no PromQL.
    """
    return [Selected(one.name, frozenset(match.name for match in _matchers(one))) for one in _vectors(expression)]


def _matchers(selector: promql.VectorSelector) -> list[Any]:
    assert not selector.matchers.or_matchers, "no query here has any"
    return list(selector.matchers.matchers)


def _vectors(expression: str) -> Iterator[promql.VectorSelector]:
    found: list[promql.VectorSelector] = []

    def look(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(promql.parse(expression), look)
    return iter(found)


def grouped(expression: str) -> set[str]:
    """Labels by which a query adds up, `le` of histograms left out."""
    found: set[str] = set()

    def look(node: Any) -> bool:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)
        return True

    promql.walk(promql.parse(expression), look)
    return found - {"le"}


def _operator() -> Samples:
    telemetry = Telemetry(prices={"cpu": Decimal(1)}, currency="EUR", budget=Decimal(1))
    key, release = Key("DistillJob", "team", "math"), Key("ModelRelease", "team", "student")
    body: dict[str, Any] = {"metadata": {"name": "math", "namespace": "team"}, "status": dict(_STATUS)}
    body["spec"] = {"release": {"name": "student"}, "methods": ["RSFT"]}
    telemetry.passed("DistillJob", "Done", 1.0)
    telemetry.stored("read", "Done", 1.0)
    telemetry.heard(key, {"debate": 1.0})
    telemetry.changed(key, {}, {"phase": "Failed", "stages": [{"key": "0", "kind": "debate", "state": "Done"}]})
    telemetry.ended(key, Ending("debate", "debate", 1, "Failed", "OOMKilled", "Job", 1.0, 1.0, 1))
    pod = {
        "metadata": {"namespace": "team"},
        "spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "1"}}}]},
        "status": {"phase": "Running"},
    }
    return samples(telemetry.render([(key, body), (release, body)], [pod], 1).decode())


def _stage() -> Samples:
    figures = StageFigures("distill/PAD")
    reported = dict.fromkeys((*_REPORTED, "step_count", "disagreement", "truncated"), 1.0)
    figures.progressed(
        Progress(
            percent=1,
            done=1,
            total=2,
            failed=0,
            rate=1,
            eta_s=1,
            metrics=reported,
            heartbeat_at="2026-01-01T00:00:00Z",
            unit="steps",
        )
    )
    figures.asks("teacher")
    figures.saved(1, 1.0)
    figures.stored("read", "Done", 1.0)
    return samples(generate_latest(stage_registry(figures)).decode())
