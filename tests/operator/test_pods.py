"""Pod templates: the command, what a container gets, and what an overlay may say."""

from pathlib import Path
from typing import Any

import pytest
from agentark_operator.attempts.pods import Image, api_keys, merged, pod_template, vllm_template

from agentark.api import Serving, StoreSource
from agentark.api.base import Reference
from agentark.errors import InvalidInput
from agentark.planning import Stage

KEY = "0123456789abcdef"
STORE = StoreSource(
    uri="s3://bucket/team",
    endpoint="http://minio:9000",
    region="eu-1",
    credentials_secret_ref=Reference(name="store"),
)
ENDPOINT = {"baseUrl": "https://api", "model": "m", "apiKeySecretRef": {"name": "open-ai", "key": "api.key"}}
STAGE = Stage(
    kind="debate",
    name="debate",
    key=KEY,
    params={},
    settings={"models": [{"endpoint": ENDPOINT}, {"endpoint": ENDPOINT}], "judge": {"apiKeySecretRef": {"name": "b"}}},
)
IMAGE = Image("registry/worker:1", "Always", ("pull",))


def made(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"image": IMAGE, "store": STORE, "plan": "plans/a.json", "attempt": 2}
    return pod_template(STAGE, **{**given, **changes})


def container(template: dict[str, Any], name: str = "stage") -> dict[str, Any]:
    return next(one for one in template["spec"]["containers"] if one["name"] == name)


def values(template: dict[str, Any], name: str = "stage") -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(template, name)["env"]}


