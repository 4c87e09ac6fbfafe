"""Alerts of the operator and of runs: they fire when they should and not else, and ask for metrics that there are."""

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from agentark_operator.reasons import COMES_BY_ITSELF

from tests.charts.catalogue import Catalogue, grouped, selectors
from tests.charts.charting import CHARTS, ROOT

FILE = CHARTS / "agentark-operator" / "files" / "rules" / "agentark.yaml"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
}
OF = 'kind="DistillJob", namespace="team", name="math"'
OTHER = 'kind="DistillJob", namespace="team", name="other"'
JOB = {"kind": "DistillJob", "namespace": "team", "name": "math"}
CODE = Catalogue.of_code()
Series = dict[str, str]


class Case(NamedTuple):
    """What an alert makes of some series; values are given a minute apart, in promtool's notation."""

    alert: str
    series: Series
    minute: int
    fires: list[dict[str, str]]


def series_of(metric: str, /, **labels: str) -> str:
    """A series in promtool's notation."""
    given = ", ".join(f'{name}="{text}"' for name, text in labels.items())
    return f"{metric}{{{given}}}"


def ready(reason: str, of: str = OF) -> str:
    return f'agentark_condition{{{of}, type="Ready", status="False", reason="{reason}"}}'


def failed(of: str = OF) -> str:
    return f'agentark_condition{{{of}, type="Failed", status="True", reason="BackoffLimitExceeded"}}'


def score(end: str, subject: str) -> str:
    return f'agentark_eval_score_{end}{{{OF}, suite="gsm8k", metric="accuracy", subject="{subject}"}}'


