"""A pass over a resource as store and API server see it: what it asks, in which order, and what a failed call leaves.

The store is a folder and real; the API server answers each request as if it had done it, and keeps nothing.
"""

import copy
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest
from agentark_operator.informers.children import Children
from agentark_operator.informers.resources import Body, Key, Resources, parse_resource
from agentark_operator.kube import Gone, Kube, Object, Unreachable, path_of
from agentark_operator.metrics.telemetry import Telemetry
from agentark_operator.reconciler.context import Outcome
from agentark_operator.reconciler.reconciler import Reconciler
from agentark_operator.reconciler.steps import Steps
from agentark_operator.settings import Settings
from agentark_operator.storage import stores

from agentark.errors import StoreUnreachable
from agentark.planning import Pin, Plan, run_record
from agentark.planning import plan as lay_out
from agentark.store import Entry, write_run
from agentark.store.local import LocalStore
from tests.api.manifests import manifest
from tests.servers.stage_command import StageCommand
from tests.servers.stage_results import commit_result

NOW = "2026-11-24T12:00:00Z"
URIS = ("s3://data/train.jsonl", "s3://data/test.jsonl", "hf://org/teacher", "hf://org/student")


class Calls:
    """Calls in the order in which they were made.

    Args:
        failing: The call that fails with an error.
    """

    def __init__(self, failing: str = "", error: Exception | None = None) -> None:
        self.done: list[str] = []
        self.objects: Mapping[str, Object] = {}
        """What the API server has at the end, by path."""
        self._failing, self._error = failing, error

    def make(self, call: str) -> None:
        if call == self._failing and self._error is not None:
            raise self._error
        self.done.append(call)


class RecordedStore(LocalStore):
    """A folder that notes what is asked of it."""

    def __init__(self, root: Path, calls: Calls) -> None:
        super().__init__(root)
        self._calls = calls

    def read(self, path: str) -> bytes:
        self._calls.make(f"read {path}")
        return super().read(path)

    def write(self, path: str, data: bytes) -> None:
        self._calls.make(f"write {path}")
        super().write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._calls.make(f"create {path}")
        return super().create(path, data)

    def stat(self, path: str) -> Entry | None:
        self._calls.make(f"stat {path}")
        return super().stat(path)

    def entries(self, prefix: str) -> Iterator[Entry]:
        self._calls.make(f"list {prefix}")
        return super().entries(prefix)


class RecordedKube(Kube):
    """The operator's client up to the wire, before a server that takes everything."""

    def __init__(self, calls: Calls, objects: Sequence[Object]) -> None:
        self._calls = calls
        self.objects = {path_of(item): item for item in objects}

    def _call(
        self, method: str, path: str, body: Any = None, form: str = "", *, query: str = "", whole: bool = True
    ) -> Object:
        self._calls.make(f"{method} {path}")
        known = self.objects.get(path, {})
        if method == "GET" and not known:
            raise Gone(404, path)
        if method in ("GET", "DELETE"):
            return known if method == "GET" else self.objects.pop(path, {})
        made = {"uid": path, "resourceVersion": "7", "creationTimestamp": NOW}
        parts = {part: known.get(part, {}) | body.get(part, {}) for part in ("metadata", "spec")}
        self.objects[path] = known | body | parts | {"metadata": parts["metadata"] | made}
        return self.objects[path]


@dataclass(frozen=True)
class Job:
    """A DistillJob that has been planned, and its store."""

    body: Body
    plan: Plan
    folder: Path


class Reconcile(Protocol):
    """A pass over a resource by an operator that has just begun, which leaves the store's folder as it is."""

    def __call__(self, body: Body, folder: Path, calls: Calls, children: Sequence[Object] = ()) -> Outcome: ...


