"""One question is written by every model of a run before the first one is paid for."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentark.api import StoreSource, read_manifest
from agentark.errors import AgentArkError, InvalidInput
from agentark.execution import rehearsing, running
from agentark.execution.stages import answering
from agentark.llm import Sampling
from agentark.llm.testing import ScriptedEngine
from agentark.planning import Plan, pin_addresses, plan
from agentark.release import Lineage, ReleasedModel, VersionContent, publish
from agentark.store import Store, open_store
from agentark.store.local import LocalStore
from agentark.store.outputs import put_folder
from agentark.store.stages import now
from tests.distill.world import TEMPLATE, write_model
from tests.execution.conftest import Workplace, debate_run

PARTS = (
    "{% for m in messages %}<|{{ m.role }}|>{% for p in m.content %}{{ p.text }}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)
LOSES_SYSTEM = TEMPLATE.replace("messages %}", "messages if m.role != 'system' %}", 1)
THINKS = TEMPLATE.replace("'<|assistant|>' }}", "'<|assistant|><think>\n' }}")
OTHERWISE = TEMPLATE.replace("'<|assistant|>' }}", "'<|assistant|>final:' }}")
CLOSED = TEMPLATE.replace("'<|assistant|>' }}", "'<|assistant|><think>\n\n</think>\n\n' }}")
ONE_TURN = "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}" + TEMPLATE
EMPTY_ASSISTANT = TEMPLATE.replace("m['content']", "(m['content'] if m['role'] != 'assistant' else '')")


def distill_job(student: str = "student", **spec: Any) -> dict[str, Any]:
    debate = debate_run("http://127.0.0.1:9/v1")["spec"]
    debate["protocol"] |= spec.pop("protocol", {})
    debate["teacher"] = spec.pop("teacher", debate["teacher"])
    return {
        "apiVersion": "agentark.dev/v1alpha1",
        "kind": "DistillJob",
        "metadata": {"name": "job"},
        "spec": {
            "debate": debate,
            "student": {"model": {"uri": f"file:{student}"}},
            "methods": ["RSFT"],
            "evaluation": {"suites": [{"name": "sums", "dataset": {"uri": "file:questions.jsonl"}}]},
            **spec,
        },
    }


class Bench:
    """Runs the debate of a manifest in this process, through an engine that counts what it is asked."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.engine = ScriptedEngine(self._answer)

    @staticmethod
    def _answer(messages: object, sampling: Sampling, index: int, seed: int) -> str:
        return "### Solution\nStep 1: \\boxed{1}"

    def model(self, name: str, template: str | None) -> Path:
        return write_model(self.place.folder / name, template=template)

    def planned(self, *documents: dict[str, Any]) -> tuple[Plan, Store]:
        """The plan of the first document, made with the others, as `agentark run` makes it."""
        self.place.questions(2)
        file = self.place.folder / "job.yaml"
        file.write_text("\n---\n".join(json.dumps(document) for document in documents))
        store = open_store(str(self.place.folder / "store"))
        resources = read_manifest(file)
        others = {f"{one.kind}/{one.metadata.name}": one for one in resources}
        pins = pin_addresses(resources, base=self.place.folder, store=store, source=StoreSource())
        return plan(resources[0], pins, others=others), store

    def debate(self, *documents: dict[str, Any], name: str = "debate") -> None:
        found, store = self.planned(*documents)
        (stage,) = [stage for stage in found.stages if stage.name == name]
        running.run_stage(found, stage.key, store)

    def refused(self, *documents: dict[str, Any], name: str = "debate") -> str:
        """What the debate is refused for, before anything was asked."""
        with pytest.raises(InvalidInput) as raised:
            self.debate(*documents, name=name)
        assert self.engine.calls == 0
        return str(raised.value)


@pytest.fixture
def bench(place: Workplace, monkeypatch: pytest.MonkeyPatch, tried_here: None) -> Bench:
    made = Bench(place)
    monkeypatch.setattr(answering, "build_engines", lambda context: [made.engine] * 3)
    return made


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (PARTS, "loses the question of (user)"),
        (None, "has no chat template"),
        (THINKS, "opens <think> where the answer begins"),
        (EMPTY_ASSISTANT, "loses the answer of a prompt"),
        (OTHERWISE, "writes the prompt of row 1 alone otherwise"),
        (CLOSED, "writes the prompt of row 1 alone otherwise"),
        ("{{ messages[0].nothing.at_all }}", "refuses a conversation of (user)"),
        ("{% if messages | length > 1 %}{{ raise_exception('no') }}{% endif %}" + TEMPLATE, "a prompt with its answer"),
    ],
)
def test_a_student_that_could_not_be_trained_is_refused_before_the_debate(
    bench: Bench, template: str | None, reason: str
) -> None:
    bench.model("student", template)
    message = bench.refused(distill_job())
    assert message.startswith("spec.student.model (file:student): ") and reason in message
    assert "chat_template.jinja" in message or "take a model" in message


