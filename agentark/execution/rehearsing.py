"""One question, written by the chat template of every model of a run before the first one is paid for."""

import importlib.util
import logging
import subprocess
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from agentark.debate import DebateProtocol
from agentark.errors import AgentArkError, Interrupted, InvalidInput, StoreError
from agentark.execution.context import StageContext
from agentark.execution.launching import die_with_parent
from agentark.execution.templates import FAULTS, Trial, Trials
from agentark.execution.weights import tokenizer_folder
from agentark.planning.rehearsing import Rehearsal
from agentark.tasks import Question

_log = logging.getLogger(__name__)
_LONGEST_S = 900.0
"""For all models of a run; loading transformers and a tokenizer takes seconds, on a busy machine a minute."""
_POLL_S = 0.2


def rehearse(context: StageContext, question: Question) -> None:
    """Try the models that live on the debates of a plan on a question; nothing is generated.

    Every stage that asks before a student is there does so: on a cluster, and with several jobs on a laptop, the
    evaluation of the base does not wait for the debate.

    Models that a server runs are not tried, since its template is its own. Of a model that is not here configuration
    and tokenizer are fetched, no weights; where the hub does not give them, the stage that needs the model finds out.
    They are loaded in a process of their own, which is gone before the first question is asked.

    Raises:
        InvalidInput: A chat template cannot write what its model is to read; all of them, each by its field. Or
            transformers is not installed here.
        StoreError: A store that holds a model cannot be read.
        AgentArkError: The process that tries them did not come to its end.
        Interrupted: The stage was told to stop meanwhile.
    """
    trials = _trials(context)
    if not trials:
        return
    fields = ", ".join(dict.fromkeys(trial.rehearsal.field for trial in trials))
    if missing := [name for name in ("transformers", "torch", "peft") if importlib.util.find_spec(name) is None]:
        raise InvalidInput(
            f"{fields}: needs the package {missing[0]} to see whether the model can be used; install it with: "
            "pip install 'agentark[train]'"
        )
    found = _tried(context, Trials(question=question.text, trials=tuple(trials)), fields)
    wrong = {
        f"{trial.rehearsal.field} ({trial.rehearsal.uri}): {fault}": None
        for trial, fault in zip(trials, found, strict=True)
        if fault
    }
    if wrong:
        raise InvalidInput("\n".join(wrong))


def _trials(context: StageContext) -> list[Trial]:
    trials = []
    for stage in context.plan.stages:
        for settings in stage.settings.get("rehearsals", ()):
            rehearsal = Rehearsal.model_validate(settings)
            if rehearsal.engine is not None and "model" not in stage.settings["models"][rehearsal.engine]:
                continue
            folder = _folder(context, rehearsal)
            if folder is not None:
                trials.append(
                    Trial(rehearsal=rehearsal, folder=folder, protocol=DebateProtocol(**stage.params["protocol"]))
                )
    return trials


def _tried(context: StageContext, trials: Trials, fields: str) -> list[str]:
    """The fault of each model, empty for none, from a process that has all of transformers and torch for itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agentark.execution.templates"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    deadline = time.monotonic() + _LONGEST_S
    request: bytes | None = trials.model_dump_json().encode()
    with process:
        try:
            while True:
                try:
                    output, _ = process.communicate(request, timeout=_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    request = None  # what is left of it is sent by the next call
                if context.stop.is_set():
                    raise Interrupted(f"stage {context.stage.name}: stopped before its first question")
                if time.monotonic() > deadline:
                    raise AgentArkError(
                        f"{fields}: chat templates had not written a question after {_LONGEST_S:g} s; see whether one "
                        "of them never ends"
                    )
        finally:
            process.kill()
    if context.stop.is_set():
        raise Interrupted(f"stage {context.stage.name}: stopped before its first question")
    try:
        return FAULTS.validate_json(output)
    except ValidationError:
        raise AgentArkError(
            f"{fields}: the process that tries chat templates ended with code {process.returncode} and said nothing; "
            "see the log"
        ) from None


def _folder(context: StageContext, rehearsal: Rehearsal) -> Path | None:
    try:
        return tokenizer_folder(context, rehearsal.uri)
    except (InvalidInput, StoreError):
        raise
    except Exception as error:  # The hub's client raises its own errors and those of its HTTP library.
        _log.warning("%s is not tried beforehand: the hub did not give it (%s)", rehearsal.field, error)
        return None