COMPLETED = f"agentark_run_completed_timestamp_seconds{{{OF}}}"
BEAT = f'agentark_run_heartbeat_timestamp_seconds{{{OF}, stage_name="debate"}}'
PATIENCE = f"agentark_run_stall_timeout_seconds{{{OF}}}"
ATTEMPTS = 'agentark_run_failed_attempts{%s, outcome="%s"}'
STORE = 'agentark_storage_requests_total{namespace="team", op="write", outcome="%s", pod="%s"}'
PASSES = 'agentark_reconcile_total{kind="DistillJob", outcome="%s"}'
LIVE = 'agentark_resources{kind="DistillJob", namespace="team", phase="Running"}'
SUCCESS = 'agentark_reconcile_last_success_timestamp_seconds{kind="DistillJob"}'
ASKED = f'agentark_debate_requests_total{{{OF}, model_name="qwen", pod="p", outcome="%s"}}'
PRM = f'{OF}, stage="prm", pod="p-0"'
COST = 'agentark_cost_total{namespace="%s", currency="EUR"}'
BUDGET = 'agentark_budget_per_hour{currency="EUR"}'
GATES = 'agentark_promotions_total{namespace="team", name="math", release="r", decision="%s"}'
BROKE = {**JOB, "reason": "BackoffLimitExceeded"}
WORSE = {**JOB, "suite": "gsm8k", "metric": "accuracy", "subject": "student"}
CASES = [
    Case("OperatorDown", {"agentark_queue_depth": "0x9 stale"}, 16, [{}]),
    Case("OperatorDown", {"agentark_queue_depth": "0x60"}, 30, []),
    Case("OperatorDown", {"agentark_queue_depth": "0x9 _x4 0x60"}, 16, []),  # a restart
    Case("NoReconcileSuccess15m", {LIVE: "2x60", SUCCESS: "0x60"}, 21, [{"kind": "DistillJob"}]),
    Case("NoReconcileSuccess15m", {LIVE: "2x60"}, 6, [{"kind": "DistillJob"}]),  # none since it began
    Case("NoReconcileSuccess15m", {LIVE: "2x60", SUCCESS: "0x60"}, 18, []),
    Case("NoReconcileSuccess15m", {LIVE: "2x60", SUCCESS: "0+60x60"}, 50, []),
    Case("NoReconcileSuccess15m", {LIVE.replace("Running", "Succeeded"): "2x60", SUCCESS: "0x60"}, 50, []),
    Case("ReconcileErrors", {PASSES % "Error": "0+3x60", PASSES % "Done": "0+7x60"}, 20, [{"kind": "DistillJob"}]),
    Case("ReconcileErrors", {PASSES % "Error": "0+1x60", PASSES % "Done": "0+9x60"}, 50, []),
    Case("ReconcileErrors", {PASSES % "Later": "0+9x60", PASSES % "Done": "0+1x60"}, 50, []),
    Case(
        "StorageErrors",
        {STORE % ("Failed", "a"): "0+2x60", STORE % ("Done", "b"): "0+8x60"},
        20,
        [{"namespace": "team", "op": "write"}],
    ),
    Case("StorageErrors", {STORE % ("Failed", "a"): "0x60", STORE % ("Done", "b"): "0+8x60"}, 50, []),
    Case("StorageErrors", {STORE % ("NotFound", "a"): "0+8x60", STORE % ("Failed", "a"): "0x60"}, 50, []),
    Case("StorageErrors", {STORE % ("Failed", "a"): "0+2x4 8x56", STORE % ("Done", "b"): "0+8x60"}, 40, []),  # a blip
    Case("BudgetBurn", {COST % "a": "0+0.5x60", COST % "b": "0+0.3x60", BUDGET: "40x60"}, 35, [{"currency": "EUR"}]),
    Case("BudgetBurn", {COST % "a": "0+0.5x60", BUDGET: "40x60"}, 50, []),
    Case("BudgetBurn", {COST % "a": "0+500x60"}, 50, []),  # no budget is set
    Case("RunFailed", {failed(): "1x60", COMPLETED: "600x60"}, 11, [BROKE]),
    Case("RunFailed", {failed(): "1x1600", COMPLETED: "600x1600"}, 1500, []),  # the day after
    Case("RunFailed", {failed(OTHER): "1x60", COMPLETED: "600x60"}, 11, []),
    Case("RunWaits", {ready("InputNotReady"): "1x60"}, 31, [{**JOB, "reason": "InputNotReady"}]),
    Case("RunWaits", {ready("BackendNotInstalled"): "1x60"}, 31, [{**JOB, "reason": "BackendNotInstalled"}]),
    Case("RunWaits", {ready("InputNotReady"): "1x60"}, 29, []),
    Case("RunWaits", {ready(reason): "1x60" for reason in sorted(COMES_BY_ITSELF)}, 50, []),
    Case("RunWaits", {ready("BackoffLimitExceeded"): "1x60", failed(): "1x60"}, 50, []),
    Case("QueueWaitLong", {ready("Unschedulable"): "1x90"}, 61, [{**JOB, "reason": "Unschedulable"}]),
    Case("QueueWaitLong", {ready("WaitingForQuota"): "1x90"}, 61, [{**JOB, "reason": "WaitingForQuota"}]),
    Case("QueueWaitLong", {ready("WaitingForQuota"): "1x40 stale"}, 61, []),
    Case("QueueWaitLong", {ready("StageRunning"): "1x90"}, 80, []),
    Case("StageStuck", {BEAT: "60x200", PATIENCE: "3600x200"}, 82, [{**JOB, "stage_name": "debate"}]),
    Case("StageStuck", {BEAT: "60x200", PATIENCE: "3600x200"}, 79, []),
    Case("StageStuck", {BEAT: "0+60x200", PATIENCE: "60x200"}, 190, []),
    Case("StageStuck", {ready("PodsEnding"): "1x60"}, 16, [JOB]),
    Case("StageStuck", {ready("PodsEnding"): "1x10 stale"}, 16, []),
    Case(
        "RetriesHigh",
        {ATTEMPTS % (OF, "Failed"): "0x59 0+0.05x100", ATTEMPTS % (OF, "Interrupted"): "0x59 0+0.05x100"},
        119,
        [JOB],
    ),
    Case("RetriesHigh", {ATTEMPTS % (OF, "Failed"): "2x59 3x60", ATTEMPTS % (OTHER, "Failed"): "0x59 3x60"}, 90, []),
    Case("RetriesHigh", {ATTEMPTS % (OF, "Interrupted"): "15x59 0x60"}, 90, []),  # a new run
    Case("EvalRegression", {score("high", "student"): "0.5x60", score("low", "base"): "0.6x60", COMPLETED: "0x60"}, 9,
         [WORSE]),
    Case("EvalRegression", {score("high", "student"): "0.7x60", score("low", "base"): "0.6x60", COMPLETED: "0x60"}, 9,
         []),
    Case("EvalRegression", {score("high", "debate"): "0.5x60", score("low", "base"): "0.6x60", COMPLETED: "0x60"}, 9,
         []),
    Case(
        "PromotionRejected",
        {GATES % "Refused": "0x5 1x60"},
        20,
        [{"namespace": "team", "name": "math", "release": "r"}],
    ),
    Case("PromotionRejected", {GATES % "Refused": "0x60", GATES % "Released": "0x5 1x55"}, 20, []),
    Case("PromotionRejected", {GATES % "Refused": "0x5 1x120"}, 100, []),  # it was said an hour ago
    Case(
        "CheckpointTooOld",
        {
            f"agentark_checkpoint_last_timestamp_seconds{{{PRM}}}": "_x60 3600x300",
            f"agentark_stage_start_timestamp_seconds{{{PRM}}}": "0x300",
        },
        187,
        [{**JOB, "stage": "prm"}],
    ),
    Case(
        "CheckpointTooOld",
        {
            f"agentark_checkpoint_last_timestamp_seconds{{{PRM}}}": "_x60 3600x300",
            f"agentark_stage_start_timestamp_seconds{{{PRM}}}": "0x300",
        },
        175,
        [],
    ),
    Case("CheckpointTooOld", {f"agentark_stage_start_timestamp_seconds{{{PRM}}}": "0x300"}, 127,
         [{**JOB, "stage": "prm"}]),  # not a single one
    Case("CheckpointTooOld", {f'agentark_stage_start_timestamp_seconds{{{OF}, stage="debate"}}': "0x300"}, 200, []),
    Case("TeacherErrors", {ASKED % "Failed": "0+2x60", ASKED % "Answered": "0+8x60"}, 20,
         [{**JOB, "model_name": "qwen"}]),
    Case("TeacherErrors", {ASKED % "Failed": "0x60", ASKED % "Answered": "0+8x60"}, 50, []),
]  # fmt: skip


