"""From a manifest to a process reward model and a student trained by it, and what people see of both."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.api import Prompts
from agentark.debate import Record
from agentark.execution.stages.steps import _turns
from agentark.tasks import NUMBER
from agentark.tasks.critiques import PeerNames
from tests.execution.conftest import ROOT, Workplace
from tests.servers import warm

pytestmark = pytest.mark.long

QUICKSTART = ROOT / "examples" / "quickstart"


def manifest(**pad: Any) -> dict[str, Any]:
    """The quickstart's PAD job, as small as can be."""
    job: dict[str, Any] = yaml.safe_load((QUICKSTART / "pad.yaml").read_text())
    job["metadata"]["name"] = "small"
    spec = job["spec"]
    base = {"model": {"uri": f"file:{QUICKSTART / 'base'}"}}
    spec["debate"]["dataset"] = {"uri": f"file:{QUICKSTART / 'data' / 'train.jsonl'}", "limit": 48}
    spec["debate"]["teacher"] = spec["student"] = base
    spec["debate"]["protocol"] |= {"agents": 3, "rounds": 2}
    spec["methods"] = ["PAD"]
    spec["prm"]["training"] |= {"epochs": "4"}
    spec["pad"] |= {"steps": 2, "promptsPerStep": 4, "group": 4, **pad}
    spec["curation"] = {"heldOutFraction": "0.3"}
    spec["training"]["evaluations"] = 1
    suite = {"name": "small", "dataset": {"uri": f"file:{QUICKSTART / 'data' / 'test.jsonl'}", "limit": 8}}
    spec["evaluation"] = {"suites": [suite], "controls": [], "decoding": ["Greedy"]}
    return job


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, warm_processes: None) -> Iterator[Workplace]:
    """A folder in which the small job has run; tests add runs to it and find its stages again."""
    place = Workplace(tmp_path_factory.mktemp("process-rewards"), warm.Popen)
    place.write("job.yaml", manifest())
    document = json.loads(place.run("run", "-f", "job.yaml", "--json").splitlines()[-1])
    states = {stage["name"]: stage["state"] for stage in document["stages"]}
    process_rewards = {"debate", "steps", "prm", "curate/PAD", "distill/PAD"}
    assert set(states) == process_rewards | {"evaluate/small/base", "evaluate/small/student", "compare"}
    assert set(states.values()) == {"Done"}
    yield place


def document(place: Workplace, run: str = "small") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.run("show", run, "--json").splitlines()[-1])
    return found


def test_a_run_shows_step_accuracy_and_the_course_of_the_student(finished: Workplace) -> None:
    shown = finished.run("show", "small")
    assert "step accuracy" in shown and "AUROC" in shown
    assert "distill/PAD: PAD, 2 steps" in shown
    assert "process reward" in shown and "right answers, held out" in shown
    stages = {stage["name"]: stage["manifest"]["metrics"] for stage in document(finished)["stages"]}
    student = stages["distill/PAD"]
    assert student["stopped"] == ""
    assert student["best_accuracy"] >= student["start_accuracy"]
    assert 0 <= stages["prm"]["step_accuracy"] <= 1
    returned = "model of step" if student["best_step"] else "model it started from is returned"
    assert returned in shown


def test_what_is_held_out_is_held_out_everywhere(finished: Workplace) -> None:
    outputs = {stage["name"]: stage["manifest"]["outputs"] for stage in document(finished)["stages"]}

    def rows(stage: str, output: str) -> list[dict[str, Any]]:
        path = finished.folder / ".agentark" / outputs[stage][output]["path"]
        return [json.loads(line) for line in path.read_text().splitlines()]

    asked = {row["id"] for row in rows("curate/PAD", "rows")}
    held_out = {row["question_id"] for row in rows("curate/PAD", "held_out")}
    labelled = rows("steps", "rows")
    assert asked and held_out and not asked & held_out
    assert {row["question"] for row in labelled if row["held_out"]} <= held_out
    assert {row["question"] for row in labelled if not row["held_out"]} <= asked


def test_held_out_solutions_are_shown_step_by_step(finished: Workplace) -> None:
    text = finished.run("prm", "show", "small", "--limit", "4")
    assert "\x1b" not in text, "no colours where there is no terminal"
    assert text.count("by the grader") == 4
    assert "RIGHT by the grader" in text and "WRONG by the grader" in text
    found = json.loads(finished.run("prm", "show", "small", "--limit", "4", "--json").splitlines()[-1])
    assert len(found["shown"]) == 4
    for solution in found["shown"]:
        for step in solution["steps"]:
            assert solution["solution"][step["start"] : step["end"]] == step["text"]
            assert step["right"] is (step["score"] >= found["threshold"])
            assert f"{step['score']:.3f} {'right' if step['right'] else 'WRONG'}  {step['text']}" in text


