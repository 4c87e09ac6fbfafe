"""Dashboards of the operator and of runs: what they ask for is there, and they are as Grafana wants them."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.charts.catalogue import Catalogue, Selected, grouped, selectors
from tests.charts.charting import CHARTS
from tests.servers.grafana import Filling, dashboards, panels, queries, variable_queries

FOUND = dashboards(CHARTS / "agentark-operator" / "files" / "dashboards")
CODE = Catalogue.of_code()
UNITS = {"none", "short", "percentunit", "s", "h", "bytes", "reqps", "ops"}
LEFT_TO_PEOPLE = {
    "agentark_build_info",
    "agentark_checkpoint_upload_duration_seconds",
    "agentark_eval_score_high",
    "agentark_eval_score_low",
    "agentark_gpu_seconds_total",
    "agentark_run_completed_timestamp_seconds",
    "agentark_run_heartbeat_timestamp_seconds",
    "agentark_run_stall_timeout_seconds",
    "agentark_run_start_timestamp_seconds",
    "agentark_stage_heartbeat_timestamp_seconds",
    "agentark_stage_progress_ratio",
    "agentark_stage_remaining_seconds",
    "agentark_stage_start_timestamp_seconds",
    "agentark_training_answer_steps",
    "agentark_training_disagreement_ratio",
    "agentark_training_kl",
    "agentark_training_learning_rate",
    "agentark_training_truncated_ratio",
}
"""Metrics that no panel shows: alerts ask for them, or those who look closer."""


@pytest.fixture(params=FOUND)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return FOUND[request.param]


def asked(dashboard: dict[str, Any]) -> Iterator[tuple[str, Selected]]:
    for query in queries(dashboard):
        for one in selectors(query):
            yield query, one


def test_there_is_one_of_runs_and_one_of_the_operator() -> None:
    assert {one["uid"] for one in FOUND.values()} == {"agentark-runs", "agentark-operator"}


def test_every_query_asks_for_metrics_and_labels_that_there_are(dashboard: dict[str, Any]) -> None:
    for query, one in asked(dashboard):
        assert one.metric in CODE.labels, f"nothing in the code is called {one.metric}: {query}"
        assert one.labels <= CODE.labels[one.metric], f"{one.metric} has no {one.labels}: {query}"
    for query in queries(dashboard):
        known = set[str]().union(*(CODE.labels[one.metric] for one in selectors(query)))
        assert grouped(query) <= known, query


def test_variables_ask_for_labels_that_there_are(dashboard: dict[str, Any]) -> None:
    for selector, label in variable_queries(dashboard):
        (one,) = selectors(selector)
        assert {label, *one.labels} <= CODE.labels[one.metric]


def test_a_legend_names_only_labels_that_the_query_keeps(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named <= grouped(Filling()(target["expr"])), panel["title"]


def test_panels_are_whole_and_lie_beside_each_other(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 39
    everything = dashboard["panels"]
    assert len({one["id"] for one in everything}) == len(everything)
    for panel in panels(dashboard):
        assert panel["title"] and panel["description"] and panel["targets"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(one["datasource"]["uid"] == "${datasource}" for one in panel["targets"])
        assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"])
    for one, other in combinations((panel["gridPos"] for panel in everything), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert (beside or above) and one["x"] + one["w"] <= 24, (one, other)


def test_each_variable_is_used_and_each_that_is_used_is_there(dashboard: dict[str, Any]) -> None:
    names = {one["name"] for one in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", str([panel["targets"] for panel in panels(dashboard)])))
    assert used == names and "datasource" in names


def test_no_metric_is_forgotten() -> None:
    shown = {one.metric for dashboard in FOUND.values() for _, one in asked(dashboard)}
    families = {
        re.sub(r"_(bucket|sum|count)$", "", name) if f"{name.rsplit('_', 1)[0]}_bucket" in CODE.labels else name
        for name in CODE.labels
        if name.startswith("agentark_")
    }
    assert {name for name in families if not {name, f"{name}_bucket"} & shown} == LEFT_TO_PEOPLE
