"""Several runs as one study: a field of their manifests against what they reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentark.errors import InvalidInput
from agentark.evaluate.figures import Point, Series
from agentark.reports.results import read_results
from agentark.store import RunRecord, Store

Value = float | str


@dataclass(frozen=True, slots=True)
class Study:
    """Accuracy of every subject over the values of one field, on one suite."""

    field: str
    suite: str
    series: tuple[Series, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the study as JSON values."""
        return {
            "field": self.field,
            "suite": self.suite,
            "subjects": [
                {"name": one.name, "label": one.label, "points": [point._asdict() for point in one.points]}
                for one in self.series
            ],
        }


def study(store: Store, runs: Sequence[RunRecord], field: str, *, subjects: Sequence[str] = ()) -> list[Study]:
    """Put runs in the order of a field's value; runs with the same value (other seeds) become one point.

    Args:
        store: Where the runs lie.
        runs: Finished runs that have the same suites.
        field: Path below the manifest's ``spec``, for example ``debate.protocol.agents``.
        subjects: Names of those shown; none: all that every run has.

    Returns:
        One study a suite.

    Raises:
        InvalidInput: If a run lacks the field or has no results yet, the runs have no suite or subject in common, or a
            subject asked for is none of them.
    """
    values, results = [], []
    for run in runs:
        found = read_results(store, run.stages)
        if found is None:
            raise InvalidInput(f"run {run.run_id} has no results yet; finish it with: agentark run -f MANIFEST")
        values.append(field_value(run, field))
        results.append(found["suites"])
    if len({type(value) for value in values}) > 1:
        raise InvalidInput(f"spec.{field} is a number in some runs and text in others: {', '.join(map(repr, values))}")
    suites = [suite for suite in results[0] if all(suite in found for found in results)]
    if not suites:
        raise InvalidInput("the runs have no suite in common, so they cannot be compared")
    return [_on_suite(suite, field, values, [found[suite] for found in results], subjects) for suite in suites]


def field_value(run: RunRecord, field: str) -> Value:
    """Read a field of a run's manifest; numbers in quotes are numbers.

    Raises:
        InvalidInput: If it is not there or no single value; names what is there.
    """
    found: Any = run.manifest.get("spec")
    walked = "spec"
    for name in field.split("."):
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            have = ", ".join(found) if isinstance(found, dict) else f"{found!r:.60}"
            raise InvalidInput(f"run {run.run_id}: {walked} has no {name!r}; it has {have or 'nothing'}")
        walked += f".{name}"
    if isinstance(found, dict | list) or found is None:
        raise InvalidInput(f"run {run.run_id}: {walked} is no single value: {found!r:.60}")
    try:
        return float(found)
    except ValueError:
        return str(found)


def _on_suite(
    suite: str, field: str, values: Sequence[Value], results: Sequence[dict[str, Any]], wanted: Sequence[str]
) -> Study:
    tables = [{subject["name"]: subject for subject in found["subjects"]} for found in results]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    unknown = [name for name in wanted if name not in shared]
    if unknown or not shared:
        raise InvalidInput(f"suite {suite}: subjects of all runs: {', '.join(shared) or 'none'}; not: {unknown}")
    return Study(
        field,
        suite,
        tuple(
            Series(name, tables[0][name]["label"], _points(values, [table[name] for table in tables]))
            for name in wanted or shared
        ),
    )


def _points(values: Sequence[Value], found: Sequence[dict[str, Any]]) -> tuple[Point, ...]:
    points = []
    # Texts keep the order in which the runs were named.
    for value in sorted(set(values)) if isinstance(values[0], float) else dict.fromkeys(values):
        here = [one for one, other in zip(found, values, strict=True) if other == value]
        each = [one["accuracy"] for one in here]
        low, high = min(each), max(each)
        if len(here) == 1:
            low, high = here[0]["interval"]["low"], here[0]["interval"]["high"]
        points.append(Point(value, sum(each) / len(each), low, high, len(here)))
    return tuple(points)
