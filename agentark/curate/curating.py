"""From debates to a training set: verify, filter, select, write rows, and count all of it.

Records are read once, one at a time; kept are the rows, the ids, and counts.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agentark.api import Prompts
from agentark.curate.card import QUESTION_FILTERS, Counts, DataCard, Examples, describe_lengths
from agentark.curate.contamination import EvaluationIndex
from agentark.curate.labels import LabelTally, leading
from agentark.curate.misses import SHOWN_MISSES, advice, miss
from agentark.curate.params import Form, MethodCuration
from agentark.curate.rows import (
    CuratedRow,
    HeldOut,
    answer_form,
    answer_sentence,
    filled_answer,
    is_held_out,
    monologue,
    shows_gold,
    single_pass_prompt,
)
from agentark.curate.selecting import TRACE_FILTERS, select
from agentark.curate.traces import Trace, Verifier
from agentark.debate.rounds import RoundTally
from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.tasks import Policy

_CORRECTIVE = ("found", "with_critique", "with_peer_critique", "selected")
_UNCORRECTED = (
    "no agent mended its wrong first attempt, and DPO learns from such pairs alone; debate harder questions, with more "
    "agents or rounds or a higher sampling.temperature, or take RSFT or DA, which need right solutions only"
)
_MONOLOGUES = ("written", "no_critique", "too_long", "not_verified")


@dataclass(frozen=True, slots=True)
class Curated:
    """A training set, what was kept out of it for in-training evaluation, and its data card."""

    rows: tuple[CuratedRow, ...]
    held_out: tuple[HeldOut, ...]
    card: DataCard


def curate(
    records: Iterable[Record],
    *,
    params: MethodCuration,
    prompts: Prompts,
    policy: Policy,
    evaluation_questions: Iterable[str] = (),
) -> Curated:
    """Select and write the training rows of some debates.

    Args:
        records: The debates, each question once.
        params: What is selected, in which form.
        prompts: The texts the debates ran with; their ``system`` and ``solve`` make the rows' prompts.
        policy: How traces are graded.
        evaluation_questions: Texts of all questions that the student is to be evaluated on.

    Returns:
        Rows and held-out questions in the order of the records. Equal arguments give equal results.

    Raises:
        InvalidInput: If a question comes twice, or has no gold answer where labels are gold answers, or no row is left
            to train on.
    """
    run = _Curation(params, prompts, policy, EvaluationIndex(evaluation_questions))
    for record in records:
        run.add(record)
    return run.finish()


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """A question of the answer-only baseline, until the form of the answers is known."""

    record_id: str
    question: str
    gold: str
    sentence: str


class _Curation:
    """The state of one pass over the records."""

    def __init__(self, params: MethodCuration, prompts: Prompts, policy: Policy, index: EvaluationIndex) -> None:
        self._params = params
        self._prompts = prompts
        self._policy = policy
        self._index = index
        self._verifier = Verifier(prompts, policy)
        self._tally = RoundTally(policy)
        self._labels = LabelTally(policy)
        self._ids: set[str] = set()
        self._questions: Counter[str] = Counter()
        self._traces: Counter[str] = Counter()
        self._corrective: Counter[str] = Counter()
        self._monologues: Counter[str] = Counter()
        self._rows: list[CuratedRow] = []
        self._held_out: list[HeldOut] = []
        self._unanswered: list[_Unanswered] = []
        self._misses: list[str] = []
        self._empty = 0

    def add(self, record: Record) -> None:
        if record.id in self._ids:
            raise InvalidInput(f"question {record.id!r} comes twice; give each question's record exactly once")
        has_gold = bool(record.gold.strip())
        if not has_gold and self._params.labels == "Gold":
            raise InvalidInput(
                f"question {record.id!r} has no gold answer; its traces cannot be verified: add one, or take what the "
                "agents agree on as label with curation.labels: Consensus"
            )
        self._ids.add(record.id)
        if has_gold:
            self._tally.add(record)
        if self._params.labels == "Consensus":
            record = self._labelled(record)
        reason = self._excluded(record)
        if not reason:
            reason = _USES.get(self._params.method, _Curation._select)(self, record)
        self._questions[reason] += 1

    def finish(self) -> Curated:
        form = answer_form([waiting.sentence for waiting in self._unanswered if waiting.sentence])
        for waiting in self._unanswered:
            answer = waiting.sentence or filled_answer(form, waiting.gold)
            self._write(waiting.record_id, waiting.question, [("Answer", answer)])
        if not self._rows:
            raise InvalidInput(
                f"no row is left to train on: {len(self._ids)} questions ({_listed(self._questions)}), "
                f"{self._traces['read']} traces ({_listed(self._traces - Counter(read=self._traces['read']))}); "
                f"{self._advice()}"
            )
        return Curated(tuple(self._rows), tuple(self._held_out), self._card())

    def _advice(self) -> str:
        read = self._traces["read"]
        if read and read == sum(self._traces[name] for name in ("filtered", "truncated", "wrong")):
            ends = {"cut": self._traces["truncated"], "filtered": self._traces["filtered"], "empty": self._empty}
            return advice(self._misses, **ends, traces=read)
        if self._traces["not_mended"] and not (self._traces["too_long"] or self._traces["names_peers"]):
            return _UNCORRECTED
        return "debate more questions, or loosen the filter that took most"

    def _labelled(self, record: Record) -> Record:
        """Put the consensus, or nothing, in the place of the gold answer, which no later step gets to see."""
        found = leading(record, self._policy)
        self._labels.add(found, record.gold)
        return record.model_copy(update={"gold": found.label(self._params.consensus_threshold)})

    def _excluded(self, record: Record) -> str:
        if self._index.overlaps(record.question):
            return "contaminated"
        if not record.gold:
            # Without an answer to verify, PAD still rewards the steps.
            rewarded = self._params.method == "PAD" and not is_held_out(record.id, self._params.held_out_fraction)
            return "" if rewarded else "no_consensus"
        if shows_gold(self._prompts, record.question, record.gold, self._policy):
            return "leak"
        if is_held_out(record.id, self._params.held_out_fraction):
            prompt = single_pass_prompt(self._prompts, record.question)
            self._held_out.append(HeldOut(prompt, record.gold, record.id))
            return "held_out"
        return ""

    def _answer_only(self, record: Record) -> str:
        right = [trace for trace in self._verifier.traces(record) if trace.correct]
        sentence = next(filter(None, (answer_sentence(trace.solution) for trace in right)), "")
        # A line that does not hold the answer by itself ("so \boxed{half of them}") cannot be trained on alone.
        if sentence and not self._verifier.right(sentence, record.gold):
            sentence = ""
        self._unanswered.append(_Unanswered(record.id, record.question, record.gold, sentence))
        return "used"

    def _asked(self, record: Record) -> str:
        self._write(record.id, record.question, [("Question", record.gold)])
        return "used"

    def _select(self, record: Record) -> str:
        traces = self._verifier.traces(record)
        chosen, removed = select(traces, question_id=record.id, params=self._params, names=self._verifier.names)
        self._traces["read"] += len(traces)
        self._traces["selected"] += len(chosen)
        ended = (trace for trace in traces if not (trace.truncated or trace.filtered))
        self._empty += sum(not trace.solution.strip() for trace in ended)
        self._traces.update(removed)
        if len(self._misses) < SHOWN_MISSES and not any(trace.correct for trace in traces):
            self._misses.append(miss(record))
        corrective = [trace for trace in traces if trace.corrective]
        self._corrective["found"] += len(corrective)
        self._corrective["with_critique"] += sum(bool(trace.critique) for trace in corrective)
        self._corrective["with_peer_critique"] += sum(trace.peer_critique for trace in corrective)
        self._corrective["selected"] += sum(trace.corrective for trace in chosen)
        if not chosen:
            return "too_few_correct_agents" if removed["too_few_correct_agents"] else "no_trace"
        if self._params.method == "DPO":
            self._rows += [self._pair(record, trace) for trace in chosen]
        else:
            texts = [text for trace in chosen for text in self._forms(trace, record.gold)]
            self._write(record.id, record.question, texts)
        return "used"

    def _pair(self, record: Record, trace: Trace) -> CuratedRow:
        prompt = single_pass_prompt(self._prompts, record.question)
        return CuratedRow(prompt, trace.solution, record.id, 1.0, "Pair", trace.first_attempt)

    def _forms(self, trace: Trace, gold: str) -> list[tuple[Form, str]]:
        solution: tuple[Form, str] = ("Solution", trace.solution)
        if self._params.form == "Solution" or not trace.corrective:
            return [solution]
        text = monologue(trace)
        if not text:
            outcome = "no_critique"
        elif len(text) > self._params.max_trace_characters:
            outcome = "too_long"
        elif not self._verifier.right(text, gold):
            outcome = "not_verified"
        else:
            outcome = "written"
        self._monologues[outcome] += 1
        if outcome != "written":
            return [solution]
        return [solution, ("SelfCorrection", text)] if self._params.form == "Both" else [("SelfCorrection", text)]

    def _write(self, question_id: str, question: str, completions: list[tuple[Form, str]]) -> None:
        prompt = single_pass_prompt(self._prompts, question)
        weight = 1 / len(completions)
        self._rows += [CuratedRow(prompt, text, question_id, weight, form) for form, text in completions]

    def _card(self) -> DataCard:
        examples = Examples()
        for row in self._rows:
            text = f"{self._params.seed}\0{row.question_id}\0{row.completion}"
            examples.offer(row, hashlib.sha256(text.encode()).digest())
        prompts = [sum(len(message["content"]) for message in row.prompt) for row in self._rows]
        questions = {name: self._questions[name] for name in (*QUESTION_FILTERS, "used")}
        traces = {name: self._traces[name] for name in ("read", *TRACE_FILTERS, "selected")}
        counts = Counts(
            questions={"read": len(self._ids), **questions},
            traces=traces,
            corrective={name: self._corrective[name] for name in _CORRECTIVE},
            monologues={name: self._monologues[name] for name in _MONOLOGUES},
        )
        return DataCard(
            params=self._params,
            counts=counts,
            forms=dict(sorted(Counter(row.form for row in self._rows).items())),
            rows_per_question=Counter(Counter(row.question_id for row in self._rows).values()),
            lengths={
                "prompt": describe_lengths(prompts),
                "completion": describe_lengths([len(row.completion) for row in self._rows]),
            },
            rounds=self._tally.scores(),
            labels=self._labels.scores(self._params.consensus_threshold),
            examples=examples.chosen(),
        )


_USES = {"AnswerOnly": _Curation._answer_only, "PAD": _Curation._asked}


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items() if count) or "none"
