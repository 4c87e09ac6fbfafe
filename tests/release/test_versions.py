"""Versions are given once, and what a person chose as the current one stays it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.release import (
    Current,
    Lineage,
    ReleasedModel,
    VersionContent,
    list_releases,
    list_versions,
    parse_address,
    promote,
    publish,
    read_current,
    read_release,
    release_with,
)
from agentark.store import Store, open_store
from agentark.store.stages import now


def content(store: Store, stage: str = "a", *, weights: bytes = b"weights", name: str = "sums") -> VersionContent:
    """What a stage releases; its weights are put into the store."""
    path = f"stages/distill/{stage}/attempts/1/model"
    store.write(f"{path}/model.safetensors", weights)
    return VersionContent(
        name=name,
        digest=digest_of(weights),
        model=ReleasedModel(path=path, uri=f"{store.uri}/{path}", bytes=len(weights)),
        scores=(),
        gates=(),
        lineage=Lineage(
            run_id="job-1", kind="DistillJob", namespace="default", name="job", stage_key=stage, stages=(), pins={}
        ),
        created_at=now(),
    )


def digest_of(weights: bytes) -> str:
    return f"sha256:{weights.hex():0<64}"


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Any]) -> Any:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_each_model_gets_the_next_number_and_the_newest_is_current(store: Store) -> None:
    assert list_releases(store) == list_versions(store, "sums").readable == [] and read_current(store, "sums") is None
    first, current = publish(store, content(store, "a"))
    assert (first.version, current) == (1, Current(version=1, digest=digest_of(b"weights"), pinned=False))
    second, current = publish(store, content(store, "b", weights=b"better"))
    assert (second.version, current.version, current.digest) == (2, 2, digest_of(b"better"))
    publish(store, content(store, "c", name="other"))
    assert list_releases(store) == ["other", "sums"]
    assert list_versions(store, "sums").readable == [first, second] and read_release(store, "sums") == second
    assert read_current(store, "sums") == current


def test_the_same_stage_and_model_never_make_a_second_version(store: Store) -> None:
    first, _ = publish(store, content(store, "a"))
    publish(store, content(store, "b", weights=b"better"))
    again, current = publish(store, content(store, "a"))
    assert (again, current.version) == (first, 2)
    # A training that was run again after its result was deleted may give other weights under the same key.
    other, _ = publish(store, content(store, "a", weights=b"other!!"))
    assert other.version == 3 and len(list_versions(store, "sums").readable) == 3


def test_stages_that_race_get_a_number_each(store: Store) -> None:
    contents = [content(store, f"{number}", weights=b"%d" % number) for number in range(6)]
    made = at_once([lambda one=one: publish(store, one)[0] for one in contents])  # type: ignore[misc]
    assert sorted(one.version for one in made) == [1, 2, 3, 4, 5, 6]
    assert {one.lineage.stage_key: one.version for one in made} == {
        one.lineage.stage_key: one.version for one in list_versions(store, "sums").readable
    }
    current = read_current(store, "sums")
    assert current is not None and (current.version, current.pinned) == (6, False)
    assert current.digest == read_release(store, "sums", 6).digest


def test_attempts_at_one_stage_that_race_make_one_version(store: Store) -> None:
    contents = [content(store, "a").model_copy(update={"created_at": f"attempt {number}"}) for number in range(6)]
    made = at_once([lambda one=one: publish(store, one)[0] for one in contents])  # type: ignore[misc]
    assert len({one.created_at for one in made}) == 1 and {one.version for one in made} == {1}
    assert list_versions(store, "sums").readable == [made[0]]


def test_a_rollback_stays_when_newer_versions_come_until_it_is_given_up(store: Store) -> None:
    for number in range(3):
        publish(store, content(store, f"{number}", weights=b"%d" % number))
    assert promote(store, "sums", 1) == Current(version=1, digest=digest_of(b"0"), pinned=True)
    made, current = publish(store, content(store, "later"))
    assert (made.version, current.version) == (4, 1) and read_release(store, "sums").version == 1
    assert promote(store, "sums", 4).pinned, "a chosen version stays, be it the newest"
    assert publish(store, content(store, "last"))[1].version == 4
    assert promote(store, "sums") == Current(version=5, digest=digest_of(b"weights"), pinned=False)
    assert publish(store, content(store, "after"))[1].version == 6


def test_a_rollback_is_not_lost_to_a_release_at_the_same_time(store: Store) -> None:
    publish(store, content(store, "first"))
    contents = [content(store, f"{number}", weights=b"%d" % number) for number in range(5)]
    released: list[Callable[[], Any]] = [lambda one=one: publish(store, one) for one in contents]  # type: ignore[misc]
    at_once([*released, lambda: promote(store, "sums", 1)])
    assert read_current(store, "sums") == Current(version=1, digest=digest_of(b"weights"), pinned=True)
    assert len(list_versions(store, "sums").readable) == 6


def test_what_is_not_there_cannot_be_promoted_and_nothing_changes(folder: Store) -> None:
    with pytest.raises(NotFound, match="there is no release 'sums'; there are: none"):
        promote(folder, "sums")
    publish(folder, content(folder, "a"))
    publish(folder, content(folder, "b", weights=b"better"))
    with pytest.raises(NotFound, match="release 'sums' has no version 7; its versions are: 1, 2"):
        promote(folder, "sums", 7)
    with pytest.raises(NotFound, match="no release 'summs'; there are: sums"):
        read_release(folder, "summs")
    folder.delete("stages/distill/a")
    with pytest.raises(StoreError, match="nothing lies at stages/distill/a/attempts/1/model; restore the folder"):
        promote(folder, "sums", 1)
    assert read_current(folder, "sums") == Current(version=2, digest=digest_of(b"better"), pinned=False)


def test_weights_that_are_not_there_are_not_released(folder: Store) -> None:
    made = content(folder, "a")
    folder.delete("stages/distill/a")
    with pytest.raises(StoreError, match="'model' is missing"):
        publish(folder, made)
    assert list_versions(folder, "sums").readable == []


@pytest.mark.parametrize("name", ["", "Sums", "../runs", "a/b", "-a"])
def test_names_are_dns_labels(folder: Store, name: str) -> None:
    with pytest.raises(InvalidInput, match="a name is lower-case letters, digits and '-'"):
        read_release(folder, name)


def test_a_damaged_record_is_named_with_the_mend(folder: Store) -> None:
    publish(folder, content(folder, "a"))
    good = folder.read("releases/sums/1.json")
    folder.write("releases/sums/1.json", good[:50])
    with pytest.raises(StoreError, match=r"releases/sums/1.json cannot be read .*restore it"):
        read_release(folder, "sums")
    folder.write("releases/sums/1.json", good.replace(b'"schema_version": 1', b'"schema_version": 9'))
    with pytest.raises(StoreError, match="has schema_version 9, this version reads up to 1; upgrade agentark"):
        read_release(folder, "sums")
    folder.write("releases/sums/1.json", good)
    folder.write("releases/sums/pinned.json", b"{")
    with pytest.raises(StoreError, match=r"pinned.json cannot be read; choose again: agentark promote sums"):
        publish(folder, content(folder, "b"))
    assert promote(folder, "sums").version == 2
    folder.write("releases/sums/current.json", b"{")
    with pytest.raises(StoreError, match=r"current.json cannot be read .*delete it, then: agentark promote sums"):
        read_release(folder, "sums")
    folder.delete("releases/sums/current.json")
    with pytest.raises(NotFound, match="has no current version; its versions are: 1, 2"):
        read_release(folder, "sums")
    promote(folder, "sums", 1)
    folder.delete("releases/sums/1.json")
    with pytest.raises(StoreError, match="that one is pinned; back to the newest: agentark promote sums"):
        publish(folder, content(folder, "c"))
    assert promote(folder, "sums").pinned is False


def test_a_damaged_version_keeps_no_other_from_being_released_or_found(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, content(store, "a"))
    publish(store, content(store, "b", weights=b"better"))
    store.write("releases/sums/1.json", b"{")
    store.write("releases/sums/current.json", b"{")
    made, current = publish(store, content(store, "c", weights=b"best"))
    assert (made.version, current.version) == (3, 3) and "releases/sums/1.json cannot be read" in caplog.text
    assert publish(store, content(store, "b", weights=b"better"))[0].version == 2, "what was released keeps its number"
    found = list_versions(store, "sums")
    assert [version.version for version in found.readable] == [2, 3] and list(found.unreadable) == [1]
    assert release_with(store, "release://sums", digest_of(b"better")).version == 2
    with pytest.raises(StoreError, match=r"releases/sums/1\.json cannot be read .*restore it"):
        release_with(store, "release://sums", digest_of(b"weights"))
    store.write("releases/sums/3.json", b'{"schema_version": 9}')
    with pytest.raises(StoreError, match="has schema_version 9, this version reads up to 1; upgrade agentark"):
        read_release(store, "sums", 3)
    assert publish(store, content(store, "d", weights=b"last"))[0].version == 4


def test_a_store_that_moved_keeps_its_releases(tmp_path: Path) -> None:
    old = open_store(str(tmp_path / "old"))
    made, _ = publish(old, content(old, "a"))
    (tmp_path / "old").rename(tmp_path / "new")
    new = open_store(str(tmp_path / "new"))
    found = read_release(new, "sums")
    assert found == made and found.model.uri == f"{old.uri}/{found.model.path}"
    assert found.uri_in(new) == f"{new.uri}/stages/distill/a/attempts/1/model"


def test_a_content_is_found_whatever_is_current(folder: Store) -> None:
    publish(folder, content(folder, "a"))
    publish(folder, content(folder, "b", weights=b"better"))
    assert release_with(folder, "release://sums", digest_of(b"weights")).version == 1
    assert release_with(folder, "release://sums@2", digest_of(b"better")).version == 2
    with pytest.raises(InvalidInput, match=r"release://sums@1: the run was planned with .* \(1 is sha256:"):
        release_with(folder, "release://sums@1", digest_of(b"better"))


def test_addresses() -> None:
    assert parse_address("release://math-student") == ("math-student", None)
    assert parse_address("release://math-student@12") == ("math-student", 12)
    for wrong in (
        "release://a@",
        "release://a@0",
        "release://a@latest",
        "release://A",
        "release://a/b@1",
        "release://",
    ):
        with pytest.raises(InvalidInput, match="write it as release://NAME or release://NAME@VERSION"):
            parse_address(wrong)
