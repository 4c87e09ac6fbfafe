"""No text hangs the grader, makes it raise, or leaves a process behind."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentark.tasks import CHOICE, MATH, NUMBER, Policy, equal, grade, symbolic

ROOT = Path(__file__).parents[2]
ALGEBRA = ("x^2+2x+1", "(x+1)^2")


@pytest.mark.long
def test_3000_fuzzed_texts_neither_raise_nor_hang() -> None:
    command = [sys.executable, "benchmarks/grading.py", "fuzz", "--count", "3000", "--seed", "11", "--limit-s", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


LOOPS = (
    " \n",
    ".\n",
    "####\n",
    "\n#",
    "\n* ",
    "\n> ",
    "\t",
    "it is ",
    "so it is A ",
    "the answer is ",
    "5 is the answer",
    "wait, ",
    "if ",
    "Agent 1 says the answer is ",
    "option ",
    "A. ",
    "(A) ",
    "(",
    "]",
    "{",
    "\\boxed{",
    "\\text{",
    "\\sqrt{",
    "\\[",
    "\\begin{align}",
    "<answer>",
    '{"answer": "',
    "</b><b>",
    "<|im_end|>",
    "```",
    "Question:\n",
    "- a\n",
    "$5 or ",
    "$a",
    "*a ",
    "**",
    "_a",
    "1 and ",
    "1,",
    "1/2 ",
    "½",
    "x = ",
    "是答案",
    "的",
    "，",
)


@pytest.mark.parametrize("policy", [MATH, NUMBER, CHOICE], ids=lambda policy: policy.kind)
def test_a_model_that_loops_is_graded_in_time(policy: Policy) -> None:
    slow = {}
    for loop in LOOPS:
        started = time.process_time()
        grade(loop * (40_000 // len(loop)), "A" if policy.kind == "choice" else "5", policy)
        if (seconds := time.process_time() - started) > 2:
            slow[loop] = seconds
    assert slow == {}


def test_grades_in_many_threads_at_once() -> None:
    results: list[bool] = []

    def work(number: int) -> None:
        results.append(equal(f"(x+{number})^2", f"x^2+{2 * number}x+{number * number}", MATH))
        results.append(not equal("9^{9^{9}}x", f"{number}x^{{{number}}}", MATH))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 16


@pytest.mark.parametrize(
    "bomb",
    [
        "9^{9^{9}}",
        "9**9**9",
        "\\frac{" * 60 + "1" + "}{2}" * 60,
        "7" * 100_000,
        "(" * 5000,
        "99^{9999}!",
        "1e999999999",
    ],
)
def test_bombs_are_bounded(bomb: str) -> None:
    symbolic.start()
    before = time.monotonic()
    assert not equal(bomb, "x+1", MATH)
    assert time.monotonic() - before < 2


def test_the_checker_survives_a_question_that_kills_it() -> None:
    symbolic.start()
    supervisor = symbolic.worker_pid()
    assert symbolic.compare("x^{2^n}y^{3^n}", "\\binom{90}{n}", limit_s=0.01).equal is None
    assert equal("(y+1)^2", "y^2+2y+1", MATH)
    assert symbolic.worker_pid() == supervisor


def test_a_killed_checker_is_replaced() -> None:
    symbolic.start()
    pid = symbolic.worker_pid()
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert equal("(z+2)^2", "z^2+4z+4", MATH)
    assert symbolic.worker_pid() != pid


def test_a_forked_child_gets_a_checker_of_its_own() -> None:
    # In a fresh interpreter: forking this one, with its threads, is what the warning of Python is about.
    code = (
        "import os\nfrom agentark.tasks import MATH, equal, symbolic\n"
        f"assert equal(*{ALGEBRA!r}, MATH)\nparent = symbolic.worker_pid()\nchild = os.fork()\n"
        "if child == 0:\n"
        "    right = equal('(y+1)^2', 'y^2+2y+1', MATH) and symbolic.worker_pid() not in (None, parent)\n"
        "    os._exit(0 if right else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "assert equal('(y+3)^2', 'y^2+6y+9', MATH) and symbolic.worker_pid() == parent\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("hold_pipe", [False, True], ids=["alone", "with a sibling that holds the pipe"])
def test_no_orphans_when_the_parent_is_killed(hold_pipe: bool) -> None:
    sibling = "child = os.fork()\nif child == 0:\n    time.sleep(60)\n    os._exit(0)\n" if hold_pipe else "child = 0\n"
    code = (
        "import os, time\nfrom agentark.tasks import MATH, equal, symbolic\n"
        f"assert equal(*{ALGEBRA!r}, MATH)\n{sibling}print(symbolic.worker_pid(), child, flush=True)\ntime.sleep(60)\n"
    )
    if hold_pipe:
        # Without the hook that closes them the sibling keeps the pipes open, as a fork from C code does.
        code = code.replace("import os, time\n", "import os, time\nos.register_at_fork = lambda **hooks: None\n")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker, child = map(int, parent.stdout.readline().split())
        descriptor = os.pidfd_open(worker)
        parent.kill()
        if hold_pipe:
            assert child
        ended = bool(select.select([descriptor], [], [], 10)[0])
        os.close(descriptor)
        if child:
            os.kill(child, signal.SIGKILL)
    assert ended


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, agentark.tasks\n"
        "print([m for m in ('sympy', 'torch', 'datasets', 'minio', 'math_verify', 'zstandard') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_works_outside_the_main_thread() -> None:
    found: list[bool] = []
    check: Callable[[], None] = lambda: found.append(equal("2\\sqrt{5}", "\\sqrt{20}", MATH))  # noqa: E731
    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert found == [True]
