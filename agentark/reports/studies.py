"""Several runs as one study: a field of their manifests against what they reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentark.errors import InvalidInput
from agentark.evaluate.plots import Point, Series
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
                {"name": line.name, "label": line.label, "points": [point._asdict() for point in line.points]}
                for line in self.series
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
        comparison = read_results(store, run.stages)
        if comparison is None:
            raise InvalidInput(f"run {run.run_id} has no results yet; finish it with: agentark run -f MANIFEST")
        values.append(field_value(run, field))
        results.append(comparison["suites"])
    if len({type(value) for value in values}) > 1:
        raise InvalidInput(f"spec.{field} is a number in some runs and text in others: {', '.join(map(repr, values))}")
    suites = [suite for suite in results[0] if all(suite in result for result in results)]
    if not suites:
        raise InvalidInput("the runs have no suite in common, so they cannot be compared")
    return [_on_suite(suite, field, values, [result[suite] for result in results], subjects) for suite in suites]


def field_value(run: RunRecord, field: str) -> Value:
    """Read a field of a run's manifest; numbers in quotes are numbers.

    Raises:
        InvalidInput: If it is not there or no single value; names what is there.
    """
    value: Any = run.manifest.get("spec")
    walked = "spec"
    for name in field.split("."):
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            have = ", ".join(value) if isinstance(value, dict) else f"{value!r:.60}"
            raise InvalidInput(f"run {run.run_id}: {walked} has no {name!r}; it has {have or 'nothing'}")
        walked += f".{name}"
    if isinstance(value, dict | list) or value is None:
        raise InvalidInput(f"run {run.run_id}: {walked} is no single value: {value!r:.60}")
    try:
        return float(value)
    except ValueError:
        return str(value)


def _on_suite(
    suite: str, field: str, values: Sequence[Value], results: Sequence[dict[str, Any]], subjects: Sequence[str]
) -> Study:
    tables = [{subject["name"]: subject for subject in result["subjects"]} for result in results]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    unknown = [name for name in subjects if name not in shared]
    if unknown or not shared:
        raise InvalidInput(f"suite {suite}: subjects of all runs: {', '.join(shared) or 'none'}; not: {unknown}")
    return Study(
        field,
        suite,
        tuple(
            Series(name, tables[0][name]["label"], _points(values, [table[name] for table in tables]))
            for name in subjects or shared
        ),
    )


def _points(values: Sequence[Value], subjects: Sequence[dict[str, Any]]) -> tuple[Point, ...]:
    points = []
    # Texts keep the order in which the runs were named.
    for value in sorted(set(values)) if isinstance(values[0], float) else dict.fromkeys(values):
        repeats = [subject for subject, of_run in zip(subjects, values, strict=True) if of_run == value]
        accuracies = [subject["accuracy"] for subject in repeats]
        low, high = min(accuracies), max(accuracies)
        if len(repeats) == 1:
            low, high = repeats[0]["interval"]["low"], repeats[0]["interval"]["high"]
        points.append(Point(value, sum(accuracies) / len(accuracies), low, high, len(repeats)))
    return tuple(points)
