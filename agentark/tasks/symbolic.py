"""Symbolic equality of two expressions, asked of a separate process that can be killed.

The text of a model is hostile to a computer algebra system: `9^{9^9}` is six characters. So sympy runs in a worker
(`_symbolic_worker.py`): started at the first question, one per process, used by all threads in turn. The worker limits
its own processor time and memory per question and survives each such death; it ends when this process does.
"""

import atexit
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

from agentark.errors import AgentArkError

START_LIMIT_S: Final = 120.0
"""Seconds of wall time for the imports of the worker, on a machine that may be overloaded."""
SILENCE_LIMIT_S: Final = 3.0
"""Seconds of wall time without a reply after which the worker is replaced; its processor limit comes long before."""
MAX_LENGTH: Final = 200
MAX_REMEMBERED: Final = 4096

_WORKER: Final = Path(__file__).with_name("_symbolic_worker.py")
# Not among them: integrals, sums, limits. An answer that leaves one to do is not final, and they cost most.
# fmt: off
_FUNCTIONS: Final = frozenset((
    "frac", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "arcsin", "arccos", "arctan",
    "arcsinh", "arctanh", "arccosh", "sinh", "cosh", "tanh", "binom", "begin", "end", "pmatrix", "bmatrix", "matrix",
    "vmatrix", "cdot", "times", "div", "infty", "alpha", "beta", "gamma", "delta", "theta", "lambda", "sigma",
    "omega", "phi", "psi", "epsilon", "mathbb", "pmod", "mod", "max", "min", "gcd",
    "lcm", "overline", "leq", "geq", "neq", "lfloor", "rfloor", "lceil", "rceil",
))
# fmt: on
_WORD: Final = re.compile(r"[A-Za-z]{3,}")
# A prime that no name has before it, a number in a base, a factorial of a name, and what goes on for ever.
_UNREADABLE: Final = re.compile(r"(?<![_{\d.])\d[\d.]*\s+\d|'|\d\s*_|[A-Za-z)}]!|\\ldots|:|;|\(mod|\b0[xb]|\.\(")
# Letters that are words: as products no and on would be the same.
_WORD_ALONE: Final = re.compile(
    r"(?:no|on|am|pm|up|us|so|is|it|in|if|do|go|ok|or|of|at|as|an|by|be|he|we|me|my|to)", re.I
)
# Initials, Roman numerals and chemical formulas are no products either.
_NAME_ALONE: Final = re.compile(r"[A-Z]{2,}|(?:[A-Z][a-z]?\d*){2,}")
_POWER: Final = re.compile(r"\^|\*\*")
# An exponent of five digits, a tower of numbers, or a factorial of a long number is never an honest answer.
_EXPLOSIVE: Final = re.compile(r"\^[\s{(]*-?\d{5}|\^[\s{(]*\d+[\s)}]*\^[\s{(]*\d|\d{5,}[\s)}]*!|!\s*!")


_CAPITAL: Final = re.compile(
    r"\\(Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega)(?![A-Za-z])|\\[A-Za-z]+|([A-Z])(?:_(?:\{(\w{1,8})\}|"
    r"(\w)))?"
)
_CAPITAL_INDEX: Final = 770


class Verdict(NamedTuple):
    """What the checker found."""

    equal: bool | None
    """None: it cannot tell, or had no time to."""
    seconds: float
    """Processor seconds it took."""


def compare(left: str, right: str, *, limit_s: float, absolute: float = 0.0, relative: float = 0.0) -> Verdict:
    """Compare two expressions by computer algebra.

    Args:
        left: An expression in LaTeX or plain text, typography removed.
        right: Another one. The order does not matter.
        limit_s: Processor seconds the checker may use, above 0.
        absolute: Values this far apart are equal.
        relative: Values this far apart, as a part of the larger one, are equal.

    Raises:
        AgentArkError: If the worker cannot be started at all (never because of the text).
    """
    if any(_NAME_ALONE.fullmatch(side.replace(" ", "")) for side in (left, right)):
        return Verdict(None, 0.0)
    left, right = sorted((_spelled(left), _spelled(right)))
    if not (_readable(left) and _readable(right)):
        return Verdict(None, 0.0)
    with _lock:
        pair = (left, right, absolute, relative)
        known = _remembered.get(pair)
        if known is not None:
            return Verdict(known, 0.0)
        verdict = _running_worker().ask(left, right, limit_s, absolute, relative)
        if verdict.equal is not None:
            _remembered[pair] = verdict.equal
            if len(_remembered) > MAX_REMEMBERED:
                _remembered.popitem(last=False)
        return verdict


def start() -> None:
    """Start the worker now, so that the first comparison does not pay for it (about a second).

    Raises:
        AgentArkError: If it cannot be started.
    """
    with _lock:
        _running_worker()


def worker_pid() -> int | None:
    """Process id of this process's worker; None before the first use."""
    with _lock:
        return _worker.process.pid if _worker is not None else None


