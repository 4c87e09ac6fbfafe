"""Word of how a stage ended, left where whoever started its process looks.

Kubernetes shows the termination message of a container; a launcher of several processes reads what each of them left,
since torchrun passes no exit codes on. Secrets that stand in the environment are struck out of either.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from agentark.errors import AgentArkError, Interrupted

TERMINATION_LOG = "AGENTARK_TERMINATION_LOG"
"""Environment variable: file for the message, `/dev/termination-log` in a pod."""
OUTCOMES = "AGENTARK_OUTCOMES"
"""Environment variable: folder in which the processes of a launcher leave their endings."""

_LONGEST = 4096  # bytes that the kubelet keeps
_SECRET_NAMES = re.compile(r"(SECRET|TOKEN|PASSWORD|ACCESS_KEY|API_?KEY)(_|$)")
_SIGNED = re.compile(r"(?i)(X-Amz-[A-Za-z-]+=|Bearer )[^\s&\"']+")
_SHORTEST_SECRET = 6

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessEnding:
    """How a process that failed came to its end."""

    exit_code: int
    kind: str
    """InvalidInput and the like where a class of errors has an exit code of its own; else Failed, or Unforeseen for an
    error that is a defect."""
    message: str

    def error(self) -> AgentArkError:
        """The error to go on with in the process that started this one."""
        return _class_of(self.exit_code)(self.message)


@contextmanager
def leaving_word(environment: Mapping[str, str]) -> Iterator[None]:
    """Tell of an error on its way through: one of several processes its launcher, any other Kubernetes."""
    if OUTCOMES in environment:
        outcome = _word(environment, "json")
        # Of the same process before torchrun started it again.
        outcome.unlink(missing_ok=True)
        _word(environment, "met").unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        ending = _ending(error, environment)
        if OUTCOMES in environment:
            outcome.write_text(json.dumps(asdict(ending)))
        elif path := environment.get(TERMINATION_LOG):
            _write(Path(path), f"{ending.kind}: {ending.message}")
        raise


def saying_that_all_met(should_stop: Callable[[], bool], environment: Mapping[str, str]) -> Callable[[], bool]:
    """A training's question whether to stop, which it asks before its first step and after each one.

    When it is asked again, the processes have met and ask regularly: their launcher is told that they will heed.
    """
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2 and OUTCOMES in environment:
            _word(environment, "met").touch()
        return should_stop()

    return ask


def have_met(folder: Path) -> bool:
    """Whether a launcher's processes have met, so that they hear when they are told to stop."""
    return any(folder.glob("*.met"))


def read_endings(folder: Path) -> ProcessEnding | None:
    """What the processes of a launcher left: the first failure, else the first interruption; None where all is well.

    When one fails the others are stopped, so what they say about that is only its consequence.
    """
    endings = [ProcessEnding(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    return min(endings, key=lambda ending: ending.exit_code == Interrupted.exit_code, default=None)


def _word(environment: Mapping[str, str], kind: str) -> Path:
    return Path(environment[OUTCOMES]) / f"{int(environment['RANK']):06d}.{kind}"


def _ending(error: Exception, environment: Mapping[str, str]) -> ProcessEnding:
    text = _without_secrets(str(error), environment)
    if not isinstance(error, AgentArkError):
        lines = text.strip().splitlines()
        return ProcessEnding(1, "Unforeseen", f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__)
    kind = _class_of(error.exit_code)
    return ProcessEnding(error.exit_code, "Failed" if kind is AgentArkError else kind.__name__, text)


def _class_of(exit_code: int) -> type[AgentArkError]:
    """The class that an exit code stands for."""
    own = (kind for kind in AgentArkError.__subclasses__() if kind.exit_code != AgentArkError.exit_code)
    return next((kind for kind in own if kind.exit_code == exit_code), AgentArkError)


def _without_secrets(text: str, environment: Mapping[str, str]) -> str:
    for name, value in environment.items():
        if _SECRET_NAMES.search(name.upper()) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return _SIGNED.sub(r"\1***", text)


def _write(path: Path, text: str) -> None:
    data = text.encode(errors="replace")
    if len(data) > _LONGEST:
        data = data[: _LONGEST - 3].decode(errors="ignore").encode() + b"..."
    try:
        path.write_bytes(data)
    except OSError as error:
        _log.warning("%s is %s and cannot be written: %s", TERMINATION_LOG, path, error.strerror)
