"""What attempts are called, and whose they are."""

import re
from dataclasses import replace
from typing import Any

import pytest
from agentark_operator.attempts.workload import (
    Owner,
    Workload,
    annotations,
    child_metadata,
    child_name,
    labels,
    owner_reference,
    stamped_template,
)

OWNER = Owner("DistillJob", "student", "team", "uid-1", {"kueue.x-k8s.io/queue-name": "gpus", "app": "x"}, {})
KEY = "0123456789abcdef"
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"agentark.dev/uid": "forged", "team": "a"}},
    "spec": {"containers": [{"name": "stage"}, {"name": "proxy"}]},
}
WORKLOAD = Workload(OWNER, "distill", "distill/RSFT", KEY, 3, "student-0a", "student-distill-x-3", TEMPLATE)


@pytest.mark.parametrize("name", ["a", "student", "x" * 63, "0" * 63, "7b-on-gsm8k", "a" * 27 + "-b"])
@pytest.mark.parametrize("kind", ["debate", "distill", "evaluate"])
@pytest.mark.parametrize("attempt", [1, 12, 10101])
def test_names_leave_room_for_what_controllers_add(name: str, kind: str, attempt: int) -> None:
    found = child_name(replace(OWNER, name=name), kind, KEY, attempt)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", found), "PyTorchJobs and Services begin with a letter"
    assert "--" not in found
    for suffix in ("-worker-1023", "-node-0-1023-abcde", "-1023"):
        assert len(found + suffix) <= 63


def test_names_differ_by_resource_stage_and_attempt_and_are_the_same_again() -> None:
    def name(uid: str = "uid-1", key: str = KEY, attempt: int = 1) -> str:
        return child_name(replace(OWNER, uid=uid), "distill", key, attempt)

    assert name() == name()
    assert len({name(), name(uid="uid-2"), name(key="f" * 16), name(attempt=2)}) == 4
    assert re.fullmatch(r"student-distill-[0-9a-f]{6}-1", name())


def test_cut_names_are_told_apart_by_more_digits_and_whole_ones_stay() -> None:
    first, second = (f"nightly-gsm8k-qwen3-8b-to-qwen3-0-6b-rsft-da-2026-11-30-seed-{seed}" for seed in (1, 2))
    names = [child_name(replace(OWNER, name=name, uid=name), "distill", KEY, 1) for name in (first, second)]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"nightly-gsm8k-qwen3-8b-distill-[0-9a-f]{12}-1", name) for name in names)
    whole = child_name(replace(OWNER, name="a" * 28), "distill", KEY, 1)
    assert re.fullmatch(r"a{28}-distill-[0-9a-f]{6}-1", whole), "as before"


def test_a_thousand_resources_whose_names_begin_alike_make_ten_thousand_children() -> None:
    owners = [replace(OWNER, name=f"{'nightly-' * 6}{number}", uid=f"uid-{number}") for number in range(1000)]
    names = {child_name(owner, "evaluate", f"{stage:016x}", 1) for owner in owners for stage in range(10)}
    assert len(names) == 10_000


def test_children_say_whose_they_are_and_queue_where_their_resource_does() -> None:
    metadata = child_metadata(WORKLOAD)
    assert metadata["labels"] == labels(WORKLOAD) | {"kueue.x-k8s.io/queue-name": "gpus"}
    assert labels(WORKLOAD) == {
        "app.kubernetes.io/managed-by": "agentark-operator",
        "app.kubernetes.io/part-of": "agentark",
        "agentark.dev/kind": "DistillJob",
        "agentark.dev/name": "student",
        "agentark.dev/uid": "uid-1",
        "agentark.dev/stage": KEY,
        "agentark.dev/stage-kind": "distill",
        "agentark.dev/attempt": "3",
    }
    assert annotations(WORKLOAD) == {"agentark.dev/stage-name": "distill/RSFT", "agentark.dev/run-id": "student-0a"}
    assert metadata["ownerReferences"] == [owner_reference(OWNER)]
    assert owner_reference(OWNER) == {
        "apiVersion": "agentark.dev/v1alpha1",
        "kind": "DistillJob",
        "name": "student",
        "uid": "uid-1",
        "controller": True,
        "blockOwnerDeletion": True,
    }


def test_an_overlay_takes_no_label_of_ours_away_and_pods_are_not_queued() -> None:
    made = stamped_template(WORKLOAD, "pytorch")
    assert made["metadata"]["labels"] == labels(WORKLOAD) | {"team": "a"}
    assert [one["name"] for one in made["spec"]["containers"]] == ["pytorch", "proxy"]
    assert [one["name"] for one in TEMPLATE["spec"]["containers"]] == ["stage", "proxy"], "the workload is as it was"
