"""How a model is trained, and on what machines."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from agentark.api.base import NOT_IN_KEY, AboveZero, Fraction, Key, Name, PositiveDecimal, Rule, Seed, Spec

BackendName = Literal["PyTorchJob", "TrainJob", "Job"]
"""Kinds that run trainings; the operator has a module in agentark_operator.backends for each."""


class Lora(Spec):
    """Train low-rank adapters instead of all weights; the output is a merged plain model."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 32
    """Rank of the adapters."""
    alpha: Annotated[int, Field(ge=1, le=4096)] = 64
    """Scale: the update is multiplied by alpha / rank."""


class Elastic(Spec):
    """A training that goes on with fewer or more pods (PyTorchJob's elasticPolicy)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.minNodes <= self.maxNodes", "elastic.minNodes is more than elastic.maxNodes"),
    )

    min_nodes: Annotated[int, Field(ge=1, le=1024)]
    """Pods that it needs at least."""
    max_nodes: Annotated[int, Field(ge=1, le=1024)]
    """Pods that it can use."""
    max_restarts: Annotated[int, Field(ge=0, le=100)] = 10
    """Times that the processes may be started again within an attempt."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"elastic.minNodes is {self.min_nodes}, more than elastic.maxNodes, {self.max_nodes}")
        return self


class Gang(Spec):
    """How a gang scheduler (Volcano, scheduler-plugins) places a PyTorchJob: its schedulingPolicy."""

    queue: Annotated[str, Field(max_length=253)] = ""
    """Its queue; the scheduler's default when empty."""
    priority_class: Annotated[str, Field(max_length=253)] = ""
    """Its priority class."""
    min_available: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Pods that must be placed together; all by default."""
    schedule_timeout_seconds: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Longest time for the placement, in seconds."""


class RuntimeRef(Spec):
    """The training runtime of a TrainJob."""

    name: Name = "torch-distributed"
    """Name of the runtime."""
    kind: Literal["ClusterTrainingRuntime", "TrainingRuntime"] = "ClusterTrainingRuntime"
    """Its kind."""


class DPO(Spec):
    """How DPO trains on pairs: the mended solution against the wrong first attempt. All else is as in `training`."""

    beta: AboveZero = 0.1
    """How closely the student is held to its start."""
    learning_rate: AboveZero = 1e-6
    """Peak learning rate; adapters take ten times as much."""


class Training(Spec):
    """Optimisation and machines. The machines are not part of a stage's key."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.elastic) || has(self.gang)) || $backend == 'PyTorchJob'",
            "elastic and gang belong to backend: PyTorchJob",
        ),
        Rule("!has(self.runtimeRef) || $backend == 'TrainJob'", "runtimeRef belongs to backend: TrainJob"),
    )

    epochs: Annotated[AboveZero, Key(("Supervised", "PRM"))] = 2.0
    """Passes over the rows."""
    learning_rate: Annotated[AboveZero, Key(("Supervised", "PRM"))] = 2e-5
    """Peak learning rate."""
    batch_size: Annotated[Annotated[int, Field(ge=1, le=65536)], Key(("Supervised", "PRM"))] = 32
    """Rows per optimiser step, over all processes."""
    max_length_tokens: Annotated[Annotated[int, Field(ge=16, le=1048576)], Key(("Supervised", "PRM"))] = 4096
    """Longest row in tokens, prompt included."""
    long_traces: Annotated[Literal["Drop", "Keep"], Key(("Supervised",))] = "Drop"
    """Rows above maxLengthTokens: drop and count them, or keep them whole. Never cut."""
    schedule: Literal["Cosine", "Linear", "Constant"] = "Cosine"
    """Course of the learning rate after the warm-up."""
    warmup_ratio: Fraction = 0.03
    """Part of the steps over which the learning rate rises."""
    weight_decay: PositiveDecimal = 0.0
    """Decoupled weight decay."""
    precision: Literal["BFloat16", "Float32"] = "BFloat16"
    """Arithmetic of forward and backward pass; weights and optimiser stay in 32 bits."""
    lora: Lora | None = None
    """Adapters instead of full training."""
    evaluations: Annotated[Annotated[int, Field(ge=0, le=100)], Key(("Supervised", "PAD"))] = 4
    """Checks by verified accuracy on held-out questions during training; the best checkpoint is the output."""
    seed: Seed = 0
    """Seed of data order and dropout."""
    checkpoint_steps: Annotated[Annotated[int, Field(ge=1)], NOT_IN_KEY] = 100
    """Steps between checkpoints; not part of the key."""
    backend: Annotated[BackendName, NOT_IN_KEY] = "PyTorchJob"
    """Kubernetes object that runs the training on a cluster."""
    nodes: Annotated[Annotated[int, Field(ge=1, le=1024)], NOT_IN_KEY] = 1
    """Pods."""
    gpus_per_node: Annotated[Annotated[int, Field(ge=0, le=16)], NOT_IN_KEY] = 0
    """GPUs per pod; 0 trains on the CPU."""
    processes_per_node: Annotated[Annotated[int, Field(ge=1, le=64)] | None, NOT_IN_KEY] = None
    """Processes per pod, or on a laptop; gpusPerNode (at least 1) by default."""

    elastic: Annotated[Elastic | None, NOT_IN_KEY] = None
    """Bounds within which the number of pods may change; fixed by default."""
    gang: Annotated[Gang | None, NOT_IN_KEY] = None
    """Placement by a gang scheduler; none by default."""
    runtime_ref: Annotated[RuntimeRef | None, NOT_IN_KEY] = None
    """Runtime of a TrainJob; torch-distributed by default."""

    @model_validator(mode="after")
    def _trains(self) -> Self:
        if self.warmup_ratio == 1:
            raise ValueError('warmupRatio is "1": the learning rate would never reach its peak; give less')
        return self

    @model_validator(mode="after")
    def _of_the_backend(self) -> Self:
        given = [name for name, value in (("elastic", self.elastic), ("gang", self.gang)) if value is not None]
        if given and self.backend != "PyTorchJob":
            raise ValueError(f"{' and '.join(given)} belong to backend: PyTorchJob; the backend is {self.backend}")
        if self.runtime_ref is not None and self.backend != "TrainJob":
            raise ValueError(f"runtimeRef belongs to backend: TrainJob; the backend is {self.backend}")
        return self

    @property
    def processes(self) -> int:
        """Processes per node as used."""
        return self.processes_per_node or max(1, self.gpus_per_node)