@pytest.mark.parametrize("template", [NO_SYSTEM, LOSES_SYSTEM])
def test_a_system_role_that_the_prompts_use_must_be_written(bench: Bench, template: str) -> None:
    bench.model("student", template)
    bench.debate(distill_job())
    bench.engine.calls = 0
    message = bench.refused(distill_job(protocol={"prompts": {"system": "Be careful."}}))
    assert message.startswith("spec.student.model (file:student): ") and "system" in message
    assert "leave out system messages (protocol.prompts.system, and roles in protocol.team)" in message


def test_models_without_a_fault_debate(bench: Bench) -> None:
    bench.model("student", TEMPLATE)
    bench.debate(distill_job(protocol={"prompts": {"system": "Be careful."}, "tie": "Summariser"}))
    assert bench.engine.calls > 0


def test_of_a_teacher_every_conversation_of_the_debate_is_written(bench: Bench) -> None:
    bench.model("student", TEMPLATE)
    bench.model("teacher", ONE_TURN)
    job = distill_job(teacher={"model": {"uri": "file:teacher"}})
    message = bench.refused(job)
    assert message.startswith("spec.debate.teacher.model (file:teacher): ")
    assert "refuses a conversation of (user, assistant, user): one turn only" in message
    # One round asks for no reviews.
    bench.debate(distill_job(teacher={"model": {"uri": "file:teacher"}}, protocol={"rounds": 1}))


def test_a_teacher_may_think(bench: Bench) -> None:
    bench.model("student", TEMPLATE)
    bench.model("teacher", THINKS)
    bench.debate(distill_job(teacher={"model": {"uri": "file:teacher"}}))


def test_agents_with_models_and_roles_of_their_own_are_named(bench: Bench) -> None:
    bench.model("student", TEMPLATE)
    bench.model("own", NO_SYSTEM)
    own = {"role": "You doubt.", "teacher": {"model": {"uri": "file:own"}}}
    message = bench.refused(distill_job(protocol={"team": [{}, {"role": "You check."}, own]}))
    assert message.startswith("spec.debate.protocol.team[2].teacher.model (file:own): ")
    # It may be another agent that has the role.
    bench.debate(distill_job(protocol={"team": [{}, {"role": "You check."}, {**own, "role": ""}]}))


def test_all_that_is_wrong_is_said_at_once(bench: Bench) -> None:
    bench.model("student", THINKS)
    bench.model("teacher", PARTS)
    message = bench.refused(distill_job(teacher={"model": {"uri": "file:teacher"}}))
    assert [line.split(" ")[0] for line in message.splitlines()] == ["spec.debate.teacher.model", "spec.student.model"]


def test_a_student_that_is_to_debate_later_must_read_reviews(bench: Bench) -> None:
    bench.model("student", ONE_TURN)
    message = bench.refused(distill_job(evolve={"rounds": 2}))
    assert "refuses a conversation of (user, assistant, user): one turn only" in message
    bench.debate(distill_job())


def test_reward_models_and_completers_are_tried(bench: Bench) -> None:
    bench.model("student", TEMPLATE)
    bench.model("backbone", PARTS)
    bench.model("teacher", EMPTY_ASSISTANT)
    prm = {"model": {"uri": "file:backbone"}, "labels": ["Agreement", "MonteCarlo"]}
    message = bench.refused(distill_job(methods=["PAD"], prm=prm, teacher={"model": {"uri": "file:teacher"}}))
    assert "spec.prm.model (file:backbone): its chat template loses the question" in message
    assert "spec.prm.labels (file:teacher): " in message and "cannot" in message
    # A reward model reads plain paragraphs where there is no template.
    bench.model("plain", None)
    bench.debate(distill_job(methods=["PAD"], prm={"model": {"uri": "file:plain"}}))


