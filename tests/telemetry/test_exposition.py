"""What a stage's figures look like to Prometheus."""

import asyncio
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from agentark.errors import EngineError, NotFound, StoreError
from agentark.execution.metering import MeteredEngine
from agentark.llm import Message, Sampling, ScriptedEngine
from agentark.store import Progress, ProgressWriter, open_store
from agentark.telemetry import MeteredStore, StageFigures
from agentark.telemetry.exposition import stage_registry
from tests.telemetry.scraping import Samples, names, samples, value

METRICS = {"loss": 0.5, "reward": 0.25, "process_reward": -0.5, "accuracy": 0.75, "rollout_accuracy": 0.5, "calls": 3.0}
PROGRESS = Progress(
    percent=50,
    done=4,
    total=10,
    failed=1,
    rate=2.5,
    eta_s=2.0,
    metrics=METRICS,
    heartbeat_at="2026-01-01T00:00:00Z",
    unit="questions",
)


def text(figures: StageFigures) -> str:
    return generate_latest(stage_registry(figures)).decode()


def shown(figures: StageFigures) -> Samples:
    return samples(text(figures))


def test_before_anything_is_known_nothing_is_shown_as_zero() -> None:
    found = shown(StageFigures("distill/PAD", clock=lambda: 100.0))
    ours = {name for name in names(found) if name.startswith("agentark_")}
    assert ours == {
        "agentark_build_info",
        "agentark_stage_start_timestamp_seconds",
        "agentark_stage_heartbeat_timestamp_seconds",
    }
    assert value(found, "agentark_stage_heartbeat_timestamp_seconds") == 100
    assert any(("stage_name", "distill/PAD") in labels for name, labels in found if name == "agentark_build_info")


def test_progress_and_what_a_trainer_reports() -> None:
    now = [100.0]
    figures = StageFigures("distill/PAD", clock=lambda: now[0])
    now[0] = 160.0
    figures.progressed(PROGRESS)
    found = shown(figures)
    assert value(found, "agentark_stage_progress_ratio") == 0.5
    assert {state: value(found, "agentark_stage_items", state=state) for state in ("done", "failed", "total")} == {
        "done": 4,
        "failed": 1,
        "total": 10,
    }
    assert value(found, "agentark_stage_items_per_second") == 2.5
    assert value(found, "agentark_stage_remaining_seconds") == 2
    assert value(found, "agentark_stage_heartbeat_timestamp_seconds") == 160
    assert value(found, "agentark_stage_start_timestamp_seconds") == 100
    assert value(found, "agentark_training_loss") == 0.5
    assert value(found, "agentark_training_reward", component="outcome") == 0.25
    assert value(found, "agentark_training_reward", component="process") == -0.5
    assert value(found, "agentark_training_accuracy_ratio", answers="held-out") == 0.75
    assert value(found, "agentark_training_accuracy_ratio", answers="roll-outs") == 0.5
    assert not any("calls" in name for name in names(found)), "what no metric is made for is left to progress.json"


def test_progress_comes_from_what_is_written_even_where_the_store_takes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, figures = open_store(str(tmp_path / "store")), StageFigures()
    (tmp_path / "store").write_text("no folder")
    with ProgressWriter(store, "debate", "0" * 16, on_write=figures.progressed) as writer:
        writer.update(done=1, total=4)
    assert figures.progress is not None and figures.progress.percent == 25
    assert "progress was not written" in caplog.text


async def test_requests_are_counted_with_tokens_and_times() -> None:
    figures = StageFigures()
    engine = MeteredEngine(ScriptedEngine(lambda *_: "two words", latency_s=0.3), "teacher", figures)
    before = shown(figures)
    assert value(before, "agentark_debate_requests_total", model_name="teacher", outcome="Failed") == 0
    ask = (Message("user", "one two three"),)
    await asyncio.gather(*(engine.chat(ask, sampling=Sampling(), n=2, seed=seed) for seed in range(3)))
    found = shown(figures)
    assert value(found, "agentark_debate_requests_total", model_name="teacher", outcome="Answered") == 3
    assert value(found, "agentark_tokens_total", model_name="teacher", direction="completion") == 3 * 2 * 2
    assert (value(found, "agentark_tokens_total", model_name="teacher", direction="prompt") or 0) > 0
    bucket = "agentark_debate_request_duration_seconds_bucket"
    assert [value(found, bucket, model_name="teacher", le=le) for le in ("0.25", "0.5", "+Inf")] == [0, 3, 3]
    assert value(found, "agentark_debate_request_duration_seconds_sum", model_name="teacher") == pytest.approx(0.9)


