"""A ModelRelease: which version of a released model is the current one, as the spec and the store say.

What is decided and shown is pure; `Releases` asks the store and changes the pin there, and tells the cluster of a model
that a job has released.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentark.api import API_VERSION, DistillJob, ModelRelease, StoreSource
from agentark.api.modelrelease import ModelReleaseSpec
from agentark.errors import AgentArkError, InvalidInput, StoreError, StoreUnavailable
from agentark.planning import Plan
from agentark.release import Current, ReleasedVersion, promote, read_current, read_release
from agentark.release.registry import version_numbers
from agentark.store import StageManifest, Store
from agentark.store.stages import now
from agentark_operator.attempts.workload import GROUP, MANAGED_BY, MANAGER
from agentark_operator.informers.resources import Body, Key, Resources, parse_resource
from agentark_operator.kube import Gone, Kube, Refused
from agentark_operator.reasons import AnyReason, Reason
from agentark_operator.status.conditions import Finding, merged
from agentark_operator.storage.stores import Cache, Place, Stores

SOURCE_RUN = f"{GROUP}/source-run"
"""Annotation: the run whose student a ModelRelease was made for."""
SHOWN = 256
"""Versions in a status, the newest ones."""
_NAMED = 20
"""Versions that a message names."""
_RECORD_FRESH_S = 3600.0
"""A version's record is created once; only somebody who deletes it, and releases again, makes an old sight wrong."""
Row = Mapping[str, Any]
"""A version as the status shows it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the spec asks of the store."""

    act: Literal["Keep", "Pin", "Unpin"] = "Keep"
    """Whether the current version is right as it is."""
    pinned: int | None = None
    """The version that the spec has pinned once that is done; None: if one is pinned, somebody else did it."""
    stalled: tuple[AnyReason, str] | None = None
    """Reason and message of what a person must mend; nothing is changed then."""


@dataclass(frozen=True, slots=True)
class ObservedRelease:
    """Everything that the status of a ModelRelease is made of."""

    versions: Sequence[Row] = ()
    """Oldest first."""
    current: Row | None = None
    """The version to serve."""
    newest: int = 0
    """Number of the newest version."""
    pinned: int | None = None
    """The version that the spec has pinned."""
    chosen: bool = False
    """Whether the store says that the current version was chosen, be it by the spec or by `agentark promote`."""
    waiting: tuple[AnyReason, str] | None = None
    """Reason and message of what keeps it from being ready; it comes by itself or is mended."""
    stalled: tuple[AnyReason, str] | None = None
    """Reason and message of what waits for a person."""
    later: str = ""
    """What could not be done, so that it is to be tried again after a wait."""
    seen: bool = True
    """Whether the store could be asked; else what was last known of it stands."""


def choose(
    spec: ModelReleaseSpec, versions: Mapping[int, str], current: Current | None, pinned: int | None, what: str
) -> Choice:
    """What is to be done so that the current version is the one that the spec wants.

    Args:
        versions: Number -> digest of every version.
        current: What the store says.
        pinned: The version that the spec had pinned when it was last looked at.
        what: The release and its store, for messages.
    """
    wanted = spec.current_version
    if wanted is None:
        # Another pin than the spec's is a person's choice by `agentark promote`, and none of our business.
        ours = pinned is not None and current is not None and current.pinned and current.version == pinned
        meant = max(versions) if ours else current.version if current else None
        stalled = _mismatch(spec, versions, meant, current, what)
        return Choice(pinned=pinned, stalled=stalled) if stalled else Choice("Unpin" if ours else "Keep")
    if wanted not in versions:
        numbers = sorted(versions)
        there = ("..., " if len(numbers) > _NAMED else "") + ", ".join(map(str, numbers[-_NAMED:]))
        text = f"spec.currentVersion is {wanted}, but the versions of {what} are: {there}; set one of these"
        return Choice(pinned=pinned, stalled=(Reason.VERSION_NOT_FOUND, text + _stays(current)))
    stalled = _mismatch(spec, versions, wanted, current, what)
    if stalled:
        return Choice(pinned=pinned, stalled=stalled)
    right = current is not None and current.pinned and current.version == wanted
    return Choice("Keep" if right else "Pin", wanted)


