"""What the chart of served models makes, by the wishes that it is made of."""

from typing import Any

import pytest

from agentark import __version__
from tests.charts.charting import CHARTS, Helm, only, setting
from tests.charts.inference import CHART, NAMESPACE, RELEASE, STORE, container, pod, render, variables

MATH = {"release": "math-student@7"}
HUB = "hf://Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218"
DIGEST = "sha256:" + 64 * "1"


def server_args(helm: Helm, **model: Any) -> list[str]:
    """Arguments of vLLM for a model."""
    args = container(pod(render(helm, models={"math": {**MATH, **model}})), "vllm")["args"]
    assert isinstance(args, list)
    return [str(one) for one in args]


def test_a_model_is_named_by_its_release_and_key(helm_either: Helm) -> None:
    made = render(helm_either, models={"math": MATH, "writer": {"uri": "s3://models/writer"}})
    for kind in ("Deployment", "Service"):
        names = [one["metadata"]["name"] for one in made if one["kind"] == kind]
        assert names == ["math", "math-writer"]
    service = only(made, "Service", "math")["spec"]
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(80, "http")]
    selected = only(made, "Deployment", "math")["spec"]
    assert service["selector"] == selected["selector"]["matchLabels"]
    assert service["selector"].items() <= selected["template"]["metadata"]["labels"].items()
    assert service["selector"] != only(made, "Service", "math-writer")["spec"]["selector"]
    assert container(pod(made), "vllm")["args"][:3] == ["/models/math", "--served-model-name", "math"]


def test_selectors_stay_when_a_newer_chart_is_installed(helm_newest: Helm) -> None:
    made = only(render(helm_newest, models={"math": MATH}), "Deployment")["spec"]
    # A label with a version in it would replace all pods at each upgrade of the chart; in a selector it would break it.
    labels = {**made["selector"]["matchLabels"], **made["template"]["metadata"]["labels"]}
    assert __version__ not in labels.values() and "helm.sh/chart" not in labels


def test_a_new_version_of_the_release_replaces_the_pods(helm_newest: Helm) -> None:
    before, after = (pod(render(helm_newest, models={"math": {"release": f"math-student@{n}"}})) for n in (7, 8))
    assert before != after
    assert container(after, "fetch")["args"][1] == "release://math-student@8"


def test_a_model_takes_its_own_values_over_the_defaults(helm_newest: Helm) -> None:
    model = {
        "gpus": 0,
        "replicas": 3,
        "image": {"tag": "v9"},
        "podDisruptionBudget": {"enabled": False},
        "extraEnv": [{"name": "HF_HUB_OFFLINE", "value": "0"}, {"name": "OTHER", "value": "1"}],
    }
    made = render(helm_newest, models={"math": {**MATH, **model}, "other": MATH}, defaults={"gpus": 2})
    mine, other = (container(pod(made, name), "vllm") for name in ("math", "math-other"))
    assert "limits" not in mine["resources"]
    assert other["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert (mine["image"], other["image"]) == ("vllm/vllm-openai:v9", "vllm/vllm-openai:v0.32.0")
    assert only(made, "Deployment", "math")["spec"]["replicas"] == 3
    assert only(made, "PodDisruptionBudget")["metadata"]["name"] == "math-other"
    names = [entry["name"] for entry in mine["env"]]
    assert (
        len(names) == len(set(names)) and variables(mine)["HF_HUB_OFFLINE"] == "0" and variables(mine)["OTHER"] == "1"
    )


def test_a_model_that_is_null_is_taken_away(helm_either: Helm) -> None:
    made = render(helm_either, models={"math": MATH, "old": None})
    assert [one["metadata"]["name"] for one in made if one["kind"] == "Deployment"] == ["math"]
    assert not [one for one in render(helm_either) if one["kind"] not in ("ServiceAccount", "NetworkPolicy")]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({}, []),
        ({"gpus": 4}, ["--tensor-parallel-size", "4"]),
        ({"gpus": 4, "args": ["--pipeline-parallel-size=4"]}, []),
        ({"gpus": 4, "args": ["-tp", "2"]}, []),
        ({"gpus": 4, "args": ["-dp", "4"]}, []),
    ],
)
def test_the_gpus_of_a_pod_share_the_model(helm_newest: Helm, model: dict[str, Any], words: list[str]) -> None:
    args = server_args(helm_newest, **model)
    assert ("--tensor-parallel-size" in args) == bool(words)
    assert " ".join(words) in " ".join(args)