async def test_a_request_that_is_given_up_is_counted_apart() -> None:
    figures = StageFigures()
    engine = MeteredEngine(ScriptedEngine(lambda *_: EngineError("no")), "teacher", figures)
    with pytest.raises(EngineError):
        await engine.chat((Message("user", "a"),), sampling=Sampling(), seed=0)
    found = shown(figures)
    assert value(found, "agentark_debate_requests_total", model_name="teacher", outcome="Failed") == 1
    assert value(found, "agentark_debate_request_duration_seconds_count", model_name="teacher") == 0


def test_requests_to_the_store_are_counted_by_what_came_of_them(tmp_path: Path) -> None:
    figures = StageFigures()
    plain = open_store(str(tmp_path / "store"))
    store = MeteredStore(plain, figures.stored)
    assert store.uri == plain.uri
    store.write("a/b", b"1")
    assert store.read("a/b") == b"1" and store.create("a/b", b"2") is False and store.stat("a/c") is None
    with pytest.raises(NotFound):
        store.read("a/c")
    (tmp_path / "file").write_bytes(b"3")
    store.upload("a/d", tmp_path / "file")
    store.download("a/d", tmp_path / "again")
    assert [one.path for one in store.entries("a")] == ["a/b", "a/d"]
    assert next(store.entries("a")).path == "a/b", "a reader may stop early"
    assert store.delete("a") == 2
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(StoreError):
        store.write("x", b"4")
    found = shown(figures)
    counted = {
        (dict(labels)["op"], dict(labels)["outcome"]): count
        for (name, labels), count in found.items()
        if name == "agentark_storage_requests_total" and count
    }
    assert counted == {
        ("write", "Done"): 1,
        ("write", "Failed"): 1,
        ("read", "Done"): 1,
        ("read", "NotFound"): 1,
        ("create", "Done"): 1,
        ("stat", "Done"): 1,
        ("upload", "Done"): 1,
        ("download", "Done"): 1,
        ("list", "Done"): 2,
        ("delete", "Done"): 1,
    }
    assert value(found, "agentark_storage_requests_total", op="read", outcome="Failed") == 0, "seen to grow from zero"
    assert value(found, "agentark_storage_request_duration_seconds_count", op="write") == 2


def test_checkpoints_tell_their_age_and_size() -> None:
    now = [100.0]
    figures = StageFigures(clock=lambda: now[0])
    figures.saved(1000, 2.0)
    now[0] = 200.0
    figures.saved(2000, 4.0)
    found = shown(figures)
    assert value(found, "agentark_checkpoint_last_timestamp_seconds") == 200
    assert value(found, "agentark_checkpoint_bytes") == 2000
    assert value(found, "agentark_checkpoint_upload_duration_seconds_sum") == 6
    assert value(found, "agentark_checkpoint_upload_duration_seconds_bucket", le="5.0") == 2


def test_what_many_threads_count_is_all_there_while_it_is_read() -> None:
    figures = StageFigures()
    figures.asks("m")

    def count() -> None:
        for _ in range(500):
            figures.answered("m", 0.1, prompt_tokens=1, completion_tokens=2)
            figures.stored("read", "Done", 0.01)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        found = shown(figures)
        buckets = "agentark_debate_request_duration_seconds_count"
        answered = value(found, "agentark_debate_requests_total", model_name="m", outcome="Answered")
        assert value(found, buckets, model_name="m") == answered
    for thread in threads:
        thread.join()
    assert value(shown(figures), "agentark_tokens_total", model_name="m", direction="completion") == 4 * 500 * 2


def test_names_and_text_are_what_prometheus_wants(promtool: str) -> None:
    figures = StageFigures("distill/PAD")
    figures.progressed(PROGRESS)
    figures.answered("teacher", 1.0, prompt_tokens=1, completion_tokens=1)
    figures.saved(1, 1.0)
    figures.stored("read", "Done", 0.1)
    done = subprocess.run([promtool, "check", "metrics"], input=text(figures), capture_output=True, text=True)
    # These two come from Prometheus's own client, and are called so everywhere.
    known = ("process_virtual_memory_max_bytes", "process_max_fds")
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(known)]
    assert not complaints
