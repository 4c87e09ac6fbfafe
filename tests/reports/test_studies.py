"""Several runs become one table and one figure."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from agentark.errors import InvalidInput
from agentark.evaluate.plots import Point, Series, draw
from agentark.reports.studies import study
from agentark.store import RunRecord, RunStage, StageManifest, Store, open_store, stage_path
from agentark.store.outputs import put_bytes
from agentark.store.stages import commit, now


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path / 'store'}")


def finished(store: Store, number: int, spec: dict[str, Any], accuracy: dict[str, float]) -> RunRecord:
    """A run with nothing but a comparison."""
    key = f"{number:016x}"
    subjects = [
        {"name": name, "label": name.upper(), "accuracy": value, "interval": {"low": value - 0.1, "high": value + 0.1}}
        for name, value in accuracy.items()
    ]
    results = json.dumps({"suites": {"test": {"subjects": subjects}}}).encode()
    output = put_bytes(store, stage_path("compare", key, "attempts", "1", "results.json"), results)
    fields: dict[str, Any] = {"params": {}, "inputs": {}, "attempt": 1, "started_at": now(), "finished_at": now()}
    commit(store, StageManifest(kind="compare", key=key, outputs={"results": output}, **fields))
    stages = (RunStage(kind="compare", name="compare", key=key),)
    return RunRecord(run_id=f"run-{number}", name="run", created_at=now(), manifest={"spec": spec}, stages=stages)


def agents(count: int) -> dict[str, Any]:
    return {"debate": {"protocol": {"agents": count}}, "student": {"model": {"uri": f"hf://some/model-{count}"}}}


def test_runs_are_ordered_by_the_field_and_seeds_become_one_point(store: Store) -> None:
    runs = [
        finished(store, 1, agents(10), {"base": 0.5, "student": 0.8}),
        finished(store, 2, agents(5), {"base": 0.5, "student": 0.6, "extra": 0.1}),
        finished(store, 3, agents(10), {"base": 0.5, "student": 0.7}),
    ]
    (found,) = study(store, runs, "debate.protocol.agents")
    assert [one.name for one in found.series] == ["base", "student"]
    five, ten = found.series[1].points
    assert five == Point(5.0, 0.6, pytest.approx(0.5), pytest.approx(0.7), 1)  # type: ignore[arg-type]
    assert (ten.x, ten.value, ten.low, ten.high, ten.runs) == (10.0, pytest.approx(0.75), 0.7, 0.8, 2)
    (sizes,) = study(store, runs, "student.model.uri", subjects=["student"])
    assert [point.x for point in sizes.series[0].points] == ["hf://some/model-10", "hf://some/model-5"]
    assert json.dumps(found.as_json())


def test_what_cannot_be_compared_is_named(store: Store) -> None:
    run = finished(store, 1, agents(5), {"base": 0.5})
    with pytest.raises(InvalidInput, match=r"spec\.debate has no 'agents'; it has protocol"):
        study(store, [run], "debate.agents")
    with pytest.raises(InvalidInput, match="is no single value"):
        study(store, [run], "debate.protocol")
    with pytest.raises(InvalidInput, match="subjects of all runs: base; not: \\['student'\\]"):
        study(store, [run], "debate.protocol.agents", subjects=["student"])
    with pytest.raises(InvalidInput, match="has no results yet"):
        study(store, [run.model_copy(update={"stages": ()})], "debate.protocol.agents")


@pytest.mark.parametrize("values", [(5.0, 10.0, 20.0), (25.0, 100.0, 400.0), ("small", "a/large")])
def test_a_figure_holds_every_line_and_equal_studies_give_equal_files(
    tmp_path: Path, values: tuple[float | str, ...]
) -> None:
    lines = [
        Series(name, f"label of {name}", tuple(Point(value, 0.5, 0.4, 0.6, 1) for value in values))
        for name in ("base", "student")
    ]
    for name in ("a.svg", "sub/b.svg", "c.png"):
        draw(lines, tmp_path / name, title="Suite", x_label="agents")
    text = (tmp_path / "a.svg").read_text()
    assert "label of base" in text and "label of student" in text and ">agents<" in text
    for value in values:
        assert f">{value.rsplit('/', 1)[-1] if isinstance(value, str) else format(value, 'g')}<" in text
    assert text == (tmp_path / "sub" / "b.svg").read_text()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInput, match="a figure ends in"):
        draw(lines, tmp_path / "a.jpg", title="", x_label="")


def test_names_in_a_figure_are_texts_whatever_they_hold(tmp_path: Path) -> None:
    points = tuple(Point(value, 0.5, 0.4, 0.6, 1) for value in ("\x1b[31m\x00", "\u202eb"))
    draw([Series("student", r"costs $5, not $\nothing$ <b>&", points)], tmp_path / "a.svg", title="\x9b$", x_label="\n")
    texts = [node.text for node in ElementTree.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert {r"\x1b[31m\x00", r"\u202eb", r"\x9b$", r"\x0a", r"costs $5, not $\nothing$ <b>&"} <= set(texts)
    draw([Series("student", r"$\nothing$", points)], tmp_path / "a.png", title="\x9b$", x_label="\n")
