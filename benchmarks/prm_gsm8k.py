"""A process reward model on recorded real solutions of GSM8K: does it know right from wrong?

    python benchmarks/prm_gsm8k.py FILE --model FOLDER --work FOLDER

FILE is `example_model_solutions.jsonl` of openai/grade-school-math: four models' solutions of each of 1,319 questions.
Half of the questions (drawn by --seed) train a reward model, the others measure it. Only whole solutions are graded, so
a step's label is how its solution ends: all steps of a right one count as right; of a wrong one the last step counts
as wrong, the steps before it too but only EARLIER as much, since some of them are fine. The reward model sees one
question and one solution, without the calculator's notes `<<...>>`. --layers keeps the first layers of the backbone
only, for machines without a GPU.

Printed as JSON, with 95 % bootstrap intervals over questions: AUROC for correctness within each model's solutions, so
that recognising the author cannot help, and the accuracy of the solution that scores highest of the four. Beside it a
control without a neural network: logistic regression on counts (lengths, steps, operations, numbers left unused).
"""

import argparse
import json
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentark.api import PRMSpec, Training
from agentark.llm.chat import Message
from agentark.reward.metrics import auroc
from agentark.reward.rows import LabelledStep, PRMRow, PromptMessage, write_rows
from agentark.reward.steps import split_steps
from agentark.tasks import NUMBER, grade

EARLIER = 0.3
"""Weight of the steps of a wrong solution before its last."""
LONGEST = 700
"""Characters of the longest solution that is trained on; those beyond it run in circles. All are measured."""
_NOTE = re.compile(r"<<.*?>>")
_NUMBER = re.compile(r"\d[\d,]*\.?\d*")
_SUM = re.compile(r"<<([^<>=]*)=([^<>]*)>>")

Vector = NDArray[np.float64]


class Solution(NamedTuple):
    """One recorded solution."""

    question: str
    recorded: str
    correct: bool
    answer: str

    @property
    def text(self) -> str:
        """Without the calculator's notes."""
        return _NOTE.sub("", self.recorded).strip()


class Recorded(NamedTuple):
    """Questions by solutions: row i holds the solutions of question i, in the order of the sources."""

    sources: list[str]
    rows: list[list[Solution]]

    def correct(self) -> NDArray[np.bool_]:
        """Shape (questions, sources)."""
        return np.array([[one.correct for one in row] for row in self.rows])


def read(lines: Iterable[str]) -> Recorded:
    """Read the file's lines; answers are read by the project's grader."""
    sources: list[str] = []
    rows = []
    for line in lines:
        found = json.loads(line)
        sources = [name for name, value in found.items() if isinstance(value, dict)]
        row = []
        for name in sources:
            text = found[name]["solution"]
            answer = grade(text, found["ground_truth"], NUMBER).answer
            row.append(Solution(found["question"], text, found[name]["is_correct"], answer or ""))
        rows.append(row)
    return Recorded(sources, rows)


def halves(recorded: Recorded, seed: int) -> tuple[Recorded, Recorded]:
    """Split the questions at random into two halves."""
    order = random.Random(seed).sample(range(len(recorded.rows)), len(recorded.rows))
    middle = (len(order) + 1) // 2
    first, second = (
        Recorded(recorded.sources, [recorded.rows[place] for place in sorted(part)])
        for part in (order[:middle], order[middle:])
    )
    return first, second


def labelled(recorded: Recorded) -> list[PRMRow]:
    """Rows as the reward model's training takes them."""
    rows = []
    for number, row in enumerate(recorded.rows):
        for one in row:
            steps = split_steps(one.text, "Newline")
            if not steps or len(one.text) > LONGEST:
                continue
            weights = [1.0 if one.correct or step == steps[-1] else EARLIER for step in steps]
            rows.append(
                PRMRow(
                    question=str(number),
                    prompt=(PromptMessage(role="user", content=one.question),),
                    solution=one.text,
                    rule="Newline",
                    steps=tuple(
                        LabelledStep(
                            start=step.start, end=step.end, label=float(one.correct), weight=weight, source="Gold"
                        )
                        for step, weight in zip(steps, weights, strict=True)
                    ),
                    correct=one.correct,
                    answer=one.answer,
                )
            )
    return rows


