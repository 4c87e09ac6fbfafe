"""A stage's figures as Prometheus metrics.

What is not known is left out, rather than shown as zero: a training's second pod has no loss, and a debate none at
all. No metric says whose stage it is. The pod's labels do, from which the scraper takes `namespace`, `kind`, `name`
and `stage`.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agentark import __version__
from agentark.store import Progress
from agentark.telemetry.figures import Histogram, StageFigures

_TRAINING: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "loss": ("agentark_training_loss", {}),
    "learning_rate": ("agentark_training_learning_rate", {}),
    "accuracy": ("agentark_training_accuracy_ratio", {"answers": "held-out"}),
    "rollout_accuracy": ("agentark_training_accuracy_ratio", {"answers": "roll-outs"}),
    "reward": ("agentark_training_reward", {"component": "outcome"}),
    "process_reward": ("agentark_training_reward", {"component": "process"}),
    "kl": ("agentark_training_kl", {}),
    "length": ("agentark_training_answer_tokens", {}),
    "step_count": ("agentark_training_answer_steps", {}),
    "disagreement": ("agentark_training_disagreement_ratio", {}),
    "truncated": ("agentark_training_truncated_ratio", {}),
}
"""What a trainer reports with its progress -> metric and labels."""
_HELP = {
    "agentark_training_loss": "Loss of the last step.",
    "agentark_training_learning_rate": "Learning rate of the last step.",
    "agentark_training_accuracy_ratio": "Verified accuracy on held-out questions, or of the last sampled answers.",
    "agentark_training_reward": "Mean reward of the last sampled answers: of their results, and of their steps.",
    "agentark_training_kl": "Divergence from the start per token, in nats.",
    "agentark_training_answer_tokens": "Tokens of a sampled answer.",
    "agentark_training_answer_steps": "Steps of a sampled answer.",
    "agentark_training_disagreement_ratio": "Share of (right, wrong) pairs in which the wrong answer has better steps.",
    "agentark_training_truncated_ratio": "Share of sampled answers cut at their longest length.",
}


def stage_registry(figures: StageFigures) -> CollectorRegistry:
    """A registry that shows a stage's figures as they are when it is asked, and what this process uses."""
    registry = CollectorRegistry()
    registry.register(StageCollector(figures))
    ProcessCollector(registry=registry)
    return registry


class StageCollector(Collector):
    """Shows figures.

    Args:
        figures: Of the stage.
    """

    def __init__(self, figures: StageFigures) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        """Nothing before it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        with self._figures.lock:
            families = list(_families(self._figures))
        return iter(families)


def _families(figures: StageFigures) -> Iterator[Metric]:
    yield _gauge(
        "agentark_build_info",
        "Version of the worker, and the stage that it runs.",
        1,
        {"version": __version__, "stage_name": figures.stage_name},
    )
    yield _gauge("agentark_stage_start_timestamp_seconds", "When this process began the stage.", figures.started_at)
    yield _gauge("agentark_stage_heartbeat_timestamp_seconds", "When it last got on.", figures.heartbeat_at)
    if figures.progress is not None:
        yield from _progress(figures.progress)
        yield from _training(figures.progress.metrics)
    yield from _requests(figures)
    yield from _checkpoints(figures)
    yield _counter("agentark_storage_requests", "Requests to the store.", ("op", "outcome"), figures.store_requests)
    help_text = "Duration of requests to the store."
    yield _histogram("agentark_storage_request_duration_seconds", help_text, "op", figures.store_seconds)


def _progress(progress: Progress) -> Iterator[Metric]:
    yield _gauge("agentark_stage_progress_ratio", "Share that is done or has failed.", progress.percent / 100)
    items = GaugeMetricFamily("agentark_stage_items", f"Units of this process: {progress.unit}.", labels=("state",))
    for state in ("done", "failed", "total"):
        items.add_metric((state,), getattr(progress, state))
    yield items
    yield _gauge("agentark_stage_items_per_second", "Units finished of late.", progress.rate)
    if progress.eta_s is not None:
        yield _gauge("agentark_stage_remaining_seconds", "Time to the end at this rate.", progress.eta_s)


def _training(metrics: Mapping[str, float]) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for name, value in metrics.items():
        if name not in _TRAINING:
            continue
        metric, labels = _TRAINING[name]
        if metric not in families:
            families[metric] = GaugeMetricFamily(metric, _HELP[metric], labels=tuple(labels))
        families[metric].add_metric(tuple(labels.values()), value)
    yield from families.values()


def _requests(figures: StageFigures) -> Iterator[Metric]:
    if not figures.requests:
        return
    labels = ("model_name", "outcome")
    yield _counter("agentark_debate_requests", "Requests to models, tries together.", labels, figures.requests)
    yield _counter("agentark_tokens", "Tokens of answered requests.", ("model_name", "direction"), figures.tokens)
    help_text = "Duration of answered requests, their tries together."
    yield _histogram("agentark_debate_request_duration_seconds", help_text, "model_name", figures.request_seconds)


def _checkpoints(figures: StageFigures) -> Iterator[Metric]:
    known = figures.checkpoints
    if known is None:
        return
    yield _gauge("agentark_checkpoint_last_timestamp_seconds", "When a checkpoint was last complete.", known.last_at)
    yield _gauge("agentark_checkpoint_bytes", "Size of the last checkpoint.", known.size)
    uploads = HistogramMetricFamily("agentark_checkpoint_upload_duration_seconds", "Time of checkpoints to the store.")
    _observed(uploads, (), known.uploads)
    yield uploads


def _gauge(name: str, help_text: str, value: float, labels: Mapping[str, str] | None = None) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=tuple(labels or ()))
    family.add_metric(tuple((labels or {}).values()), value)
    return family


def _counter(name: str, help_text: str, labels: tuple[str, str], counts: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(name: str, help_text: str, label: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=(label,))
    for value, histogram in sorted(histograms.items()):
        _observed(family, (value,), histogram)
    return family


def _observed(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    buckets = [("+Inf" if bound == float("inf") else str(bound), count) for bound, count in histogram.cumulative()]
    family.add_metric(labels, buckets, histogram.total_s)
