"""Pod templates: of a worker that runs a stage, and of a server of a teacher's weights. Pure.

As made here they keep to the restricted pod security standard, which an overlay can leave, and run as user 65532, the
"nonroot" of distroless images. The number stands here so that the kubelet can tell that it is not root whatever the
image says; clusters that give users of their own (OpenShift) take it away by an overlay with
`securityContext: {runAsUser: null, fsGroup: null}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentark.api import SecretKey, Serving, StoreSource
from agentark.errors import InvalidInput
from agentark.planning import Stage
from agentark_operator.attempts.workload import CONTAINER

SERVER = "vllm"
"""Name of the container that serves a teacher."""
PORT = 8000
"""Of the served API."""
GPU = "nvidia.com/gpu"
METRICS_PORT = 9464
"""Of a stage's metrics."""
_USER = 65532
_WORK, _TEMPORARY, _MODEL = "/work", "/tmp", "/model"
_GRACE_S = 300
"""Seconds for a last checkpoint."""
_WHOLE = frozenset({"env", "volumes"})
"""Lists whose items are one of several things: with a source of each side an item would be refused."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a container runs, and how a node gets it."""

    name: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    """Secrets of the namespace for private registries."""


def pod_template(
    stage: Stage,
    *,
    image: Image,
    store: StoreSource,
    plan: str,
    attempt: int,
    workers: int = 1,
    gpus: int = 0,
    offline: bool = False,
    overlay: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The template of a pod that runs a stage.

    Args:
        stage: What it runs.
        store: Where results go; its credentials are taken from the Secret that it names, with accessKey and secretKey.
        plan: Path of the plan in the store.
        workers: Pods that share the stage's questions.
        gpus: Of each pod.
        offline: It does not ask the Hugging Face hub.
        overlay: `spec.pods` of the resource: {metadata, spec}. Command, restart policy and
            `automountServiceAccountToken` stay; a projected volume with a token is taken like any other.

    Raises:
        InvalidInput: The overlay is no part of a pod template.
    """
    command = ["python", "-m", "agentark"]
    args = ["stage", stage.kind, "--plan", f"store:{plan}", "--store", store.uri, "--key", stage.key]
    env = [
        *_store_env(store),
        *(_secret(key.variable, key.name, key.key) for key in api_keys(stage.settings)),
        *_plain({"AGENTARK_WORKERS": workers, "AGENTARK_ATTEMPT": attempt}),
        *_plain({"AGENTARK_TERMINATION_LOG": "/dev/termination-log"}),
        *_plain({"AGENTARK_METRICS_ADDRESS": f"0.0.0.0:{METRICS_PORT}"}),
        *_home(_WORK),
        *_hub(offline),
    ]
    volumes = {"work": _WORK, "temporary": _TEMPORARY}
    container = _container(CONTAINER, image, command, args, env, volumes, gpus=gpus)
    container["ports"] = [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}]
    template = _template([container], volumes, [image], grace_s=_GRACE_S)
    laid = _overlaid(template, overlay, CONTAINER, "spec.pods")
    laid["spec"]["restartPolicy"] = "Never"  # attempts are the operator's
    for entry in laid["spec"]["containers"]:
        if entry["name"] == CONTAINER:
            entry |= {"command": command, "args": args}
    return laid


def vllm_template(
    *,
    uri: str,
    identity: str,
    served_name: str,
    serving: Serving,
    image: Image,
    worker: Image,
    store: StoreSource,
    offline: bool = False,
) -> dict[str, Any]:
    """The template of a pod in which vLLM serves a model; the overlay in `serving.pods` is laid over it.

    Args:
        uri: Address of the model; s3:// and release:// are fetched by the worker image, hf:// by vLLM.
        identity: What the address stood for when the run began.
        served_name: Name of the model in requests.
        image: With vLLM.
        worker: Image of the pods that run stages.
        store: Endpoint, region and credentials for s3:// and release://.
        offline: It does not ask the Hugging Face hub.

    Raises:
        InvalidInput: The overlay is no part of a pod template.
    """
    args = [*_model_args(uri, identity), "--served-model-name", served_name, "--port", str(PORT)]
    gpus = serving.gpus_per_replica
    if gpus > 1 and not any(
        "parallel-size" in argument or argument in ("-tp", "-pp", "-dp") for argument in serving.args
    ):
        args += ["--tensor-parallel-size", str(gpus)]
    volumes = {"work": _WORK, "temporary": _TEMPORARY, "model": _MODEL}
    env = [*_home(_WORK), *_plain({"HF_HOME": f"{_WORK}/huggingface", "VLLM_NO_USAGE_STATS": 1, "DO_NOT_TRACK": 1})]
    env += _hub(offline)
    container = _container(SERVER, image, ["vllm", "serve"], [*args, *serving.args], env, volumes, gpus=gpus)
    # Not read-only: NVIDIA's container hooks (nvidia-cdi-hook) write links and caches into the root file system of a
    # container that gets GPUs, and vLLM compiles kernels into folders beside its own packages.
    container["securityContext"]["readOnlyRootFilesystem"] = False
    container |= {"ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}], **_probes(serving)}
    # Requests that are on their way find the pod until the Service has let go of it.
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "15"]}}}
    template = _template([container], volumes, [image, worker], grace_s=60)
    if not uri.startswith("hf://"):
        fetch = ["fetch", uri, _MODEL, "--identity", identity, "--store", store.uri]
        command = ["python", "-m", "agentark"]
        env = [*_store_env(store), *_plain({"AGENTARK_TERMINATION_LOG": "/dev/termination-log"}), *_home(_WORK)]
        template["spec"]["initContainers"] = [_container("fetch", worker, command, fetch, env, volumes)]
    return _overlaid(template, serving.pods, SERVER, "serving.pods")


def _model_args(uri: str, identity: str) -> list[str]:
    if not uri.startswith("hf://"):
        return [_MODEL]
    return [uri.removeprefix("hf://").partition("@")[0], "--revision", identity.removeprefix("commit:")]


def _probes(serving: Serving) -> dict[str, Any]:
    def probe(path: str, period_s: int, failures: int) -> dict[str, Any]:
        get = {"path": path, "port": "http"}
        return {"httpGet": get, "periodSeconds": period_s, "timeoutSeconds": 5, "failureThreshold": failures}

    return {
        # /health answers before the weights are there, /v1/models does not.
        "startupProbe": probe("/v1/models", 10, -(-serving.start_deadline_seconds // 10)),
        "readinessProbe": probe("/v1/models", 5, 3),
        "livenessProbe": probe("/health", 10, 6),
    }


def api_keys(settings: object) -> list[SecretKey]:
    """The Secret keys that a stage's settings name for its endpoints, each once, in order."""
    keys = {(key.name, key.key): key for key in _api_keys(settings)}
    return [keys[name] for name in sorted(keys)]


def _api_keys(node: object) -> Iterator[SecretKey]:
    if isinstance(node, Mapping):
        for field, value in node.items():
            if field == "apiKeySecretRef" and isinstance(value, Mapping):
                yield SecretKey.model_validate(dict(value))
            else:
                yield from _api_keys(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _api_keys(item)


def _plain(values: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{"name": name, "value": str(value)} for name, value in values.items()]


def _secret(variable: str, name: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _store_env(store: StoreSource) -> list[dict[str, Any]]:
    variables = {"AWS_ENDPOINT_URL": store.endpoint, "AWS_REGION": store.region}
    env = _plain({name: value for name, value in variables.items() if value})
    if store.credentials_secret_ref is not None:
        secret = store.credentials_secret_ref.name
        env.append(_secret("AWS_ACCESS_KEY_ID", secret, "accessKey"))
        env.append(_secret("AWS_SECRET_ACCESS_KEY", secret, "secretKey"))
    return env


def _home(folder: str) -> list[dict[str, Any]]:
    return _plain(
        {
            "HOME": folder,
            "XDG_CACHE_HOME": f"{folder}/cache",
            "TMPDIR": _TEMPORARY,
            "USER": "agentark",  # torch names cache folders after the user, and /etc/passwd need not know the number
            "HF_HUB_DISABLE_TELEMETRY": 1,
            "PYTHONUNBUFFERED": 1,
        }
    )


def _hub(offline: bool) -> list[dict[str, Any]]:
    # Libraries ask the hub about files that a folder might have beside those it has; without a network they wait.
    return _plain({"HF_HUB_OFFLINE": 1}) if offline else []


def _container(
    name: str,
    image: Image,
    command: list[str],
    args: list[str],
    env: list[dict[str, Any]],
    volumes: Mapping[str, str],
    *,
    gpus: int = 0,
) -> dict[str, Any]:
    mounts = [{"name": volume, "mountPath": path} for volume, path in volumes.items()]
    return {
        "name": name,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "command": command,
        "args": args,
        "env": env,
        "resources": {"limits": {GPU: str(gpus)}} if gpus else {},
        "volumeMounts": [*mounts, {"name": "shared-memory", "mountPath": "/dev/shm"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _template(
    containers: list[dict[str, Any]], volumes: Mapping[str, str], images: list[Image], *, grace_s: int
) -> dict[str, Any]:
    secrets = dict.fromkeys(secret for image in images for secret in image.pull_secrets)
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": [
            *({"name": volume, "emptyDir": {}} for volume in volumes),
            # 64 MiB by default, too little for workers of data loaders and for NCCL; counts as memory.
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    if secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in secrets]
    return {"metadata": {}, "spec": spec}


def _overlaid(
    template: dict[str, Any], overlay: Mapping[str, Any] | None, container: str, place: str
) -> dict[str, Any]:
    laid = merged(template, overlay or {}, place)
    spec = laid.get("spec")
    if not isinstance(spec, dict) or all(entry["name"] != container for entry in spec.get("containers") or ()):
        raise InvalidInput(f"{place}.spec.containers takes the container {container!r} away; leave the field out")
    spec["automountServiceAccountToken"] = False
    return laid


def merged(template: Mapping[str, Any], overlay: Mapping[str, Any], place: str = "spec.pods") -> dict[str, Any]:
    """A pod template with another laid over it.

    Objects are merged field by field, containers by name, variables and volumes replaced by name, mounts by their path;
    other values and lists are replaced. A null takes a field away.

    Args:
        place: Field in which the user says so, for errors.

    Raises:
        InvalidInput: A field holds a value of another kind than the template's.
    """
    result = dict(template)
    for field, value in overlay.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = _laid(field, result.get(field), value, f"{place}.{field}")
    return result


def _laid(field: str, before: Any, value: Any, place: str) -> Any:
    key = "mountPath" if field == "volumeMounts" else "name"
    if isinstance(before, dict) and not isinstance(value, Mapping):
        raise InvalidInput(f"{place} is {value!r}; give an object, as in a pod template")
    if isinstance(before, list) and _keyed(before, key) and not _keyed(value, key):
        raise InvalidInput(f"{place} is {value!r}; give a list of objects, each with {key!r}")
    if isinstance(value, Mapping):
        return merged(before if isinstance(before, dict) else {}, value, place)
    if not isinstance(before, list) or not _keyed(before, key):
        return value
    overlays = {item[key]: item for item in value}
    kept = []
    for item in before:
        laid = overlays.pop(item[key], {})
        replaced = field in _WHOLE and laid
        kept.append(laid if replaced else merged(item, laid, f"{place}[{item[key]}]"))
    return kept + list(overlays.values())


def _keyed(value: Any, key: str) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and isinstance(item.get(key), str) for item in value)
