"""A wrong value of the chart of served models is refused with its path and what is accepted, by both Helms."""

from typing import Any

import pytest

from tests.charts.charting import Helm
from tests.charts.inference import CHART, STORE, refusal

MATH = {"release": "math-student@7"}
CACHE = {"existingClaim": "models"}
ROUTE = {"parentRefs": [{"name": "public"}], "backends": [{"model": "math"}]}


def math(**model: Any) -> dict[str, Any]:
    """Values with one model."""
    return {"models": {"math": {**MATH, **model}}}


def routed(*backends: dict[str, Any], **models: Any) -> dict[str, Any]:
    """Values with a route."""
    return {"models": {"math": MATH, **models}, "routes": {"public": {**ROUTE, "backends": list(backends)}}}


WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    # Typos: the names that there are.
    ({"model": {}}, ("'model'", "'models'")),
    (math(relaese="x"), ("'/models/math'", "'relaese'", "'release'", "'uri'", "'pvc'")),
    ({"defaults": {"gpu": 1}}, ("'/defaults'", "'gpu'", "'gpus'")),
    (math(cache={"sizelimit": "1Gi"}), ("'/models/math/cache'", "'sizelimit'", "'sizeLimit'")),
    # Types and forms.
    ({"models": {"math": "math-student"}}, ("'/models/math'", "got string, want null or object")),
    ({"models": {"Math": MATH}}, ("'Math'", "[a-z0-9]")),
    (math(release="math@latest"), ("'/models/math/release'", "'math@latest'", "@[1-9]")),
    (math(digest="1234"), ("'/models/math/digest'", "'1234'", "sha256:[0-9a-f]{64}")),
    ({"models": {"math": {"uri": "https://x/y"}}}, ("'/models/math/uri'", "'https://x/y'", "s3://", "hf://")),
    ({"models": {"math": {"pvc": {"path": "x"}}}}, ("'/models/math/pvc'", "missing property 'claimName'")),
    ({"models": {"math": {"pvc": {"claimName": "a", "path": "../x"}}}}, ("'/models/math/pvc/path'", "'../x'")),
    (math(gpus=-1), ("'/models/math/gpus'", "minimum: got -1, want 0")),
    (math(autoscaling={"type": "both"}), ("'/models/math/autoscaling/type'", "'None', 'HPA', 'KEDA'")),
    (math(autoscaling={"minReplicas": 0}), ("'/models/math/autoscaling/minReplicas'", "minimum: got 0, want 1")),
    ({"defaults": {"service": {"type": "External"}}}, ("'/defaults/service/type'", "'ClusterIP', 'NodePort'")),
    ({"store": {"uri": "minio/x"}}, ("'/store/uri'", "'minio/x'", "s3://")),
    ({"metrics": {"podMonitor": {"interval": 15}}}, ("'/metrics/podMonitor/interval'", "got number, want string")),
    ({"routes": {"public": {"backends": []}}}, ("'/routes/public'", "'parentRefs'")),
    # Values that do not go together.
    ({"models": {"math": {}}}, ("- models.math: give exactly one of release", "uri (s3://", "pvc (", "found: none")),
    (math(uri="s3://models/x"), ("- models.math: give exactly one of release", "found: release, uri")),
    ({**math(), "store": {"uri": ""}}, ("- store.uri: is empty, and models.math names release math-student@7; give",)),
    ({**math(), "store": {**STORE, "secretName": ""}}, ("- store.secretName: is empty", "accessKey and secretKey")),
    (math(digest="commit:" + 40 * "0"), ("- models.math.digest: is commit:", "give sha256:HEX")),
    (
        {"models": {"math": {"uri": "hf://a/b", "digest": "sha256:" + 64 * "0"}}},
        ("- models.math.digest: is sha256:", "give commit:HASH"),
    ),
    (math(cache={"existingClaim": "a", "size": "1Gi"}), ("- models.math.cache: holds existingClaim and size",)),
    (math(release="math-student", cache=CACHE), ("- models.math: a cache outlives pods", "release: math-student@3")),
    ({"models": {"math": {"uri": "s3://a-b/c", "cache": CACHE}}}, ("- models.math: a cache", "agentark digest FOLDER")),
    ({"models": {"math": {"uri": "hf://a/b@main", "cache": CACHE}}}, ("- models.math: a cache", "@COMMIT")),
    (
        math(cache={"size": "1Gi", "accessModes": ["ReadWriteOnce"]}),
        ("- models.math.cache.accessModes: is ReadWriteOnce", "give ReadWriteMany, or one replica"),
    ),
    (math(args=["--port", "9"]), ("- models.math.args: holds --port, which the chart gives",)),
    (math(args=["--api-key=secret"]), ("- models.math.args: holds --api-key", "give apiKey.secretName")),
    (math(args=["--served-model-name", "x"]), ("- models.math.args: holds --served-model-name", "give aliases")),
    (math(gracePeriodSeconds=10), ("- models.math.gracePeriodSeconds: is 10; give at least", "which is 20")),
    (math(autoscaling={"type": "HPA", "minReplicas": 5}), ("- models.math.autoscaling.minReplicas: is 5, more than",)),
    (math(autoscaling={"type": "KEDA"}), ("- models.math.autoscaling.prometheusUrl: is empty", "http://prometheus")),
    (math(autoscaling={"metrics": [{}]}), ("- models.math.autoscaling.metrics: is given, but type is None",)),
    (
        math(strategy={"rollingUpdate": {"maxSurge": 0}}),
        ("- models.math.strategy.rollingUpdate: maxSurge and maxUnavailable are both 0",),
    ),
    (
        {**math(), "airgap": {"enabled": True}, "store": {**STORE, "endpoint": ""}},
        (
            "- models.math.image.registry: is empty, but airgap.enabled is true",
            "- fetch.image.registry: is empty",
            "- store.endpoint: is empty, which means AWS",
        ),
    ),
    (
        {"models": {"math": {"uri": "hf://a/b"}}, "airgap": {"enabled": True}},
        ("- models.math.uri: is hf://a/b, but airgap.enabled is true", "huggingFace.endpoint"),
    ),
    (routed({"model": "maht"}), ("- routes.public.backends[0].model: is maht, which is none of models", "math")),
    (
        routed({"model": "math"}, {"model": "next"}, next=MATH),
        ("- routes.public.backends[1].model: next answers to next", "give models.next.aliases: [math]"),
    ),
    (routed({"model": "math", "weight": 0}), ("- routes.public.backends: all weights are 0",)),
    ({"networkPolicy": {"enabled": False, "from": [{}]}}, ("- networkPolicy.from: is given", "set enabled: true")),
    ({"networkPolicy": {"egress": {"store": [{}]}}}, ("- networkPolicy.egress.store: is given", "restrict to true")),
    ({"models": {"a" * 54: MATH}}, ("'" + "a" * 54 + "'", "{0,51}")),
]


@pytest.mark.parametrize(("values", "parts"), WRONG, ids=[str(values)[:70] for values, _ in WRONG])
def test_a_wrong_value_is_refused_with_its_path_and_what_is_accepted(
    helm_either: Helm, values: dict[str, Any], parts: tuple[str, ...]
) -> None:
    said = refusal(helm_either, **values)
    assert not [part for part in parts if part not in said], said


def test_all_that_does_not_go_together_is_said_at_once(helm_newest: Helm) -> None:
    said = refusal(helm_newest, **math(uri="s3://models/x", args=["--port=1"], gracePeriodSeconds=5))
    assert all(f"\n- models.math{part}: " in said for part in ("", ".args", ".gracePeriodSeconds"))


def test_names_that_no_object_can_have_are_refused(helm_newest: Helm) -> None:
    given = {"store": STORE, "models": {"a" * 40: MATH}}
    said = helm_newest.template(CHART, release="b" * 30, given=given, code=1)
    assert "its objects would be named" in said and "71 characters long; 63 are allowed" in said
    said = helm_newest.template(CHART, release="7b", given=given, code=1)
    assert "a letter first: give the release of the chart another name" in said