def release_status(
    observed: ObservedRelease, before: Mapping[str, Any], *, generation: int, now: str
) -> dict[str, Any]:
    """The status of a ModelRelease.

    Args:
        observed: What a pass found.
        generation: Of the spec that was observed.
        now: The time, ISO 8601 in UTC.
    """
    findings = _findings(observed)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": merged(before.get("conditions") or (), findings, generation=generation, now=now),
    }
    if not observed.seen:
        return status | {name: before[name] for name in ("current", "versions", "pinnedVersion") if name in before}
    fields: dict[str, Any] = {
        "current": dict(observed.current or {}),
        "versions": [dict(version) for version in observed.versions[-SHOWN:]],
        "pinnedVersion": observed.pinned,
    }
    return status | {name: value for name, value in fields.items() if value}


def version_row(version: ReleasedVersion, store: Store) -> Row:
    """A version as the status shows it."""
    row: dict[str, Any] = {
        "version": version.version,
        "uri": version.uri_in(store),
        "digest": version.digest,
        "runId": version.lineage.run_id,
        "releasedAt": version.created_at,
    }
    by_subject = {score.subject: score for score in reversed(version.scores)}  # of several suites, the first one's
    score = by_subject.get("student") or by_subject.get("student-sampled")
    return row | ({"suite": score.suite, "score": f"{score.value:.4f}"} if score else {})


def release_of(job: DistillJob, plan: Plan, manifests: Mapping[str, StageManifest], source: StoreSource) -> Body | None:
    """The ModelRelease of what a job has released; None where nothing is.

    It has no owner, since a release outlives the job that it came from.

    Args:
        manifests: Key -> manifest of each stage that is finished.
        source: The job's store, or the operator's default: the release names it, so that whoever serves the model finds
            it, and it stays where it is when the default changes.
    """
    if job.spec.release is None or not _release_metrics(plan, manifests).get("released"):
        return None
    store = source.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRelease",
        "metadata": {
            "name": job.spec.release.name,
            "namespace": job.metadata.namespace,
            "labels": {MANAGED_BY: MANAGER, "app.kubernetes.io/part-of": "agentark"},
            "annotations": {SOURCE_RUN: plan.run_id},
        },
        "spec": {"store": store},
    }


def released_key(body: Body) -> Key | None:
    """The ModelRelease that a job writes to; None for what releases nothing."""
    release = (body.get("spec") or {}).get("release") if body["kind"] == "DistillJob" else None
    return Key("ModelRelease", body["metadata"]["namespace"], str(release.get("name"))) if release else None


