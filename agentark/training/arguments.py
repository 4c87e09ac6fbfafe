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

_Arguments = TypeVar("_Arguments", bound=TrainingArguments)


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
    kind: type[_Arguments],
    training: Training,
    folder: Path,
    *,
    what: str,
    batch: int,
    micro: int,
    unused_parameters: bool = False,
    **own: Any,
) -> _Arguments:
    """Settings of a trainer; also joins the process group under torchrun.

    Args:
        kind: The trainer's own class of settings.
        training: How to train.
        folder: The trainer's scratch folder; emptied.
        what: Begins messages.
        batch: Rows per optimiser step over all processes.
        micro: Rows per forward pass, a divisor of a process's share.
        unused_parameters: Whether some steps leave parameters out, which several processes have to be told.
        own: Settings of this kind of training alone.

    Raises:
        AgentArkError: If fewer processes joined than were asked for.
    """
    asked = processes()
    cpu = placement("training").device == "cpu"
    shutil.rmtree(folder, ignore_errors=True)
    arguments: _Arguments = kind(
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
            f"{what}: {asked} processes were asked for, but the trainer runs as {arguments.world_size}; start it "
            "with torchrun, and make one GPU visible to each process"
        )
    return arguments


def divided(batch: int, *, what: str, hint: str) -> int:
    """A process's share of a batch.

    Raises:
        InvalidInput: If it cannot be split evenly; `what` says what there is, `hint` what to do.
    """
    asked = processes()
    if batch % asked:
        raise InvalidInput(f"{what} cannot be split over {asked} processes; {hint}")
    return batch // asked
