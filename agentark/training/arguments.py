"""Settings that the trainers of transformers and TRL share: machines, precision, schedule, silence."""

import os
import shutil
from pathlib import Path
from typing import Any, TypeVar

from transformers import TrainingArguments

from agentark.api import Training
from agentark.devices import placement
from agentark.errors import AgentArkError, InvalidInput

_SCHEDULES = {"Cosine": "cosine", "Linear": "linear", "Constant": "constant_with_warmup"}

Arguments = TypeVar("Arguments", bound=TrainingArguments)


def processes() -> int:
    """Processes that torchrun has started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def micro_batch(*, per_process: int, longest: int, budget: int = 16_384) -> int:
    """Rows per forward pass: the largest divisor of a process's share that keeps within a budget of tokens.

    The loss of a step does not depend on it; memory does.

    Args:
        per_process: Rows of a step on one process.
        longest: Tokens of the longest row.
        budget: Tokens per forward pass, padding included.
    """
    fitting = (size for size in range(per_process, 0, -1) if per_process % size == 0 and size * longest <= budget)
    return next(fitting, 1)


def trainer_arguments(
    kind: type[Arguments],
    training: Training,
    folder: Path,
    *,
    name: str,
    batch: int,
    batch_name: str,
    longest: int,
    budget: int = 16_384,
    unused_parameters: bool = False,
    **own: Any,
) -> Arguments:
    """Settings of a trainer; also joins the process group under torchrun.

    Args:
        kind: The trainer's own class of settings.
        training: How to train.
        folder: The trainer's scratch folder; emptied.
        name: Begins messages.
        batch: Rows per optimiser step over all processes.
        batch_name: What a user calls them.
        longest: Tokens of the longest row.
        budget: Tokens per forward pass, as `micro_batch`'s.
        unused_parameters: Whether some steps leave parameters out, which several processes have to be told.
        own: Settings of this kind of training alone.

    Raises:
        InvalidInput: If the batch cannot be split evenly over the processes.
        AgentArkError: If fewer processes joined than were asked for.
    """
    asked = processes()
    if batch % asked:
        raise InvalidInput(f"{name}: {batch_name} cannot be split over {asked} processes; choose a multiple")
    micro = micro_batch(per_process=batch // asked, longest=longest, budget=budget)
    cpu = placement("training").device == "cpu"
    shutil.rmtree(folder, ignore_errors=True)
    arguments: Arguments = kind(
        output_dir=str(folder),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=batch // asked // micro,
        learning_rate=training.learning_rate,
        lr_scheduler_type=_SCHEDULES[training.schedule],
        warmup_steps=training.warmup_ratio,
        weight_decay=training.weight_decay,
        bf16=training.precision == "BFloat16",
        use_cpu=cpu,
        dataloader_pin_memory=not cpu,
        ddp_backend="gloo" if cpu and asked > 1 else None,
        ddp_find_unused_parameters=unused_parameters if asked > 1 else None,
        seed=training.seed,
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **own,
    )
    if arguments.world_size != asked:
        raise AgentArkError(
            f"{name}: {asked} processes were asked for, but the trainer runs as {arguments.world_size}; start it "
            "with torchrun, and make one GPU visible to each process"
        )
    return arguments