def test_requests_under_way_have_what_is_left_of_the_grace_period(helm_newest: Helm) -> None:
    spec = pod(render(helm_newest, models={"math": MATH}))
    args = container(spec, "vllm")["args"]
    assert spec["terminationGracePeriodSeconds"] == 120
    assert container(spec, "vllm")["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}
    assert args[args.index("--shutdown-timeout") + 1] == "100"
    at_once = server_args(helm_newest, gracePeriodSeconds=5, preStopSeconds=0)
    assert "--shutdown-timeout" not in at_once


def test_probes_wait_for_the_model_and_then_for_the_server(helm_newest: Helm) -> None:
    def paths(**model: Any) -> dict[str, tuple[str, int, int]]:
        one = container(pod(render(helm_newest, models={"math": {**MATH, **model}})), "vllm")
        kinds = ("startupProbe", "readinessProbe", "livenessProbe")
        return {
            kind: (one[kind]["httpGet"]["path"], one[kind]["periodSeconds"], one[kind]["failureThreshold"])
            for kind in kinds
        }

    assert paths() == {
        "startupProbe": ("/v1/models", 10, 180),
        "readinessProbe": ("/v1/models", 5, 3),
        "livenessProbe": ("/health", 10, 6),
    }
    assert paths(startupSeconds=95)["startupProbe"] == ("/v1/models", 10, 10)
    # The kubelet has no key, and would be refused /v1/models.
    assert {path for path, _, _ in paths(apiKey={"secretName": "key"}).values()} == {"/health"}


def test_a_key_comes_from_a_secret_and_is_sent_by_the_test(helm_newest: Helm) -> None:
    made = render(helm_newest, models={"math": {**MATH, "apiKey": {"secretName": "keys", "secretKey": "math"}}})
    wanted = {"secretKeyRef": {"name": "keys", "key": "math"}}
    assert variables(container(pod(made), "vllm"))["VLLM_API_KEY"] == wanted
    assert variables(container(only(made, "Pod")["spec"], "ask"))["API_KEY"] == wanted
    without = render(helm_newest, models={"math": MATH})
    assert "VLLM_API_KEY" not in variables(container(pod(without), "vllm"))


def test_servers_ask_nobody(helm_newest: Helm) -> None:
    spec = pod(render(helm_newest, models={"math": MATH}))
    found = variables(container(spec, "vllm"))
    silent = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "DO_NOT_TRACK")
    assert [found[name] for name in silent] == ["1"] * len(silent)
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    # The store's keys are for the container that fetches, not for the one that answers strangers.
    assert not [name for name in found if name.startswith("AWS_")]


def test_images_are_named_by_digest_before_tag_and_by_the_mirror(helm_newest: Helm) -> None:
    given = {
        "models": {"math": MATH},
        "defaults": {"image": {"registry": "a.example", "digest": DIGEST}},
        "fetch": {"image": {"registry": "b.example"}},
    }
    spec = pod(render(helm_newest, **given))
    assert container(spec, "vllm")["image"] == f"a.example/vllm/vllm-openai@{DIGEST}"
    assert container(spec, "fetch")["image"] == f"b.example/agentark-worker:{__version__}"
    mirrored = render(helm_newest, **given, **{"global": {"imageRegistry": "m:5000/x", "imagePullSecrets": ["pull"]}})
    spec = pod(mirrored)
    assert container(spec, "vllm")["image"] == f"m:5000/x/vllm/vllm-openai@{DIGEST}"
    assert container(spec, "fetch")["image"] == f"m:5000/x/agentark-worker:{__version__}"
    assert spec["imagePullSecrets"] == only(mirrored, "Pod")["spec"]["imagePullSecrets"] == [{"name": "pull"}]


