"""The users of the resources: they apply them, change their minds, and look at what becomes of them."""

import itertools
import threading
import time
from typing import Any

import urllib3

from benchmarks.chaos.cast import Body, Role, Step
from benchmarks.chaos.endings import over, untruths
from tests.operator.running import Bench, condition, phase

_KINDS = ("debateruns", "prmtrainings", "distilljobs")
_LOOK_S = 0.3


class Users:
    """Look at all resources a few times a second while their context is open."""

    def __init__(self, bench: Bench, roles: list[Role]) -> None:
        self._bench = bench
        self._bodies = {role.name: role.body for role in roles}
        self._left: dict[str, list[Step]] = {role.name: list(role.steps) for role in roles}
        self._since: dict[str, float] = {}
        self.applied: set[str] = set()
        self.last: dict[str, Body] = {}
        """Kind/name -> each resource as last seen, those that jobs embed too, even if they are gone."""
        self.there: set[str] = set()
        """Those that were there at the last look."""
        self.unchanged_s: dict[str, float] = {}
        """Kind/name -> longest time for which a resource that had not ended stayed as it was."""
        self._changed: dict[str, tuple[str, float]] = {}
        self.untrue: dict[str, None] = {}
        """What statuses said that contradicted itself."""
        self.errors: list[BaseException] = []

    def __enter__(self) -> "Users":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="users", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def apply(self, role: Role) -> None:
        """As `kubectl apply` does, again and again until the server answers."""
        self._apply(role.body)
        self.applied.add(role.name)

    def _apply(self, body: Body) -> None:
        path = self._bench.path(body["kind"], body["metadata"]["name"])
        self._insist("PATCH", f"{path}?fieldManager=tests&force=true", body, "application/apply-patch+yaml")

    @property
    def unsettled(self) -> list[str]:
        """Resources that have not come to an end at which their users leave them."""
        own = [body for body in list(self.last.values()) if body["metadata"]["name"] in self.applied]
        return [_name(body) for body in own if not self._settled(body)] + ["not seen yet"] * (
            len(self.applied) - len(own)
        )

    def _settled(self, body: Body) -> bool:
        left = self._left[body["metadata"]["name"]]
        return over(body) and not (left and phase(body) in left[0].phases)

    def _follow(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                self._look()
            except (urllib3.exceptions.HTTPError, OSError, ValueError):
                continue  # the server is down
            except BaseException as error:
                self.errors.append(error)
                raise

    def _look(self) -> None:
        listed: list[Body] = []
        for plural in _KINDS:
            root = f"/apis/agentark.dev/v1alpha1/namespaces/{self._bench.namespace}/{plural}"
            answer = self._bench.server.request("GET", root)
            if answer.status != 200:
                return
            kind = str(answer.body["kind"]).removesuffix("List")
            listed += [{"kind": kind, **item} for item in answer.body["items"]]
        self.there = {_name(resource) for resource in listed}
        for body in listed:
            self.last[_name(body)] = body
            self._time(_name(body), body)
            for text in untruths(body):
                self.untrue[f"{_name(body)} generation {body['metadata']['generation']}: {text}"] = None
            self._take_step(body)

    def _time(self, name: str, body: Body) -> None:
        version, now_s = body["metadata"]["resourceVersion"], time.monotonic()
        if self._changed.get(name, ("", 0.0))[0] != version:
            self._changed[name] = version, now_s
        waits = condition(body)["reason"] == "DependencyNotReady"  # its user applies that one when he likes
        if not over(body) and not waits:
            self.unchanged_s[name] = max(self.unchanged_s.get(name, 0.0), now_s - self._changed[name][1])

    def _take_step(self, body: Body) -> None:
        name = body["metadata"]["name"]
        left = self._left.get(name)
        status = body.get("status") or {}
        if not left or status.get("observedGeneration") != body["metadata"]["generation"]:
            return
        step = left[0]
        if phase(body) not in step.phases:
            return
        since = self._since.setdefault(name, time.monotonic())
        if time.monotonic() - since < step.after_s:
            return
        self._since.pop(name)
        left.pop(0)
        path = self._bench.path(body["kind"], name)
        if step.change is not None:
            self._insist("PATCH", f"{path}?fieldManager=tests", step.change, "application/merge-patch+json")
            return
        self._insist("DELETE", path, {"propagationPolicy": "Background"}, "application/json")
        self._apply(self._bodies[name])

    def _insist(self, method: str, path: str, content: Any, form: str) -> None:
        for tried in itertools.count():
            try:
                answer = self._bench.server.request(method, path, content, form=form)
            except (urllib3.exceptions.HTTPError, OSError, ValueError):
                time.sleep(0.3)
                continue
            if answer.status in (200, 201) or (method == "DELETE" and tried and answer.status == 404):
                return
            # A server that has just begun does not know custom resources yet.
            if answer.status not in (404, 429) and answer.status < 500:
                raise AssertionError(f"{path}: {answer.message}")
            time.sleep(0.3)


def _name(body: Body) -> str:
    return f"{body['kind']}/{body['metadata']['name']}"
