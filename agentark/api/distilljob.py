"""DistillJob: from debates to one student that answers in a single pass, measured against where it came from."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from agentark.api.base import Fraction, Key, Name, Reference, Rule, Seed, Spec, Threshold
from agentark.api.debaterun import DebateSpec, Execution
from agentark.api.pad import PAD
from agentark.api.prmtraining import PRMSpec
from agentark.api.running import Run
from agentark.api.sources import Dataset, Model
from agentark.api.training import DPO, Training

Method = Literal["RSFT", "DA", "DPO", "PAD", "AnswerOnly"]
Control = Literal["SelfConsistency", "Debate", "SelfReview", "AnswerOnly", "OwnAnswers", "OutcomeOnly"]


class Student(Spec):
    """The model that learns."""

    model: Model
    """Its weights before distillation."""


class Curation(Spec):
    """Which traces of the debates are trained on."""

    form: Literal["Solution", "SelfCorrection", "Both"] = "Solution"
    """Clean solutions; attempt, critique and mended solution in one monologue; or both where there was a correction."""
    max_traces: Annotated[Annotated[int, Field(ge=1, le=3)], Key(("DA",))] = 3
    """Different correct traces per question for DA (k in the paper)."""
    max_trace_characters: Annotated[int, Field(ge=1)] = 16000
    """Longer traces are left out and counted."""
    held_out_fraction: Fraction = 0.1
    """Part of the questions kept out of training, for in-training evaluation."""
    labels: Annotated[Literal["Gold", "Consensus"], Key(("Consensus",))] = "Gold"
    """What counts as right: the data set's answers, or what the agents agree on. Consensus needs none; any there are
    only measure the labels."""
    consensus_threshold: Annotated[Threshold, Key(("Consensus",))] = 0.8
    """Consensus only: least part of the agents that must end with the same answer; other questions are left out."""

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.held_out_fraction == 1:
            raise ValueError('heldOutFraction is "1", which leaves nothing to train on; give less')
        return self


class Suite(Spec):
    """A named set of evaluation questions."""

    name: Name
    """Name of the suite in results and gates."""
    dataset: Dataset
    """Its questions; never trained on."""


class Evaluation(Spec):
    """What the student is measured on, and against what."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.suites.all(one, self.suites.exists_one(other, other.name == one.name))", "names of suites must differ"
        ),
    )

    suites: Annotated[list[Suite], Field(min_length=1, max_length=32)]
    """Question sets."""
    controls: Annotated[list[Control], Field(max_length=16)] = ["SelfConsistency", "Debate"]
    """Shown beside base and student: a vote of the base at the debate's cost, the debate, one whose agents see their
    own solution only, students of answers alone, of the base's own correct answers without debate, and (OutcomeOnly) of
    the same methods without PAD's step rewards."""
    decoding: Annotated[list[Literal["Greedy", "Sampled"]], Field(min_length=1, max_length=2)] = ["Greedy"]
    """How single passes are decoded; Sampled takes the debate's sampling."""
    seed: Seed = 1
    """Seed of sampled decoding and of the bootstrap."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [suite.name for suite in self.suites]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"suite names must differ; repeated: {', '.join(repeated)}")
        return self


class Evolve(Spec):
    """Feed the student back: it debates with itself, and what comes of that trains it further."""

    rounds: Annotated[int, Field(ge=1, le=16)]
    """Rounds of debate and training, the first one included. After each, a gate compares the student with the one
    before on held-out questions; one that does worse is dropped, and no round follows."""


class Gate(Spec):
    """A condition that a student must meet to be released."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.minGainOver) || has(self.minValue)", "a gate asks for minGainOver, minValue, or both"),
    )

    suite: Name
    """Suite it is measured on."""
    metric: Literal["accuracy"] = "accuracy"
    """What is measured."""
    min_gain_over: Literal["student", "debate"] | None = None
    """Must be better than the student before distillation, or than the debate."""
    significance: Fraction = 0.05
    """Largest p-value (McNemar's exact test) at which the gain counts."""
    min_value: Fraction | None = None
    """Least value of the metric."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.min_gain_over is None and self.min_value is None:
            raise ValueError("a gate asks for minGainOver, minValue, or both; found neither, so everything would pass")
        return self


class Release(Spec):
    """Publish the student when it passes its gates."""

    name: Name
    """Name of the ModelRelease."""
    gates: Annotated[list[Gate], Field(max_length=32)] = []
    """All must pass."""


class DistillJobSpec(Run):
    """Debate, select traces, train a student, evaluate it, release it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.debate) != has(self.debateRef)", "give exactly one of 'debate' and 'debateRef'"),
        Rule(
            "!has(self.release) || !has(self.release.gates) || self.release.gates.all(gate, "
            "self.evaluation.suites.exists(suite, suite.name == gate.suite))",
            "release.gates name a suite that evaluation.suites does not have",
        ),
        Rule(
            "!has(self.release) || !has(self.release.gates) || !has(self.evaluation.controls) || "
            "'Debate' in self.evaluation.controls || "
            "self.release.gates.all(gate, !has(gate.minGainOver) || gate.minGainOver != 'debate')",
            "a gate with minGainOver: debate needs the debate's answers; add Debate to evaluation.controls",
        ),
        Rule(
            "'PAD' in self.methods || !(has(self.pad) || has(self.prm) || has(self.prmRef) || "
            "(has(self.evaluation.controls) && 'OutcomeOnly' in self.evaluation.controls))",
            "pad, prm, prmRef and the control OutcomeOnly belong to PAD; add PAD to methods, or remove them",
        ),
        Rule("!has(self.dpo) || 'DPO' in self.methods", "dpo belongs to DPO; add DPO to methods, or remove it"),
        Rule(
            "[has(self.prm), has(self.prmRef), has(self.pad) && has(self.pad.prmEndpoint)].filter(one, one).size() < 2",
            "give one of prm, prmRef and pad.prmEndpoint",
        ),
        Rule(
            "!(has(self.prm) || has(self.prmRef)) || double($pad.processWeight) > 0.0",
            'prm and prmRef score nothing where pad.processWeight is "0"; remove one',
        ),
        Rule(
            "!has(self.prm) || !has(self.prm.heldOutFraction) || double(self.prm.heldOutFraction) >= "
            "double($curation.heldOutFraction)",
            "prm.heldOutFraction is less than curation.heldOutFraction; leave it out, or give at least as much",
        ),
        Rule(
            "!has(self.evolve) || double($curation.heldOutFraction) > 0.0",
            "evolve needs held-out questions for its gates; raise curation.heldOutFraction",
        ),
        Rule(
            "!('PAD' in self.methods) || ($pad.promptsPerStep * $pad.group) % ($training.nodes * "
            "self.?training.?processesPerNode.orValue($training.gpusPerNode > 0 ? $training.gpusPerNode : 1)) == 0",
            "pad.promptsPerStep x pad.group must be a multiple of all training processes",
        ),
    )

    debate: DebateSpec | None = None
    """The debate that gives the traces."""
    debate_ref: Reference | None = None
    """Or a DebateRun of this namespace."""
    dpo: DPO | None = None
    """How DPO trains, where it is among the methods."""
    pad: PAD | None = None
    """How PAD trains, where it is among the methods; defaults apply when left out."""
    prm: PRMSpec | None = None
    """The process reward model for PAD; defaults apply when left out."""
    prm_ref: Reference | None = None
    """Or a PRMTraining of this namespace."""
    evolve: Evolve | None = None
    """Further rounds, in which the student of the round before debates; none by default."""
    student: Student
    """The model that learns."""
    methods: Annotated[list[Method], Field(min_length=1, max_length=len(get_args(Method)))]
    """Applied in this order, each to the model of the one before."""
    curation: Curation = Curation()
    """Which traces are trained on."""
    training: Training = Training()
    """Optimisation and machines."""
    evaluation: Evaluation
    """What is measured."""
    execution: Execution = Execution()
    """How the evaluation's requests are carried out."""
    release: Release | None = None
    """Publish the student when it passes its gates."""

    def settings_of(self, method: str) -> Spec | None:
        """What a method is told beside `training`: the field with its name in small letters; None if it has none."""
        field = type(self).model_fields.get(method.lower())
        if field is None:
            return None
        settings: Spec = getattr(self, method.lower()) or get_args(field.annotation)[0]()
        return settings

    @model_validator(mode="after")
    def _sources(self) -> Self:
        if (self.debate is None) == (self.debate_ref is None):
            raise ValueError("give exactly one of 'debate' and 'debateRef'")
        if self.release is not None:
            suites = {suite.name for suite in self.evaluation.suites}
            unknown = sorted({gate.suite for gate in self.release.gates} - suites)
            if unknown:
                raise ValueError(
                    f"release.gates name unknown suites: {', '.join(unknown)}; there are: {', '.join(sorted(suites))}"
                )
            over_debate = any(gate.min_gain_over == "debate" for gate in self.release.gates)
            if over_debate and "Debate" not in self.evaluation.controls:
                raise ValueError(
                    "release.gates has minGainOver: debate, but evaluation.controls are "
                    f"{', '.join(self.evaluation.controls) or 'none'}, so the debate is not measured; add Debate"
                )
        return self

    @model_validator(mode="after")
    def _preferences(self) -> Self:
        if self.dpo is not None and "DPO" not in self.methods:
            raise ValueError(f"dpo given, but methods are {', '.join(self.methods)}; add DPO to methods, or remove it")
        return self

    @model_validator(mode="after")
    def _process_rewards(self) -> Self:
        given = [name for name, value in (("prm", self.prm), ("prmRef", self.prm_ref)) if value is not None]
        if "PAD" not in self.methods:
            given += ["pad"] if self.pad is not None else []
            given += ["evaluation.controls: OutcomeOnly"] if "OutcomeOnly" in self.evaluation.controls else []
            if given:
                raise ValueError(
                    f"{' and '.join(given)} given, but methods are {', '.join(self.methods)}; add PAD to methods, or "
                    "remove it"
                )
            return self
        pad = self.pad or PAD()
        given += ["pad.prmEndpoint"] if pad.prm_endpoint is not None else []
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}, not both")
        if [name for name in given if name != "pad.prmEndpoint"] and not pad.needs_prm:
            raise ValueError(f'{given[0]} is given, but pad.processWeight is "0": no step would be scored; remove one')
        return self

    @model_validator(mode="after")
    def _same_questions_held_out(self) -> Self:
        own = self.prm.held_out_fraction if self.prm else None
        if own is not None and own < self.curation.held_out_fraction:
            raise ValueError(
                f'prm.heldOutFraction "{own:g}" is less than curation.heldOutFraction '
                f'"{self.curation.held_out_fraction:g}": the model would be trained on questions that are held out; '
                "leave it out, or give at least as much"
            )
        return self

    @model_validator(mode="after")
    def _gated(self) -> Self:
        if self.evolve is not None and self.curation.held_out_fraction == 0:
            raise ValueError(
                'evolve needs held-out questions for its gates, but curation.heldOutFraction is "0"; give more, such '
                'as "0.1"'
            )
        return self

    @model_validator(mode="after")
    def _processes(self) -> Self:
        processes = self.training.nodes * self.training.processes
        pad = self.pad or PAD()
        answers = pad.prompts_per_step * pad.group
        if "PAD" in self.methods and answers % processes:
            raise ValueError(
                f"pad.promptsPerStep x pad.group is {answers} answers, which {processes} processes cannot share "
                "equally; give a multiple"
            )
        return self
