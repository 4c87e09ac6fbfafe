"""The course of a run's trainings with process rewards, as they were kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentark.reports.results import read_document
from agentark.store import RunStage, Store, read_manifest


@dataclass(frozen=True, slots=True)
class Course:
    """One finished training of a process reward model, or by one."""

    name: str
    """Of the stage, inside the run."""
    method: str
    """``PRM`` or ``PAD``."""
    history: Mapping[str, Any]
    """As `agentark.reward.params.PRMResult` or `agentark.distill.pad.PadResult` was written."""


def read_courses(store: Store, stages: tuple[RunStage, ...]) -> list[Course]:
    """The finished trainings of a run that have curves, in the order of its plan."""
    courses = []
    for stage in stages:
        manifest = read_manifest(store, stage.kind, stage.key) if stage.kind in ("prm", "distill") else None
        if manifest is None or "history" not in manifest.outputs:
            continue
        method = "PRM" if stage.kind == "prm" else str(manifest.params.get("method", ""))
        if method in ("PRM", "PAD"):
            courses.append(Course(stage.name, method, read_document(store, manifest, "history")))
    return courses
