"""Text scores are what the packages that define them say, on real summaries (QMSum, MIT)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentark.errors import InvalidInput
from agentark.evaluate.texts import TEXT_METRICS, normalised, score_texts, token_f1

DATA = Path(__file__).parents[1] / "data" / "qmsum" / "summaries.jsonl"


@pytest.fixture(scope="module")
def pairs() -> tuple[list[str], list[list[str]]]:
    rows = [json.loads(line) for line in DATA.read_text().splitlines()]
    return [row["prediction"] for row in rows], [[row["gold"]] for row in rows]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A BERT of two layers with random weights, whose words are single letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("enc")
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789,.'-"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(words), intermediate_size=32, **shape)).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    yield folder


def test_rouge_is_that_of_rouge_score(pairs: tuple[list[str], list[list[str]]]) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    predictions, golds = pairs
    names = ("ROUGE-1", "ROUGE-2", "ROUGE-L")
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    theirs = [scorer.score(gold[0], text) for text, gold in zip(predictions, golds, strict=True)]
    ours = score_texts(predictions, golds, names)
    for mine, name in zip(ours, ("rouge1", "rouge2", "rougeL"), strict=True):
        assert mine.per_answer == tuple(one[name].fmeasure for one in theirs)
        assert mine.interval is not None and mine.interval.low < mine.value < mine.interval.high
    assert ours[0].value > ours[2].value > ours[1].value > 0


def test_bleu_is_that_of_sacrebleu_also_with_uneven_references(pairs: tuple[list[str], list[list[str]]]) -> None:
    import sacrebleu

    predictions, golds = pairs
    (mine,) = score_texts(predictions, golds, ["BLEU"])
    assert 100 * mine.value == sacrebleu.corpus_bleu(predictions, [[gold[0] for gold in golds]]).score
    assert "tok:13a" in mine.definition
    uneven = [[*gold, predictions[i]] if i % 2 else gold for i, gold in enumerate(golds)]
    streams = [[gold[0] for gold in golds], [predictions[i] if i % 2 else None for i in range(len(golds))]]
    (better,) = score_texts(predictions, uneven, ["BLEU"])
    assert 100 * better.value == sacrebleu.corpus_bleu(predictions, streams).score
    assert better.value > mine.value


def test_bert_score_is_that_of_bert_score(encoder: Path, pairs: tuple[list[str], list[list[str]]]) -> None:
    import bert_score

    predictions, golds = pairs
    (mine,) = score_texts([*predictions, ""], [*golds, ["said"]], ["BERTScore"], encoder=encoder)
    _, _, theirs = bert_score.score(
        predictions, [gold[0] for gold in golds], model_type=str(encoder), num_layers=2, device="cpu"
    )
    assert mine.per_answer[:-1] == pytest.approx(theirs.tolist(), abs=1e-6)
    assert mine.per_answer[-1] == 0.0
    (other_layer,) = score_texts(predictions, golds, ["BERTScore"], encoder=encoder, layer=1)
    assert other_layer.value != pytest.approx(mine.value, abs=1e-4)
    (same,) = score_texts(["a cat"], [["a dog", "a cat"]], ["BERTScore"], encoder=encoder)
    assert same.value == pytest.approx(1.0, abs=1e-5)


def test_f1_is_that_of_squad(pairs: tuple[list[str], list[list[str]]]) -> None:
    from transformers.data.metrics.squad_metrics import compute_f1, normalize_answer

    predictions, golds = pairs
    for text, gold in [*zip(predictions, golds, strict=True), ("the cat, sat.", ["a Cat sat"]), ("", ["x"])]:
        assert token_f1(text, gold) == pytest.approx(compute_f1(gold[0], text))
        assert normalised(text) == normalize_answer(text)
    assert token_f1("Richard Nixon", ["President Richard Nixon"]) == pytest.approx(0.8)
    assert token_f1("It is Delhi", ["Delhi"]) == pytest.approx(0.5)  # no stop words are removed but articles
    assert token_f1("Delhi", ["Mumbai", "New Delhi"]) == pytest.approx(2 / 3)
    assert token_f1("the", ["a"]) == 1.0


def test_what_is_missing_is_named(encoder: Path) -> None:
    with pytest.raises(InvalidInput, match="BERTScore needs an encoder"):
        score_texts(["a"], [["a"]], ["BERTScore"])
    with pytest.raises(InvalidInput, match="at least one reference"):
        score_texts(["a"], [[]], TEXT_METRICS, encoder=encoder)
    config = encoder / "tokenizer_config.json"
    before = config.read_text()
    config.write_text(json.dumps({**json.loads(before), "model_max_length": 10**30}))
    with pytest.raises(InvalidInput, match="model_max_length"):
        score_texts(["a"], [["a"]], ["BERTScore"], encoder=encoder)
    config.write_text(before)