def test_the_solutions_of_a_file_are_scored_as_in_the_run(finished: Workplace) -> None:
    shown = json.loads(finished.run("prm", "show", "small", "--json").splitlines()[-1])["shown"]
    rows = [
        {"id": str(place), "question": one["question"], "solution": one["solution"]} for place, one in enumerate(shown)
    ]
    finished.write("solutions.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    lines = finished.run("prm", "score", "small", "solutions.jsonl", "--json").splitlines()
    scored = [json.loads(line) for line in lines if line.startswith("{")]
    assert [one["id"] for one in scored] == [row["id"] for row in rows]
    # A monologue is split at its seams in the run, which a file does not know; plain solutions have the same steps.
    alike = [(one, other) for one, other in zip(scored, shown, strict=True) if spans(one) == spans(other)]
    assert alike
    for one, other in alike:
        assert scores(one) == pytest.approx(scores(other), abs=1e-5)
    folder = next(finished.folder.glob(".agentark/stages/prm/*/attempts/*/model"))
    from_folder = finished.run("prm", "score", str(folder), "solutions.jsonl", "--json").splitlines()
    assert [line for line in from_folder if line.startswith("{")] == [line for line in lines if line.startswith("{")]


def spans(solution: dict[str, Any]) -> list[tuple[int, int]]:
    return [(step["start"], step["end"]) for step in solution["steps"]]


def scores(solution: dict[str, Any]) -> list[float]:
    return [step["score"] for step in solution["steps"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"question": "q", "solution": "s"}\nnot json\n', "rows.jsonl:2: is no JSON"),
        ('{"question": "q"}\n', "rows.jsonl:1: solution: found nothing"),
        ('{"question": 3, "solution": "s"}\n', "rows.jsonl:1: question: found 3"),
        ('{"solution": "s"}\n', "rows.jsonl:1: question: give one of"),
        ('{"prompt": [{"role": "user"}], "solution": "s"}\n', "rows.jsonl:1: prompt: "),
        ("[]\n", "rows.jsonl:1: is no JSON object"),
        ("\n", "holds no rows"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(finished: Workplace, content: str, expected: str) -> None:
    finished.write("rows.jsonl", content)
    assert expected in finished.run("prm", "score", "small", "rows.jsonl", expect=2)


def test_what_is_no_reward_model_is_refused(finished: Workplace, tmp_path: Path) -> None:
    finished.write("rows.jsonl", '{"question": "q", "solution": "s"}\n')
    assert "is no process reward model" in finished.run("prm", "score", str(tmp_path), "rows.jsonl", expect=2)
    assert "nor a run" in finished.run("prm", "score", "nowhere", "rows.jsonl", expect=2)
    assert "missing.jsonl: cannot be read" in finished.run("prm", "score", "small", "missing.jsonl", expect=2)


def test_a_guard_ends_a_run_with_its_reason_and_the_run_is_complete(finished: Workplace) -> None:
    # No two batches have answers of the very same length: this guard stops at the second one.
    others = {"stepDrift": "0", "disagreement": "0", "spread": "0", "kl": "0"}
    job = manifest(steps=6, guards=others | {"lengthDrift": "1.000001", "window": 1})
    job["metadata"]["name"] = "guarded"
    finished.write("guarded.yaml", job)
    text = finished.run("run", "-f", "guarded.yaml")
    assert "debate  cached" in text and "prm  cached" in text
    assert "STOPPED by a guard after step 2: length drift" in text
    metrics = {stage["name"]: stage["manifest"]["metrics"] for stage in document(finished, "guarded")["stages"]}
    student = metrics["distill/PAD"]
    assert student["steps"] == 2 and "length drift" in student["stopped"]
    assert student["best_step"] in (0, 1, 2)
    assert "STOPPED by a guard" in finished.run("show", "guarded")


def test_a_reward_model_is_trained_alone_and_referred_to(finished: Workplace) -> None:
    job = manifest()
    spec = job["spec"]
    prm = {"apiVersion": job["apiVersion"], "kind": "PRMTraining", "metadata": {"name": "steps-model"}}
    prm["spec"] = {**spec.pop("prm"), "debate": spec["debate"], "model": spec["student"]["model"]}
    prm["spec"]["heldOutFraction"] = "0.3"
    spec["prmRef"] = {"name": "steps-model"}
    finished.write("both.yaml", yaml.safe_dump_all([prm, job]))
    alone, referring = json.loads(finished.run("run", "-f", "both.yaml", "--json").splitlines()[-1])
    # The same model as the one that the job embeds: nothing is left to do.
    assert [stage["name"] for stage in alone["stages"]] == ["debate", "steps", "prm"]
    assert {stage["state"] for stage in alone["stages"] + referring["stages"]} == {"Cached"}
    assert "step accuracy" in finished.run("show", "steps-model")
    assert "by the grader" in finished.run("prm", "show", "steps-model", "--limit", "1")


def test_steps_are_labelled_by_continuing_and_by_a_judge(finished: Workplace, serve: Callable[..., str]) -> None:
    """The teacher's own weights go on from each step; the judge marks three steps, whatever it is asked about."""
    url = serve("--template", '{{"1": 1, "2": 0, "3": null}}')
    job = manifest()
    spec = job["spec"]
    prm = {"apiVersion": job["apiVersion"], "kind": "PRMTraining", "metadata": {"name": "asked"}}
    prm["spec"] = {**spec["prm"], "debate": spec["debate"], "model": spec["student"]["model"]}
    prm["spec"] |= {"labels": ["MonteCarlo", "Judge", "Agreement"], "monteCarlo": {"rollouts": 2}}
    prm["spec"]["judge"] = {"baseUrl": url, "model": "test"}
    prm["spec"]["training"]["epochs"] = "1"
    finished.write("asked.yaml", prm)
    assert "debate  cached" in finished.run("run", "-f", "asked.yaml")
    (steps,) = [stage["manifest"] for stage in document(finished, "asked")["stages"] if stage["name"] == "steps"]
    report = json.loads((finished.folder / ".agentark" / steps["outputs"]["report"]["path"]).read_text())
    asked = report["asked"]
    assert asked["MonteCarlo"]["failed"] == asked["Judge"]["failed"] == 0
    assert steps["usage"]["calls"] == asked["MonteCarlo"]["requests"] + asked["Judge"]["requests"]
    assert 0 < asked["Judge"]["unparsed"] < asked["Judge"]["requests"], "marks for three steps fit some solutions"
    assert set(report["labelled"]) == {"MonteCarlo", "Judge", "Agreement"}
    assert {(one["first"], one["second"]) for one in report["agreements"]} == {
        ("Agreement", "Judge"),
        ("Agreement", "MonteCarlo"),
        ("Judge", "MonteCarlo"),
    }
    rows = finished.folder / ".agentark" / steps["outputs"]["rows"]["path"]
    labels = [step for line in rows.read_text().splitlines() for step in json.loads(line)["steps"]]
    drawn = {step["label"] for step in labels if step["source"] == "MonteCarlo"}
    assert drawn == {0.0, 0.5, 1.0}, "of two continuations none, one or both end right"


def test_a_served_reward_model_stands_for_one_that_the_job_trains(
    finished: Workplace, serve_prm: Callable[[Path], str]
) -> None:
    (prm,) = [stage["manifest"] for stage in document(finished)["stages"] if stage["name"] == "prm"]
    folder = finished.folder / ".agentark" / prm["outputs"]["model"]["path"]
    url = serve_prm(folder)
    endpoint = {"baseUrl": url, "model": "prm", "weights": {"uri": f"file:{folder}"}}
    job = manifest(prmEndpoint=endpoint)
    job["metadata"]["name"] = "served"
    del job["spec"]["prm"]
    finished.write("served.yaml", job)
    planned = json.loads(finished.run("plan", "-f", "served.yaml", "--json"))
    (plan,) = planned if isinstance(planned, list) else [planned]
    assert "prm" not in {stage["kind"] for stage in plan["stages"]}, "none is trained"
    finished.run("run", "-f", "served.yaml")
    history = {
        name: json.loads((finished.folder / ".agentark" / stage["manifest"]["outputs"]["history"]["path"]).read_text())
        for name in ("small", "served")
        for stage in document(finished, name)["stages"]
        if stage["name"] == "distill/PAD"
    }
    # The same weights score the same answers: the first batch's rewards are those of the model in process.
    assert history["served"]["curves"][0] == pytest.approx(history["small"]["curves"][0], abs=1e-4)
    endpoint["model"] = "other"
    job["spec"]["pad"]["steps"] = 4
    finished.write("served.yaml", job)
    assert "pad.prmEndpoint: " in finished.run("run", "-f", "served.yaml", expect=2)


def test_a_filtered_reply_is_no_turn_to_label() -> None:
    count = {"prompt_tokens": 1, "completion_tokens": 1}
    sampling = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 9, "seed": 0, "sample": 0, "samples": 1}
    said = {"critique": "", "reasoning": "", "answer": "1", "text": "\\boxed{1}", "solution": "\\boxed{1}"}
    turn = {"agent": 0, "round": 0, "role": "agent", "model": "m", "messages": [], "latency_s": 0, "truncated": False}
    turns = [
        turn | said | count | sampling | {"round": number, "finish_reason": reason}
        for number, reason in enumerate(("filtered", "stop", "length"))
    ]
    record = Record.model_validate(
        count
        | {"id": "q", "question": "?", "gold": "1", "strategy": "Debate", "agents": 1, "roles": [""], "turns": turns}
        | {"rounds": 3, "consensus": True, "answer": "1", "solution": "", "decided_by": "Majority", "calls": 3}
    )
    found = list(_turns(record, "1", PeerNames(Prompts().peer), NUMBER))
    assert [turn.complete for turn in found] == [False, True, False]
    assert [turn.correct for turn in found] == [False, True, False]
