"""What the images hold and who they are, asked of containers of them."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images import sbom
from images.build import NAMES, Wanted
from images.engine import EngineFailed
from tests.e2e.images import build_images

pytestmark = [pytest.mark.timeout(1800)]
OPERATOR_BYTES = 250_000_000


@pytest.fixture(scope="module")
def wanted() -> Wanted:
    """What is built as; the images are there then."""
    return build_images("e2e")


def python(wanted: Wanted, name: str, program: str) -> str:
    """What a program says that the python of an image runs."""
    return wanted.engine.run(wanted.image(name), ["python", "-c", program]).decode().strip()


@pytest.mark.parametrize("name", NAMES)
def test_containers_are_not_root_and_hold_neither_a_compiler_nor_an_installer(wanted: Wanted, name: str) -> None:
    asked = (
        "import importlib.util, json, os, shutil;"
        "tools = [one for one in ('gcc', 'cc', 'make', 'pip', 'pip3') if shutil.which(one)];"
        "print(json.dumps([os.getuid(), os.getgid(), os.getcwd(), tools, bool(importlib.util.find_spec('pip'))]))"
    )
    assert json.loads(python(wanted, name, asked)) == [65532, 65532, "/work", [], False]


def test_the_operator_is_small_and_has_no_torch(wanted: Wanted) -> None:
    assert wanted.engine.size(wanted.image("operator")) < OPERATOR_BYTES
    assert python(wanted, "operator", "import importlib.util as u; print(u.find_spec('torch'))") == "None"


def test_the_operator_without_a_cluster_says_what_it_needs(wanted: Wanted) -> None:
    with pytest.raises(EngineFailed, match=r"ended with 2: .*set KUBECONFIG to a kubeconfig, or run in a pod"):
        wanted.engine.run(wanted.image("operator"), ["python", "-m", "agentark_operator"])


def test_the_worker_has_all_that_stages_need(wanted: Wanted) -> None:
    said = wanted.engine.run(wanted.image("worker"), ["python", "-m", "agentark", "doctor"]).decode()
    assert "ok  training" in said
    assert (
        python(wanted, "worker", "import torch, trl, peft, sacrebleu; print(torch.ones(2) @ torch.ones(2))")
        == "tensor(2.)"
    )


def test_the_inference_image_has_vllm_on_its_path(wanted: Wanted) -> None:
    said = wanted.engine.run(wanted.image("inference"), ["vllm", "--version"]).decode().splitlines()
    assert said[-1].startswith("0.32.0")  # after words of other packages


@pytest.mark.parametrize("name", NAMES)
def test_the_bill_of_materials_names_what_the_image_runs(wanted: Wanted, name: str, tmp_path: Path) -> None:
    file = sbom.write(wanted.engine, wanted.image(name), name, tmp_path)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read_text()) is None
    found = {one["name"] for one in json.loads(file.read_text())["components"]}
    assert {"libc6", "python"} | {"operator": {"kopf", "agentark"}, "worker": {"torch", "trl"}, "inference": {"torch"}}[
        name
    ] <= found