def test_what_is_kept_in_a_cache_is_named_by_its_content(helm_newest: Helm) -> None:
    def folder(**model: Any) -> str:
        spec = pod(render(helm_newest, models={"math": {"cache": {"existingClaim": "models"}, **model}}))
        volume = next(one for one in spec["volumes"] if one["name"] == "models")
        assert volume["persistentVolumeClaim"] == {"claimName": "models"}
        fetched, served = container(spec, "fetch")["args"][2], container(spec, "vllm")["args"][0]
        assert fetched == served and served.startswith("/models/math-")
        return str(served)

    found = [
        folder(release="math-student@7"),
        folder(release="math-student@8"),
        folder(release="math-student", digest=DIGEST),
        folder(uri="s3://models/math", digest=DIGEST),
        folder(uri=HUB),
    ]
    assert len(set(found)) == len(found) and folder(release="math-student@7") == found[0]


def test_a_claim_is_made_for_a_cache_of_a_size(helm_newest: Helm) -> None:
    made = render(helm_newest, models={"math": {**MATH, "cache": {"size": "40Gi", "storageClassName": "shared"}}})
    claim = only(made, "PersistentVolumeClaim", "math-cache")["spec"]
    assert claim["resources"] == {"requests": {"storage": "40Gi"}}
    assert claim["storageClassName"] == "shared" and claim["accessModes"] == ["ReadWriteMany"]
    volumes = {one["name"]: one for one in pod(made)["volumes"]}
    assert volumes["models"]["persistentVolumeClaim"] == {"claimName": "math-cache"}


def test_a_volume_is_served_as_it_is_and_checked_where_a_digest_is_given(helm_newest: Helm) -> None:
    model: dict[str, Any] = {"pvc": {"claimName": "models", "path": "math/7"}}
    spec = pod(render(helm_newest, models={"math": model}))
    assert "initContainers" not in spec and container(spec, "vllm")["args"][0] == "/models/math/7"
    spec = pod(render(helm_newest, models={"math": {**model, "digest": DIGEST}}))
    assert container(spec, "verify")["args"] == ["digest", "/models/math/7", "--identity", DIGEST]
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container(spec, "verify")["volumeMounts"]
    spec = pod(render(helm_newest, models={"math": {"pvc": {"claimName": "models"}}}))
    assert container(spec, "vllm")["args"][0] == "/models"


