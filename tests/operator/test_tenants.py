"""Two teams, each with a namespace, a bucket and a user of the store: neither gets at what the other has."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentark_operator.backends import BACKENDS
from agentark_operator.permissions import manifests as permissions
from minio import Minio, MinioAdmin, S3Error
from minio.credentials import StaticProvider

from tests.operator.mending import succeeds, waiting
from tests.operator.running import Bench, Operators, condition
from tests.servers.kubernetes import ApiServer
from tests.servers.player import Player
from tests.servers.playground import Playground
from tests.servers.s3 import S3Server, client

RBAC = "/apis/rbac.authorization.k8s.io/v1"
TEAMS = ("team-a", "team-b")


def tenant(server: S3Server, name: str) -> S3Server:
    """A bucket and a user of the store who may use it, and nothing else."""
    admin = MinioAdmin(
        endpoint=server.endpoint.split("://")[1],
        credentials=StaticProvider(server.access_key, server.secret_key),
        secure=False,
    )
    everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}
    admin.policy_add(name, policy={"Version": "2012-10-17", "Statement": [everything]})
    admin.user_add(name, f"only-for-tests-{name}")
    admin.policy_set(name, user=name)
    if not client(server.endpoint).bucket_exists(name):
        client(server.endpoint).make_bucket(name)
    return dataclasses.replace(server, bucket=name, access_key=name, secret_key=f"only-for-tests-{name}")


@pytest.fixture
def teams(playground: Playground, minio_server: S3Server, tmp_path: Path) -> Iterator[tuple[Bench, Bench]]:
    """Both teams' namespaces, each with the Secret of its own user."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in TEAMS:
            namespace = stack.enter_context(playground.namespace(restricted=True))
            bench = Bench(playground.server, tenant(minio_server, name), namespace)
            bench.prepare(tmp_path)
            made.append(bench)
        yield made[0], made[1]


@pytest.fixture
def operators(playground: Playground, teams: tuple[Bench, Bench], tmp_path: Path) -> Operators:
    """One operator for both namespaces, and no other."""
    watched = [team.namespace for team in teams]
    for one in permissions(watched[0], watched=watched, backends=list(BACKENDS), teachers=True):
        group, kind, metadata = one["apiVersion"], one["kind"].lower(), one["metadata"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        answer = playground.server.apply(f"{root}/namespaces/{metadata['namespace']}/{kind}s/{metadata['name']}", one)
        assert answer.status in (200, 201), answer.message
    server = playground.account(watched[0], "agentark-operator")
    return Operators(server, tmp_path / "operator", {"AGENTARK_NAMESPACES": ",".join(watched)})


def member(playground: Playground, team: Bench) -> ApiServer:
    """The cluster as somebody sees it who may do everything in the team's namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "member"}}
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "member"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "member"},
        "subjects": [{"kind": "ServiceAccount", "name": "member", "namespace": team.namespace}],
    }
    role = binding | {"kind": "Role", "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    del role["roleRef"], role["subjects"]
    made = (("/api/v1", "serviceaccounts", account), (RBAC, "roles", role), (RBAC, "rolebindings", binding))
    for root, kind, one in made:
        answer = playground.server.apply(f"{root}/namespaces/{team.namespace}/{kind}/member", one)
        assert answer.status in (200, 201), answer.message
    return playground.account(team.namespace, "member")


def secret_path(team: Bench) -> str:
    return f"/api/v1/namespaces/{team.namespace}/secrets/store"


def test_no_resource_gets_at_the_other_teams_artifacts(
    teams: tuple[Bench, Bench], operators: Operators, playground: Playground
) -> None:
    own, other = teams
    with (
        Player(playground.plane.as_user("player"), endpoint=own.s3.endpoint, namespace=own.namespace),
        operators.running(),
    ):
        succeeds(own, own.apply(own.debate_run("talk")))

        # Their store, with one's own credentials.
        theirs = own.store | {"credentialsSecretRef": {"name": "store"}}
        reaching = other.apply(other.debate_run("reaching", store=theirs))
        found = waiting(other, reaching, "StoreUnavailable", "credentialsSecretRef", phase_is="Pending")
        assert own.s3.secret_key not in str(found)

        # Their data, with one's own store and credentials.
        reading = other.apply(other.debate_run("reading", dataset={"uri": f"{own.address}/questions.jsonl"}))
        found = other.server.awaited(reading, lambda one: condition(one)["status"] == "False")
        assert condition(found)["reason"] in ("StoreUnavailable", "InputNotReady"), condition(found)
        assert not other.jobs and not other.pods

        # Their Secret by its name: a name is looked for in the resource's own namespace and nowhere else.
        own.make_secret("only-in-a")
        naming = other.apply(
            other.debate_run("naming", store=own.store | {"credentialsSecretRef": {"name": "only-in-a"}})
        )
        waiting(other, naming, "StoreUnavailable", f"namespace {other.namespace!r}", "is not there")


def test_no_member_of_a_team_reads_the_other_teams_secrets_runs_or_objects_in_the_store(
    teams: tuple[Bench, Bench], playground: Playground
) -> None:
    own, other = teams
    server = member(playground, other)
    assert server.request("GET", secret_path(other)).status == 200
    refused = [
        server.request("GET", secret_path(own)),
        server.request("GET", f"/api/v1/namespaces/{own.namespace}/secrets"),
        server.request("GET", f"/apis/agentark.dev/v1alpha1/namespaces/{own.namespace}/debateruns"),
        server.request("GET", f"/api/v1/namespaces/{own.namespace}/pods"),
    ]
    assert [answer.status for answer in refused] == [403] * 4

    theirs = Minio(other.s3.endpoint.split("://")[1], other.s3.access_key, other.s3.secret_key, secure=False)
    assert theirs.stat_object(other.s3.bucket, f"{other.namespace}/questions.jsonl").size
    for call in (
        lambda: theirs.stat_object(own.s3.bucket, f"{own.namespace}/questions.jsonl"),
        lambda: list(theirs.list_objects(own.s3.bucket)),
        lambda: theirs.remove_object(own.s3.bucket, f"{own.namespace}/questions.jsonl"),
    ):
        with pytest.raises(S3Error) as error:
            call()
        assert error.value.code == "AccessDenied"


def test_the_operator_has_no_rights_where_it_was_given_none(
    teams: tuple[Bench, Bench], operators: Operators, playground: Playground
) -> None:
    with playground.namespace() as elsewhere:
        for path in (f"/api/v1/namespaces/{elsewhere}/secrets", f"/api/v1/namespaces/{elsewhere}/pods"):
            assert operators.server.request("GET", path).status == 403
    # And where it may read Secrets, it may by name only: no list of them.
    assert operators.server.request("GET", f"/api/v1/namespaces/{teams[0].namespace}/secrets").status == 403
    assert operators.server.request("GET", secret_path(teams[1])).status == 200
