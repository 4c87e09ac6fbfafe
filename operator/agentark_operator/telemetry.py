"""What Prometheus and the kubelet ask of the operator: metrics, and whether it lives and sees the cluster."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agentark.errors import InvalidInput

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
