"""What is made of a job's parts is called after the job, and no two jobs' parts alike."""

import re

import pytest

from agentark.planning.references import embedded_name

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize("part", ["debate", "prm"])
def test_long_names_that_begin_alike_stay_apart(part: str) -> None:
    jobs = [f"nightly-gsm8k-qwen3-8b-to-qwen3-0-6b-rsft-da-2026-11-30-seed-{seed}" for seed in (1, 2)]
    first, second = (embedded_name(job, part) for job in jobs)
    assert first != second
    assert first.startswith("nightly-gsm8k-qwen3-8b-to-qwen3") and first.endswith(f"-{part}")
    assert embedded_name(jobs[0], part) == first, "the same again"


@pytest.mark.parametrize("part", ["debate", "prm"])
def test_names_that_fit_stay_whole_and_all_are_valid(part: str) -> None:
    for length in range(1, 64):
        for job in ("j" * length, ("j-" * 32)[: length - 1] + "j"):
            name = embedded_name(job, part)
            assert NAME.fullmatch(name) and len(name) <= 63 and "--" not in name
            assert (name == f"{job}-{part}") is (length + 1 + len(part) <= 63)
