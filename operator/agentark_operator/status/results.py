"""What finished stages tell the status: scores, artifacts, what it all cost."""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agentark.errors import StoreError
from agentark.planning import Plan, Stage
from agentark.store import StageManifest, Store, stage_path

Manifests = Mapping[str, StageManifest]
_GPU = "nvidia.com/gpu"


def read_scores(store: Store, compare: StageManifest) -> list[dict[str, str]]:
    """Every accuracy that a comparison measured, with its 95 % interval.

    Raises:
        StoreError: It cannot be read, or is none.
    """
    path = compare.outputs["results"].path
    data = store.read(path)
    try:
        return [
            {
                "suite": suite,
                "subject": subject["name"],
                "metric": "accuracy",
                "value": f"{subject['accuracy']:.4f}",
                "low": f"{subject['interval']['low']:.4f}",
                "high": f"{subject['interval']['high']:.4f}",
            }
            for suite, content in json.loads(data)["suites"].items()
            for subject in content["subjects"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        folder = stage_path(compare.kind, compare.key)
        raise StoreError(
            f"store {store.uri}: {path} is no table of a comparison ({error!r}); delete {folder} to run it again"
        ) from error


def headline(scores: Sequence[Mapping[str, str]]) -> str:
    """The score for `kubectl get`: the student's on the first suite, sampled where it was only sampled."""
    for subject in ("student", "student-sampled", "debate"):
        for score in scores:
            if score["subject"] == subject:
                return score["value"]
    return ""


def outputs(plan: Plan, manifests: Manifests, store: Store) -> list[dict[str, str]]:
    """The artifacts of a run that others use."""
    wanted: dict[str, tuple[Stage | None, str]] = {
        "reward-model": (_last(plan, "prm"), "model"),
        "student": (_last(plan, "distill/", "gate/"), "model"),
        "results": (_last(plan, "compare"), "results"),
    }
    artifacts = []
    debate = next((stage for stage in plan.stages if stage.kind == "debate"), None)
    if debate is not None and debate.key in manifests:
        artifacts.append({"name": "transcripts", "uri": f"{store.uri}/stages/debate/{debate.key}/records/shards"})
    for name, (stage, output) in wanted.items():
        manifest = manifests.get(stage.key) if stage else None
        if manifest is not None and output in manifest.outputs:
            artifact = manifest.outputs[output]
            artifacts.append(
                {"name": name, "uri": f"{store.uri}/{artifact.path}", "digest": f"sha256:{artifact.sha256}"}
            )
    return artifacts


def _last(plan: Plan, *names: str) -> Stage | None:
    return next((stage for stage in reversed(plan.stages) if stage.name.startswith(names)), None)


def usage(
    ran: Iterable[StageManifest], gpu_seconds: int, prices: Mapping[str, Decimal], currency: str
) -> dict[str, Any]:
    """What a run took so far.

    Args:
        ran: Manifests of the stages that it ran itself; what was found in the store cost nothing.
        gpu_seconds: GPUs times seconds of all attempts.
        prices: Resource -> price of one for an hour.
    """
    kinds = ("prompt_tokens", "completion_tokens")
    tokens = int(sum(manifest.usage.get(kind, 0.0) for manifest in ran for kind in kinds))
    used: dict[str, Any] = {}
    if tokens:
        used["tokens"] = tokens
    if gpu_seconds:
        used["gpuSeconds"] = gpu_seconds
        if _GPU in prices:
            used["cost"] = f"{prices[_GPU] * gpu_seconds / 3600:.2f}"
            used["currency"] = currency
    return used
