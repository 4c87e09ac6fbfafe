import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agentark.distill import Checkpoint, Checkpoints
from agentark.store import Store, open_store
from agentark.training.checkpoints import best_first


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def saved(tmp_path: Path, store: Store) -> Callable[..., Checkpoint]:
    def save(step: int, accuracy: float | None = None, training: str = "t") -> Checkpoint:
        folder = tmp_path / f"made-{step}"
        (folder / "deep").mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_text(f"weights of {step}")
        (folder / "deep" / "state").write_text("state")
        return Checkpoints(store, "c").save(folder, step=step, accuracy=accuracy, training=training)

    return save


def test_the_latest_checkpoint_comes_back_as_it_was_saved(
    tmp_path: Path, store: Store, saved: Callable[..., Checkpoint]
) -> None:
    saved(3), saved(12)
    checkpoints = Checkpoints(store, "c")
    found = checkpoints.find("t")
    assert [one.step for one in found] == [12, 3]
    assert checkpoints.restore_first(found, tmp_path / "back") == found[0]
    assert (tmp_path / "back/weights").read_text() == "weights of 12"
    assert (tmp_path / "back/deep/state").read_text() == "state"


def test_torn_tampered_and_foreign_checkpoints_are_passed_over(
    tmp_path: Path, store: Store, saved: Callable[..., Checkpoint], caplog: pytest.LogCaptureFixture
) -> None:
    good = saved(1)
    lost, tampered, unmarked, garbled = saved(2), saved(3), saved(4), saved(5)
    saved(6, training="another")
    store.delete(f"c/{lost.name}/deep/state")
    store.write(f"c/{tampered.name}/weights", b"weights of 9")
    store.delete(f"c/{unmarked.name}/_COMPLETE.json")
    store.write(f"c/{garbled.name}/_COMPLETE.json", b'{"step": 5, "acc')
    with caplog.at_level(logging.WARNING):
        checkpoints = Checkpoints(store, "c")
        assert checkpoints.restore_first(checkpoints.find("t"), tmp_path / "back") == good
    assert (tmp_path / "back/weights").read_text() == "weights of 1"
    for text in ("not written to its end", "is damaged", "is missing", "differs", "another training"):
        assert text in caplog.text


def test_a_damaged_only_checkpoint_gives_nothing_and_leaves_no_folder(
    tmp_path: Path, store: Store, saved: Callable[..., Checkpoint]
) -> None:
    store.write(f"c/{saved(3).name}/weights", b"?")
    checkpoints = Checkpoints(store, "c")
    assert checkpoints.restore_first(checkpoints.find("t"), tmp_path / "back") is None
    assert not (tmp_path / "back").exists()


def test_the_last_two_and_the_best_are_kept(store: Store, saved: Callable[..., Checkpoint]) -> None:
    for step, accuracy in ((1, 0.5), (2, 0.9), (3, None), (4, 0.7), (5, 0.6)):
        saved(step, accuracy)
    torn = saved(6)
    store.delete(f"c/{torn.name}/_COMPLETE.json")
    checkpoints = Checkpoints(store, "c")
    checkpoints.prune("t")
    assert [one.step for one in checkpoints.find("t")] == [5, 4, 2]
    assert not [entry for entry in store.entries("c") if torn.name in entry.path]
    checkpoints.clear()
    assert not list(store.entries("c"))


def test_of_equally_good_checkpoints_the_latest_is_best() -> None:
    made = [
        Checkpoint(name=str(step), step=step, accuracy=accuracy, files={})
        for step, accuracy in ((1, 0.0), (2, 0.5), (3, 0.5), (4, 0.4), (5, None))
    ]
    assert [one.step for one in best_first(made)] == [3, 2, 4, 1, 5]