def secret(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def test_the_command_is_the_same_as_everywhere() -> None:
    found = container(made())
    assert " ".join([*found["command"], *found["args"]]) == (
        f"python -m agentark stage debate --plan store:plans/a.json --store s3://bucket/team --key {KEY}"
    )
    assert (found["image"], found["imagePullPolicy"]) == ("registry/worker:1", "Always")
    assert made()["spec"]["imagePullSecrets"] == [{"name": "pull"}]


def test_metrics_are_served_at_the_port_that_is_named_so() -> None:
    assert container(made())["ports"] == [{"name": "metrics", "containerPort": 9464, "protocol": "TCP"}]
    assert values(made())["AGENTARK_METRICS_ADDRESS"] == "0.0.0.0:9464"
    six = {
        "spec": {"containers": [{"name": "stage", "env": [{"name": "AGENTARK_METRICS_ADDRESS", "value": "[::]:9464"}]}]}
    }
    assert values(made(overlay=six))["AGENTARK_METRICS_ADDRESS"] == "[::]:9464"
    more = {"spec": {"containers": [{"name": "stage", "ports": [{"name": "debug", "containerPort": 5678}]}]}}
    assert [one["name"] for one in container(made(overlay=more))["ports"]] == ["metrics", "debug"]


def test_offline_nothing_asks_the_hub() -> None:
    assert "HF_HUB_OFFLINE" not in values(made())
    assert values(made(offline=True))["HF_HUB_OFFLINE"] == "1"


def test_the_container_gets_what_a_stage_reads() -> None:
    found = values(made(workers=4))
    assert found["AWS_ENDPOINT_URL"] == "http://minio:9000" and found["AWS_REGION"] == "eu-1"
    assert found["AWS_ACCESS_KEY_ID"] == secret("store", "accessKey")
    assert found["AWS_SECRET_ACCESS_KEY"] == secret("store", "secretKey")
    assert found["AGENTARK_SECRET_OPEN_AI_API_KEY"] == secret("open-ai", "api.key")
    assert found["AGENTARK_SECRET_B_APIKEY"] == secret("b", "apiKey")
    assert (found["AGENTARK_WORKERS"], found["AGENTARK_ATTEMPT"]) == ("4", "2")
    assert found["AGENTARK_TERMINATION_LOG"] == "/dev/termination-log"
    assert len(container(made())["env"]) == len(values(made())), "no variable twice"
    assert (
        not {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID"}
        & values(made(store=StoreSource(uri="s3://bucket/team"))).keys()
    )
    assert "OMP_NUM_THREADS" not in found


def test_everything_that_is_written_to_lies_on_a_volume() -> None:
    template = made(gpus=8)
    found = container(template)
    mounts = {one["mountPath"] for one in found["volumeMounts"]}
    environment = values(template)
    for variable in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        assert any(environment[variable].startswith(mount) for mount in mounts), variable
    volumes = {one["name"]: one["emptyDir"] for one in template["spec"]["volumes"]}
    assert {one["name"] for one in found["volumeMounts"]} == volumes.keys()
    assert volumes["shared-memory"] == {"medium": "Memory"}
    assert found["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
    assert "resources" not in container(made()) or container(made())["resources"] == {}


def test_keys_are_found_at_any_depth() -> None:
    assert [(one.name, one.key) for one in api_keys(STAGE.settings)] == [("b", "apiKey"), ("open-ai", "api.key")]
    assert api_keys({"models": [], "n": 3}) == []


def test_an_overlay_adds_and_changes() -> None:
    overlay = {
        "metadata": {"labels": {"team": "a"}},
        "spec": {
            "nodeSelector": {"gpu": "h100"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "scratch"}}],
            "securityContext": {"runAsUser": None},
            "containers": [
                {
                    "name": "stage",
                    "resources": {"limits": {"memory": "64Gi"}},
                    "env": [{"name": "HOME", "value": "/elsewhere"}, {"name": "HTTPS_PROXY", "value": "http://proxy"}],
                    "volumeMounts": [{"name": "work", "mountPath": "/elsewhere"}],
                },
                {"name": "proxy", "image": "proxy:1"},
            ],
        },
    }
    template = made(gpus=1, overlay=overlay)
    spec, found = template["spec"], container(template)
    assert template["metadata"]["labels"] == {"team": "a"}
    assert (spec["nodeSelector"], spec["tolerations"][0]["key"]) == ({"gpu": "h100"}, "gpu")
    assert {"name": "work", "persistentVolumeClaim": {"claimName": "scratch"}} in spec["volumes"], "one source only"
    assert "runAsUser" not in spec["securityContext"] and spec["securityContext"]["runAsNonRoot"] is True
    assert found["resources"]["limits"] == {"nvidia.com/gpu": "1", "memory": "64Gi"}
    assert values(template)["HOME"] == "/elsewhere" and values(template)["HTTPS_PROXY"] == "http://proxy"
    assert {one["mountPath"] for one in found["volumeMounts"]} == {"/work", "/tmp", "/dev/shm", "/elsewhere"}
    assert container(template, "proxy")["image"] == "proxy:1"


def test_an_overlay_does_not_change_what_the_stage_is() -> None:
    overlay = {
        "spec": {
            "automountServiceAccountToken": True,
            "restartPolicy": "Always",
            "containers": [{"name": "stage", "command": ["sh"], "args": ["-c", "true"]}],
        }
    }
    template = made(overlay=overlay)
    assert container(template)["command"] == container(made())["command"]
    assert container(template)["args"] == container(made())["args"]
    assert template["spec"]["automountServiceAccountToken"] is False
    assert template["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("overlay", "named"),
    [
        ({"spec": "text"}, "spec.pods.spec is 'text'"),
        ({"spec": None}, "takes the container 'stage' away"),
        ({"spec": {"containers": None}}, "takes the container 'stage' away"),
        ({"spec": {"containers": {"stage": {}}}}, "spec.pods.spec.containers"),
        ({"spec": {"containers": [{"image": "x"}]}}, "each with 'name'"),
        ({"spec": {"containers": [{"name": "stage", "env": {"A": "b"}}]}}, "spec.pods.spec.containers[stage].env"),
        ({"spec": {"containers": [{"name": "stage", "volumeMounts": [{"name": "w"}]}]}}, "each with 'mountPath'"),
    ],
)
def test_an_overlay_that_is_no_part_of_a_pod_template_is_refused(overlay: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=r"spec\.pods") as error:
        made(overlay=overlay)
    assert named in str(error.value)


def test_security_md_says_what_an_overlay_and_arguments_can_still_do() -> None:
    token = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    root = {"runAsNonRoot": False, "runAsUser": 0}
    overlay = {"spec": {"serviceAccountName": "strong", "volumes": [token], "securityContext": root}}
    spec = made(overlay=overlay)["spec"]
    assert token in spec["volumes"] and spec["serviceAccountName"] == "strong"
    assert spec["automountServiceAccountToken"] is False and spec["securityContext"].items() >= root.items()
    serving = Serving(args=["--trust-remote-code"], pods={"spec": {"securityContext": root}})
    served = vllm_template(
        uri="hf://o/m", identity="commit:1", served_name="m", serving=serving, image=IMAGE, worker=IMAGE, store=STORE
    )
    assert "--trust-remote-code" in container(served, "vllm")["args"]
    assert served["spec"]["securityContext"].items() >= root.items()
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    assert "projected volume" in page and "`--trust-remote-code`" in page and "`serving.pods`" in page


def test_merging_leaves_both_sides_as_they_were() -> None:
    template, overlay = {"a": {"b": 1}, "l": [{"name": "x", "v": 1}]}, {"a": {"c": 2}, "l": [{"name": "x", "v": 2}]}
    assert merged(template, overlay) == {"a": {"b": 1, "c": 2}, "l": [{"name": "x", "v": 2}]}
    assert template == {"a": {"b": 1}, "l": [{"name": "x", "v": 1}]}


def served(uri: str, identity: str, **serving: Any) -> dict[str, Any]:
    return vllm_template(
        uri=uri,
        identity=identity,
        served_name="teacher",
        serving=Serving(**serving),
        image=Image("vllm:1"),
        worker=IMAGE,
        store=STORE,
    )


def test_hub_models_are_served_by_name_and_commit() -> None:
    template = served("hf://Qwen/Qwen3-8B@main", "commit:0a1b", args=["--max-model-len", "8192"])
    found = container(template, "vllm")
    assert " ".join([*found["command"], *found["args"]]) == (
        "vllm serve Qwen/Qwen3-8B --revision 0a1b --served-model-name teacher --port 8000 --max-model-len 8192"
    )
    assert "initContainers" not in template["spec"]


@pytest.mark.parametrize("uri", ["s3://models/a", "release://student@v3"])
def test_other_models_are_fetched_first(uri: str) -> None:
    template = served(uri, "sha256:ab")
    (fetch,) = template["spec"]["initContainers"]
    assert " ".join([*fetch["command"], *fetch["args"]]) == (
        f"python -m agentark fetch {uri} /model --identity sha256:ab --store s3://bucket/team"
    )
    assert fetch["image"] == "registry/worker:1"
    assert {one["name"] for one in fetch["env"]} >= {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"}
    assert container(template, "vllm")["args"][0] == "/model"
    assert "AWS_ACCESS_KEY_ID" not in values(template, "vllm"), "the server needs no credentials"


def test_the_server_has_time_to_load_and_to_say_goodbye() -> None:
    template = served("hf://a/b", "commit:0", start_deadline_seconds=1805)
    found = container(template, "vllm")
    startup = found["startupProbe"]
    assert startup["httpGet"]["path"] == found["readinessProbe"]["httpGet"]["path"] == "/v1/models"
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 1805
    assert found["livenessProbe"]["httpGet"]["path"] == "/health"
    assert found["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "15"]
    assert template["spec"]["terminationGracePeriodSeconds"] == 60
    assert {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}.items() <= values(template, "vllm").items()


@pytest.mark.parametrize(
    ("gpus", "args", "parallel"),
    [(1, [], None), (4, [], "4"), (4, ["--pipeline-parallel-size=4"], None), (4, ["-tp", "2"], None), (0, [], None)],
)
def test_all_gpus_of_a_pod_are_used(gpus: int, args: list[str], parallel: str | None) -> None:
    found = container(served("hf://a/b", "commit:0", gpus_per_replica=gpus, args=args), "vllm")
    given = dict(zip(found["args"], found["args"][1:], strict=False)).get("--tensor-parallel-size")
    assert given == parallel
    assert found["resources"] == ({"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {})


def test_an_overlay_of_the_server_is_named_as_that() -> None:
    pods = {"spec": {"containers": [{"name": "vllm", "env": [{"name": "HF_TOKEN", "value": "x"}]}]}}
    assert values(served("hf://a/b", "commit:0", pods=pods), "vllm")["HF_TOKEN"] == "x"
    with pytest.raises(InvalidInput, match=r"serving\.pods\.spec"):
        served("hf://a/b", "commit:0", pods={"spec": []})
