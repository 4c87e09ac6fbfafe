"""Training of a process reward model, from labelled rows to a model folder.

Runs the same on one process and on many under torchrun: then every process calls `train_prm` and the first one writes.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PrinterCallback, TrainerState, TrainingArguments

from agentark.errors import AgentArkError, Interrupted, InvalidInput
from agentark.llm.chat import Message
from agentark.processes import leaving_process_group
from agentark.reward.encoding import encode
from agentark.reward.metrics import Calibration, Metrics, ScoredSolution, measure
from agentark.reward.model import Card, load_backbone, load_config, load_tokenizer, window_tokens, write_prm
from agentark.reward.params import PRMParams, PRMResult, StepLoss
from agentark.reward.rows import PRMRow, read_rows
from agentark.reward.scoring import PRM
from agentark.reward.steps import Step
from agentark.reward.trainer import Phases, PRMTrainer, Question, Solution, collate, in_order, projector_for
from agentark.training.arguments import divided, micro_batch, trainer_arguments
from agentark.training.attempts import begin, failures, identity_of, restore
from agentark.training.checkpoints import Checkpoint, Checkpoints
from agentark.training.supervision import Supervisor

_log = logging.getLogger(__name__)
_MICRO_TOKENS = 32_768


@leaving_process_group()
def train_prm(
    *,
    model: Path,
    rows: Path,
    out: Path,
    work: Path,
    params: PRMParams,
    checkpoints: Checkpoints,
    on_progress: Callable[[int, int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> PRMResult:
    """Train a process reward model and write it as a plain token-classification folder.

    Goes on from the latest complete checkpoint of the same training. Held-out rows are never trained on; they give the
    threshold, the calibration and the figures.

    Args:
        model: Folder of the backbone, usually the student's.
        rows: JSON lines as `agentark.reward.rows` describes.
        out: Folder of the reward model; appears whole or not at all.
        work: Scratch folder.
        params: How to train.
        checkpoints: Where checkpoints are kept.
        on_progress: Called on the main process after each step with step, total and metrics.
        should_stop: Asked before the first and after each step on every process.

    Raises:
        InvalidInput: If rows, model or parameters cannot be used.
        Interrupted: If it was told to stop; a complete checkpoint has been left.
        AgentArkError: If the loss or gradient is no finite number, memory runs out, or nothing can be written.
    """
    started = time.monotonic()
    transformers.utils.logging.disable_progress_bar()
    read = read_rows(rows)
    tokenizer = load_tokenizer(model)
    max_length = window_tokens(load_config(model), params.max_length)
    questions = _questions([row for row in read if not row.held_out], tokenizer, max_length)
    usable = _usable(questions, params, rows)
    steps = params.total_steps(len(usable))
    begin(should_stop)
    arguments = _arguments(
        params, work / "trainer", longest=max(question.tokens(params.solutions) for question in usable)
    )
    identity = identity_of(params, model=model, rows=rows) if arguments.process_index == 0 else ""
    resume = work / "resume"
    restored = restore(checkpoints, identity, resume, arguments)
    if restored is not None and restored.step >= steps:
        state = TrainerState.load_from_json(str(resume / "trainer_state.json"))
    else:
        supervisor = Supervisor(
            checkpoints=checkpoints,
            training=identity,
            save_steps=params.save_steps,
            evaluation_steps=frozenset(),
            on_progress=on_progress,
            should_stop=should_stop,
        )
        state = _run(model, usable, steps, params, arguments, tokenizer, supervisor, resume if restored else None)
        if supervisor.stopped:
            raise Interrupted(f"PRM training stopped after step {state.global_step} of {steps}; run it again to go on")
    held_out: Metrics | None = None
    scored: list[ScoredSolution] = []
    if arguments.process_index == 0:
        held_out, scored = _write(checkpoints, identity, model, read, out, work / "last", tokenizer, params, max_length)
    if arguments.world_size > 1:
        torch.distributed.barrier()
    shutil.rmtree(resume, ignore_errors=True)
    solutions = [solution for question in usable for solution in question.solutions]
    return PRMResult(
        steps=steps,
        head_steps=params.head_steps(steps),
        questions=len(usable),
        solutions=len(solutions),
        windowed=sum(len(solution.windows) > 1 for solution in solutions),
        unusable=len(questions) - len(usable),
        losses=tuple(StepLoss(one["step"], one["loss"]) for one in state.log_history if "loss" in one),
        held_out=held_out,
        scores=tuple(one.scores for one in scored),
        seconds=time.monotonic() - started,
        world_size=arguments.world_size,
        resumed_from=restored.step if restored else 0,
    )


def _score_rows(prm: PRM, rows: Sequence[PRMRow]) -> list[ScoredSolution]:
    """Score labelled solutions as `agentark.reward.metrics` takes them."""
    spans = [[Step(step.start, step.end) for step in row.steps] for row in rows]
    prompts = [[Message(turn.role, turn.content) for turn in row.prompt] for row in rows]
    scores = prm.score(prompts, [row.solution for row in rows], spans)
    return [
        ScoredSolution(
            row.question,
            tuple(step.score for step in scored),
            tuple(step.label for step in row.steps),
            row.correct,
            row.answer,
        )
        for row, scored in zip(rows, scores, strict=True)
    ]


def _questions(rows: Sequence[PRMRow], tokenizer: Any, max_length: int) -> list[Question]:
    grouped: dict[str, list[Solution]] = {}
    for row in rows:
        known = [step for step in row.steps if step.label is not None and step.weight > 0]
        if not known:
            continue
        prompt = [Message(turn.role, turn.content) for turn in row.prompt]
        spans = [Step(step.start, step.end) for step in known]
        windows = encode(tokenizer, prompt, row.solution, spans, max_length=max_length)
        labels = [float(step.label or 0.0) for step in known]
        grouped.setdefault(row.question, []).append(Solution(windows, labels, [step.weight for step in known]))
    return [Question(solutions) for solutions in grouped.values()]


def _usable(questions: list[Question], params: PRMParams, rows: Path) -> list[Question]:
    """The questions that a loss can learn from."""
    contrasting = [question for question in questions if question.contrasts()]
    if not contrasting:
        raise InvalidInput(
            f"{rows}: no question has both right and wrong steps, so there is nothing to learn from; "
            "take more questions, more agents, or further label sources"
        )
    return contrasting if params.loss == "Contrastive" else questions


def _arguments(params: PRMParams, folder: Path, *, longest: int) -> TrainingArguments:
    per_process = divided(
        params.batch_size, what=f"PRM training: batch_size {params.batch_size}", hint="choose a multiple"
    )
    return trainer_arguments(
        TrainingArguments,
        params,
        folder,
        what="PRM training",
        batch=params.batch_size,
        micro=micro_batch(per_process=per_process, longest=longest, budget=_MICRO_TOKENS),
        unused_parameters=True,  # the backbone learns in the second phase only
        num_train_epochs=1,  # the passes lie one after the other in the order of questions
        train_sampling_strategy="sequential",
    )


def _run(
    folder: Path,
    questions: Sequence[Question],
    steps: int,
    params: PRMParams,
    arguments: TrainingArguments,
    tokenizer: Any,
    supervisor: Supervisor,
    resume: Path | None,
) -> Any:
    """Train to the end, or to where the supervisor stops it; return the trainer's state."""
    transformers.set_seed(params.seed)
    model = load_backbone(folder, "training")
    if params.loss == "Representation":
        model.projector = projector_for(model)
    if params.lora_rank:
        model = get_peft_model(model, adapters(params, projector=params.loss == "Representation"))
    longest = max(question.tokens(params.solutions) for question in questions)
    with failures(arguments, longest):
        trainer = PRMTrainer(
            params=params,
            model=model,
            args=arguments,
            train_dataset=in_order(questions, count=steps * params.batch_size, params=params),
            data_collator=collate,
            processing_class=tokenizer,
            callbacks=[Phases(params.head_steps(steps)), supervisor],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer.state


def adapters(params: PRMParams, *, projector: bool) -> LoraConfig:
    """Adapters on every linear layer of the backbone; head and projector are trained whole."""
    return LoraConfig(
        r=params.lora_rank,
        lora_alpha=params.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=["score", "classifier", "projector"],
        task_type="TOKEN_CLS",
        modules_to_save=["projector"] if projector else None,
    )


def _write(
    checkpoints: Checkpoints,
    identity: str,
    model: Path,
    rows: Sequence[PRMRow],
    out: Path,
    folder: Path,
    tokenizer: Any,
    params: PRMParams,
    max_length: int,
) -> tuple[Metrics | None, list[ScoredSolution]]:
    """Write the last checkpoint as a plain model; return how it does on the held-out rows, and its scores of them."""
    last = checkpoints.restore_first(checkpoints.find(identity), folder)
    if last is None:
        raise AgentArkError(
            "PRM training: it ended, but none of its checkpoints in the store is whole; check whether something else "
            "writes or deletes there, and run it again"
        )
    if params.lora_rank:
        base = load_backbone(model, "writing")
        if params.loss == "Representation":
            base.projector = projector_for(base)
        trained = PeftModel.from_pretrained(base, folder, torch_device="cpu").merge_and_unload()
    else:
        trained = load_backbone(folder, "writing")
    if hasattr(trained, "projector"):
        del trained.projector  # it served the training alone
    rule = rows[0].rule
    draft = PRM(trained, tokenizer, Card(rule, max_length, params.loss, Calibration()))
    scored = _score_rows(draft, [row for row in rows if row.held_out])
    figures = measure(scored) if scored else None
    calibration = figures.calibration if figures else Calibration()
    write_prm(trained, tokenizer, Card(rule, max_length, params.loss, calibration), out)
    shutil.rmtree(folder, ignore_errors=True)
    return figures, scored


__all__ = ["Checkpoint", "train_prm"]
