"""How true step labels are, on the quickstart's world, where truth can be calculated.

    python benchmarks/step_labels.py [--records SHARD.jsonl.zst ...] [--rollouts 8]

Reads the debates of a run (or holds one over 300 questions with the quickstart's base model), labels the steps as the
stage `steps` does, and compares the labels with the true arithmetic, which no label has seen. A solution's line is
true if its sum is right, it takes the next change of the problem (or two neighbouring ones together), and no line
before it is false; a critique's line if what it says of the attempt is so. Also printed: the naive rule "not in a
verified trace = bad". Exits with 1 if less than 97 % of the labels by agreement, or 95 % of the corrective ones, are
true.
"""

import argparse
import asyncio
import json
import re
import runpy
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentark.debate import Record, read_shard
from agentark.debate.rounds import agent_rounds
from agentark.llm import Message
from agentark.reward.labels import Discussion, RolloutParams, Turn, label_discussions, roll_out
from agentark.reward.labels.discussions import Candidate
from agentark.reward.labels.merging import Labels, texts_of
from agentark.reward.metrics import auroc
from agentark.reward.rows import Source
from agentark.tasks import grade, task
from agentark.tasks.critiques import PeerNames
from agentark.tasks.operations import operations

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart"
WORLD = runpy.run_path(str(QUICKSTART / "world.py"))
SOURCES: tuple[Source, ...] = ("Agreement", "Corrective")
POLICY = task("jsonl").policy
LEAST_TRUE = {"Agreement": 0.97, "Corrective": 0.95}

_LINE = re.compile(r"Step \d+: (\d+) ([-+*]) (\d+) = (\d+)$")
_ANSWER = re.compile(r"The answer is \\boxed\{(\d+)\}$")
_VERDICT = re.compile(r"Mine: (?:(right)|step (\d+) is wrong, (\d+) ([-+*]) (\d+) = (\d+) not (\d+))$")
_CHANGE = re.compile(r"\b(doubles)\b|\b(finds|buys|gets)\b\D*(\d+)|\b(?:loses|sells|gives)\b\D*(\d+)")
_START = re.compile(r"has (\d+) ")


class Told(NamedTuple):
    """One step with its label by one source and the truth."""

    kind: str
    source: str
    label: float | None
    true: bool


def problem(question: str) -> Any:
    """Read a question back into what there is to calculate."""
    operation = WORLD["Operation"]
    changes = [
        operation("*", 2) if doubles else operation("+" if gain else "-", int(more or less))
        for doubles, gain, more, less in _CHANGE.findall(question)
    ]
    start = _START.search(question)
    assert start is not None
    return WORLD["Sums"](int(start[1]), tuple(changes))


def true_lines(sums: Any, lines: Sequence[str]) -> list[bool]:
    """Say of each line of a solution whether it is true."""
    value, index, together = sums.start, 0, 0
    good, verdicts = True, []
    for line in lines:
        step, answer = _LINE.fullmatch(line), _ANSWER.fullmatch(line)
        if answer:
            good = good and index == len(sums.operations) and int(answer[1]) == value
        elif step and good:
            left, sign, right, result = int(step[1]), step[2], int(step[3]), int(step[4])
            ahead = sums.operations[index : index + 2]
            good = result == WORLD["calculate"](left, sign, right)
            pair = (value, together or ahead[0].amount) if ahead else ()
            if (
                good
                and ahead
                and sign == ahead[0].sign
                and ((left, right) == pair or (sign != "-" and (right, left) == pair))
            ):
                value, index, together = result, index + (2 if together else 1), 0
            elif good and len(ahead) == 2 and not together and ahead[0].sign == ahead[1].sign != "*":
                good = (left, sign, right) == (ahead[0].amount, "+", ahead[1].amount)
                together = result
            else:
                good = False
        else:
            good = False
        verdicts.append(good)
    return verdicts


def true_verdict(line: str, attempt: Sequence[bool]) -> bool | None:
    """Say whether a critique's line is true of an attempt; None for a line of another form."""
    said = _VERDICT.fullmatch(line)
    if not said:
        return None
    first = next((index for index, true in enumerate(attempt) if not true), None)
    return first is None if said[1] else first is not None and int(said[2]) == first + 1


