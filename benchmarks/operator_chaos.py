"""Whether resources end as if nothing had happened, whatever happens to the operator and around it.

    python -m benchmarks.operator_chaos --resources 50 --kills 100 --seed 1

Runs a cluster that is real but for its machines, MinIO and the operator, twice with the same resources: once
undisturbed; once with the operator killed at random moments, its API calls failing and its watches cut by a proxy, the
API server restarted, the store down for a while, children deleted and pods evicted. Prints JSON with what was done and
what it took, and in what the two runs differ; exits with 1 if anything does, if a stage was completed twice or worked
on by two attempts at once, if a status contradicted itself or the store, or if anything is left behind.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.chaos.bucket import Bucket, bucket
from benchmarks.chaos.cast import Body, Role, cast
from benchmarks.chaos.disturbances import OURS, Amount, Disturbances, Moment
from benchmarks.chaos.endings import differences, over, wrong_facts
from benchmarks.chaos.keeper import Keeper
from benchmarks.chaos.ledger import Ledger
from benchmarks.chaos.users import Users
from tests.operator.running import Bench, Operators, phase
from tests.servers.faults import faults
from tests.servers.playground import Playground, playground
from tests.servers.s3 import client

ROOT = Path(__file__).parents[1]
_LEFT = ("/api/v1 pods", "/api/v1 services", "/apis/batch/v1 jobs", "/apis/apps/v1 deployments")
_LEFT += ("/apis/kubeflow.org/v1 pytorchjobs",)
_REST_S = 3.0
_LONGEST_S = 150.0
"""A store that is down for a minute and controllers that lost the API server take so long; what takes longer was
forgotten by everybody but the periodic pass."""


@dataclass
class Record:
    last: dict[str, Body] = field(default_factory=dict)
    """Kind/name -> resource as last seen."""
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What both runs have in common."""

    playground: Playground
    bucket: Bucket
    folder: Path
    seed: int
    ttl_s: int = 12
    """When the objects of an ended run are to go."""

    def run(self, count: int, amount: Amount, *, name: str, patience_s: float) -> Record:
        """Apply the resources, disturb, wait for the end, look at what is left."""
        folder = self.folder / name
        draw = random.Random(f"{self.seed} {name}")
        with contextlib.ExitStack() as stack:
            bench = Bench(
                self.playground.server,
                self.bucket.s3,
                stack.enter_context(self.playground.namespace(restricted=True)),
            )
            folder.mkdir(parents=True)
            bench.prepare(folder)
            account = bench.make_account()
            server = self.playground.account(bench.namespace, account)
            front = stack.enter_context(faults(folder / "front", server, seed=self.seed))
            operators = Operators(front.server, folder / "operator", {"AGENTARK_NAMESPACES": bench.namespace})
            player = self.playground.plane.as_user("player")
            ledger = Ledger(player, endpoint=self.bucket.s3.endpoint, namespace=bench.namespace)
            stack.enter_context(ledger)
            roles = cast(bench, count, ttl_s=self.ttl_s)
            users = stack.enter_context(Users(bench, roles))
            keeper = stack.enter_context(Keeper(operators, amount.kills, draw))
            disturbances = Disturbances(self.playground, bench, self.bucket, front, draw)
            record, started = Record(), time.monotonic()
            moments = disturbances.moments(amount) + _applying(users, roles, amount, draw)
            _play(sorted(moments, key=lambda moment: moment[0]), disturbances.repay)
            self._await_end(users, keeper, record, patience_s)
            record.figures["seconds"] = round(time.monotonic() - started, 1)
            record.last = dict(users.last)
            self._tidiness(bench, users, record)
            record.figures["tidy_after_s"] = round(time.monotonic() - started, 1)
            counts = front.counts
            front.set()
            self._rest(f"system:serviceaccount:{bench.namespace}:{account}", record)
            self._judge(bench, users, ledger, keeper, roles, record)
            record.figures |= _figures(counts, ledger, keeper, disturbances, users)
        return record

    def _await_end(self, users: Users, keeper: Keeper, record: Record, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while users.unsettled or not keeper.quiet:
            if time.monotonic() > deadline:
                record.problems += [f"{name} is stuck: {_standing(users, name)}" for name in users.unsettled]
                return
            time.sleep(0.3)

    def _tidiness(self, bench: Bench, users: Users, record: Record) -> None:
        """Nothing is left when its time is over."""
        deadline = time.monotonic() + self.ttl_s + 90.0
        while left := _left(bench, users):
            if time.monotonic() > deadline:
                record.problems.append(f"left behind: {left}")
                return
            time.sleep(0.5)

    def _rest(self, user: str, record: Record) -> None:
        """The operator writes nothing when nothing happens."""
        audit = self.playground.audit
        time.sleep(2.0)  # what is on its way
        mark = audit.mark()
        time.sleep(_REST_S)
        written = [request.uri for request in audit.requests(since=mark) if request.user == user and request.writes]
        if written:
            record.problems.append(f"writes at rest: {written[:10]}")

    def _judge(
        self, bench: Bench, users: Users, ledger: Ledger, keeper: Keeper, roles: list[Role], record: Record
    ) -> None:
        record.problems += list(users.untrue)
        record.problems += [f"completed more than once: {completion}" for completion in ledger.doubled]
        record.problems += [f"two attempts at once: {overlap}" for overlap in ledger.overlaps]
        slow = {name: round(seconds) for name, seconds in users.unchanged_s.items() if seconds > _LONGEST_S}
        record.problems += [f"{name} stood still for {seconds} s" for name, seconds in slow.items()]
        record.problems += [f"the users failed: {error!r}" for error in users.errors]
        record.problems += wrong_facts(record.last.values(), _committed(bench))
        for role in roles:
            body = record.last.get(f"{role.body['kind']}/{role.name}")
            if body is None or phase(body) != role.ends:
                record.problems.append(f"{role.name} did not end as {role.ends}: {body and body.get('status')}")
        if any(code == -1 for code in keeper.died):
            record.problems.append("an operator did not end when told to")


def _applying(users: Users, roles: list[Role], amount: Amount, draw: random.Random) -> list[Moment]:
    whole_s = 0.75 * amount.seconds
    return [(draw.uniform(0, whole_s), f"{role.name} applied", partial(users.apply, role)) for role in roles]


def _play(moments: list[Moment], between: Callable[[], None]) -> None:
    """Do everything at its time, and something else about once a second."""
    started = time.monotonic()
    for at, name, do in moments:
        while (left_s := started + at - time.monotonic()) > 0:
            between()
            time.sleep(min(1.0, left_s))
        if name:
            print(f"{time.monotonic() - started:7.1f} s: {name}", file=sys.stderr, flush=True)
        do()


def _left(bench: Bench, users: Users) -> list[str]:
    """Objects of the operator's that are still there."""
    remains = []
    for place in _LEFT:
        api, plural = place.split()
        answer = bench.server.request("GET", f"{api}/namespaces/{bench.namespace}/{plural}?labelSelector={OURS}")
        remains += [f"{plural}/{item['metadata']['name']} ({_held(item)})" for item in answer.body.get("items") or ()]
    embedded = [name for name in users.there if users.last[name]["metadata"].get("ownerReferences")]
    return remains + embedded


def _held(body: Body) -> str:
    """What may keep an object: its owner, its finalizers, how far its end has come."""
    metadata, status = body["metadata"], body.get("status") or {}
    kept = {name: metadata.get(name) for name in ("uid", "deletionTimestamp", "finalizers", "ownerReferences")}
    told = ("phase", "startTime", "conditions", "containerStatuses")
    return json.dumps(kept | {name: status.get(name) for name in told}, separators=(",", ":"))


def _committed(bench: Bench) -> Iterator[str]:
    """Keys of the stages that have a manifest."""
    prefix = f"{bench.namespace}/store/stages/"
    for entry in client(bench.s3.endpoint).list_objects(bench.s3.bucket, prefix, recursive=True):
        path = str(entry.object_name).removeprefix(prefix)
        if path.endswith("/manifest.json") and path.count("/") == 2:
            yield path.split("/")[1]


def _standing(users: Users, name: str) -> str:
    body = users.last.get(name)
    return json.dumps((body or {}).get("status"))[:3000]


def _figures(
    counts: dict[str, int], ledger: Ledger, keeper: Keeper, disturbances: Disturbances, users: Users
) -> dict[str, Any]:
    calls = {name: count for name, count in sorted(counts.items()) if not name.startswith("fault")}
    return {
        "resources": len(users.applied),
        "embedded": len(users.last) - len(users.applied),
        "ends": dict(Counter(phase(body) for body in users.last.values() if over(body))),
        "stages_completed": len(ledger.completed),
        "pods": sum(ledger.pods.values()),
        "pods_failed": sum(ledger.failures.values()),
        "longest_unchanged_s": round(max(users.unchanged_s.values(), default=0.0), 1),
        "kills": keeper.killed,
        "operators_that_ended_by_themselves": keeper.died,
        "done": dict(disturbances.counts),
        "faults": {name.removeprefix("fault: "): count for name, count in sorted(counts.items()) if "fault" in name},
        "calls": calls | {"all": sum(calls.values())},
    }


def compare(surroundings: Surroundings, count: int, amount: Amount, *, patience_s: float) -> dict[str, Any]:
    """Both runs, and what tells them apart."""
    plain = surroundings.run(count, Amount(), name="undisturbed", patience_s=patience_s)
    print(json.dumps(plain.figures), *plain.problems, sep="\n", file=sys.stderr, flush=True)
    disturbed = surroundings.run(count, amount, name="disturbed", patience_s=patience_s + amount.seconds)
    told = [f"undisturbed: {problem}" for problem in plain.problems] + disturbed.problems
    return {
        "seed": surroundings.seed,
        "undisturbed": plain.figures,
        "disturbed": disturbed.figures,
        "differences": told + differences(plain.last, disturbed.last),
    }


def main() -> int:
    """Start everything, run twice, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=50)
    parser.add_argument("--kills", type=int, default=100, help="of the operator, with SIGKILL")
    parser.add_argument("--restarts", type=int, default=5, help="of the API server")
    parser.add_argument("--faults", type=float, default=0.2, help="part of the operator's API calls that fail")
    parser.add_argument("--store-down", type=float, default=60.0, help="seconds without the store")
    parser.add_argument("--removals", type=int, default=80, help="of children and pods, by hand or by eviction")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for the last resource's end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for data and logs, which are kept then")
    options = parser.parse_args()
    amount = Amount(options.kills, options.restarts, options.store_down, options.faults, options.removals)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("cluster", "runs"):
            (folder / name).mkdir(parents=True)
        running = stack.enter_context(playground(folder / "cluster", ROOT / "crds"))
        store = stack.enter_context(bucket(folder / "s3"))
        surroundings = Surroundings(running, store, folder / "runs", options.seed)
        comparison = compare(surroundings, options.resources, amount, patience_s=options.patience)
    print(json.dumps(comparison, indent=1))
    return int(bool(comparison["differences"]))


if __name__ == "__main__":
    sys.exit(main())