class Releases:
    """Looks at releases, and makes ModelReleases; each call blocks its thread.

    Args:
        resources: What is there.
        stores: Where releases lie.
    """

    def __init__(self, kube: Kube, resources: Resources, stores: Stores) -> None:
        self._kube, self._resources, self._stores = kube, resources, stores
        self._rows: Cache[tuple[str, str, int], Row] = Cache(10_000, _RECORD_FRESH_S)

    def reconcile(self, body: Body, before: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The status of a ModelRelease, whose current version is by then the one that its spec wants if it can be.

        Returns:
            The status, and what could not be done, so that it is to be tried again after a wait.
        """
        try:
            release = parse_resource(body)
            assert isinstance(release, ModelRelease)
            observed = self._look(release, before)
        except InvalidInput as error:
            observed = ObservedRelease(stalled=(Reason.INVALID_SPEC, str(error)), seen=False)
        except AgentArkError as error:
            text = self._stores.told(parse_resource(body), error)
            observed = ObservedRelease(waiting=(Reason.STORE_UNAVAILABLE, text), later=text, seen=False)
        status = release_status(observed, before, generation=body["metadata"]["generation"], now=now())
        return status, observed.later

    def _look(self, release: ModelRelease, before: Mapping[str, Any]) -> ObservedRelease:
        """See to it that the version is current that the spec wants, and say which is."""
        place, name, pinned = self._stores.of(release), release.metadata.name, before.get("pinnedVersion")
        what = f"{name!r} in {place.store.uri}"
        # In this order: a version is made before it becomes the current one.
        current = read_current(place.store, name)
        self._stores.answered(place)
        numbers = version_numbers(place.store, name)
        if not numbers:
            text = f"waits for a job that releases {name}; there is no version of it in {place.store.uri}"
            return ObservedRelease(pinned=pinned, waiting=(Reason.NO_VERSION, text))
        wanted = release.spec.current_version
        needed = {*numbers[-SHOWN:], wanted, current.version if current else None}
        rows = {number: self._row(place, name, number) for number in numbers if number in needed}
        digests = {number: str(rows[number]["digest"]) if number in rows else "" for number in numbers}
        choice = choose(release.spec, digests, current, pinned, what)
        later, held = "", choice.pinned
        if choice.act != "Keep":
            try:
                current = promote(place.store, name, choice.pinned)
            except StoreUnavailable:
                raise
            except StoreError as error:  # such as weights that are gone
                later, held = str(error) + _stays(current), pinned
        return ObservedRelease(
            versions=list(rows.values()),
            current=self._row(place, name, current.version) if current else None,
            newest=max(numbers[-1], current.version if current else 0),
            pinned=held,
            chosen=current is not None and current.pinned,
            waiting=(Reason.NOT_PROMOTED, later) if later else None,
            stalled=choice.stalled,
            later=later,
        )

    def announce(self, job: DistillJob, plan: Plan, manifests: Mapping[str, StageManifest], source: StoreSource) -> str:
        """Make the ModelRelease of what a job has released, unless one of that name is there; that one stays as it is.

        Args:
            manifests: Key -> manifest of each stage that is finished.

        Returns:
            What came of the release, in a line; empty while the job has come to none.

        Raises:
            Unreachable: The API server does not answer.
        """
        decision = str(_release_metrics(plan, manifests).get("decision", ""))
        wanted = release_of(job, plan, manifests, source)
        if wanted is None:
            return decision
        metadata = wanted["metadata"]
        if self._resources.find(Key("ModelRelease", metadata["namespace"], metadata["name"])) is not None:
            return decision
        try:
            self._kube.create(wanted)
        except Gone:
            pass  # somebody was faster, or the namespace is on its way out
        except Refused as error:
            return f"{decision}; the API server does not take its ModelRelease: {error}"
        return decision

    def _row(self, place: Place, name: str, number: int) -> Row:
        def read() -> Row:
            return version_row(read_release(place.store, name, number), place.store)

        row = self._rows.get((place.identity, name, number), read)
        assert row is not None
        return row


def _mismatch(
    spec: ModelReleaseSpec, versions: Mapping[int, str], meant: int | None, current: Current | None, what: str
) -> tuple[AnyReason, str] | None:
    digest = versions.get(meant or 0, "")
    if spec.digest is None or meant is None or digest == spec.digest:
        return None
    mend = "correct spec.digest, or set spec.currentVersion to the version that has it"
    text = f"spec.digest is {spec.digest}, but version {meant} of {what} has {digest}; {mend}"
    return Reason.DIGEST_MISMATCH, text + _stays(current)


def _stays(current: Current | None) -> str:
    return f" (the current version stays {current.version})" if current else ""


def _findings(observed: ObservedRelease) -> list[Finding]:
    if observed.stalled is not None:
        return [Finding("Ready", False, *observed.stalled), Finding("Stalled", True, *observed.stalled)]
    if observed.waiting is not None or observed.current is None:
        absent = "none of the versions is the current one yet; the job that released them is about to say"
        reason, message = observed.waiting or (Reason.NO_CURRENT_VERSION, absent)
        return [Finding("Ready", False, reason, message), Finding("Reconciling", True, reason, message)]
    number = observed.current["version"]
    if observed.pinned is not None:
        reason, why = Reason.CHOSEN, f"version {number} is the current one, as spec.currentVersion says"
    elif observed.chosen:
        who = "`agentark promote` or by a ModelRelease of another namespace"
        reason, why = Reason.PROMOTED, f"version {number} is the current one, chosen with {who}"
    else:
        reason, why = Reason.NEWEST, f"version {number} is the current one, the newest that was released"
    later = f"; the newest is {observed.newest}" if observed.newest != number else ""
    return [Finding("Ready", True, reason, why + later)]


def _release_metrics(plan: Plan, manifests: Mapping[str, StageManifest]) -> Mapping[str, Any]:
    stage = next((stage for stage in plan.stages if stage.kind == "release"), None)
    manifest = manifests.get(stage.key) if stage else None
    return manifest.metrics if manifest else {}