def truths(sums: Any, text: Candidate) -> list[bool | None]:
    """The truth of each step of a text."""
    parts: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for step in text.steps:
        parts[text.part(step)].append(text.words(step))
    attempt = true_lines(sums, parts[0])
    return [*attempt, *(true_verdict(line, attempt) for line in parts[1]), *true_lines(sums, parts[2])]


def kind_of(text: Candidate, index: int) -> str:
    """What a step is."""
    step = text.steps[index]
    if text.part(step) == 1:
        if "wrong" not in text.words(step):
            return "critique: right"
        mended = bool(text.correct) and not text.attempt_correct
        return "critique: wrong, " + ("mended" if mended else "false alarm" if text.attempt_correct else "idle")
    return "answer line" if _ANSWER.fullmatch(text.words(step)) else "solution step"


def discussions_of(records: Iterable[Record]) -> Iterator[Discussion]:
    """Debates as the stage `steps` sees them."""
    names = PeerNames("Agent {number}:\n{solution}")
    for record in records:
        turns = tuple(
            Turn(
                agent=turn.agent,
                round=number,
                solution=turn.solution,
                critique=names.own_lines(turn.critique),
                correct=not turn.truncated and grade(turn.solution, record.gold, POLICY).correct,
                truncated=turn.truncated,
                answer=turn.vote,
            )
            for number, turns in enumerate(agent_rounds(record))
            for turn in turns
        )
        yield Discussion(record.id, (Message("user", record.question),), record.gold, turns)


def debate(folder: Path, questions: int) -> Iterator[Record]:
    """Hold a debate with the quickstart's base model."""
    manifest = {
        "apiVersion": "agentark.dev/v1alpha1",
        "kind": "DebateRun",
        "metadata": {"name": "step-labels"},
        "spec": {
            "dataset": {"uri": f"file:{QUICKSTART / 'data' / 'train.jsonl'}", "limit": questions},
            "teacher": {"model": {"uri": f"file:{QUICKSTART / 'base'}"}},
            "protocol": {
                "agents": 5,
                "rounds": 3,
                "tie": "First",
                "sampling": {"temperature": "0.8", "maxTokens": 140},
                "prompts": {
                    "solve": "{question}",
                    "peer": "Agent {number}:\n{solution}",
                    "review": "{peers}\nReview these solutions and solve again.",
                    "solutionMarker": "Step 1:",
                },
            },
            "execution": {"concurrency": 256},
        },
    }
    (folder / "debate.yaml").write_text(json.dumps(manifest))
    command = [sys.executable, "-m", "agentark", "run", "-f", str(folder / "debate.yaml"), "--store", f"{folder}/store"]
    subprocess.run(command, check=True)
    return shards(sorted(folder.glob("store/stages/debate/*/records/shards/*.zst")))


def shards(paths: Iterable[Path]) -> Iterator[Record]:
    """Read shards of debates."""
    for path in paths:
        yield from read_shard(path.read_bytes(), source=str(path))


def naive(discussion: Discussion, texts: Sequence[Candidate]) -> list[list[float | None]]:
    """Label a calculation as bad where no verified trace holds it."""
    held = {
        operation
        for turn in discussion.turns
        if turn.correct
        for operation in operations(turn.solution)
        if "=" in operation
    }
    return [
        [
            float(all(operation in held for operation in said))
            if text.part(step) != 1 and (said := _sums(text.words(step)))
            else None
            for step in text.steps
        ]
        for text in texts
    ]


def _sums(words: str) -> list[str]:
    return [operation for operation in operations(words) if "=" in operation]


async def rolled(discussions: Sequence[Discussion], rollouts: int, folder: Path) -> dict[str, Labels]:
    """Label by roll-outs of the base model."""
    from agentark.llm.local import TransformersEngine

    engine = TransformersEngine(QUICKSTART / "base")
    params = RolloutParams(rollouts=rollouts, temperature=0.8, max_tokens=80, concurrency=256)
    labels = await roll_out(
        discussions,
        rule="Newline",
        sources=("MonteCarlo",),
        engine=engine,
        model="quickstart base",
        params=params,
        is_right=lambda text, gold: grade(text, gold, POLICY).correct,
        ledger=folder / "rollouts.jsonl",
    )
    await engine.aclose()
    print(f"roll-outs: {labels.asked.requests} beginnings x {rollouts}, {labels.truncated} continuations cut")
    return dict(labels.labels)