def test_the_hub_is_asked_with_a_token_through_a_mirror(helm_newest: Helm) -> None:
    hub = {"endpoint": "https://hub.example", "tokenSecret": {"name": "hub"}}
    found = variables(container(pod(render(helm_newest, models={"math": {"uri": HUB}}, huggingFace=hub)), "fetch"))
    assert found["HF_ENDPOINT"] == "https://hub.example"
    assert found["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "token"}}
    assert "HF_HUB_OFFLINE" not in found and not [name for name in found if name.startswith("AWS_")]


def test_a_chat_template_comes_with_the_model(helm_newest: Helm) -> None:
    template = '{% for one in messages %}\n{{ one["content"] }}\n{% endfor %}'
    made = render(helm_newest, models={"math": {**MATH, "chatTemplate": template}})
    assert only(made, "ConfigMap", "math-chat")["data"] == {"template.jinja": template}
    args = container(pod(made), "vllm")["args"]
    assert args[args.index("--chat-template") + 1] == "/chat/template.jinja"
    annotations = [
        only(render(helm_newest, models={"math": {**MATH, "chatTemplate": text}}), "Deployment")["spec"]["template"][
            "metadata"
        ]["annotations"]
        for text in (template, "other")
    ]
    assert annotations[0] != annotations[1]  # a changed one replaces the pods


def test_pods_are_counted_by_one_of_the_two(helm_newest: Helm) -> None:
    made = render(helm_newest, models={"math": {**MATH, "autoscaling": {"type": "HPA", "minReplicas": 2}}})
    assert "replicas" not in only(made, "Deployment")["spec"]  # else each upgrade would set it back
    hpa = only(made, "HorizontalPodAutoscaler")["spec"]
    assert hpa["scaleTargetRef"]["name"] == RELEASE and (hpa["minReplicas"], hpa["maxReplicas"]) == (2, 4)
    (metric,) = hpa["metrics"]
    assert metric["pods"]["metric"]["name"] == "vllm_num_requests_waiting"
    keda = {"type": "KEDA", "prometheusUrl": "http://p:9090", "waitingRequests": 8, "fallbackReplicas": 3}
    made = render(helm_newest, models={"math": {**MATH, "autoscaling": keda}})
    scaled = only(made, "ScaledObject")["spec"]
    assert scaled["fallback"] == {"failureThreshold": 3, "replicas": 3}
    waiting, cache = (one["metadata"] for one in scaled["triggers"])
    assert waiting["query"] == 'sum(vllm:num_requests_waiting{namespace="team-a", model_name="math"})'
    assert (waiting["threshold"], cache["threshold"]) == ("8", "0.8")
    assert {one["metricType"] for one in scaled["triggers"]} == {"AverageValue"}  # KEDA's fallback knows no other
    assert not [one for one in made if one["kind"] == "HorizontalPodAutoscaler"]


def test_a_canary_gets_its_share(helm_newest: Helm) -> None:
    models = {"math": MATH, "next": {"release": "math-student@8", "aliases": ["math"]}}
    parts = [{"model": "math", "weight": 90}, {"model": "next", "weight": 10}]
    route = {"hosts": ["llm.example"], "parentRefs": [{"name": "public"}], "backends": parts}
    made = render(helm_newest, models=models, routes={"public": route})
    spec = only(made, "HTTPRoute", "math-public")["spec"]
    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [
        {"name": "math", "port": 80, "weight": 90},
        {"name": "math-next", "port": 80, "weight": 10},
    ]
    assert rule["timeouts"] == {"request": "10m"} and spec["hostnames"] == ["llm.example"]
    args = container(pod(made, "math-next"), "vllm")["args"]
    assert args[1:4] == ["--served-model-name", "next", "math"]
    assert container(only(made, "Pod", "math-next-test")["spec"], "ask")["args"][2:] == ["next", "math"]


def test_what_goes_out_is_limited_to_what_is_needed(helm_newest: Helm) -> None:
    peers = [{"ipBlock": {"cidr": "198.18.0.0/24"}}]
    models = {"math": MATH, "hub": {"uri": HUB}, "kept": {"pvc": {"claimName": "c"}}}
    limited = {"egress": {"restrict": True, "store": peers}}
    spec = only(render(helm_newest, models=models, networkPolicy=limited), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    rules = {tuple(port["port"] for port in rule["ports"]): rule.get("to") for rule in spec["egress"]}
    assert rules == {(53, 53): None, (9000,): peers, (443,): None}
    only_kept = render(helm_newest, models={"kept": models["kept"]}, networkPolicy={"egress": {"restrict": True}})
    assert len(only(only_kept, "NetworkPolicy")["spec"]["egress"]) == 1
    free = only(render(helm_newest, models=models), "NetworkPolicy")["spec"]
    assert free["policyTypes"] == ["Ingress"] and "from" not in free["ingress"][0]


def test_the_test_may_ask_where_others_may_not(helm_newest: Helm) -> None:
    web = {"namespaceSelector": {"matchLabels": {"web": "yes"}}}
    made = render(helm_newest, models={"math": MATH}, networkPolicy={"from": [web]})
    peers = only(made, "NetworkPolicy")["spec"]["ingress"][0]["from"]
    assert peers[0] == web
    assert peers[1]["podSelector"]["matchLabels"].items() <= only(made, "Pod")["metadata"]["labels"].items()
    assert not (
        only(made, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
        <= only(made, "Pod")["metadata"]["labels"].items()
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"release": "math-student"}, "kubectl -n team-a rollout restart deployment/math"),
        ({"apiKey": {"secretName": "k"}, **MATH}, "kubectl -n team-a get secret k -o jsonpath='{.data.apiKey}'"),
        (MATH, "Whoever reaches the Service may ask"),
    ],
)
def test_notes_say_what_to_do_next(helm_newest: Helm, model: dict[str, Any], said: str) -> None:
    notes = notes_of(helm_newest, models={"math": model})
    assert said in notes and "http://math.team-a.svc/v1" in notes and "helm test math --namespace team-a" in notes


def test_notes_of_a_chart_without_models_say_so(helm_newest: Helm) -> None:
    assert "Nothing is served: there is no model" in notes_of(helm_newest)


def notes_of(helm: Helm, **given: Any) -> str:
    """What Helm shows after an installation; Helm 3 would ask a cluster first."""
    words = [*setting({"store": STORE, **given}), "--namespace", NAMESPACE, "--dry-run=client"]
    said = helm.run("install", RELEASE, CHARTS / CHART, *words)
    return said.partition("NOTES:")[2]