def counts(one: Solution) -> list[float]:
    """What can be said of a solution without understanding it; looks at question and solution only."""
    sums = [(left, result.replace(",", "")) for left, result in _SUM.findall(one.recorded)]
    steps = [line for line in one.text.splitlines() if line.strip()]
    asked, written = set(_numbers(one.question)), set(_numbers(one.text))
    known, used, strangers = set(asked), set[str](), 0
    for left, result in sums:
        operands = _numbers(left)
        used.update(operands)
        strangers += sum(operand not in known for operand in operands)
        known.add(result)
    try:
        answer = float(one.answer.replace(",", ""))
    except ValueError:
        answer = 0.0
    return [
        len(one.question) / 300, len(one.text) / 300, float(np.log1p(len(one.text))), len(steps), len(sums),
        len(asked), len(asked & written), len(asked - written), len(asked - used), strangers,
        *(sum(left.count(sign) for left, _ in sums) for sign in "+-*/"),
        not one.answer, answer != int(answer), float(np.log1p(abs(answer))), answer < 0,
        sum("." in result for _, result in sums), len(set(steps)) < len(steps), abs(len(sums) - len(asked)),
    ]  # fmt: skip


def control(train: Recorded, test: Recorded, *, told_source: bool = False) -> Vector:
    """Scores of a logistic regression on counts, shape (questions, sources).

    Args:
        train: Fitted on these.
        test: Scored.
        told_source: Whether it also knows which model wrote a solution, as no reward model does.
    """

    def table(recorded: Recorded) -> Vector:
        flat = [[float(value) for value in counts(one)] for row in recorded.rows for one in row]
        source = np.tile(np.eye(len(recorded.sources)), (len(recorded.rows), 1))
        return np.hstack([np.array(flat), source]) if told_source else np.array(flat)

    raw = table(train)
    centre, width = raw.mean(0), raw.std(0) + 1e-9
    weights = _logistic((raw - centre) / width, train.correct().ravel())
    scores: Vector = ((table(test) - centre) / width) @ weights[:-1] + weights[-1]
    return scores.reshape(len(test.rows), -1)


def _logistic(x: Vector, right: NDArray[np.bool_], penalty: float = 1.0) -> Vector:
    """Newton's method; the last weight is the constant, which is not shrunk."""
    design = np.hstack([x, np.ones((len(x), 1))])
    ridge = penalty * np.diag([1.0] * x.shape[1] + [0.0])
    weights: Vector = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        curvature = (design * (p * (1 - p))[:, None]).T @ design + ridge
        weights = weights - np.linalg.solve(curvature, design.T @ (p - right) + ridge @ weights)
    return weights


def credits(scores: Vector, correct: NDArray[np.bool_]) -> Vector:
    """Per question the accuracy of the solution that scores highest; ties share it."""
    best = scores == scores.max(axis=1, keepdims=True)
    shared: Vector = (best & correct).sum(1) / best.sum(1)
    return shared


def votes(recorded: Recorded) -> Vector:
    """How many solutions of the question have the same answer; all right answers are one, however written."""
    rows = []
    for row in recorded.rows:
        names = ["right" if one.correct else f"wrong {one.answer}" if one.answer else "" for one in row]
        rows.append([float(names.count(name)) if name else 0.0 for name in names])
    return np.array(rows)


def report(test: Recorded, scores: dict[str, Vector], best_source: int, seed: int) -> dict[str, Any]:
    """All figures of the test half, in %, each with its interval; AUROC as a share.

    Args:
        test: The questions that nothing was fitted on.
        scores: Per scorer, shape (questions, sources).
        best_source: Place of the source that is most often right in the other half.
        seed: Of the bootstrap.
    """
    correct = test.correct()
    draws = np.random.default_rng(seed).integers(0, len(correct), (1000, len(correct)))

    def interval(of: Callable[[NDArray[np.int64]], float]) -> list[float]:
        low, high = np.percentile([of(places) for places in draws], [2.5, 97.5])
        return [round(value, 3) for value in (of(np.arange(len(correct))), float(low), float(high))]

    def share(values: Vector) -> list[float]:
        return interval(lambda places: float(100 * values[places].mean()))

    def area(values: Vector, source: int, places: NDArray[np.int64]) -> float:
        return auroc(values[places, source], correct[places, source]) or 0.5

    columns = range(len(test.sources))
    simple = np.zeros(correct.shape)
    simple[:, best_source] = 1
    chosen = {name: credits(values, correct) for name, values in scores.items()}
    chosen |= {
        "random": correct.mean(1),
        "majority": credits(votes(test), correct),
        f"always {test.sources[best_source]}": credits(simple, correct),
        "oracle": correct.any(1).astype(float),
    }
    return {
        "questions": len(correct),
        "auroc": {
            name: {
                **{
                    source: interval(lambda places, v=values, c=column: area(v, c, places))  # type: ignore[misc]
                    for column, source in enumerate(test.sources)
                },
                "mean": interval(lambda places, v=values: float(np.mean([area(v, c, places) for c in columns]))),  # type: ignore[misc]
            }
            for name, values in scores.items()
        },
        "best_of_4": {name: share(values) for name, values in chosen.items()},
        "above_random": {name: share(chosen[name] - chosen["random"]) for name in scores},
    }


