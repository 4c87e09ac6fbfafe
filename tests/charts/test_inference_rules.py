"""Alerts of served models, as the chart hands them to Prometheus: they fire when they should, and not else."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.charting import Helm, only
from tests.charts.inference import render
from tests.servers.programs import promtool as promtool_program

pytestmark = pytest.mark.usefixtures("promtool")

OF = 'namespace="team-a", model_name="math", engine="0", pod="math-1"'
OTHER = 'namespace="team-b", model_name="math", engine="0", pod="math-1"'
NAMES = ("InferenceDown", "InferenceQueueHigh", "KVCacheFull", "TTFTHigh", "ZeroTokensWhileBusy")
QUIET = {f"vllm:num_requests_running{{{OF}}}": "0x60"}


@pytest.fixture
def groups(helm_newest: Helm, tmp_path: Path) -> Path:
    """A file with the rules of a model, as in the chart's PrometheusRule."""
    rules = {"enabled": True, "waitingRequests": 40, "firstTokenSeconds": 2.5}
    made = render(helm_newest, models={"math": {"release": "m"}}, metrics={"rules": rules})
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": only(made, "PrometheusRule")["spec"]["groups"]}))
    return file


def promtool(*arguments: str | Path) -> str:
    """What promtool says, which has to find nothing wrong."""
    done = subprocess.run([promtool_program(), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fires(groups: Path, series: dict[str, str], alert: str, minute: int, *labels: dict[str, str]) -> None:
    """See that an alert fires after a time for these labels, and for nothing else.

    Args:
        groups: File of rules.
        series: Values a minute of each series, in promtool's notation.
        alert: Its name.
        minute: From the beginning.
        labels: Of each time that it fires.
    """
    name = groups.with_name("test.yaml")
    expected = [{"exp_labels": one} for one in labels]
    test = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected}],
    }
    # promtool compares annotations as well; what they say is tested below.
    bare = yaml.safe_load(groups.read_text())
    for group in bare["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    groups.with_name("bare.yaml").write_text(yaml.safe_dump(bare))
    name.write_text(yaml.safe_dump({"rule_files": ["bare.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", name)


def labels(severity: str, **more: str) -> dict[str, str]:
    return {"severity": severity, "namespace": "team-a", "model_name": "math", **more}


def test_prometheus_takes_them(groups: Path) -> None:
    promtool("check", "rules", "--lint-fatal", groups)
    found = yaml.safe_load(groups.read_text())["groups"]
    assert [rule["alert"] for rule in found[0]["rules"]] == list(NAMES)
    for rule in found[0]["rules"]:
        said: dict[str, Any] = rule["annotations"]
        assert "%{" not in str(rule) and said["summary"] and len(said["description"]) > 80, rule


def test_each_model_has_alerts_of_its_own(helm_newest: Helm) -> None:
    models = {"math": {"release": "m"}, "writer": {"release": "w"}}
    made = only(render(helm_newest, models=models, metrics={"rules": {"enabled": True}}), "PrometheusRule")
    first, second = made["spec"]["groups"]
    assert (first["name"], second["name"]) == ("agentark-inference/math", "agentark-inference/math-writer")
    assert all('model_name="writer"' in rule["expr"] for rule in second["rules"])


def test_nothing_fires_while_all_is_well(groups: Path) -> None:
    busy = {
        f"vllm:num_requests_running{{{OF}}}": "8x60",
        f"vllm:num_requests_waiting{{{OF}}}": "40x60",
        f"vllm:kv_cache_usage_perc{{{OF}}}": "0.95x60",
        f"vllm:generation_tokens_total{{{OF}}}": "0+6000x60",
        f"vllm:prompt_tokens_total{{{OF}}}": "0+600x60",
        f'vllm:time_to_first_token_seconds_bucket{{{OF}, le="2.5"}}': "0+60x60",
        f'vllm:time_to_first_token_seconds_bucket{{{OF}, le="+Inf"}}': "0+60x60",
    }
    for alert in NAMES:
        fires(groups, busy, alert, 55)
        fires(groups, QUIET, alert, 55)


def test_a_model_that_nobody_serves(groups: Path) -> None:
    gone = {f"vllm:num_requests_running{{{OF}}}": "1x9 stale", f"vllm:num_requests_running{{{OTHER}}}": "1x60"}
    fires(groups, gone, "InferenceDown", 14)
    fires(groups, gone, "InferenceDown", 16, labels("critical"))


def test_a_queue(groups: Path) -> None:
    waiting = {
        f"vllm:num_requests_waiting{{{OF}}}": "21x60",
        f"vllm:num_requests_waiting{{{OF.replace('math-1', 'math-2')}}}": "21x60",
        f"vllm:num_requests_waiting{{{OTHER}}}": "99x60",
    }
    fires(groups, waiting, "InferenceQueueHigh", 4)
    fires(groups, waiting, "InferenceQueueHigh", 6, labels("warning"))


def test_a_full_cache_names_its_pod(groups: Path) -> None:
    full = {
        f"vllm:kv_cache_usage_perc{{{OF}}}": "0.99x60",
        f"vllm:kv_cache_usage_perc{{{OF.replace('math-1', 'math-2')}}}": "0.5x60",
    }
    fires(groups, full, "KVCacheFull", 9)
    fires(groups, full, "KVCacheFull", 11, labels("warning", pod="math-1"))


def test_first_tokens_that_are_late(groups: Path) -> None:
    late = {
        f'vllm:time_to_first_token_seconds_bucket{{{OF}, le="2.5"}}': "0+50x60",
        f'vllm:time_to_first_token_seconds_bucket{{{OF}, le="5"}}': "0+60x60",
        f'vllm:time_to_first_token_seconds_bucket{{{OF}, le="+Inf"}}': "0+60x60",
    }
    fires(groups, late, "TTFTHigh", 9)
    fires(groups, late, "TTFTHigh", 15, labels("warning"))


def test_a_server_that_is_busy_with_nothing(groups: Path) -> None:
    hangs = {
        f"vllm:num_requests_running{{{OF}}}": "3x60",
        f"vllm:generation_tokens_total{{{OF}}}": "0+600x10 6000x50",
        f"vllm:prompt_tokens_total{{{OF}}}": "0+60x10 600x50",
    }
    fires(groups, hangs, "ZeroTokensWhileBusy", 18)
    fires(groups, hangs, "ZeroTokensWhileBusy", 30, labels("critical", pod="math-1"))
    reads = {**hangs, f"vllm:prompt_tokens_total{{{OF}}}": "0+60x60"}  # a long prompt makes no tokens, yet
    fires(groups, reads, "ZeroTokensWhileBusy", 30)
