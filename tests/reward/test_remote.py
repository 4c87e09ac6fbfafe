"""A served process reward model gives the scores of the same weights in process, or says what is wrong."""

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentark.api import PRMSpec, Training
from agentark.errors import EngineError, InvalidInput
from agentark.llm.connection import Connection
from agentark.reward.remote import RemotePRM
from agentark.reward.scoring import PRM
from tests.distill.world import write_model
from tests.reward.toys import PROMPT, PRMTraining, rows, solution

pytestmark = pytest.mark.usefixtures("warm_processes")
Serve = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained toy that reads 64 tokens at once."""
    place = tmp_path_factory.mktemp("served")
    spec = PRMSpec(
        training=Training(epochs=2, learning_rate=1e-2, batch_size=4, max_length_tokens=64, precision="Float32", seed=3)
    )
    made = PRMTraining(place / "training", write_model(place / "model"), spec, tuple(rows(12)))
    made.run()
    return made.out


@pytest.fixture
def serve(servers: Callable[..., str], folder: Path) -> Serve:
    return partial(servers, "-m", "tests.servers.pooling", str(folder))


def remote(url: str, folder: Path, *, model: str = "prm", **options: Any) -> RemotePRM:
    return RemotePRM(Connection(url, model, **{"backoff_s": 0.001, "max_retries": 1} | options), folder)


def test_scores_are_those_of_the_weights_in_process(serve: Serve, folder: Path) -> None:
    rng = random.Random(4)
    texts = [solution(rng, lines=rng.randint(1, 4)) for _ in range(40)]
    texts += [solution(rng, lines=40), "", "  \n"]  # One that takes several windows, and two without a step.
    prompts = [PROMPT] * len(texts)
    here = PRM.load(folder)(prompts, texts)
    with remote(serve(), folder, api_key="key-of-the-server") as prm:
        prm.check()
        there, again = prm(prompts, texts), prm(prompts, texts)
    assert there == again
    assert [[step[:2] for step in steps] for steps in there] == [[step[:2] for step in steps] for steps in here]
    assert [step.score for steps in there for step in steps] == pytest.approx(
        [step.score for steps in here for step in steps], abs=1e-5
    )
    sent = [json.loads(line) for line in folder.with_suffix(".requests").read_text().splitlines()]
    assert {(one["path"], one["model"], one["task"], one["key"]) for one in sent} == {
        ("/pooling", "prm", "token_classify", "Bearer key-of-the-server")
    }
    assert max(len(ids) for one in sent for ids in one["input"]) <= 64, "long solutions go in windows"


def test_nothing_to_score_asks_nobody(folder: Path) -> None:
    with remote("http://127.0.0.1:9/v1", folder) as prm:
        assert prm([], []) == []
        assert prm([PROMPT], ["  "]) == [[]]


def test_a_passing_fault_is_tried_again(serve: Serve, folder: Path) -> None:
    with remote(serve("--fault", "unavailable-once"), folder) as prm:
        assert len(prm([PROMPT], ["ab\ncd"])[0]) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("short", r"gave \d+ scores for \d+ tokens; serve the folder that PRMTraining wrote"),
        ("logits", r"gave the score -?[\d.e+-]+, which is not in \[0, 1\]; leave .* activation"),
        ("no-scores", "holds no scores per token"),
        ("refused", "maximum context length is 8 tokens"),
    ],
)
def test_what_cannot_be_used_is_named(serve: Serve, folder: Path, fault: str, message: str) -> None:
    # Raw scores of an odd token may lie between 0 and 1; with many solutions some do not.
    texts = [solution(random.Random(seed)) for seed in range(40)]
    with (
        remote(serve("--fault", fault), folder) as prm,
        pytest.raises(EngineError, match=message) as caught,
    ):
        prm([PROMPT] * len(texts), texts)
    assert "/pooling" in str(caught.value)


def test_a_server_that_is_missing_or_serves_another_model_is_found_at_once(serve: Serve, folder: Path) -> None:
    with remote(serve(), folder, model="other") as prm, pytest.raises(InvalidInput, match="does not serve 'other'"):
        prm.check()
    with remote("http://127.0.0.1:9/v1", folder) as prm, pytest.raises(EngineError, match="no server answers"):
        prm.check()


def test_a_folder_that_is_no_reward_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"prm\.json cannot be read"):
        remote("http://127.0.0.1:9/v1", tmp_path)
