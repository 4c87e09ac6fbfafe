"""The lineage of a run, as it is kept in the store."""

from agentark.planning.stage import Plan
from agentark.store import RunRecord, RunStage
from agentark.store.stages import now


def run_record(plan: Plan) -> RunRecord:
    """The lineage of a run: which stages it uses, and what its addresses stood for."""
    return RunRecord(
        run_id=plan.run_id,
        name=plan.name,
        namespace=plan.namespace,
        created_at=now(),
        manifest=plan.manifest,
        stages=tuple(RunStage(kind=stage.kind, name=stage.name, key=stage.key) for stage in plan.stages),
        pins={uri: pin.identity for uri, pin in plan.pins.items()},
    )
