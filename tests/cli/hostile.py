"""A store in which every free text is hostile to the terminal that shows it."""

import json
from pathlib import Path
from typing import Any

from agentark.debate.transcript import MessageRef, Record, Turn, shard_path, write_shard
from agentark.release import Current
from agentark.store import RunRecord, RunStage, StageManifest, Store, commit, open_store, stage_path, write_run
from agentark.store.outputs import put_bytes
from agentark.store.stages import now

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\x7f\u202egnp\u2066\r[link=http://evil]a[/link][/red]:warning:"
"""Sets a window's title, clears the screen, colours, deletes, reverses, returns, and is markup of rich."""

SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\x7f\u202egnp\u2066"
"""What a person sees of it, up to the carriage return, which ends a line in some places."""

ORDINARY = "naïve 你好 שלום مرحبا é 👩‍🔬 नमस्ते [red] \\frac{1}{2}\tend"
"""Text with emoji joined to one, combining marks, scripts from right to left, brackets and a tab."""

KEYS = {kind: f"{number:016x}" for number, kind in enumerate(("debate", "compare", "prm", "release", "gate"))}


def hostile_store(folder: Path) -> Store:
    """A finished run `talk` with a debate, a reward model and a comparison, and a release `sums` of it."""
    store = open_store(str(folder))
    _debate(store)
    _comparison(store)
    _reward_model(store)
    _commit(store, "release", {}, metrics={"released": False, "decision": f"sums: {HOSTILE}"})
    figures = {"before": 0.1, "after": 0.2, "lost": 0, "gained": 1, "p": 0.5}
    _commit(store, "gate", {}, metrics=figures | {"round": 1, "accepted": True, "questions": 5, "ended": HOSTILE})
    stages = tuple(RunStage(kind=kind, name=kind, key=KEYS[kind]) for kind in KEYS if kind != "gate")
    stages = (*stages, RunStage(kind="gate", name=HOSTILE, key=KEYS["gate"]))
    write_run(
        store,
        RunRecord(
            run_id="talk-1",
            name="talk",
            created_at=f"{HOSTILE[:8]}2026",
            manifest={"spec": {"seed": HOSTILE}},
            stages=stages,
        ),
    )
    _release(store)
    return store


def _debate(store: Store) -> None:
    text = f"{HOSTILE}\n{ORDINARY}"
    turn = Turn(
        agent=0, round=0, role="agent", model=HOSTILE, messages=(MessageRef(role="user", template="solve"),),
        text=text, reasoning=text, critique=text, solution=text, answer=HOSTILE, finish_reason="stop",
        truncated=False, prompt_tokens=1, completion_tokens=1, latency_s=1.0, temperature=0.0, top_p=1.0, top_k=0,
        max_tokens=64, seed=0, sample=0, samples=1,
    )  # fmt: skip
    record = Record(
        id=HOSTILE, question=text, gold=HOSTILE, strategy="SinglePass", agents=1, roles=(HOSTILE,), turns=(turn,),
        rounds=1, consensus=True, answer=HOSTILE, solution=text, decided_by="Single", calls=1, prompt_tokens=1,
        completion_tokens=1,
    )  # fmt: skip
    line = json.dumps(record.model_dump(mode="json")).encode()
    store.write(shard_path(stage_path("debate", KEYS["debate"], "records"), 0), write_shard([line]))
    metrics = {"questions": 1, "failed": 2, "with_gold": 0, "agreement": 1.0, "replies": 1, "cut": 0, "empty": 1}
    metrics |= {"filtered": 0, "warning": f"{HOSTILE}\n{HOSTILE}"}
    _commit(store, "debate", {}, metrics=metrics, usage={"prompt_tokens": 1.0, "completion_tokens": 1.0})


def _comparison(store: Store) -> None:
    interval = {"low": 0.1, "high": 0.9}
    subject = {"name": "student", "label": HOSTILE, "accuracy": 0.5, "interval": interval}
    results = json.dumps({"suites": {HOSTILE: {"subjects": [subject]}}})
    _commit(store, "compare", {"results": results, "table": f"{HOSTILE}\n{ORDINARY}\n"})


def _reward_model(store: Store) -> None:
    step = {"start": 0, "end": len(HOSTILE), "label": 1.0}
    row = {"question": HOSTILE, "prompt": [{"role": "user", "content": f"{HOSTILE}\n{ORDINARY}"}], "correct": False}
    row |= {"solution": HOSTILE, "answer": HOSTILE, "steps": [step], "scores": [0.25]}
    history = {"held_out": None, "steps": 1, "questions": 1, "losses": [{"loss": 1.0}]}
    outputs = {"history": json.dumps(history), "scores": json.dumps(row), "model": ""}
    _commit(store, "prm", outputs)
    card = {"calibration": {"scale": 1.0, "offset": 0.0, "threshold": 0.5}}
    store.delete(stage_path("prm", KEYS["prm"], "model"))
    store.write(stage_path("prm", KEYS["prm"], "model", "prm.json"), json.dumps(card).encode())


def _release(store: Store) -> None:
    lineage = {"run_id": HOSTILE, "kind": "DistillJob", "namespace": "default", "name": HOSTILE, "stage_key": "k"}
    gate = {"suite": HOSTILE, "metric": "accuracy", "questions": 1, "value": 0.5, "min_value": 0.9, "gain": None}
    version = {
        "name": "sums",
        "version": 1,
        "digest": f"sha256:{'0' * 64}",
        "model": {"path": "models/a", "uri": "file:a", "bytes": 1},
        "scores": [{"suite": HOSTILE, "subject": "student", "value": 0.5, "low": 0.1, "high": 0.9}],
        "gates": [gate | {"passed": False, "failures": [HOSTILE]}],
        "lineage": lineage | {"stages": [], "pins": {}},
        "created_at": HOSTILE[:19],
    }
    store.write("releases/sums/1.json", json.dumps(version).encode())
    current = Current(version=1, digest=HOSTILE, pinned=False)
    store.write("releases/sums/current.json", current.model_dump_json().encode())


def _commit(store: Store, kind: str, outputs: dict[str, str], **content: Any) -> None:
    key = KEYS[kind]
    made = {name: put_bytes(store, stage_path(kind, key, name), text.encode()) for name, text in outputs.items()}
    fields: dict[str, Any] = {"params": {}, "inputs": {}, "attempt": 1, "started_at": now(), "finished_at": now()}
    commit(store, StageManifest(kind=kind, key=key, outputs=made, **fields, **content))