def test_a_debate_that_jobs_refer_to_tries_their_models(bench: Bench) -> None:
    bench.model("student", THINKS)
    bench.model("backbone", PARTS)
    job = distill_job(debateRef={"name": "talk"})
    del job["spec"]["debate"]
    prm = {"debateRef": {"name": "talk"}, "model": {"uri": "file:backbone"}}
    training = {**job, "kind": "PRMTraining", "metadata": {"name": "steps"}, "spec": prm}
    debate = debate_run("http://127.0.0.1:9/v1")
    message = bench.refused(debate, job, training)
    assert "DistillJob 'job': spec.student.model (file:student): " in message
    assert "PRMTraining 'steps': spec.model (file:backbone): " in message
    assert bench.refused(job, debate).startswith("spec.student.model (file:student): ")
    assert bench.refused(training, debate).startswith("spec.model (file:backbone): ")


def test_a_debate_that_a_cluster_makes_of_a_job_tries_its_student(bench: Bench) -> None:
    bench.model("student", THINKS)
    bench.model("teacher", PARTS)
    job = distill_job(teacher={"model": {"uri": "file:teacher"}})
    made = debate_run("http://127.0.0.1:9/v1", teacher=job["spec"]["debate"]["teacher"])
    message = bench.refused(made | {"metadata": {"name": "job-debate"}}, job)
    assert "DistillJob 'job': spec.student.model (file:student): " in message
    assert "DistillJob 'job': spec.debate.teacher.model (file:teacher): " in message


def test_models_that_a_server_runs_are_not_tried(bench: Bench) -> None:
    bench.model("student", TEMPLATE)
    bench.model("teacher", PARTS)
    found, store = bench.planned(distill_job(teacher={"model": {"uri": "file:teacher"}}))
    # As the operator hands it to pods: vLLM serves the weights, and gives such templates what they expect.
    served = {"endpoint": {"baseUrl": "http://teacher/v1", "model": "teacher"}}
    stages = tuple(
        one.model_copy(update={"settings": one.settings | {"models": [served]}}) if one.kind == "debate" else one
        for one in found.stages
    )
    (debate,) = [one for one in stages if one.kind == "debate"]
    running.run_stage(found.model_copy(update={"stages": stages}), debate.key, store)
    assert bench.engine.calls > 0


@pytest.mark.parametrize(
    ("args", "tried"),
    [
        ([], True),
        (["--chat-template-content-format", "openai"], True),
        (["--chat-template-content-format=openai", "--enable-prefix-caching"], True),
        (["--served-model-name", "my--chat-template"], True),
        (["--chat-template", "/own.jinja"], False),
        (["--chat-template=/own.jinja"], False),
        (["--chat_template=/own.jinja"], False),
    ],
)
def test_a_teacher_is_tried_unless_its_server_is_given_a_template(bench: Bench, args: list[str], tried: bool) -> None:
    bench.model("student", TEMPLATE)
    bench.model("teacher", TEMPLATE)
    found, _ = bench.planned(distill_job(teacher={"model": {"uri": "file:teacher"}, "serving": {"args": args}}))
    (debate,) = [stage for stage in found.stages if stage.kind == "debate"]
    fields = [rehearsal["field"] for rehearsal in debate.settings["rehearsals"]]
    assert ("spec.debate.teacher.model" in fields) == tried


def test_settings_of_generation_count_as_the_training_reads_them(bench: Bench) -> None:
    folder = bench.model("student", TEMPLATE)
    file = folder / "generation_config.json"
    file.write_text(json.dumps({"num_return_sequences": 4, "eos_token_id": 1}))
    bench.debate(distill_job())
    bench.engine.calls = 0
    file.write_text("[")
    assert "cannot be loaded" in bench.refused(distill_job(protocol={"rounds": 1}))


@pytest.mark.parametrize("use", ["student", "teacher", "backbone"])
@pytest.mark.parametrize(
    "settings", [{"model_type": "strange"}, {"model_type": "strange", "auto_map": {"AutoConfig": "own.Config"}}]
)
def test_a_configuration_that_is_not_read_is_refused_by_field(bench: Bench, use: str, settings: dict[str, Any]) -> None:
    for name in ("student", "teacher", "backbone"):
        bench.model(name, TEMPLATE)
    file = bench.place.folder / use / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    fields = {"student": "spec.student.model", "teacher": "spec.debate.teacher.model", "backbone": "spec.prm.model"}
    prm = {"model": {"uri": "file:backbone"}}
    message = bench.refused(distill_job(methods=["PAD"], prm=prm, teacher={"model": {"uri": "file:teacher"}}))
    assert message.startswith(f"{fields[use]} (file:{use}): ") and "cannot be loaded" in message
    assert len(message.splitlines()) == 1


