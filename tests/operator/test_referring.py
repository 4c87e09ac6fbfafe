"""Resources that name each other."""

from typing import Any

from agentark_operator.informers.resources import Key, Resources, references


def body(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "here", "generation": 1}, "spec": spec}


DEBATE = body("DebateRun", "debate")
PRM = body("PRMTraining", "prm", debateRef={"name": "debate"})
JOB = body("DistillJob", "job", debateRef={"name": "other"}, prmRef={"name": "prm"})
EMBEDDED = body("DistillJob", "embedded", prm={"debateRef": {"name": "debate"}})
ALONE = body("DistillJob", "alone", debate={}, methods=["RSFT"])


def key(one: dict[str, Any]) -> Key:
    return Key(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"])


def resources(*bodies: dict[str, Any]) -> Resources:
    found = Resources()
    for one in bodies:
        found.saw(key(one), one)
    return found


def test_names_are_found_at_any_depth_and_nonsense_is_none() -> None:
    assert references(JOB) == {("DebateRun", "other"), ("PRMTraining", "prm")}
    assert references(EMBEDDED) == {("DebateRun", "debate")}
    assert references(ALONE) == set()
    assert references(body("DistillJob", "a", debateRef="text", prmRef={"name": 3})) == set()
    assert references({"kind": "DistillJob", "metadata": {"name": "a"}}) == set()


def test_what_counts_is_what_is_named_and_who_names_it() -> None:
    found = resources(DEBATE, PRM, JOB, EMBEDDED, ALONE)
    assert set(found.related(key(JOB))) == {"PRMTraining/prm", "DebateRun/debate"}
    assert set(found.related(key(DEBATE))) == {"PRMTraining/prm", "DistillJob/embedded"}
    assert found.related(key(ALONE)) == {}
    assert found.naming(key(PRM)) == {key(JOB)}


def test_what_is_missing_is_named_even_behind_another() -> None:
    assert resources(JOB, PRM).missing(key(JOB)) == ["DebateRun/debate", "DebateRun/other"]
    assert resources(JOB).missing(key(JOB)) == ["DebateRun/other", "PRMTraining/prm"]
    assert resources(PRM, DEBATE, JOB).missing(key(PRM)) == []


def test_a_circle_ends() -> None:
    first, second = body("PRMTraining", "a", prmRef={"name": "b"}), body("PRMTraining", "b", prmRef={"name": "a"})
    assert set(resources(first, second).related(key(first))) == {"PRMTraining/b"}


def test_namespaces_are_apart() -> None:
    there = body("DebateRun", "debate")
    there["metadata"] = there["metadata"] | {"namespace": "there"}
    assert resources(PRM, there).missing(key(PRM)) == ["DebateRun/debate"]


def test_a_changed_spec_names_others_and_a_lost_resource_names_nobody() -> None:
    found = resources(PRM, DEBATE)
    changed = body("PRMTraining", "prm", debateRef={"name": "new"})
    changed["metadata"]["generation"] = 2
    found.saw(key(PRM), changed)
    assert found.missing(key(PRM)) == ["DebateRun/new"] and found.naming(key(DEBATE)) == set()
    found.lost(key(PRM))
    assert found.naming(Key("DebateRun", "here", "new")) == set()
