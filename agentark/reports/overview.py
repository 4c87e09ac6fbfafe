"""What a store's runs came to, a summary each; one that cannot be read hides no other."""

from dataclasses import dataclass
from functools import partial

from agentark.errors import StoreError
from agentark.reports.results import student_accuracy
from agentark.store import RunRecord, Store, list_runs, read_manifest, readable


@dataclass(frozen=True, slots=True)
class RunSummary:
    run: str
    """Its id."""
    name: str
    namespace: str
    created_at: str = ""
    """ISO 8601 in UTC; empty where the record cannot be read."""
    done: int = 0
    """Stages that are finished."""
    stages: int = 0
    """All its stages; 0 where the record cannot be read."""
    accuracy: float | None = None
    """Of the student on the first suite, 0 to 1; None where there is none yet."""
    errors: tuple[str, ...] = ()
    """What of it cannot be read, why, and what to do."""


def summarise_runs(store: Store, *, namespace: str | None = None) -> list[RunSummary]:
    """The runs of a namespace (None = of all), newest first; those whose record cannot be read come last.

    Raises:
        StoreError: The store cannot be asked.
    """
    listed = list_runs(store, namespace=namespace)
    summaries = [_summary(store, record) for record in listed.records]
    for path, error in listed.unreadable:
        _, of_namespace, name, file = path.split("/")
        summaries.append(RunSummary(file.removesuffix(".json"), name, of_namespace, errors=(str(error),)))
    return summaries


def _summary(store: Store, record: RunRecord) -> RunSummary:
    manifests = [readable(partial(read_manifest, store, stage.kind, stage.key)) for stage in record.stages]
    accuracy = readable(partial(student_accuracy, store, record.stages))
    # The comparison's manifest is read for both.
    errors = dict.fromkeys(str(error) for error in (*manifests, accuracy) if isinstance(error, StoreError))
    return RunSummary(
        run=record.run_id,
        name=record.name,
        namespace=record.namespace,
        created_at=record.created_at,
        done=sum(manifest is not None and not isinstance(manifest, StoreError) for manifest in manifests),
        stages=len(record.stages),
        accuracy=None if isinstance(accuracy, StoreError) else accuracy,
        errors=tuple(errors),
    )
