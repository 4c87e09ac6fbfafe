"""Resources that name each other."""

from typing import Any

from agentark_operator.referring import missing, references, related


def body(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


DEBATE = body("DebateRun", "debate")
PRM = body("PRMTraining", "prm", debateRef={"name": "debate"})
JOB = body("DistillJob", "job", debateRef={"name": "other"}, prmRef={"name": "prm"})
EMBEDDED = body("DistillJob", "embedded", prm={"debateRef": {"name": "debate"}})
ALONE = body("DistillJob", "alone", debate={}, methods=["RSFT"])


def test_names_are_found_at_any_depth_and_nonsense_is_none() -> None:
    assert references(JOB) == {"DebateRun/other", "PRMTraining/prm"}
    assert references(EMBEDDED) == {"DebateRun/debate"}
    assert references(ALONE) == set()
    assert references(body("DistillJob", "a", debateRef="text", prmRef={"name": 3})) == set()
    assert references({"kind": "DistillJob", "metadata": {"name": "a"}}) == set()


def test_what_counts_is_what_is_named_and_who_names_it() -> None:
    siblings = {"DebateRun/debate": DEBATE, "PRMTraining/prm": PRM, "DistillJob/alone": ALONE}
    assert set(related(JOB, siblings)) == {"PRMTraining/prm", "DebateRun/debate"}
    assert set(related(DEBATE, {"PRMTraining/prm": PRM, "DistillJob/embedded": EMBEDDED, "DistillJob/job": JOB})) == {
        "PRMTraining/prm",
        "DistillJob/embedded",
    }
    assert related(ALONE, siblings) == {}


def test_what_is_missing_is_named_even_behind_another() -> None:
    assert missing(JOB, {"PRMTraining/prm": PRM}) == ["DebateRun/debate", "DebateRun/other"]
    assert missing(JOB, {}) == ["DebateRun/other", "PRMTraining/prm"]
    assert missing(PRM, {"DebateRun/debate": DEBATE, "DistillJob/job": JOB}) == []


def test_a_circle_ends() -> None:
    first = body("PRMTraining", "a", prmRef={"name": "b"})
    second = body("PRMTraining", "b", prmRef={"name": "a"})
    assert set(related(first, {"PRMTraining/b": second})) == {"PRMTraining/b"}
