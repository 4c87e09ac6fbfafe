"""What the operator makes of what an API server says that is busy, has just begun, or does not answer."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from agentark_operator.kube import Gone, Kube, KubeError, Refused, Unreachable

from tests.servers.faults import faults
from tests.servers.kubernetes import ApiServer

Client = Callable[[ApiServer], Kube]
NAME = "kube-talk"
PATH = f"/apis/agentark.dev/v1alpha1/namespaces/default/debateruns/{NAME}"
STATUS = {"observedGeneration": 1, "phase": "Pending", "conditions": []}


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    def connect(server: ApiServer) -> Kube:
        file = server.kubeconfig(tmp_path / "kubeconfig")
        # The client reads the environment when it is imported.
        for module in ("kubernetes.config", "kubernetes.config.kube_config"):
            monkeypatch.setattr(f"{module}.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
        return Kube(connections=1)

    return connect


@pytest.fixture
def talk(cluster: ApiServer) -> dict[str, object]:
    """A DebateRun on the server."""
    endpoint = {"baseUrl": "http://127.0.0.1:9/v1", "model": "test"}
    spec = {"dataset": {"uri": "s3://bucket/questions.jsonl"}, "teacher": {"endpoint": endpoint}}
    made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": NAME}, "spec": spec}
    answer = cluster.apply(PATH, made)
    assert answer.status in (200, 201), answer.message
    return answer.body


def test_what_is_there_is_never_taken_for_gone(
    cluster: ApiServer, talk: dict[str, object], connected: Client, tmp_path: Path
) -> None:
    with faults(tmp_path / "front", cluster, seed=3) as front:
        kube = connected(front.server)
        front.set(share=1.0)
        for number in range(40):  # each kind of fault some times
            with pytest.raises(KubeError) as caught:
                kube.write_status(talk, STATUS | {"currentStage": f"stage-{number}"})
            assert not isinstance(caught.value, (Gone, Refused)), caught.value
        counts = front.counts
        assert {"fault: 409", "fault: 409 after", "fault: 429", "fault: 500"} <= counts.keys()
        front.set()
        now = cluster.request("GET", PATH).body
        version = kube.write_status(now, STATUS)
        written = cluster.request("GET", PATH).body
        assert written["status"]["phase"] == "Pending" and written["metadata"]["resourceVersion"] == version
        kube.close()


def test_nobody_is_written_over_and_all_but_the_status_stays(
    cluster: ApiServer, talk: dict[str, object], connected: Client
) -> None:
    kube = connected(cluster)
    metadata = {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    before = cluster.request("PATCH", PATH, {"metadata": metadata}, form="application/merge-patch+json").body
    with pytest.raises(Unreachable, match="has been modified"):
        kube.write_status(talk, STATUS)
    kube.write_status(before, STATUS)
    after = cluster.request("GET", PATH).body
    assert after["status"] == STATUS
    assert after["spec"] == before["spec"]
    changing = ("resourceVersion", "managedFields")
    kept = [{name: one for name, one in it["metadata"].items() if name not in changing} for it in (before, after)]
    assert kept[0] == kept[1] and after["metadata"]["generation"] == 1
    owners = [
        {one["manager"]: one["fieldsV1"] for one in it["metadata"]["managedFields"] if "subresource" not in one}
        for it in (before, after)
    ]
    assert owners[0] == owners[1]
    assert [one["fieldsV1"] for one in after["metadata"]["managedFields"] if "subresource" in one] == [{"f:status": {}}]
    kube.close()


def test_what_was_made_anew_or_deleted_is_gone(cluster: ApiServer, talk: dict[str, object], connected: Client) -> None:
    kube = connected(cluster)
    metadata = dict(talk["metadata"])  # type: ignore[call-overload]
    other = talk | {"metadata": metadata | {"uid": "11111111-2222-3333-4444-555555555555"}}
    with pytest.raises(Gone):
        kube.write_status(other, STATUS)
    cluster.request("DELETE", PATH)
    with pytest.raises(Gone):
        kube.write_status(talk, STATUS)
    assert kube.read("agentark.dev/v1alpha1", "DebateRun", NAME, "default") is None
    kube.close()


def test_a_server_that_does_not_know_a_kind_yet_says_nothing_of_its_objects(
    cluster: ApiServer, connected: Client, tmp_path: Path
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"404 page not found\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        kube = connected(ApiServer(f"http://127.0.0.1:{server.server_port}", cluster.authority, cluster.pool))
        with pytest.raises(KubeError, match="404 page not found") as caught:
            kube.read("kubeflow.org/v1", "PyTorchJob", "training", "default")
        assert not isinstance(caught.value, Gone)
        assert not kube.serves("kubeflow.org/v1", "PyTorchJob")
        kube.close()
        server.shutdown()
        thread.join()
