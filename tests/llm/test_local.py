"""The in-process engine: what a request gets does not depend on the company it is decoded in."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agentark.errors import EngineError, InvalidInput
from agentark.llm import Message, Sampling
from agentark.llm.decoding import Prompt, encode, generate
from agentark.llm.drawing import Rules, uniforms
from agentark.llm.local import TransformersEngine, load, select

WARM = Sampling(temperature=1.0, max_tokens=48)


def ask(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


QUESTIONS = [
    ask("Tom has 12 apples and buys 30 more. How many apples does he have?"),
    ask("Ann has 7 pens."),
    ask("A very long question. " * 12 + "How many?"),
    *(ask(f"Ben has {k} books and gives {k // 2} away. How many books are left?") for k in range(20, 40)),
]


def naive(model: Any, tokenizer: Any, messages: tuple[Message, ...], limit: int) -> tuple[list[int], str]:
    """Greedy decoding without cache, batch or padding."""
    ids = list(encode(tokenizer, messages))
    start = len(ids)
    with torch.no_grad():
        while len(ids) - start < limit:
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
    return ids[start:], tokenizer.decode(ids[start:], skip_special_tokens=True)


async def test_greedy_text_equals_naive_decoding(engine: TransformersEngine, model_path: Path) -> None:
    model, tokenizer = load(model_path)
    greedy = Sampling(temperature=0.0, max_tokens=40)
    replies = await asyncio.gather(*(engine.chat(q, sampling=greedy, seed=0) for q in QUESTIONS))
    for question, reply in zip(QUESTIONS, replies, strict=True):
        tokens, text = naive(model, tokenizer, question, 40)
        (completion,) = reply.completions
        assert completion.text == text
        assert completion.completion_tokens == len(tokens)
        assert completion.finish_reason == ("stop" if tokens[-1] == tokenizer.eos_token_id else "length")
        assert reply.prompt_tokens == len(encode(tokenizer, question))
        assert reply.model == "tiny"
        assert reply.latency_s > 0


async def test_sampled_text_is_the_same_in_any_batch(engine: TransformersEngine) -> None:
    together = await asyncio.gather(*(engine.chat(q, sampling=WARM, n=2, seed=i) for i, q in enumerate(QUESTIONS)))
    for index in (0, 2, 11):
        alone = await engine.chat(QUESTIONS[index], sampling=WARM, n=2, seed=index)
        assert alone.completions == together[index].completions
    assert len({c.text for r in together for c in r.completions}) > len(QUESTIONS)


async def test_samples_differ_by_index_and_seed(engine: TransformersEngine) -> None:
    reply = await engine.chat(QUESTIONS[0], sampling=WARM, n=8, seed=1)
    other = await engine.chat(QUESTIONS[0], sampling=WARM, n=8, seed=2)
    again = await engine.chat(QUESTIONS[0], sampling=WARM, n=3, seed=1)
    assert len({c.text for c in reply.completions}) > 1
    assert reply.completions != other.completions
    assert again.completions == reply.completions[:3]


async def test_truncated_completions_are_marked(engine: TransformersEngine) -> None:
    (short,) = (await engine.chat(QUESTIONS[0], sampling=Sampling(temperature=0, max_tokens=5), seed=0)).completions
    (whole,) = (await engine.chat(QUESTIONS[0], sampling=Sampling(temperature=0, max_tokens=400), seed=0)).completions
    assert (short.finish_reason, short.completion_tokens) == ("length", 5)
    assert whole.finish_reason == "stop"
    assert whole.text.startswith(short.text)


async def test_stop_texts_end_a_completion_and_are_not_part_of_it(engine: TransformersEngine) -> None:
    greedy = Sampling(temperature=0, max_tokens=200)
    (whole,) = (await engine.chat(QUESTIONS[0], sampling=greedy, seed=0)).completions
    stop = whole.text[len(whole.text) // 2 :][:3]
    sampling = Sampling(temperature=0, max_tokens=200, stop=("not there", stop))
    (cut,) = (await engine.chat(QUESTIONS[0], sampling=sampling, seed=0)).completions
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < whole.completion_tokens


async def test_a_request_over_the_context_fails_alone(engine: TransformersEngine) -> None:
    results = await asyncio.gather(
        engine.chat(QUESTIONS[0], sampling=WARM, seed=0),
        engine.chat(QUESTIONS[1], sampling=Sampling(max_tokens=5000), seed=0),
        return_exceptions=True,
    )
    assert not isinstance(results[0], BaseException)
    assert isinstance(results[1], EngineError)
    assert "max_tokens is 5000" in str(results[1])


async def test_requests_made_together_are_decoded_together_within_the_budget(model_path: Path) -> None:
    engine = TransformersEngine(model_path, max_batch_tokens=400)
    replies = await asyncio.gather(*(engine.chat(q, sampling=WARM, seed=i) for i, q in enumerate(QUESTIONS)))
    wide = TransformersEngine(model_path)
    expected = await asyncio.gather(*(wide.chat(q, sampling=WARM, seed=i) for i, q in enumerate(QUESTIONS)))
    assert [r.completions for r in replies] == [r.completions for r in expected]
    await engine.aclose()
    await wide.aclose()


async def test_a_cancelled_request_does_not_stop_the_others(engine: TransformersEngine) -> None:
    tasks = [asyncio.create_task(engine.chat(q, sampling=WARM, seed=i)) for i, q in enumerate(QUESTIONS)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert not any(isinstance(r, BaseException) for r in results[1:])


async def test_a_closed_engine_says_so(model_path: Path) -> None:
    engine = TransformersEngine(model_path)
    await engine.aclose()
    with pytest.raises(EngineError, match="closed"):
        await engine.chat(QUESTIONS[0], sampling=WARM, seed=0)


def test_in_training_generation_keeps_the_mode_and_the_texts(model_path: Path) -> None:
    model, tokenizer = load(model_path)
    model.train()
    seeds = list(range(len(QUESTIONS)))
    wide = generate(model, tokenizer, QUESTIONS, sampling=WARM, seeds=seeds)
    narrow = generate(model, tokenizer, QUESTIONS, sampling=WARM, seeds=seeds, max_batch_tokens=300)
    assert model.training
    assert wide == narrow
    model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()


def test_damaged_weights_are_named(model_path: Path) -> None:
    model, tokenizer = load(model_path)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EngineError, match="not finite"):
        generate(model, tokenizer, QUESTIONS[:1], sampling=WARM, seeds=[0])


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=2.0),
        Sampling(top_k=3),
        Sampling(temperature=0.5, top_p=0.8),
        Sampling(top_p=1e-6),
    ],
)
def test_tokens_are_drawn_as_the_rules_say(sampling: Sampling) -> None:
    logits = torch.tensor([2.0, 0.5, 1.0, -1.0, 1.5])
    weights = torch.softmax(logits / sampling.temperature, 0)
    order = weights.argsort(descending=True).tolist()
    kept, mass = set(), 0.0
    for rank, token in enumerate(order):
        if rank < (sampling.top_k or 5) and (mass < sampling.top_p or rank == 0):
            kept.add(token)
        mass += float(weights[token])
    expected = torch.tensor([float(weights[t]) if t in kept else 0.0 for t in range(5)])
    expected /= expected.sum()
    draws = 20_000
    rules = Rules([sampling] * draws, torch.device("cpu"))
    drawn = rules.choose(logits.expand(draws, 5), uniforms(3, 0, draws))
    frequencies = torch.bincount(drawn, minlength=5) / draws
    assert torch.allclose(frequencies, expected, atol=0.015)


def test_the_ends_of_the_unit_interval_draw_possible_tokens() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, 0.0, float("-inf")]] * 2)
    rules = Rules([Sampling()] * 2, torch.device("cpu"))
    assert rules.choose(logits, torch.tensor([0.0, 1.0])).tolist() == [1, 2]


def test_random_numbers_are_a_prefix_of_a_longer_draw() -> None:
    assert torch.equal(uniforms(5, 1, 10), uniforms(5, 1, 1000)[:10])
    assert not torch.equal(uniforms(5, 1, 10), uniforms(5 + 2**32, 1, 10))


def test_the_oldest_goes_first_with_those_of_its_length() -> None:
    def prompt(length: int) -> Prompt:
        return Prompt((1,) * length, Sampling(max_tokens=10), 1, 0)

    prompts = [prompt(length) for length in (300, 20, 310, 25, 290, 900)]
    assert select(prompts, 10_000) == [0, 2, 4]
    assert select(prompts, 650) == [0, 2]
    assert select(prompts[1:], 10) == [0]
    assert select([], 10) == []


def test_models_that_cannot_serve_are_refused_with_the_mend(tmp_path: Path, model_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is not there.*give the folder"):
        load(tmp_path / "missing")
    with pytest.raises(InvalidInput, match=r"holds no config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load(tmp_path)
    mute = tmp_path / "mute"
    shutil.copytree(model_path, mute)
    (mute / "chat_template.jinja").unlink()
    with pytest.raises(InvalidInput, match="has no chat template"):
        load(mute)
