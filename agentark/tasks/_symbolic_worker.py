"""The process behind `symbolic.py`: reads pairs of expressions, says whether they are the same.

Run as a script; it imports nothing of agentark. A supervisor imports sympy once and forks a solver. The solver answers
questions until one costs it its life (the kernel ends it at the processor limit of the question, or memory runs
out); the supervisor then says so and forks the next in milliseconds, without the imports.

Protocol, one line each: `NUMBER LIMIT_S ABSOLUTE RELATIVE LEFT RIGHT`, parted by tabs, in;
`NUMBER same|different|unknown SECONDS` out.
"""

import contextlib
import mmap
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

MEMORY_BYTES: Final = 2 * 1024**3
DIGITS: Final = 50
POINTS: Final = 4

_random = random.Random(20251)
# Some points are negative: |x| and x must differ. No small integers: powers of them coincide.
_SAMPLES: Final = [[(_random.randint(201, 1999), _random.randint(211, 811)) for _ in range(12)] for _ in range(POINTS)]

_FAMILIAR: Final = (
    r"x^2+2x+1",
    r"(x+1)^2(x-\frac{1}{2})",
    r"\frac{\sqrt{3}}{2}-\sqrt[3]{5}",
    r"\begin{pmatrix}1&\frac{1}{2}\\-2&x\end{pmatrix}",
    r"2\pi r^{2}\cdot h",
    r"y=2x+1",
    r"x\geq 3",
    r"1<x<2",
    r"(3,\infty)",
    r"\sin^{2}(x)+\cos{x}-\tan x",
    r"e^{2x}\ln(x)+\log_{2}(8)",
    r"|x|+x_{1}a^{n+1}",
    r"\binom{5}{2}+3!",
    r"\frac{-b+\sqrt{b^{2}-4ac}}{2a}",
    "0.5x-1.25",
)


