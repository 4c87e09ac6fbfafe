"""Teachers whose weights the operator serves: made before they are asked, shared, and gone when nobody asks."""

import json
from typing import Any

from tests.operator.running import Bench, Body, Operators, condition, phase
from tests.servers.player import Play, Player
from tests.servers.s3 import client


def ended(resource: Body) -> bool:
    return phase(resource) in ("Succeeded", "Failed")


def taught(bench: Bench, name: str, **spec: Any) -> Body:
    """A DebateRun whose teacher is served."""
    return bench.debate_run(name, teacher={"model": bench.model, "serving": {"replicas": 2}}, **spec)


def deployments(bench: Bench) -> list[Body]:
    return bench.listed("/apis/apps/v1", "deployments")


def debates_for(seconds: float) -> Any:
    return lambda pod: Play(delay_s=seconds)


def test_a_teacher_is_served_while_it_is_asked(bench: Bench, operators: Operators, player: Player) -> None:
    player.act = lambda pod: Play(exit_code=None)
    with operators.running():
        path = bench.apply(taught(bench, "talk"))
        running = bench.server.awaited(path, lambda one: phase(one) == "Running")
        (deployment,) = deployments(bench)
        (service,) = [one for one in bench.listed("/api/v1", "services") if "teacher" in one["metadata"]["name"]]
        assert deployment["spec"]["replicas"] == 2
        assert "initContainers" in deployment["spec"]["template"]["spec"], "the weights lie in S3"
        player.act = lambda pod: Play()
        player.revisit()
        found = bench.server.awaited(path, ended)
        assert phase(found) == "Succeeded", found["status"]
        name = deployment["metadata"]["name"]
        where = f"/apis/apps/v1/namespaces/{bench.namespace}/deployments/{name}"
        bench.gone(where)
        bench.gone(f"/api/v1/namespaces/{bench.namespace}/services/{service['metadata']['name']}")
    plan = json.loads(_read(bench, _plan_path(running, bench)))
    (stage,) = plan["stages"]
    assert stage["settings"]["models"] == [
        {"endpoint": {"baseUrl": f"http://{name}.{bench.namespace}.svc:8000/v1", "model": "model"}}
    ]


def test_two_that_ask_for_the_same_share_one_and_the_last_one_takes_it_away(
    bench: Bench, operators: Operators, player: Player
) -> None:
    player.act = lambda pod: Play(exit_code=None)
    with operators.running():
        first = bench.apply(taught(bench, "first"))
        second = bench.apply(taught(bench, "second", protocol={"agents": 4, "rounds": 2, "tie": "First"}))
        for path in (first, second):
            bench.server.awaited(path, lambda one: phase(one) == "Running")
        (deployment,) = deployments(bench)
        assert {one["name"] for one in deployment["metadata"]["ownerReferences"]} == {"first", "second"}
        suspended = taught(bench, "first", suspend=True)
        bench.apply(suspended)
        bench.server.awaited(first, lambda one: phase(one) == "Suspended")
        where = f"/apis/apps/v1/namespaces/{bench.namespace}/deployments/{deployment['metadata']['name']}"
        found = bench.server.awaited(where, lambda one: len(one["metadata"].get("ownerReferences", ())) == 1)
        assert found["metadata"]["ownerReferences"][0]["name"] == "second"
        assert found["spec"]["replicas"] == 2, "nothing else of it changed"
        bench.server.request("DELETE", second)
        bench.gone(where)


def test_a_teacher_that_does_not_come_is_told_of(bench: Bench, operators: Operators, player: Player) -> None:
    overlay = {"metadata": {"annotations": {"play.agentark.dev/waiting": "ImagePullBackOff"}}}
    made = taught(bench, "talk")
    made["spec"]["teacher"]["serving"]["pods"] = overlay
    with operators.running():
        path = bench.apply(made)
        found = bench.server.awaited(path, lambda one: condition(one)["reason"] == "ImagePullBackOff")
        assert "teacher" in condition(found)["message"] and not bench.jobs
        mended = taught(bench, "talk")
        bench.apply(mended)
        found = bench.server.awaited(path, ended)
        assert phase(found) == "Succeeded", found["status"]


def _plan_path(resource: Body, bench: Bench) -> str:
    (job,) = [one for one in bench.jobs if resource["metadata"]["name"] in one["metadata"]["name"]]
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    return str(args[args.index("--plan") + 1]).removeprefix("store:")


def _read(bench: Bench, path: str) -> bytes:
    reply = client(bench.s3.endpoint).get_object(bench.s3.bucket, f"{bench.namespace}/store/{path}")
    try:
        return bytes(reply.read())
    finally:
        reply.close()
        reply.release_conn()
