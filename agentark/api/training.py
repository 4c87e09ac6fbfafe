"""How a model is trained, and on what machines."""

from typing import Annotated, Literal

from pydantic import Field

from agentark.api.base import Fraction, PositiveDecimal, Seed, Spec


class Lora(Spec):
    """Train low-rank adapters instead of all weights; the output is a merged plain model."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 32
    """Rank of the adapters."""
    alpha: Annotated[int, Field(ge=1, le=4096)] = 64
    """Scale: the update is multiplied by alpha / rank."""


class Training(Spec):
    """Optimisation and machines. The machines are not part of a stage's key."""

    epochs: PositiveDecimal = "2"
    """Passes over the rows."""
    learning_rate: PositiveDecimal = "2e-5"
    """Peak learning rate."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 32
    """Rows per optimiser step, over all processes."""
    max_length_tokens: Annotated[int, Field(ge=16, le=1048576)] = 4096
    """Longest row in tokens, prompt included."""
    long_traces: Literal["Drop", "Keep"] = "Drop"
    """Rows above maxLengthTokens: drop and count them, or keep them whole. Never cut."""
    schedule: Literal["Cosine", "Linear", "Constant"] = "Cosine"
    """Course of the learning rate after the warm-up."""
    warmup_ratio: Fraction = "0.03"
    """Part of the steps over which the learning rate rises."""
    weight_decay: PositiveDecimal = "0"
    """Decoupled weight decay."""
    precision: Literal["BFloat16", "Float32"] = "BFloat16"
    """Arithmetic of forward and backward pass; weights and optimiser stay in 32 bits."""
    lora: Lora | None = None
    """Adapters instead of full training."""
    evaluations: Annotated[int, Field(ge=0, le=100)] = 4
    """Checks by verified accuracy on held-out questions during training; the best checkpoint is the output."""
    seed: Seed = 0
    """Seed of data order and dropout."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 100
    """Steps between checkpoints from which a stopped training goes on; not part of the key."""
    backend: Literal["PyTorchJob", "TrainJob", "Job"] = "PyTorchJob"
    """Kubernetes object that runs the training on a cluster."""
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pods."""
    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs per pod; 0 trains on the CPU."""
    processes_per_node: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes per pod, or on a laptop; gpusPerNode (at least 1) by default."""

    @property
    def processes(self) -> int:
        """Processes per node as used."""
        return self.processes_per_node or max(1, self.gpus_per_node)
