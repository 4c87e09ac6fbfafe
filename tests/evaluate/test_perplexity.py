"""Perplexity counts the reasoning tokens, all of them and nothing else."""

import math
from pathlib import Path

import pytest

from agentark.errors import InvalidInput
from agentark.evaluate.perplexity import Trace, from_log_probabilities, measure, reasoning_end
from agentark.llm import Message

MODEL = Path(__file__).parents[2] / "examples" / "quickstart" / "base"
QUESTION = "Dee has 40 hats. She gives 7 to Oli. She gives 2 to Sam. How many hats now?"
REASONING = "Step 1: 40 - 7 = 33\nStep 2: 33 - 2 = 31\n"
TEXT = REASONING + "The answer is \\boxed{31}"


def trace(text: str = TEXT, question: str = QUESTION) -> Trace:
    return Trace((Message("user", question),), text, reasoning_end(text))


def test_the_papers_formula() -> None:
    # reference-vectors.json, reasoning_perplexity_E1: the third token of the first sample is no reasoning.
    found = from_log_probabilities([[-0.1, -0.7], [-1.2, -0.3]])
    assert found.per_solution == pytest.approx((1.4918247, 2.117), abs=1e-5)
    assert found.mean == pytest.approx(1.8044124, abs=1e-5)
    assert found.pooled == pytest.approx(1.7771305, abs=1e-5)
    assert found.interval.low <= found.mean <= found.interval.high


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        (TEXT, REASONING),
        ("5 + 3 = <<5+3=8>>8 eggs.\n#### 8", "5 + 3 = <<5+3=8>>8 eggs.\n"),
        ("It is cold. So the answer is B.", "It is cold. "),
        ("We get $x=2$. Thus \\boxed{2} holds.", "We get $x=2$. "),
        ("First the answer is 3? No.\nA: 4", "First the answer is 3? No.\n"),
        ("#### 8", ""),
        ("No answer at all", "No answer at all"),
    ],
)
def test_reasoning_ends_where_the_answer_begins(text: str, reasoning: str) -> None:
    assert text[: reasoning_end(text)] == reasoning


def test_a_models_perplexity_is_that_of_a_naive_loop() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModelForCausalLM.from_pretrained(MODEL).eval()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False
    )
    ids = tokenizer(prompt + TEXT, add_special_tokens=False)["input_ids"]
    first = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    last = len(tokenizer(prompt + REASONING, add_special_tokens=False)["input_ids"])
    total = 0.0
    for position in range(first, last):
        with torch.no_grad():
            logits = model(torch.tensor([ids[:position]])).logits[0, -1]
        total += math.log(torch.softmax(logits.double(), -1)[ids[position]].item())
    # Beside a longer and a shorter one, so that padding and order are tried too.
    others = [trace("Step 1: 40 - 7 = 33\n#### 33"), trace(TEXT, QUESTION * 3)]
    found = measure(MODEL, [others[1], trace(), others[0]])
    assert found.per_solution[1] == pytest.approx(math.exp(-total / (last - first)), rel=1e-4)
    assert measure(MODEL, [trace()]).tokens == last - first
    one_by_one = measure(MODEL, [others[1], trace(), others[0]], batch_tokens=1)
    assert one_by_one.per_solution == pytest.approx(found.per_solution, rel=1e-4)


def test_what_cannot_be_measured_is_counted_never_cut() -> None:
    found = measure(MODEL, [trace(), trace("#### 5"), trace(question="Dee has 40 hats. " * 400)])
    assert (found.n, found.without_reasoning, found.too_long) == (1, 1, 1)
    with pytest.raises(InvalidInput, match="1 have no reasoning"):
        measure(MODEL, [trace("#### 5")])
    with pytest.raises(InvalidInput, match=r"no config\.json"):
        measure(MODEL.parent, [trace()])
