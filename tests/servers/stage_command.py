"""What a worker's pod says of the stage that it runs: on its command line, in its labels, in its environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STAGE_LABEL, ATTEMPT_LABEL = "agentark.dev/stage", "agentark.dev/attempt"
_REPLICA = "training.kubeflow.org/replica"
_INDEX = "batch.kubernetes.io/job-completion-index"
_RANKS = ("RANK", "PET_NODE_RANK", "JOB_COMPLETION_INDEX")


@dataclass(frozen=True, slots=True)
class StageCommand:
    """`python -m agentark stage KIND --store URI --key KEY` of one pod."""

    kind: str
    key: str
    store: str
    endpoint: str = ""
    """Of the store, from the container's environment; empty where it says none."""
    plan: str = ""
    """Path of the plan in the store; empty where it lies elsewhere."""


def stage_command(pod: Mapping[str, Any]) -> StageCommand | None:
    """The command of the container that runs a stage; None where none does."""
    for container in pod["spec"]["containers"]:
        env = _environment(container)
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        arguments = _after_stage([_expanded(word, env) for word in words])
        if arguments is None:
            continue
        options = _options(arguments)
        kind = next((word for word in arguments if not word.startswith("-")), "")
        if kind and "--key" in options and "--store" in options:
            endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL", "")
            scheme, _, plan = options.get("--plan", "").partition(":")
            return StageCommand(
                kind, options["--key"], options["--store"], endpoint, plan=plan if scheme == "store" else ""
            )
    return None


def rank(pod: Mapping[str, Any]) -> int:
    """Which of the processes of its workload a pod is; 0 is the one that commits."""
    metadata = pod["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if labels.get(f"{_REPLICA}-type") == "master":
        return 0
    index = annotations.get(_INDEX) or labels.get(_INDEX)
    if index is not None:
        return int(index)
    for container in pod["spec"]["containers"]:
        env = _environment(container)
        for name in _RANKS:
            if env.get(name, "").isdigit():
                return int(env[name])
    # An elastic PyTorchJob has workers only and tells them no rank.
    return int(labels.get(f"{_REPLICA}-index", "0"))


def _environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env") or () if "value" in one}


def _expanded(word: str, env: Mapping[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: env.get(found[1], found[0]), word)


def _after_stage(words: Sequence[str]) -> list[str] | None:
    for place, word in enumerate(words[:-1]):
        if word.rpartition("/")[2] == "agentark" and words[place + 1] == "stage":
            return list(words[place + 2 :])
    return None


def _options(arguments: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, word in enumerate(arguments):
        name, separator, value = word.partition("=")
        if separator and name.startswith("--"):
            found[name] = value
        elif word.startswith("--") and place + 1 < len(arguments):
            found[word] = arguments[place + 1]
    return found
