"""What Prometheus and the kubelet ask of the operator: metrics, and whether it lives and sees the cluster."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agentark import __version__
from agentark.errors import InvalidInput
from agentark_operator.endings import Ending
from agentark_operator.referring import Key

STUCK_S = 600.0
"""A loop that has had work for so long, in seconds, and finished nothing is dead."""


class Telemetry:
    """Figures of one operator, in a registry of its own.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._finished_at = clock()
        self._registry = CollectorRegistry()
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
            "When a pass last ended well.",
            ["kind"],
            registry=self._registry,
        )
        self._resources = Gauge(
            "agentark_resources", "Resources by phase.", ["kind", "namespace", "phase"], registry=self._registry
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
        self._score = Gauge(
            "agentark_eval_score",
            "Accuracy by the last finished comparison, 0 to 1.",
            ["namespace", "name", "suite", "metric", "subject"],
            registry=self._registry,
        )
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
            self._gpu_seconds.labels(key.namespace, key.kind, key.name, ending.stage).inc(ending.gpu_seconds)

    def changed(self, key: Key, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Count what a new status tells: stages found or run, runs that ended, scores."""
        known = {one["key"]: one["state"] for one in before.get("stages") or ()}
        for one in after.get("stages") or ():
            if one["state"] in ("Cached", "Done") and known.get(one["key"]) not in ("Cached", "Done"):
                result = "hit" if one["state"] == "Cached" else "miss"
                self._cache.labels(key.kind, one["kind"], result).inc()
        if after.get("phase") != before.get("phase") and after.get("phase") in ("Succeeded", "Failed"):
            self._runs.labels(key.kind, key.namespace, after["phase"]).inc()
        for one in after.get("scores") or ():
            labels = (key.namespace, key.name, one["suite"], one["metric"], one["subject"])
            self._score.labels(*labels).set(float(one["value"]))

    def passed(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a pass.

        Args:
            kind: Of the resource.
            outcome: Done, Later (something could not be asked) or Error.
            seconds: It took.
        """
        self._finished_at = self._clock()
        self._passes.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)
        if outcome == "Done":
            self._success.labels(kind).set(self._finished_at)

    def alive(self, waiting: int) -> bool:
        """Whether passes are being finished, as far as there are any to make; to be asked every minute or so."""
        if not waiting:
            self._finished_at = self._clock()
        return self._clock() - self._finished_at < STUCK_S

    def render(self, resources: Iterable[tuple[str, str, str]], waiting: int) -> bytes:
        """All metrics as text.

        Args:
            resources: Kind, namespace and phase of every resource.
            waiting: Resources that wait for a pass.
        """
        self._resources.clear()
        for labels, count in Counts(resources).items():
            self._resources.labels(*labels).set(count)
        self._queued.set(waiting)
        return generate_latest(self._registry)


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
        metrics: Gives the metrics.
        alive: Whether the operator should go on; if not, the kubelet starts it again.
        ready: Whether it watches the cluster's resources.

    Raises:
        InvalidInput: If nothing can listen there.
    """

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

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