def _spelled(text: str) -> str:
    """Give plain-text functions, powers of ten and primes the LaTeX spelling that the worker reads."""
    text = re.sub(r"(?<![A-Za-z\\\d_])(\d+(?:\.\d*)?|\.\d+)[eE]([-+]?\d{1,3})(?![\d.])", r"(\1\\cdot 10^{\2})", text)
    # f' is another name than f.
    text = re.sub(r"([A-Za-z])('{1,4})(?!')", lambda match: f"{match[1]}_{{{910 + len(match[2])}}}", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*degrees?(?![A-Za-z])", r"(\1\\cdot \\pi /180)", text)
    text = re.sub(r"\\(sin|cos|tan)\s*(\(\d+(?:\.\d+)?\\cdot \\pi /180\))", r"\\\1{\2}", text)
    text = re.sub(r"\\log_\s*\{?\s*e\s*\}?", r"\\ln ", text)
    text = re.sub(r"\\sqrt\s+(\d)(?!\d)", r"\\sqrt{\1}", text)
    text = re.sub(r"\\frac\s*(\\pi|[a-z])\s*(\d|[a-z])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi ", text)
    text = re.sub(r"(?<![A-Za-z\\])(sqrt)\s*\(([^()]*)\)", r"\\sqrt{\2}", text)
    text = re.sub(r"(?<![A-Za-z\\])(sqrt)\s*(\d+)", r"\\sqrt{\2}", text)
    text = re.sub(r"(?<![A-Za-z\\])(sin|cos|tan|log|ln|exp)(?![A-Za-z])", r"\\\1", text)
    text = re.sub(r"(\\frac\{(?:[^{}]|\{[^{}]*\})*\})\s*(\d)", r"\1{\2}", text)
    text = re.sub(r"\\frac\s*(\d)\s*(?=[\d{])", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\{[^{}]*\}|\\sqrt)\s*(\d)", r"\1{\2}", text)
    text = _CAPITAL.sub(_lowered, text)
    text = text.replace("**", "^").replace("*", "\\cdot ")
    text = re.sub(r"\^\s*\(([^(){}]*)\)", r"^{\1}", text)
    return " ".join(text.split())


def _lowered(match: re.Match[str]) -> str:
    """Name a capital by a small letter with an index: the worker's reader takes X for x."""
    if match[1]:
        return f"\\{match[1].lower()}_{{{_CAPITAL_INDEX}}} "
    if not match[2]:
        return match[0]
    return f"{match[2].lower()}_{{{_CAPITAL_INDEX}{match[3] or match[4] or ''}}}"


def _readable(text: str) -> bool:
    """Whether it is worth the worker's time: short, balanced, no sentence, no explosive power."""
    if not text or len(text) > MAX_LENGTH or not text.isascii() or not text.isprintable():
        return False
    if _UNREADABLE.search(text) or _WORD_ALONE.fullmatch(text):
        return False
    if not any(c.isalnum() for c in text) or _EXPLOSIVE.search(text) or len(_POWER.findall(text)) > 12:
        return False
    if any(text.count(a) != text.count(b) for a, b in ("{}", "()")) and not re.search(r"[\[(].*,.*[\])]", text):
        return False
    return all(word.casefold() in _FUNCTIONS for word in _WORD.findall(text))


class _Worker:
    """The process and its two pipes; used under `_lock` only."""

    def __init__(self) -> None:
        # -P: the folder of the script must not hide library modules. A session of its own: Ctrl-C is for the parent.
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self._questions = 0
        self._pending = b""

    def wait_until_ready(self) -> None:
        if self._line(START_LIMIT_S) != b"ready":
            self.stop()
            raise AgentArkError(
                "the symbolic checker does not start; try `python -c 'import latex2sympy2_extended'` "
                "(reinstall with: pip install math-verify) or set the policy's `symbolic` to False"
            )

    def ask(self, left: str, right: str, limit_s: float, absolute: float, relative: float) -> Verdict:
        self._questions += 1
        question = f"{self._questions}\t{limit_s:.3f}\t{absolute}\t{relative}\t{left}\t{right}\n".encode()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(question)
        except BrokenPipeError:
            self.stop()
            return Verdict(None, limit_s)
        while (line := self._line(SILENCE_LIMIT_S)) is not None:
            number, _, reply = line.decode().partition(" ")
            if number == str(self._questions):
                verdict, _, seconds = reply.partition(" ")
                return Verdict({"same": True, "different": False}.get(verdict), float(seconds or limit_s))
        self.stop()
        return Verdict(None, limit_s)

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()

    def abandon(self) -> None:
        """Let go of a parent's worker in a forked child."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        # Not our child: without this its finaliser warns about a process that still runs.
        self.process.returncode = 0

    def _line(self, limit_s: float) -> bytes | None:
        """Next line of the worker; None at its end or after `limit_s` of silence."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._pending:
            poll = select.poll()
            poll.register(self.process.stdout, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            chunk = self.process.stdout.read(4096)
            if not chunk:
                return None
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line


_lock = threading.Lock()
_worker: _Worker | None = None
_remembered: OrderedDict[tuple[str, str, float, float], bool] = OrderedDict()


def _running_worker() -> _Worker:
    global _worker
    if _worker is not None and _worker.alive():
        return _worker
    if _worker is not None:
        _worker.stop()
        _worker = None
    worker = _Worker()
    worker.wait_until_ready()
    _worker = worker
    return worker


def _stop_at_exit() -> None:
    if _worker is not None:
        _worker.stop()


def _forget_after_fork() -> None:
    # A forked child shares the parent's pipes and may have copied a lock that a vanished thread held.
    global _lock, _worker
    _lock = threading.Lock()
    if _worker is not None:
        _worker.abandon()
        _worker = None


atexit.register(_stop_at_exit)
os.register_at_fork(after_in_child=_forget_after_fork)
