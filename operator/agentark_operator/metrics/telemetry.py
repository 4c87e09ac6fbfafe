"""What Prometheus and the kubelet ask of the operator: metrics, and whether it lives and sees the cluster."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from agentark import __version__
from agentark.errors import InvalidInput
from agentark.telemetry.figures import STORE_BUCKETS_S
from agentark.telemetry.metered import OPERATIONS, OUTCOMES
from agentark_operator.attempts.pods import GPU
from agentark_operator.informers.resources import Body, Key
from agentark_operator.metrics.endings import Ending
from agentark_operator.metrics.families import held, phase_of, rates, resource_families

# Nobody asks for the time at which each counter began, and it would be one series in four.
disable_created_metrics()  # type: ignore[no-untyped-call]

DECISIONS = ("Released", "Refused")
"""What comes of a release."""
_OVER = ("Succeeded", "Failed")
STUCK_S = 600.0
"""A loop that has had work for so long, in seconds, and finished nothing is dead."""


class Telemetry:
    """Figures of one operator, in a registry of its own.

    Events are counted as they happen; states are read from the resources when Prometheus asks. Methods may be called
    from any thread.

    Args:
        prices: Resource -> price of one for an hour.
        budget: Most that an hour may cost before somebody is told; None for no such limit.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        prices: Mapping[str, Decimal] | None = None,
        currency: str = "",
        budget: Decimal | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._finished_at = clock()
        self._prices, self._currency = dict(prices or {}), currency
        self._registry = CollectorRegistry()
        self._rendering = threading.Lock()
        self._present = _Present()
        self._registry.register(self._present)
        ProcessCollector(registry=self._registry)
        self._heard: dict[Key, Mapping[str, float]] = {}
        self._guard = threading.Lock()
        self._labelled: dict[Key, set[tuple[Counter, tuple[str, ...]]]] = {}
        """What a resource leaves behind when it goes."""
        self._charged: tuple[float, Mapping[str, float]] | None = None
        """When costs were last added up, and what an hour cost then by namespace."""
        self._passes = Counter(
            "agentark_reconcile_total", "Passes over resources.", ["kind", "outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "agentark_reconcile_duration_seconds",
            "Duration of a pass.",
            ["kind"],
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self._registry,
        )
        self._success = Gauge(
            "agentark_reconcile_last_success_timestamp_seconds",
            "When a pass last ended without an error.",
            ["kind"],
            registry=self._registry,
        )
        self._queued = Gauge("agentark_queue_depth", "Resources that wait for a pass.", registry=self._registry)

        self._attempts = self._counter(
            "agentark_stage_attempts_total", "Attempts at stages that ended.", "kind", "stage", "outcome", "reason"
        )
        self._cache = self._counter(
            "agentark_stage_cache_total", "Stages found in the store (hit) or run (miss).", "kind", "stage", "result"
        )
        self._gpu_seconds = self._counter(
            "agentark_gpu_seconds_total", "GPUs times seconds of ended attempts.", "namespace", "kind", "name", "stage"
        )
        self._runs = self._counter("agentark_runs_total", "Runs that ended.", "kind", "namespace", "phase")
        self._lasted = Histogram(
            "agentark_stage_duration_seconds",
            "Duration of attempts.",
            ["kind", "stage", "outcome"],
            buckets=(1, 5, 30, 120, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 48 * 3600),
            registry=self._registry,
        )
        self._waited = Histogram(
            "agentark_queue_wait_seconds",
            "From the making of an attempt's object to the start of its first pod.",
            ["backend"],
            buckets=(1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600),
            registry=self._registry,
        )
        self._promotions = self._counter(
            "agentark_promotions_total",
            "Students that were released, or refused by a gate.",
            *("namespace", "name", "release", "decision"),
        )
        self._holding = Gauge(
            "agentark_held",
            "What pods hold, those of teachers among them: GPUs, and whatever else has a price.",
            ["namespace", "resource"],
            registry=self._registry,
        )
        cost = "What pods cost while somebody asked."
        self._cost = self._counter("agentark_cost_total", cost, "namespace", "currency")
        if budget is not None:
            limit = Gauge("agentark_budget_per_hour", "Most an hour may cost.", ["currency"], registry=self._registry)
            limit.labels(currency).set(float(budget))
        requests = self._counter("agentark_storage_requests_total", "Requests to stores.", "op", "outcome")
        # Shown at zero before the first request: Prometheus does not see the step from no series to one.
        self._stored = {(op, outcome): requests.labels(op, outcome) for op in OPERATIONS for outcome in OUTCOMES}
        durations = Histogram(
            "agentark_storage_request_duration_seconds",
            "Duration of requests to stores.",
            ["op"],
            buckets=STORE_BUCKETS_S,
            registry=self._registry,
        )
        self._stored_s = {op: durations.labels(op) for op in OPERATIONS}
        build = Gauge("agentark_build_info", "The operator's version.", ["version"], registry=self._registry)
        build.labels(__version__).set(1)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self._registry)

    def ended(self, key: Key, ending: Ending) -> None:
        """Count an attempt that ended."""
        self._attempts.labels(key.kind, ending.stage, ending.outcome, ending.reason).inc()
        self._lasted.labels(key.kind, ending.stage, ending.outcome).observe(ending.seconds)
        if ending.waited_s is not None:
            self._waited.labels(ending.backend).observe(ending.waited_s)
        if ending.gpu_seconds:
            labels = (key.namespace, key.kind, key.name, ending.stage)
            self._of(key, self._gpu_seconds, labels).inc(ending.gpu_seconds)
        if ending.release:
            decision = "Released" if ending.released else "Refused"
            self._of(key, self._promotions, (key.namespace, key.name, ending.release, decision)).inc()

    def changed(self, key: Key, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Count what a new status tells: stages found or run, runs that ended."""
        known = {stage["key"]: stage["state"] for stage in before.get("stages") or ()}
        for stage in after.get("stages") or ():
            if stage["state"] in ("Cached", "Done") and known.get(stage["key"]) not in ("Cached", "Done"):
                result = "hit" if stage["state"] == "Cached" else "miss"
                self._cache.labels(key.kind, stage["kind"], result).inc()
        if after.get("phase") != before.get("phase") and after.get("phase") in _OVER:
            self._runs.labels(key.kind, key.namespace, after["phase"]).inc()

    def heard(self, key: Key, stages: Mapping[str, float]) -> None:
        """Take when each running stage of a resource was last heard of.

        Args:
            stages: Name of the stage -> seconds since the epoch.
        """
        if stages:
            self._heard[key] = stages
        else:
            self._heard.pop(key, None)

    def stored(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a request to a store."""
        self._stored[operation, outcome].inc()
        self._stored_s[operation].observe(seconds)

    def _of(self, key: Key, counter: Counter, labels: tuple[str, ...]) -> Counter:
        """A counter's child that goes with its resource."""
        with self._guard:
            self._labelled.setdefault(key, set()).add((counter, labels))
            return counter.labels(*labels)

    def passed(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a pass.

        Args:
            outcome: Done, Later (something could not be asked) or Error.
        """
        self._finished_at = self._clock()
        self._passes.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)
        if outcome != "Error":  # that something else does not answer is no fault of the operator
            self._success.labels(kind).set(self._finished_at)

    def alive(self, waiting: int) -> bool:
        """Whether passes are being finished, as far as there are any to make; to be asked every minute or so."""
        if not waiting:
            self._finished_at = self._clock()
        return self._clock() - self._finished_at < STUCK_S

    def render(self, resources: Iterable[tuple[Key, Body]], pods: Iterable[Body], waiting: int) -> bytes:
        """All metrics as text.

        Args:
            pods: Every pod that was made for one.
            waiting: Resources that wait for a pass.
        """
        with self._rendering:
            listed = list(resources)
            self._forget({key for key, _ in listed})
            for key, body in listed:
                self._show_at_zero(key, body)
            self._charge({key.namespace for key, _ in listed}, pods)
            self._queued.set(waiting)
            currency = self._currency if self._prices else ""
            self._present.families = list(resource_families(listed, dict(self._heard), currency))
            return generate_latest(self._registry)

    def _forget(self, present: set[Key]) -> None:
        """Drop what is known of resources that are gone."""
        with self._guard:
            for key in self._labelled.keys() - present:
                for counter, labels in self._labelled.pop(key):
                    counter.remove(*labels)
        for key in dict(self._heard).keys() - present:
            self._heard.pop(key, None)

    def _show_at_zero(self, key: Key, body: Body) -> None:
        """Show counters of what may happen to a resource before it does."""
        if phase_of(body.get("status") or {}) in _OVER:
            return
        if key.kind != "ModelRelease":
            for phase in _OVER:
                self._runs.labels(key.kind, key.namespace, phase)
        release = ((body.get("spec") or {}).get("release") or {}).get("name")
        if key.kind == "DistillJob" and release:
            for decision in DECISIONS:
                self._of(key, self._promotions, (key.namespace, key.name, release, decision))

    def _charge(self, namespaces: set[str], pods: Iterable[Body]) -> None:
        """Show what is held, and add what it has cost since this was last asked."""
        resources = {GPU, *self._prices}
        holding = held(pods, resources)
        self._holding.clear()
        for labels in holding.keys() | set(product(namespaces, resources)):
            self._holding.labels(*labels).set(holding.get(labels, 0.0))
        if not self._prices:
            return
        now, per_hour = self._clock(), rates(holding, self._prices)
        then, before = self._charged or (now, {})
        for namespace in namespaces | per_hour.keys() | before.keys():
            mean = (before.get(namespace, 0.0) + per_hour.get(namespace, 0.0)) / 2
            self._cost.labels(namespace, self._currency).inc(mean * max(0.0, now - then) / 3600)
        self._charged = now, per_hour


class _Present(Collector):
    """Shows what was found of the resources."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        return iter(self.families)


async def serve(
    address: str,
    *,
    metrics: Callable[[], bytes],
    alive: Callable[[], bool],
    ready: Callable[[], bool],
) -> web.AppRunner:
    """Answer ``/metrics``, ``/healthz`` and ``/readyz`` in the loop whose life they tell; the caller cleans up.

    Args:
        address: HOST:PORT.
        alive: Whether the operator should go on; if not, the kubelet starts it again.
        ready: Whether it watches the cluster's resources.

    Raises:
        InvalidInput: If nothing can listen there.
    """

    async def show(_: web.Request) -> web.Response:
        # In a thread: with thousands of resources it takes longer than a probe should wait.
        body = await asyncio.to_thread(metrics)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def probe(good: Callable[[], bool], bad: str) -> Callable[[web.Request], Any]:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text="ok\n") if good() else web.Response(status=503, text=f"{bad}\n")

        return answer

    app = web.Application()
    app.router.add_get("/metrics", show)
    app.router.add_get("/healthz", probe(alive, f"no pass has ended for {STUCK_S:g} s though some are due"))
    app.router.add_get("/readyz", probe(ready, "the cluster's resources are not watched yet"))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        await web.TCPSite(runner, host or None, int(port)).start()
    except (OSError, ValueError, OverflowError) as error:
        await runner.cleanup()
        raise InvalidInput(f"AGENTARK_ADDRESS is {address!r}: {error}; give HOST:PORT with a free port") from None
    return runner
