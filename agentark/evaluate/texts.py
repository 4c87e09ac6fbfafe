"""Scores of open answers against reference texts: token F1, ROUGE, BLEU, BERTScore.

Each by its standard definition, ROUGE, BLEU and BERTScore by the package that defines it, which is imported when it is
first needed (`pip install agentark[scores]`). All scores are shares between 0 and 1, BERTScore may fall below 0.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

from agentark.devices import placement
from agentark.errors import InvalidInput
from agentark.pretrained import check_model
from agentark.statistics import Interval, mean_interval

TextMetric = Literal["F1", "ROUGE-1", "ROUGE-2", "ROUGE-L", "BLEU", "BERTScore"]
TEXT_METRICS: Final[tuple[TextMetric, ...]] = ("F1", "ROUGE-1", "ROUGE-2", "ROUGE-L", "BLEU", "BERTScore")

_ROUGE: Final = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class TextScore:
    """One metric over all answers."""

    metric: TextMetric
    n: int
    """Answers scored."""
    value: float
    """Mean over the answers; BLEU: of the whole corpus, which is not the mean of its sentences."""
    interval: Interval | None
    """95 % interval of the mean; None for BLEU, which has no value per answer, and for BERTScore."""
    per_answer: tuple[float, ...]
    """In the order of the answers; empty for BLEU."""
    definition: str
    """Package, version and settings, so that the value can be compared with others."""


def normalised(text: str) -> str:
    """Normalise as SQuAD does: lower case, no punctuation (ASCII), no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """Compute SQuAD's F1 of the words in common, the best over the references.

    Two texts without a word left (SQuAD 2.0's "no answer") score 1, one against a text with words 0.

    Args:
        prediction: The answer.
        references: At least one.
    """
    return max(_f1(normalised(prediction).split(), normalised(reference).split()) for reference in references)


def score_texts(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[TextMetric],
    *,
    encoder: Path | None = None,
    layer: int = 0,
) -> tuple[TextScore, ...]:
    """Score answers against their references.

    Args:
        predictions: One answer each.
        references: For every answer one or more texts; F1, ROUGE and BERTScore take the best of them, BLEU all.
        metrics: What to compute, in the order of the result.
        encoder: BERTScore's model, a folder of an encoder that `transformers` loads.
        layer: Which of its layers gives the embeddings, from 1; 0: the last one. The value depends on
            it: published values use the layer that bert-score's table names.

    Raises:
        InvalidInput: If there is nothing to score, an answer has no reference, a package is not installed, or
            BERTScore has no encoder.
    """
    if not predictions or len(predictions) != len(references) or not all(references):
        raise InvalidInput(
            f"{len(predictions)} answers and {len(references)} sets of references: give at least one answer, and every "
            "answer at least one reference"
        )
    rouge = [metric for metric in metrics if metric in _ROUGE]
    scored: dict[str, TextScore] = {}
    if "F1" in metrics:
        values = [token_f1(text, golds) for text, golds in zip(predictions, references, strict=True)]
        scored["F1"] = _shares("F1", values, "SQuAD: lower case, no punctuation, no articles")
    if rouge:
        scored |= _rouge(predictions, references, rouge)
    if "BLEU" in metrics:
        scored["BLEU"] = _bleu(predictions, references)
    if "BERTScore" in metrics:
        scored["BERTScore"] = _bert_score(predictions, references, encoder, layer)
    return tuple(scored[metric] for metric in metrics)


def _f1(words: Sequence[str], gold: Sequence[str]) -> float:
    if not words or not gold:
        return float(words == gold)
    common = (Counter(words) & Counter(gold)).total()
    return 2 * common / (len(words) + len(gold))


def _rouge(
    predictions: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[TextMetric]
) -> dict[str, TextScore]:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as error:
        raise _missing("ROUGE", error) from error
    scorer = RougeScorer([_ROUGE[metric] for metric in metrics], use_stemmer=True)
    scores = [scorer.score_multi(golds, text) for text, golds in zip(predictions, references, strict=True)]
    definition = f"rouge-score {version('rouge-score')}, F-measure, Porter stemmer"
    return {
        metric: _shares(metric, [float(score[_ROUGE[metric]].fmeasure) for score in scores], definition)
        for metric in metrics
    }


def _bleu(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> TextScore:
    try:
        from sacrebleu.metrics import BLEU
    except ModuleNotFoundError as error:
        raise _missing("BLEU", error) from error
    # sacrebleu wants one stream per reference; None marks an answer that has fewer of them.
    most = max(map(len, references))
    streams = [[golds[i] if i < len(golds) else None for golds in references] for i in range(most)]
    metric = BLEU()
    value = metric.corpus_score(list(predictions), streams).score / 100
    return TextScore("BLEU", len(predictions), value, None, (), f"sacrebleu {metric.get_signature()}")


def _bert_score(
    predictions: Sequence[str], references: Sequence[Sequence[str]], encoder: Path | None, layer: int
) -> TextScore:
    if encoder is None:
        raise InvalidInput("BERTScore needs an encoder: give the folder of a model, such as roberta-large")
    most = _checked_encoder(encoder)
    layers = layer or most
    try:
        from bert_score import BERTScorer
    except ModuleNotFoundError as error:
        raise _missing("BERTScore", error) from error
    # An empty answer has nothing in common with any text; the package would ask the tokenizer for what it lacks.
    nonempty = [i for i, text in enumerate(predictions) if text.strip()]
    values = [0.0] * len(predictions)
    if nonempty:
        scorer = BERTScorer(model_type=str(encoder), num_layers=layers, device=placement("inference").device)
        _, _, f1 = scorer.score([predictions[i] for i in nonempty], [list(references[i]) for i in nonempty])
        for i, value in zip(nonempty, f1.tolist(), strict=True):
            values[i] = value
    definition = f"bert-score {version('bert-score')}, F, {encoder.name}, layer {layers}, no idf, not rescaled"
    return TextScore("BERTScore", len(values), sum(values) / len(values), None, tuple(values), definition)


def _checked_encoder(encoder: Path) -> int:
    """Number of its layers, once it is sure that bert-score can load it."""
    try:
        config = json.loads((encoder / "config.json").read_bytes())
        tokenizer = json.loads((encoder / "tokenizer_config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"BERTScore: {encoder} is not the folder of a model: {error}") from error
    if "t5" in str(encoder) and config.get("model_type") != "t5":
        raise InvalidInput(f"BERTScore: bert-score takes every path with 't5' in it for a T5 model; rename {encoder}")
    if not 0 < tokenizer.get("model_max_length", 0) < 1_000_000:
        raise InvalidInput(
            f"BERTScore: {encoder}/tokenizer_config.json names no model_max_length, so texts could not be cut to what "
            "the model reads; write the number there (512 for most encoders)"
        )
    from transformers import AutoModel

    try:
        check_model(AutoModel, encoder)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"BERTScore: {encoder} cannot be loaded: {error}") from error
    return int(config["num_hidden_layers"])


def _shares(metric: TextMetric, values: Sequence[float], definition: str) -> TextScore:
    return TextScore(metric, len(values), sum(values) / len(values), mean_interval(values), tuple(values), definition)


def _missing(metric: str, error: ModuleNotFoundError) -> InvalidInput:
    return InvalidInput(f"{metric} needs the package {error.name!r}; install it with: pip install 'agentark[scores]'")