@pytest.fixture
def reconcile(monkeypatch: pytest.MonkeyPatch) -> Reconcile:
    def over(body: Body, folder: Path, calls: Calls, children: Sequence[Object] = ()) -> Outcome:
        with TemporaryDirectory() as store:
            shutil.copytree(folder, store, dirs_exist_ok=True)
            monkeypatch.setattr(stores, "open_store", lambda uri, **_: RecordedStore(Path(store), calls))
            resources, key = Resources(), Key(body["kind"], "default", body["metadata"]["name"])
            resources.saw(key, body)
            known = Children()
            for child in children:
                known.saw(child)
            kube = RecordedKube(calls, children)
            calls.objects = kube.objects
            reconciler = Reconciler(kube, Settings(), resources, known, Telemetry(), running=lambda: 1)
            return reconciler.reconcile(key, body)

    return over


def planned(folder: Path, *, done: bool) -> Job:
    """A job of which nothing is done, or all, its release among it."""
    changes = {"store": {"uri": "s3://team"}, "release": {"name": "sums"}, "methods": ["RSFT"]}
    body = manifest("DistillJob", changes, name="job")
    body["metadata"] |= {"uid": "uid-job", "generation": 1, "resourceVersion": "1", "creationTimestamp": NOW}
    plan = lay_out(parse_resource(body), {uri: Pin(uri=uri, identity=f"sha256:{uri}", rows=10) for uri in URIS})
    body["status"] = {"runId": plan.run_id, "observedGeneration": 1, "phase": "Pending"}
    store = LocalStore(folder)
    write_run(store, run_record(plan))
    for stage in plan.stages if done else ():
        metrics = {"released": True, "decision": "released"} if stage.kind == "release" else {}
        command = StageCommand(stage.kind, stage.key, store.uri)
        commit_result(store, command, plan=plan, metrics=metrics, outputs={})
    return Job(body, plan, folder)


@pytest.fixture(scope="module")
def begins(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return planned(tmp_path_factory.mktemp("begins"), done=False)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return planned(tmp_path_factory.mktemp("released"), done=True)


def ready(outcome: Outcome) -> str:
    """The reason of the condition Ready."""
    return next(str(each["reason"]) for each in outcome.status["conditions"] if each["type"] == "Ready")


def kinds(calls: Calls) -> list[str]:
    """Each call's verb, and the kind of stage or object that it is about."""
    words = (re.match(r"(\w+) (?:stages/|.*/namespaces/default/)?(\w+)", call) for call in calls.done)
    return [" ".join(word.groups()) for word in words if word is not None]


@dataclass(frozen=True)
class Case:
    """What a pass is made over."""

    body: Body
    folder: Path
    children: Sequence[Object] = ()


@pytest.fixture
def cases(begins: Job, released: Job, reconcile: Reconcile) -> Mapping[str, Case]:
    first = Calls()
    status = reconcile(begins.body, begins.folder, first).status
    children = [child for child in first.objects.values() if child.get("kind") in ("Job", "Deployment")]
    suspended = copy.deepcopy(begins.body) | {"status": status}
    suspended["spec"]["suspend"], suspended["metadata"]["generation"] = True, 2
    return {
        "begins": Case(begins.body, begins.folder),
        "suspended": Case(suspended, begins.folder, children),
        "released": Case(released.body, released.folder),
    }


ORDER = {
    "begins": [
        "PATCH debateruns",
        *("stat plans", "create plans", "PATCH jobs"),
        *("PATCH deployments", "PATCH services"),
        *("PUT distilljobs", "POST events", "POST events"),
    ],
    "suspended": [
        "PATCH debateruns",
        *("GET events", "PATCH jobs"),
        *("GET deployments", "DELETE deployments", "GET deployments"),
        *("PUT distilljobs", "POST events"),
    ],
    "released": ["read compare", "POST modelreleases", "PUT distilljobs", "POST events", "POST events"],
}
"""What follows upon the reading of the plan and of all manifests."""


@pytest.mark.parametrize("name", list(ORDER))
def test_steps_are_taken_in_order(name: str, begins: Job, cases: Mapping[str, Case], reconcile: Reconcile) -> None:
    case, calls = cases[name], Calls()
    assert not reconcile(case.body, case.folder, calls, case.children).later
    manifests = [f"read {stage.kind}" for stage in begins.plan.stages]
    assert kinds(calls) == ["read runs", *manifests, *ORDER[name]]


@pytest.mark.parametrize("name", list(ORDER))
def test_a_call_that_fails_ends_the_pass_and_a_store_that_fails_is_told_once(
    name: str, cases: Mapping[str, Case], reconcile: Reconcile
) -> None:
    case, whole = cases[name], Calls()
    reconcile(case.body, case.folder, whole, case.children)
    for index, call in enumerate(whole.done):
        before = whole.done[: whole.done.index(call)]
        if "/namespaces/" not in call:
            calls = Calls(call, StoreUnreachable("down"))
            outcome = reconcile(case.body, case.folder, calls, case.children)
            assert (ready(outcome), outcome.later) == ("StoreUnavailable", "down"), call
            assert calls.done[:index] == before
            assert kinds(calls)[index] == "PUT distilljobs" and set(kinds(calls)[index + 1 :]) == {"POST events"}, call
        elif not (call.startswith("POST") and call.endswith("/events")):  # what cannot be told is left untold
            calls = Calls(call, Unreachable(0, "down"))
            with pytest.raises(Unreachable):
                reconcile(case.body, case.folder, calls, case.children)
            assert calls.done == before and "PUT distilljobs" not in kinds(calls), call


def test_no_step_is_taken_without_a_plan(begins: Job, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "_plan", lambda steps, context: context)
    with pytest.raises(AssertionError, match="the step that plans comes first"):
        reconcile(begins.body, begins.folder, Calls())


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"suites": {"test": {"subjects": [{}]}}}'])
def test_a_comparison_that_cannot_be_read_tells_of_no_release(
    content: bytes | None, released: Job, tmp_path: Path, reconcile: Reconcile
) -> None:
    shutil.copytree(released.folder, tmp_path / "store")
    (results,) = (tmp_path / "store").glob("stages/compare/*/attempts/1/results.json")
    results.unlink()
    if content is not None:
        results.write_bytes(content)
    calls = Calls()
    outcome = reconcile(released.body, tmp_path / "store", calls)
    assert ready(outcome) == "StoreUnavailable" and "results.json" in outcome.later
    assert "POST modelreleases" not in kinds(calls)


