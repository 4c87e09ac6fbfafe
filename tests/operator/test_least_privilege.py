"""The operator needs every right that its table gives it in a namespace, and no other."""

from tests.operator.running import Bench, Body, Operators, condition, phase
from tests.servers.audit import Request
from tests.servers.player import Play, Player
from tests.servers.playground import Playground


def ended(resource: Body) -> bool:
    return phase(resource) in ("Succeeded", "Failed")


def lead_a_whole_life(bench: Bench, player: Player) -> None:
    """Everything that the operator can be asked for in a namespace."""
    at_once = {"ttlSecondsAfterFinished": 0}
    made = {"released": True, "version": 1, "digest": f"sha256:{'0' * 64}", "decision": "released as version 1"}

    def act(pod: Body) -> Play:
        releases = pod["metadata"]["labels"]["agentark.dev/stage-kind"] == "release"
        return Play(delay_s=4.0, metrics=made if releases else {})  # long enough to fall silent

    player.act = act
    quota = f"/api/v1/namespaces/{bench.namespace}/resourcequotas/none"
    none = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    assert bench.server.apply(quota, none).status == 201
    waiting = bench.apply(bench.debate_run("waiting"))
    bench.server.awaited(waiting, lambda one: condition(one)["reason"] == "QuotaExceeded")
    bench.server.request("DELETE", quota)
    served = bench.debate(teacher={"model": bench.model})
    job = bench.distill_job("student", "RSFT", "PAD", debate=served, runPolicy=at_once)
    job["spec"]["training"] = {"backend": "Job", "nodes": 2}
    job["spec"]["prm"] = {"training": {"nodes": 2}}
    job["spec"]["release"] = {"name": "math", "gates": []}
    student = bench.apply(job)
    # Nothing runs TrainJobs here: made, asked about as nothing is heard of it, suspended, taken away by another spec.
    training = {"training": {"backend": "TrainJob"}}
    trained = bench.apply(bench.prm_training("trained", **training))
    bench.server.awaited(trained, lambda one: "TrainJob" in str(one["status"]))
    found = bench.server.awaited(student, ended, within_s=120)
    assert phase(found) == "Succeeded", found["status"]
    bench.apply(bench.prm_training("trained", suspend=True, **training))
    bench.server.awaited(trained, lambda one: phase(one) == "Suspended")
    bench.apply(bench.prm_training("trained", temperature="0.2", training={"backend": "Job"}, runPolicy=at_once))
    found = bench.server.awaited(trained, ended, within_s=60)
    assert phase(found) == "Succeeded", found["status"]
    for kind, name in (("DebateRun", "student-debate"), ("PRMTraining", "student-prm")):
        bench.gone(bench.path(kind, name), within_s=60)
    bench.server.awaited(bench.path("ModelRelease", "math"), lambda one: condition(one)["reason"] == "NoVersion")


def rights(rules: list[Body]) -> set[tuple[str, str]]:
    """(group/resource, verb) of each right."""
    return {
        (f"{group}/{resource}", verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def right(request: Request) -> tuple[str, str]:
    """The right that a request took."""
    part = f"/{request.subresource}" if request.subresource else ""
    return f"{request.group}/{request.resource}{part}", request.verb


def test_each_right_is_used_and_nothing_is_denied(
    bench: Bench, operators: Operators, player: Player, playground: Playground
) -> None:
    since = playground.audit.mark()
    with operators.running():
        lead_a_whole_life(bench, player)
    account = f"system:serviceaccount:{bench.namespace}:agentark-operator"
    asked = [one for one in playground.audit.requests(since=since) if one.user == account]
    assert not [one for one in asked if one.code == 403]
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{bench.namespace}/roles/agentark-operator"
    given = rights(bench.server.request("GET", role).body["rules"])
    used = {right(one) for one in asked if one.code < 400}
    # To apply what is not there takes both; the server writes down one.
    used |= {(what, "create") for what, verb in used if verb == "patch"}
    # Asked for when owner references are written, not by a request.
    used |= {one for one in given if one[0].endswith("/finalizers")}
    assert given - used == set(), "rights that nothing needs"
