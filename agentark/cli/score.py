"""`agentark score`: open answers, gold solutions and reasoning, by standard metrics or by a judge."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

from agentark.cli.options import JsonOption
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.errors import InvalidInput

Metric = Literal["F1", "ROUGE", "BLEU", "BERTScore", "Perplexity", "Judge"]
_NEEDS = {"Perplexity": ("gold",), "Judge": ("question", "prediction")}


def score(
    file: Annotated[
        Path,
        typer.Argument(
            help='JSON lines {"question", "prediction", "gold": text or texts, "subject", "id"}; - for standard input.'
        ),
    ],
    metrics: Annotated[
        str, typer.Option("--metrics", help=f"Any of {', '.join(get_args(Metric))}, with commas between.")
    ] = "F1,ROUGE,BLEU",
    encoder: Annotated[Path | None, typer.Option("--encoder", help="BERTScore: folder of the encoder.")] = None,
    layer: Annotated[int, typer.Option("--layer", min=0, help="BERTScore: layer of the encoder; 0: the last.")] = 0,
    model: Annotated[Path | None, typer.Option("--model", help="Perplexity: folder of the model measured.")] = None,
    judge: Annotated[str, typer.Option("--judge", help="Judge: folder of a model, or URL of a server (/v1).")] = "",
    judge_model: Annotated[str, typer.Option("--judge-model", help="Judge: the model's name on that server.")] = "",
    judge_key_env: Annotated[
        str, typer.Option("--judge-key-env", help="Judge: environment variable with the server's key.")
    ] = "",
    judges_own: Annotated[
        str, typer.Option("--judges-own", help="Judge: the subject that the judging model wrote itself.")
    ] = "",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Judge: times that each question is judged.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Score answers against references, a model on gold solutions, or reasoning by a judge."""
    from agentark.execution import scoring

    wanted = _metrics(metrics)
    texts = [name for name in wanted if name not in _NEEDS]
    needs = {column for name in wanted for column in _NEEDS.get(name, ("prediction", "gold"))}
    answers = _read(file, sorted(needs))
    document: dict[str, Any] = {}
    if texts:
        from agentark.evaluate.texts import TextMetric

        names = cast(list[TextMetric], [metric for name in texts for metric in _expanded(name)])
        scored = scoring.text_scores(answers, names, encoder=encoder, layer=layer)
        document["texts"] = {
            subject: {score.metric: scoring.score_json(score) for score in scores} for subject, scores in scored.items()
        }
        if not as_json:
            _show_texts(document["texts"])
    if "Perplexity" in wanted:
        if model is None:
            raise InvalidInput("Perplexity needs --model: the folder of the model that is measured")
        perplexity = scoring.gold_perplexity(answers, model)
        document["perplexity"] = perplexity.as_json()
        if not as_json:
            low, high = perplexity.interval
            say(
                f"perplexity of the reasoning: {perplexity.mean:.4f} [{low:.4f} {high:.4f}], mean of {perplexity.n} "
                f"solutions ({perplexity.tokens:,} tokens, pooled {perplexity.pooled:.4f}); left out: "
                f"{perplexity.without_reasoning} without reasoning, {perplexity.too_long} too long"
            )
    if "Judge" in wanted:
        from agentark.evaluate.judge_bias import render_judgement

        engine = _judge(judge, judge_model, judge_key_env)
        judged = scoring.judgement(answers, engine, repeats=repeats, judges_own=judges_own)
        document["judge"] = judged.as_json()
        if not as_json:
            say(render_judgement(judged))
    if as_json:
        say_json(document)


def _metrics(text: str) -> list[str]:
    known = {name.lower(): name for name in get_args(Metric)}
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name.lower() not in known]
    if unknown or not names:
        raise InvalidInput(f"--metrics: {', '.join(unknown) or 'nothing'}; accepted: {', '.join(known.values())}")
    return [known[name.lower()] for name in names]


def _expanded(metric: str) -> tuple[str, ...]:
    return ("ROUGE-1", "ROUGE-2", "ROUGE-L") if metric == "ROUGE" else (metric,)


def _read(file: Path, needs: list[str]) -> Any:
    from agentark.execution.scoring import read_answers

    if str(file) == "-":
        return read_answers(sys.stdin.buffer, source="standard input", needs=needs)
    if not file.is_file():
        raise InvalidInput(f"{file}: does not exist or is not a file; give a file of JSON lines")
    with file.open("rb") as lines:
        return read_answers(lines, source=str(file), needs=needs)


def _judge(where: str, name: str, key_env: str) -> Any:
    from agentark.api import Execution
    from agentark.execution.engines import weights_engine

    if where.startswith(("http://", "https://")):
        if not name:
            raise InvalidInput("--judge is a server: give --judge-model, the model's name there")
        from agentark.llm.connection import Connection
        from agentark.llm.http import HttpEngine

        return HttpEngine(Connection(where, name, api_key_env=key_env))
    if not where:
        raise InvalidInput("Judge needs --judge: the URL of a server, or the folder of a model")
    return weights_engine(Path(where), Execution())


def _show_texts(scored: dict[str, dict[str, dict[str, Any]]]) -> None:
    rows = [("SUBJECT", "METRIC", "SCORE", "95 % INTERVAL", "N", "DEFINITION")]
    for subject, scores in scored.items():
        for metric, score in scores.items():
            interval = score["interval"]
            between = f"{100 * interval['low']:.2f} to {100 * interval['high']:.2f}" if interval else "-"
            rows.append(
                (subject or "-", metric, f"{100 * score['value']:.2f}", between, str(score["n"]), score["definition"])
            )
    say(columns(rows, indent=""))
