"""Error localisation of a run's models: solutions of its debate with one planted wrong step, reviewed by each model."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from agentark.api import Execution, Prompts
from agentark.debate import Record, read_records
from agentark.errors import InvalidInput
from agentark.evaluate.error_localisation import Case, Localisation, localise, plant, whole
from agentark.execution.engines import weights_engine
from agentark.llm import Sampling
from agentark.reports.results import distill_spec, stage_manifest, student_stage
from agentark.store import RunRecord, RunStage, Store, read_manifest, stage_path
from agentark.store.outputs import fetch
from agentark.tasks import Policy, equal, policy_of


def review_models(
    store: Store, run: RunRecord, *, suite: str = "", base: Path | None = None, limit: int = 200, seed: int = 0
) -> dict[str, Localisation]:
    """Ask the student of a run, and its base, to review solutions with one planted wrong step, greedily.

    The solutions are right ones of the suite's debate, or of the student where the suite holds none; each is shown once
    with an error and once without.

    Args:
        store: Where the run lies.
        run: A finished run with an evaluation.
        suite: Whose questions; empty: the first suite's.
        base: Folder of the base's weights; None: the student alone.
        limit: Planted solutions at most, >= 1.
        seed: Of the errors.

    Raises:
        InvalidInput: If the run has no student or no such suite, or no solution can be planted an error in.
        EngineError: If a model cannot answer.
    """
    spec = distill_spec(run)
    suites = {one.name: one for one in spec.evaluation.suites}
    name = suite or next(iter(suites), "")
    if name not in suites:
        raise InvalidInput(f"run {run.run_id} has no suite {name!r}; it has {', '.join(suites) or 'none'}")
    stage = student_stage(run.stages)
    manifest = read_manifest(store, stage.kind, stage.key) if stage else None
    if manifest is None:
        raise InvalidInput(f"run {run.run_id} has no student yet; finish it with: agentark run -f MANIFEST")
    cases = plant_errors(_solutions(store, run.stages, name), policy_of(suites[name].dataset.canonical()), limit, seed)
    debate = spec.debate
    prompts = debate.protocol.prompts if debate else Prompts()
    tokens = debate.protocol.sampling.max_tokens if debate else 1024
    found = {}
    with TemporaryDirectory() as folder:
        student = Path(folder) / "student"
        fetch(store, manifest.outputs["model"], student)
        for label, weights in [*([("base", base)] if base else []), ("student", student)]:
            found[label] = _review(cases, weights, prompts, tokens)
    return found


def plant_errors(records: Iterator[Record], policy: Policy, limit: int, seed: int) -> list[Case]:
    """Take right solutions, each once with a planted error and once as it is.

    Raises:
        InvalidInput: If none of them can hold one.
    """
    draw = random.Random(seed)
    cases: list[Case] = []
    for record in records:
        if len(cases) >= 2 * limit:
            break
        if record.answer and equal(record.answer, record.gold, policy):
            planted = plant(record.id, record.question, record.solution, draw)
            if planted is not None:
                cases += [planted, whole(record.id, record.question, record.solution)]
    if not cases:
        raise InvalidInput(
            "no right solution of this suite writes its calculations out as 'a op b = c' in whole numbers, so no wrong "
            "step can be planted in one"
        )
    return cases


def _solutions(store: Store, stages: tuple[RunStage, ...], suite: str) -> Iterator[Record]:
    for subject in ("debate", "student", "student-sampled"):
        manifest = stage_manifest(store, stages, f"evaluate/{suite}/{subject}")
        if manifest is not None:
            return read_records(store, stage_path(manifest.kind, manifest.key, "records"))
    raise InvalidInput(f"suite {suite!r} has neither the debate's nor the student's answers yet; finish the run first")


def _review(cases: list[Case], weights: Path, prompts: Prompts, tokens: int) -> Localisation:
    async def ask() -> Localisation:
        engine = weights_engine(weights, Execution())
        try:
            return await localise(cases, engine, prompts=prompts, sampling=Sampling(temperature=0, max_tokens=tokens))
        finally:
            await engine.aclose()

    return asyncio.run(ask())
