"""Who works on a stage that several resources ask for: never two at once, whatever answers or watches were lost."""

from typing import Any

import pytest
from agentark_operator.attempts.workload import REPLACES, STORE
from agentark_operator.informers.children import Children

KEY, HERE, THERE = "0123456789abcdef", "s3://here", "s3://there"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def child(
    kind: str, owner: str, *, store: str = "", attempt: int = 1, version: int = 1, **status: Any
) -> dict[str, Any]:
    labels = {"uid": owner, "kind": "DebateRun", "name": owner, "stage": KEY, "attempt": str(attempt)}
    metadata = {
        "name": f"{owner}-{kind.lower()}-{attempt}",
        "namespace": "here",
        "uid": f"{owner}-{kind}-{attempt}",
        "resourceVersion": str(version),
        "labels": {f"agentark.dev/{name}": value for name, value in labels.items()},
        "annotations": {STORE: store} if store else {},
    }
    return {"kind": kind, "metadata": metadata, "status": status}


def failed(owner: str, store: str) -> dict[str, Any]:
    conditions = [{"type": "Failed", "status": "True"}]
    return child("PyTorchJob", owner, store=store, version=2, conditions=conditions)


def test_a_stage_is_begun_by_one_resource_at_a_time() -> None:
    found = Children()
    with found.beginning(KEY, HERE, "one") as other:
        assert not other
        with found.beginning(KEY, HERE, "two") as second, found.beginning(KEY, THERE, "two") as elsewhere:
            assert second == "another resource" and not elsewhere
    found.saw(child("Job", "one", store=HERE))
    assert found.worked_on(KEY, HERE, "two") == "DebateRun here/one"
    assert not found.worked_on(KEY, HERE, "one") and not found.worked_on(KEY, THERE, "two")


def test_an_attempt_of_which_nobody_knows_whether_it_was_made_keeps_others_away_for_a_while() -> None:
    clock = Clock()
    found = Children(clock=clock)
    with pytest.raises(OSError), found.beginning(KEY, HERE, "one"):
        raise OSError("the answer was lost")
    assert found.worked_on(KEY, HERE, "two") == "another resource"
    with found.beginning(KEY, HERE, "one") as other:
        assert not other, "who began tries again"
    assert not found.worked_on(KEY, HERE, "two")
    with pytest.raises(OSError), found.beginning(KEY, HERE, "one"):
        raise OSError("the answer was lost")
    clock.now_s += 61.0
    assert not found.worked_on(KEY, HERE, "two"), "who began was deleted meanwhile"


def test_pods_that_outlive_their_attempt_keep_others_away() -> None:
    found = Children()
    found.saw(failed("one", HERE))
    found.saw(child("Pod", "one", phase="Running"))
    assert found.worked_on(KEY, HERE, "two") == "DebateRun here/one"
    assert not found.worked_on(KEY, THERE, "two"), "of another store"
    found.lost(failed("one", HERE))
    assert found.worked_on(KEY, HERE, "two"), "the object is gone, its pod is not"
    found.saw(child("Pod", "one", version=3, phase="Failed"))
    assert not found.worked_on(KEY, HERE, "two")


def test_what_fell_silent_is_found_by_its_resource_and_by_its_stage() -> None:
    clock = Clock()
    found = Children(clock=clock)
    found.saw(child("Job", "one", store=HERE))
    found.saw(child("Pod", "one", phase="Succeeded"))
    clock.now_s += 20.0
    found.saw(child("Job", "two", store=HERE))
    clock.now_s += 20.0
    (silent,) = found.silent("one", 30.0)
    assert silent["kind"] == "Job", "a pod that has ended changes nothing any more"
    assert found.silent_at(KEY, 30.0) == [silent] and not found.silent("two", 30.0)
    found.saw(child("Job", "one", store=HERE))
    assert not found.silent_at(KEY, 30.0), "an old sight is a sight"
    clock.now_s += 20.0
    assert len(found.silent_at(KEY, 10.0)) == 2


def test_what_belongs_to_a_former_resource_of_a_name_is_known() -> None:
    found = Children()
    former, present = child("Job", "one"), child("Job", "one", attempt=2)
    present["metadata"]["labels"]["agentark.dev/uid"] = "new"
    found.saw(former)
    found.saw(present)
    assert found.of_former(("DebateRun", "here", "one"), "new") == [former]
    assert not found.of_former(("PRMTraining", "here", "one"), "new")
    found.lost(former)
    assert not found.of_former(("DebateRun", "here", "one"), "new")


def pod(uid: str, *, version: int, phase: str = "Running", asked: int | None = None) -> dict[str, Any]:
    """A pod; `asked` to end within so many seconds."""
    found = child("Pod", "one", version=version, phase=phase)
    found["metadata"]["uid"] = uid
    if asked is not None:
        found["metadata"] |= {"deletionTimestamp": "2026-11-26T00:00:00Z", "deletionGracePeriodSeconds": asked}
    return found


def replaced(found: Children) -> str:
    (kept,) = found.pods()
    return str(kept["metadata"].get(REPLACES, ""))


@pytest.mark.parametrize("told", [(), ("lost",), ("saw", "lost"), ("saw",)])
def test_a_pod_in_the_place_of_one_that_was_gone_at_once_is_told_from_others(told: tuple[str, ...]) -> None:
    """A watch tells of the end twice where a finalizer holds the pod, and not at all where it was cut."""
    found = Children()
    found.saw(pod("first", version=1))
    assert not replaced(found)
    for what in told:
        getattr(found, what)(pod("first", version=2, asked=0))
    found.saw(pod("second", version=3, phase="Pending"))
    found.saw(pod("second", version=4))
    assert replaced(found) == "first"
    found.saw(pod("second", version=5, asked=30))
    found.saw(pod("second", version=6, asked=0))
    found.lost(pod("second", version=6, asked=0))
    found.saw(pod("third", version=7))
    assert not replaced(found), "the second one was asked to end"


@pytest.mark.parametrize("last", [{"phase": "Pending"}, {"phase": "Failed"}, {"asked": 30}])
def test_pods_that_had_not_begun_had_ended_or_were_asked_to_end_leave_no_trace(last: dict[str, Any]) -> None:
    found = Children()
    found.saw(pod("first", version=1, **last))
    found.lost(pod("first", version=2, **last))
    found.saw(pod("second", version=3))
    assert not replaced(found)