def shorten(model: Path, layers: int, folder: Path) -> Path:
    """Write the first layers of a model as a model of its own."""
    from transformers import AutoModel

    from agentark.pretrained import load_weights, read_config, read_tokenizer

    config = read_config(model)
    if layers >= config.num_hidden_layers:
        return model
    config.num_hidden_layers = layers
    load_weights(AutoModel, model, "writing", config=config).save_pretrained(folder)
    read_tokenizer(model).save_pretrained(folder)
    return folder


def train(model: Path, rows: Sequence[PRMRow], work: Path, spec: PRMSpec) -> dict[str, Any]:
    """Train the product's reward model into `work/prm`; goes on where an earlier call was stopped."""
    from agentark.reward.training import PRMRecipe
    from agentark.store import open_store
    from agentark.training.checkpoints import Checkpoints
    from agentark.training.harness import run

    (work / "rows.jsonl").write_bytes(write_rows(rows))
    started = time.monotonic()

    def note(step: int, total: int, metrics: Any) -> None:
        if step % 10 == 0 or step == total:
            loss = f"{metrics.get('loss', float('nan')):.3f}"
            print(f"step {step} of {total}, loss {loss}, {time.monotonic() - started:.0f} s", file=sys.stderr)

    found = run(
        PRMRecipe(
            model=model,
            rows=work / "rows.jsonl",
            out=work / "prm",
            spec=spec,
        ),
        work=work / "training",
        checkpoints=Checkpoints(open_store(str(work / "store")), "checkpoints"),
        on_progress=note,
        should_stop=lambda: False,
    )
    return {"steps": found.steps, "solutions": found.solutions, "seconds": round(found.seconds)}


def judge(folder: Path, test: Recorded) -> dict[str, Vector]:
    """Score the test solutions: by their last step, and by their weakest."""
    from agentark.reward.scoring import PRM

    flat = [one for row in test.rows for one in row]
    prm = PRM.load(folder)
    scored = prm([[Message("user", one.question)] for one in flat], [one.text for one in flat])
    shape = (len(test.rows), len(test.sources))
    return {
        "prm, last step": np.array([steps[-1].score if steps else 0.0 for steps in scored]).reshape(shape),
        "prm, weakest step": np.array([min((s.score for s in steps), default=0.0) for steps in scored]).reshape(shape),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--model", type=Path, required=True, help="backbone; examples/gsm8k/convert_smollm2.py makes one"
    )
    parser.add_argument("--work", type=Path, required=True, help="scratch folder; the same one again goes on")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--loss", choices=["CrossEntropy", "Contrastive", "Representation"], default="CrossEntropy")
    parser.add_argument("--precision", choices=["Float32", "BFloat16"], default="BFloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    with given.file.open(encoding="utf-8") as lines:
        recorded = read(lines)
    learnt, test = halves(recorded, given.seed)
    optimisation = Training(
        epochs=given.epochs,
        learning_rate=given.learning_rate,
        batch_size=4,
        max_length_tokens=512,
        warmup_ratio=0.05,
        precision=given.precision,
        seed=given.seed,
        checkpoint_steps=50,
    )
    spec = PRMSpec(loss=given.loss, head_fraction=0.1, training=optimisation)
    backbone = shorten(given.model, given.layers, given.work / "backbone")
    training = train(backbone, labelled(learnt), given.work, spec)
    started = time.monotonic()
    scores = judge(given.work / "prm", test)
    training["scoring_seconds"] = round(time.monotonic() - started)
    scores["control"] = control(learnt, test)
    scores["control told the source"] = control(learnt, test, told_source=True)
    shutil.rmtree(given.work / "training", ignore_errors=True)
    np.savez(given.work / "scores.npz", correct=test.correct(), **scores)  # type: ignore[arg-type]
    found = report(test, scores, int(learnt.correct().mean(0).argmax()), given.seed)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
    print(json.dumps({"settings": settings, "training": training, **found}, indent=1))
    return 0


def _numbers(text: str) -> list[str]:
    return [found.replace(",", "").rstrip(".") for found in _NUMBER.findall(text)]


if __name__ == "__main__":
    sys.exit(main())