STAGE = """
import json, sys
from pathlib import Path
from agentark.errors import AgentArkError
from agentark.execution import running
from agentark.planning import Plan
from agentark.store import open_store

plan = Plan.model_validate_json(Path("plan.json").read_text())
(stage,) = [stage for stage in plan.stages if stage.name == "debate"]
error = ""
try:
    running.run_stage(plan, stage.key, open_store("store"))
except AgentArkError as failure:
    error = f"{type(failure).__name__}: {failure}"
print(json.dumps({"loaded": sorted({"torch", "transformers", "peft"} & set(sys.modules)), "error": error}))
"""


@pytest.mark.parametrize("template", [TEMPLATE, THINKS])
@pytest.mark.long
def test_a_debate_worker_keeps_nothing_of_what_tries_the_models(
    place: Workplace, serve: Callable[..., str], template: str
) -> None:
    bench = Bench(place)
    bench.model("student", template)
    found, _ = bench.planned(distill_job(teacher={"endpoint": {"baseUrl": serve(), "model": "test"}}))
    place.write("plan.json", found.model_dump_json())
    ran = subprocess.run(
        [sys.executable, "-c", STAGE], cwd=place.folder, capture_output=True, text=True, check=True, timeout=300
    )
    ending = json.loads(ran.stdout)
    assert ending["loaded"] == []
    if template == TEMPLATE:
        assert ending["error"] == "" and list(place.folder.glob("store/stages/debate/*/manifest.json"))
    else:
        assert ending["error"].startswith("InvalidInput: spec.student.model (file:student): ")


def test_a_template_that_never_ends_is_given_up(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(place)
    monkeypatch.setattr(rehearsing, "_LONGEST_S", 1.0)
    loop = "{% for i in range(99999) %}" * 4 + "{% endfor %}" * 4
    bench.model("student", loop + TEMPLATE)
    with pytest.raises(AgentArkError, match=r"spec.student.model: .*after 1 s; see whether one of them never ends"):
        bench.debate(distill_job())


def test_without_transformers_the_message_says_what_to_install(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.model("student", TEMPLATE)
    monkeypatch.setitem(sys.modules, "transformers", None)
    message = bench.refused(distill_job())
    assert message.startswith("spec.student.model: needs the package transformers")
    assert "pip install 'agentark[train]'" in message


def test_of_a_released_model_no_weights_are_fetched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bench.model("released", THINKS)
    store = open_store(str(bench.place.folder / "store"))
    model = put_folder(store, "stages/distill/a/attempts/1/model", folder)
    lineage = Lineage(
        run_id="job-1", kind="DistillJob", namespace="default", name="job", stage_key="a", stages=(), pins={}
    )
    released = ReleasedModel(path=model.path, uri=f"{store.uri}/{model.path}", bytes=model.bytes)
    digest = f"sha256:{model.sha256}"
    publish(
        store,
        VersionContent(
            name="sums", digest=digest, model=released, scores=(), gates=(), lineage=lineage, created_at=now()
        ),
    )
    fetched: list[str] = []
    download = LocalStore.download

    def noted(self: LocalStore, path: str, target: Path) -> None:
        fetched.append(path)
        download(self, path, target)

    monkeypatch.setattr(LocalStore, "download", noted)
    job = distill_job()
    job["spec"]["student"]["model"]["uri"] = "release://sums"
    assert bench.refused(job).startswith("spec.student.model (release://sums): its chat template opens <think>")
    names = {path.rsplit("/", 1)[-1] for path in fetched}
    assert "tokenizer.json" in names and "model.safetensors" not in names


@pytest.mark.long
def test_the_command_line_refuses_with_2_and_asks_nothing(place: Workplace, serve: Callable[..., str]) -> None:
    url = serve()
    place.questions(2)
    write_model(place.folder / "student", template=PARTS)
    job = distill_job(teacher={"endpoint": {"baseUrl": url, "model": "test"}})
    place.write("job.yaml", job)
    output = place.run("run", "-f", "job.yaml", expect=2)
    assert "evaluate/sums/debate: spec.student.model (file:student): its chat template loses the question" in output
    assert output.count("loses the question") <= 4, "a line for each stage, and one at the end"
    with urllib.request.urlopen(url.removesuffix("/v1") + "/counts") as response:
        assert json.load(response)["answered"] == 0