def told(discussion: Discussion, sources: Sequence[Source], labelled: dict[str, Labels]) -> Iterator[Told]:
    """Every step of a discussion's texts with each label and its truth; repeated texts count once."""
    sums = problem(discussion.prompt[-1].content)
    texts = texts_of(discussion, rule="Newline", sources=sources)
    for number, text in enumerate(texts):
        for index, true in enumerate(truths(sums, text)):
            # What a monologue's solutions say is counted where they stand alone.
            if true is None or (text.critique_end and text.part(text.steps[index]) != 1):
                continue
            for source, labels in labelled.items():
                yield Told(kind_of(text, index), source, labels[number][index], true)


def table(rows: Sequence[Told]) -> str:
    """Share labelled, share true and the confusion, by source and kind."""
    lines = [f"{'source':<12}{'kind':<30}{'steps':>7}{'labelled':>10}{'true':>9}  confusion (said/is): gg gb bg bb"]
    for source in dict.fromkeys(row.source for row in rows):
        kinds = sorted({row.kind for row in rows if row.source == source})
        for kind in [*kinds, "all"]:
            mine = [row for row in rows if row.source == source and kind in (row.kind, "all")]
            known = [(row.label > 0.5, row.true) for row in mine if row.label is not None]
            if not known:
                continue
            cells = Counter(known)
            share = f"{len(known) / len(mine):.1%}"
            true = f"{sum(said == is_so for said, is_so in known) / len(known):.2%}"
            confusion = " ".join(str(cells[said, is_so]) for said in (True, False) for is_so in (True, False))
            lines.append(f"{source:<12}{kind:<30}{len(mine):>7}{share:>10}{true:>9}  {confusion}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, nargs="+", help="shards of a debate on the quickstart's questions")
    parser.add_argument("--questions", type=int, default=300, help="questions to debate where no records are given")
    parser.add_argument("--rollouts", type=int, default=0, help="also label by so many continuations of each step")
    parser.add_argument("--rollout-questions", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        records = shards(options.records) if options.records else debate(folder, options.questions)
        discussions = list(discussions_of(records))
        further: dict[str, Labels] = {}
        if options.rollouts:
            some = discussions[: options.rollout_questions]
            further = asyncio.run(rolled(some, options.rollouts, folder))
    rows: list[Told] = []
    for discussion in discussions:
        rows += _measured(discussion, further.get(discussion.id))
    print(table(rows))
    soft = [(row.label, row.true) for row in rows if row.source == "MonteCarlo" and row.label is not None]
    if soft:
        print(f"AUROC of roll-outs for the truth: {auroc(*zip(*soft, strict=True)):.3f}")
    report = label_discussions(discussions, rule="Newline", sources=SOURCES).report
    print(json.dumps(report.as_json(), indent=1))
    return int(any(_true(rows, source) < least for source, least in LEAST_TRUE.items()))


def _true(rows: Sequence[Told], source: str) -> float:
    said = [(row.label > 0.5) == row.true for row in rows if row.source == source and row.label is not None]
    return sum(said) / len(said)


def _measured(discussion: Discussion, rollouts: Labels | None) -> Iterator[Told]:
    from agentark.reward.labels.agreement import agreement
    from agentark.reward.labels.corrective import corrective

    texts = texts_of(discussion, rule="Newline", sources=SOURCES)
    agreed = agreement(discussion, texts)
    labelled: dict[str, Labels] = {"Agreement": agreed, "Corrective": corrective(texts, agreed)}
    yield from told(discussion, SOURCES, labelled | {"naive": naive(discussion, texts)})
    if rollouts is not None:
        yield from told(discussion, ("MonteCarlo",), {"MonteCarlo": rollouts})


if __name__ == "__main__":
    sys.exit(main())
