"""A teacher that dresses its answers as chat models do loses no trace, and one that is wrong wins none."""

import json
from collections.abc import Callable

import pytest

from agentark.api import StoreSource, read_manifest
from agentark.debate import read_records
from agentark.errors import InvalidInput
from agentark.execution.running import run_stage
from agentark.planning import pin_addresses, plan
from agentark.store import StageManifest, Store, open_store, stage_path
from tests.execution.conftest import ROOT, Workplace

pytestmark = pytest.mark.usefixtures("tried_here")

QUESTIONS = 6
WORK = "Step 1: 40 + 2 = 42\n"


def run(place: Workplace, url: str, *names: str) -> tuple[Store, StageManifest]:
    """Run stages of a distillation whose teacher is a server; returns the manifest of the last."""
    for name, text in (("train", "What is in box {}?"), ("test", "Name the number on the door of house {}.")):
        rows = ({"question": text.format(number), "answer": "42"} for number in range(QUESTIONS))
        place.write(f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "debate": {
            "dataset": {"uri": "file:train.jsonl"},
            "teacher": {"endpoint": {"baseUrl": url, "model": "test"}},
            "protocol": {"agents": 3, "rounds": 2, "tie": "First"},
        },
        "student": {"model": {"uri": f"file:{ROOT}/examples/quickstart/base"}},
        "methods": ["RSFT"],
        "evaluation": {"suites": [{"name": "test", "dataset": {"uri": "file:test.jsonl"}}]},
    }
    resource = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DistillJob", "metadata": {"name": "job"}, "spec": spec}
    store = open_store(str(place.folder / "store"))
    (job,) = read_manifest(place.write("job.yaml", resource))
    run_plan = plan(job, pin_addresses([job], base=place.folder, store=store, source=StoreSource()))
    for name in names:
        key = next(stage.key for stage in run_plan.stages if stage.name == name)
        manifest = run_stage(run_plan, key, store)
    assert manifest is not None
    return store, manifest


@pytest.mark.parametrize(
    "reply",
    [
        "The answer is **42**.",
        "**Final Answer: 42**",
        "**Final Answer:**\n\n**42**",
        "<answer>42</answer>",
        "<answer>\nThe answer is 42.\n</answer>",
        "The final answer is:\n\n\\[\nx = 42\n\\]",
        "The answer is:\n$$\n\\begin{{aligned}}\nx &= 40 + 2 \\\\\n&= 42\n\\end{{aligned}}\n$$",
        "### Answer\n\n`42`",
        "所以答案是 **42**。",
    ],
)
def test_a_debate_keeps_the_traces_it_deserves(place: Workplace, serve: Callable[..., str], reply: str) -> None:
    store, curated = run(place, serve("--template", f"### Solution\n{WORK}{reply}"), "debate", "curate/RSFT")
    debate = curated.inputs["debate"]
    records = list(read_records(store, stage_path("debate", debate, "records")))
    assert {(record.rounds, record.consensus, record.decided_by) for record in records} == {(1, True, "Consensus")}
    assert int(str(curated.metrics["rows"])) + int(str(curated.metrics["held_out"])) == QUESTIONS


@pytest.mark.parametrize(
    "reply", ["The answer is **not 42 but 43**.", "The answer is 42 1/2.", "<answer>42 or 43</answer>"]
)
def test_a_wrong_debate_wins_no_trace(place: Workplace, serve: Callable[..., str], reply: str) -> None:
    with pytest.raises(InvalidInput, match="trace"):
        run(place, serve("--template", f"### Solution\n{WORK}{reply}"), "debate", "curate/RSFT")