def name_of(case: Case) -> str:
    number = [one for one in CASES if one.alert == case.alert].index(case)
    return f"{case.alert}-{'fires' if case.fires else 'silent'}-{number}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_alert_fires_where_it_should_and_nowhere_else(promtool: str, tmp_path: Path, case: Case) -> None:
    severity = RULES[case.alert]["labels"]["severity"]
    firing = {"alertname": case.alert, "alertstate": "firing", "severity": severity}
    found = [{"labels": series_of("ALERTS", **(firing | labels)), "value": 1} for labels in case.fires]
    asked = {
        "expr": f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
        "eval_time": f"{case.minute}m",
        "exp_samples": found,
    }
    series = [{"series": one, "values": values} for one, values in case.series.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_to_fire_and_to_be_silent() -> None:
    for wanted in (True, False):
        assert {case.alert for case in CASES if bool(case.fires) is wanted} == RULES.keys()


def test_prometheus_takes_them(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", "--lint-fatal", str(FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_asks_for_metrics_and_labels_that_there_are(alert: str) -> None:
    known: set[str] = set()
    for one in selectors(RULES[alert]["expr"]):
        assert one.metric in CODE.labels, f"{alert}: nothing in the code is called {one.metric}"
        assert one.labels <= CODE.labels[one.metric], f"{alert}: {one.metric} has no {one.labels}"
        known |= CODE.labels[one.metric]
    assert grouped(RULES[alert]["expr"]) <= known


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_what_it_means_and_what_to_do(alert: str) -> None:
    said = RULES[alert]["annotations"]
    assert RULES[alert]["labels"]["severity"] in ("critical", "warning", "info")
    assert len(said["summary"]) < 140 and len(said["description"]) > 100
    page, _, section = said["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert section == alert.lower() and alert in headings, f"{page} has no section {alert}"


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_names_only_labels_that_it_has(alert: str) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(RULES[alert]["annotations"].values())))
    given = [set(case.fires[0]) for case in CASES if case.alert == alert and case.fires]
    # A stage that is stuck may have no name: where its pods do not go there is none.
    assert named <= set.union(*given)


def test_what_comes_by_itself_is_what_the_operator_tells_nobody_of() -> None:
    left_out = set(re.search(r'reason!~"([^"]+)"', RULES["RunWaits"]["expr"])[1].split("|"))  # type: ignore[index]
    queues = set(re.search(r'reason=~"([^"]+)"', RULES["QueueWaitLong"]["expr"])[1].split("|"))  # type: ignore[index]
    assert left_out == COMES_BY_ITSELF | queues
