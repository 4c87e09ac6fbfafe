"""DebateRun: several agents answer questions, read each other and answer again; every turn is kept."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from agentark.api.base import NOT_IN_KEY, Fraction, Rule, Seed, Spec, Temperature
from agentark.api.prompts import Prompts, Text
from agentark.api.running import Run
from agentark.api.sources import Dataset, Teacher


class Sampling(Spec):
    """How a model draws its text."""

    temperature: Temperature = 0.7
    """0 is greedy; up to 2."""
    top_p: Fraction = 1.0
    """Nucleus: only the likeliest tokens that together hold this probability."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Only so many likeliest tokens; 0 means all."""
    max_tokens: Annotated[int, Field(ge=1, le=131072)] = 1024
    """Longest reply, in tokens; a longer one is cut and marked, and never counts as an answer."""


class Agent(Spec):
    """One debater that differs from the others."""

    role: Text = ""
    """Its system message; empty means the common one."""
    teacher: Teacher | None = None
    """Its own model; none means the common teacher."""


class Protocol(Spec):
    """How a question is worked on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("size($team) == 0 || size($team) == $agents", "team needs one entry per agent, or none"),
        Rule(
            "$type != 'SinglePass' || !has(self.agents) || self.agents == 1",
            "a SinglePass has one agent; leave agents out",
        ),
    )

    type: Literal["Debate", "SelfConsistency", "SinglePass"] = "Debate"
    """Debate, a vote over independent samples, or one reply."""
    agents: Annotated[int, Field(ge=1, le=64)] = 5
    """Debaters, or samples of SelfConsistency."""
    rounds: Annotated[int, Field(ge=1, le=10)] = 3
    """Rounds at most, the first independent one included."""
    stop_on_consensus: bool = True
    """End a debate as soon as all agents give the same answer."""
    tie: Literal["Summariser", "First"] = "Summariser"
    """Who decides between equally many votes: one more call, or the first of the agents."""
    sampling: Sampling = Sampling()
    """Of every turn."""
    prompts: Prompts = Prompts()
    """Texts of the debate."""
    team: Annotated[Annotated[list[Agent], Field(max_length=64)], NOT_IN_KEY] = []
    """Roles and models agent by agent; empty means that all are alike."""
    seed: Seed = 0
    """Seed of all sampling."""

    @model_validator(mode="after")
    def _team_is_complete(self) -> Self:
        if self.team and len(self.team) != self.agents:
            raise ValueError(f"team has {len(self.team)} entries for agents: {self.agents}; give one per agent or none")
        if self.type == "SinglePass" and "agents" in self.model_fields_set and self.agents != 1:
            raise ValueError("a SinglePass has one agent; leave agents out")
        return self


class Execution(Spec):
    """How the work is carried out. Nothing here changes the result, so nothing here is part of a stage's key."""

    engine: Literal["Auto", "Transformers", "VLLM"] = "Auto"
    """Who runs weights in process; Auto takes vLLM where it and a GPU are there."""
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 64
    """Requests in flight at once."""
    request_timeout_seconds: Annotated[int, Field(ge=1)] = 300
    """Deadline of one request, all its retries included."""
    max_failed_questions: Annotated[int, Field(ge=0)] = 0
    """Questions that may stay unanswered before the stage fails."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pods that share the questions on a cluster; the limits above hold for each."""
    gpus_per_worker: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs of each such pod, for weights that run in it."""


class DebateSpec(Spec):
    """A debate over a set of questions."""

    dataset: Dataset
    """The questions."""
    teacher: Teacher
    """The model that debates."""
    protocol: Protocol = Protocol()
    """How it debates."""
    execution: Execution = Execution()
    """How the work is carried out."""


class DebateRunSpec(DebateSpec, Run):
    """Debate a set of questions."""