@pytest.mark.parametrize("kind", ["ModelRelease", "DistillJob"])
def test_a_resource_that_is_gone_is_not_looked_at_again(kind: str, begins: Job, reconcile: Reconcile) -> None:
    release = manifest("ModelRelease", {"store": {"uri": "s3://team"}}, name="job")
    release["metadata"] |= begins.body["metadata"]
    path = f"/apis/agentark.dev/v1alpha1/namespaces/default/{kind.lower()}s/job/status"
    gone = Calls(f"PUT {path}", Gone(404, path))
    assert reconcile({"ModelRelease": release}.get(kind, begins.body), begins.folder, gone) == Outcome({}, gone=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"methods": ["None"]}, "InvalidSpec"),
        ({"debate": None, "debateRef": {"name": "nobody"}}, "DependencyNotReady"),
        ({"store": {"uri": "s3://team", "credentialsSecretRef": {"name": "nowhere"}}}, "StoreUnavailable"),
        ({"evaluation.suites": [{"name": "test", "dataset": {"uri": "s3://data/none.jsonl"}}]}, "InputNotReady"),
    ],
)
def test_history_keeps_to_its_limit_where_no_pass_can_be_made(
    changes: dict[str, Any], reason: str, tmp_path: Path, reconcile: Reconcile
) -> None:
    body = manifest("DistillJob", {"store": {"uri": "s3://team"}, "runPolicy.historyLimit": 2, **changes}, name="job")
    body["metadata"] |= {"uid": "uid-job", "generation": 2, "resourceVersion": "1", "creationTimestamp": NOW}
    earlier = [{"runId": name, "phase": "Failed", "startedAt": NOW, "completedAt": NOW} for name in ("job-b", "job-a")]
    failed = {"runId": "job-c", "observedGeneration": 1, "phase": "Failed", "startedAt": NOW, "stages": []}
    outcome = reconcile(body | {"status": failed | {"runs": earlier}}, tmp_path, Calls())
    assert ready(outcome) == reason
    assert [run["runId"] for run in outcome.status["runs"]] == ["job-c", "job-b"]