class Tolerance(NamedTuple):
    """How far two values may be apart."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, a: Any, b: Any) -> bool:
        """Whether two finite numbers count as equal; 0 and 0 mean to 42 digits."""
        if _is_zero(a) or _is_zero(b):
            return bool(_is_zero(a) and _is_zero(b)) or bool(abs(a - b) <= self.absolute)
        size = max(abs(a), abs(b))
        return bool(abs(a - b) <= max(10 ** (8 - DIGITS) * size, self.absolute, self.relative * size))


def _is_zero(number: Any) -> bool:
    """Whether a value is zero, or what cancellation left of it: a number without a known digit."""
    parts = number.as_real_imag()
    return all(part == 0 or getattr(part, "_prec", 2) <= 1 for part in parts)


EXACT: Final = Tolerance()


def same(left: str, right: str, tolerance: Tolerance = EXACT) -> bool | None:
    """Compare two expressions; None where no rule applies."""
    a, b = _parse(left), _parse(right)
    if a is None or b is None:
        return None
    return _same(a, b, tolerance)


@lru_cache(maxsize=512)
def _parse(text: str) -> Any:
    import sympy
    from latex2sympy2_extended import latex2sympy

    try:
        parsed = latex2sympy(text)
    except Exception:  # the reader raises bare exceptions of many kinds for what it cannot read
        return None
    if isinstance(parsed, sympy.MatrixExpr):
        parsed = parsed.doit()
    if isinstance(parsed, sympy.MatrixBase):
        return parsed.applyfunc(_exact)
    return _exact(parsed) if isinstance(parsed, sympy.Basic) else parsed


def _exact(expression: Any) -> Any:
    """Take decimals as written, and i for the imaginary unit."""
    import sympy

    exact = expression.replace(lambda e: e.is_Float, lambda e: sympy.Rational(str(e)))
    return exact.xreplace({sympy.Symbol("i"): sympy.I, sympy.Symbol("i", real=True): sympy.I})


def _same(a: Any, b: Any, tolerance: Tolerance) -> bool | None:
    import sympy
    from sympy.core.relational import GreaterThan, LessThan, StrictGreaterThan, StrictLessThan

    ordered = (GreaterThan, LessThan, StrictGreaterThan, StrictLessThan)

    if isinstance(a, sympy.MatrixBase) and isinstance(b, sympy.MatrixBase):
        return a.shape == b.shape and all(_same(x, y, tolerance) is True for x, y in zip(a, b, strict=True))
    if isinstance(a, sympy.Eq) and isinstance(b, sympy.Eq):
        return _proportional(a.lhs - a.rhs, b.lhs - b.rhs)
    if isinstance(a, ordered) and isinstance(b, ordered):
        return _same_inequality(a, b)
    if isinstance(a, sympy.Expr) and isinstance(b, sympy.Expr):
        return False if _is_undefined(a) or _is_undefined(b) else a == b or _same_values(a, b, tolerance)
    # Sets, tuples and whatever else the parser knows: what stands between brackets is compared part by part elsewhere.
    return True if type(a) is type(b) and a == b else None


def _is_undefined(expression: Any) -> bool:
    """Whether an expression divides by zero: it equals nothing, itself included."""
    import sympy

    return bool(expression.has(sympy.zoo, sympy.nan))


def _same_inequality(a: Any, b: Any) -> bool | None:
    """Whether two inequalities differ by a positive factor, or by being turned round."""
    sides = []
    for relation in (a, b):
        greater, less = (relation.gts, relation.lts)
        sides.append((greater - less, relation.rel_op in (">", "<")))
    if sides[0][1] != sides[1][1]:
        return False
    return _proportional(sides[0][0], sides[1][0], positive=True)


def _same_values(a: Any, b: Any, tolerance: Tolerance) -> bool | None:
    """Compare at random rational points to 50 digits: for expressions of this size as good as a proof, and bounded."""
    agreed = 0
    constant = not (a.free_symbols | b.free_symbols)
    if a.free_symbols != b.free_symbols and len(a.free_symbols | b.free_symbols) > 12:
        return None
    for value_a, value_b in _values(a, b):
        if not (tolerance if constant else EXACT).allows(value_a, value_b):
            return False
        agreed += 1
        if constant:
            return True
    return True if agreed >= 2 else None


def _proportional(a: Any, b: Any, *, positive: bool = False) -> bool | None:
    """Whether a and b differ by a constant factor only, a positive one where that matters."""
    if a.free_symbols != b.free_symbols:
        return False
    ratios = [x / y for x, y in _values(a, b) if y != 0]
    if len(ratios) < 2:
        return None
    if ratios[0] == 0 or (positive and not ratios[0].is_positive):
        return False
    return all(abs(r - ratios[0]) < 10 ** (8 - DIGITS) * abs(ratios[0]) for r in ratios)


def _values(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    import sympy

    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    for index, sample in enumerate(_SAMPLES):
        point = {}
        for place, symbol in enumerate(symbols[:12]):
            sign = -1 if index >= 2 and (place + index) % 2 == 0 else 1
            point[symbol] = sign * sympy.Rational(*sample[place])
        # maxn bounds the extra digits that cancellation may ask for.
        pair = [e.xreplace(point).evalf(DIGITS, maxn=400) for e in (a, b)]
        if all(value.is_number and value.is_finite for value in pair):
            yield pair[0], pair[1]


def _solve(replies: int, current: mmap.mmap) -> None:
    """Answer questions from standard input until its end."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(2000)
    pending = b""
    while True:
        while b"\n" not in pending:
            chunk = os.read(0, 4096)
            if not chunk:
                return
            pending += chunk
        line, _, pending = pending.partition(b"\n")
        number, limit_s, absolute, relative, left, right = line.decode().split("\t")
        current[:16] = number.encode().ljust(16)
        start = time.process_time()
        # The default action of SIGPROF ends the process, whatever C code it is in.
        signal.setitimer(signal.ITIMER_PROF, float(limit_s))
        try:
            equal = same(left, right, Tolerance(float(absolute), float(relative)))
        except Exception:  # memory, recursion, and whatever sympy raises: it cannot tell
            equal = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        current[:16] = b" " * 16
        verdict = "unknown" if equal is None else "same" if equal else "different"
        os.write(replies, f"{number} {verdict} {time.process_time() - start:.4f}\n".encode())


def _supervise(parent: int) -> int:
    import logging

    import latex2sympy2_extended  # noqa: F401 (imported once, before the forks)

    logging.disable(logging.CRITICAL)
    replies = os.dup(1)
    # Whatever a library prints must not reach the protocol.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    for text in _FAMILIAR:
        same(text, text + "+1")  # fills the parser's tables, which every later solver inherits
    for pair in (("2x>6", "x>3"), ("y=2x+1", "2x-y+1=0")):
        same(*pair)
    current = mmap.mmap(-1, 16)
    solver, supervisor = 0, os.getpid()

    def leave_with_parent(*_: object) -> None:
        # The pipe's end tells too, but not while another child of the parent holds it open. Never in a solver: its
        # parent is the supervisor, and its variable `solver` is 0, which would mean the whole group.
        if os.getpid() == supervisor and os.getppid() != parent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(solver, signal.SIGKILL)
            os._exit(0)

    signal.signal(signal.SIGALRM, leave_with_parent)
    os.write(replies, b"ready\n")
    while True:
        current[:16] = b" " * 16
        solver = os.fork()
        if solver == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            _solve(replies, current)
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
        _, status = os.waitpid(solver, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return 0
        number = current[:16].decode().strip()
        if not number:
            # It died of no question, so the next one would too.
            return 1
        os.write(replies, f"{number} unknown\n".encode())


if __name__ == "__main__":
    sys.exit(_supervise(int(sys.argv[1])))
