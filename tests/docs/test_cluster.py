"""The pages' commands for clusters, on real controllers with the operator that the charts install; pods are played."""

import dataclasses
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.commands import Command, all_pages, commands
from tests.docs.scenes import SCENES, TEAM, Scene, kinds
from tests.docs.world import SYSTEM, InstalledOperator, Reader, on_a_cluster
from tests.operator.asking import succeed, until
from tests.servers.kubernetes import ApiServer
from tests.servers.player import Player
from tests.servers.playground import Playground
from tests.servers.s3 import S3Server

INSTALL = "install.md"
FRESH = (INSTALL, "operations.md")
"""Pages that install and uninstall; others find the operator installed."""


def of_clusters(page: str) -> list[Command]:
    return [command for command in commands(page) if command.place == "cluster"]


@pytest.fixture
def reader(
    page: str, bare: Playground, s3: S3Server, player: Player, installed_operator: InstalledOperator, tmp_path: Path
) -> Iterator[Reader]:
    prefix = page.removesuffix(".md").replace("/", "-")
    player.act = succeed
    with on_a_cluster(tmp_path / "reader", bare, s3, prefix=prefix) as made:
        scene = Scene(bare.server, s3, player, prefix, tmp_path / "scene")
        if page in FRESH:
            uninstall(made)
        if page != INSTALL:
            install(made)
            tell(made, f"kubectl config set-context --current --namespace {TEAM}")
        SCENES.get(page, kinds)(scene, made)
        try:
            yield made
        finally:
            player.act = succeed
            for namespace in (TEAM, "team-b"):
                remove(bare.server, f"/api/v1/namespaces/{namespace}")
            if page in FRESH:
                uninstall(made)
    shutil.rmtree(tmp_path / "reader")


def install(reader: Reader) -> None:
    """Install as the page on that says, unless it is done."""
    if "agentark-operator" not in tell(reader, f"helm list -n {SYSTEM}"):
        for command in of_clusters(INSTALL)[:2]:
            reader.follow(command)


def uninstall(reader: Reader) -> None:
    """Take everything away that Helm has made, definitions too."""
    tell(reader, f"helm uninstall agentark -n {SYSTEM} --ignore-not-found --no-hooks --wait")
    tell(reader, f"helm uninstall agentark-crds -n {SYSTEM} --ignore-not-found --wait")
    names = " ".join(f"{kind}.agentark.dev" for kind in ("distilljobs", "debateruns", "prmtrainings", "modelreleases"))
    tell(reader, f"kubectl delete crd {names} --ignore-not-found")
    tell(reader, f"kubectl delete namespace {SYSTEM} --ignore-not-found --timeout=60s")


def tell(reader: Reader, text: str) -> str:
    """Run what stands on no page."""
    return reader.follow(Command("", 0, text, "cluster"))


def remove(server: ApiServer, path: str, *, within_s: float = 240.0) -> None:
    """Delete an object and wait until it is gone."""
    deadline = time.monotonic() + within_s
    server.request("DELETE", path)
    while (found := server.request("GET", path)).status != 404:
        if time.monotonic() > deadline:
            pytest.fail(f"{path} is still there after {within_s:g} s: {found.body.get('status')}")
        time.sleep(0.2)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in all_pages() if of_clusters(page)])
def test_commands_do_what_the_page_says(page: str, reader: Reader) -> None:
    for command in of_clusters(page):
        if command.fresh:
            uninstall(reader)
        printed = reader.follow(command)
        print(f"$ {command.text}{printed}")  # for whoever pastes it: pytest -s


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ["operations.md"])
def test_what_was_backed_up_finds_its_results_again(page: str, reader: Reader, bare: Playground) -> None:
    backup, restore = (one for one in of_clusters(page) if "agentark-resources.json" in one.text)
    reader.follow(backup)
    tell(reader, "kubectl delete agentark --all --wait")
    jobs = f"/apis/batch/v1/namespaces/{TEAM}/jobs"
    until(lambda: not bare.server.request("GET", jobs).body["items"])
    reader.follow(restore)
    tell(reader, "kubectl wait dj/student dbr/talk --for=condition=Complete --timeout=60s")
    path = f"/apis/agentark.dev/v1alpha1/namespaces/{TEAM}/distilljobs/student"
    stages = bare.server.request("GET", path).body["status"]["stages"]
    assert {one["state"] for one in stages} == {"Cached"}
    assert not bare.server.request("GET", jobs).body["items"]


def test_a_page_that_says_otherwise_is_told(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "reader", {"MEANT": "found"})
    told = Command("page.md", 3, "echo MEANT here\n", "laptop", "MEANT here\n")
    assert reader.follow(told) == "found here\n"
    with pytest.raises(AssertionError, match="does not print\nfound there"):
        reader.follow(dataclasses.replace(told, expected="MEANT there\n"))
    with pytest.raises(AssertionError, match="ended with 3"):
        reader.follow(dataclasses.replace(told, text="exit 3"))
    endless = Command("page.md", 9, "echo begins; sleep 100", "laptop", until="begins")
    assert reader.follow(endless) == "begins\n"
