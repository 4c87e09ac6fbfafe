"""What the debate engine promises, measured: `kill`, `throughput`, `memory`, `faults` and `cost`.

`python benchmarks/debate.py kill --kills 20 --questions 2000` kills a debate with SIGKILL at random moments, restarts
it and compares the outcome with an undisturbed run. `throughput` and `faults` debate against `benchmarks/server.py`.
Every command prints its figures (`--json` for machines) and exits with 1 if a promise is broken.
"""

import argparse
import asyncio
import hashlib
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agentark.debate import DebateProtocol, Summary, read_records, run_questions
from agentark.llm.chat import Engine, Message, Sampling
from agentark.llm.connection import Connection
from agentark.llm.http import HttpEngine
from agentark.llm.testing import ScriptedEngine
from agentark.store import open_store
from agentark.tasks import NUMBER, Question

HERE = Path(__file__).parent
AGENTS = 5
REPLY_WORDS = 60


def questions(count: int) -> Iterator[Question]:
    for number in range(count):
        yield Question(id=f"q{number:06d}", text=f"What is {number} + {number}? " + "It matters. " * 20, gold="0")


def reply(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
    """Answer by a hash: some debates agree at once, some later, some end in a tie."""
    rounds = sum(message.role == "assistant" for message in messages)
    digest = hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()
    return f"Step 2 errs.\n### Solution\n{digest} {'so ' * REPLY_WORDS}\\boxed{{{int(digest[:8], 16) % (4 - rounds)}}}"


async def debate(
    folder: Path, count: int, engine: Engine, *, concurrency: int, progress: Callable[[int], None] = lambda done: None
) -> Summary:
    """Debate `count` questions into `folder`/store with the journal beside it."""
    return await run_questions(
        questions(count),
        protocol=DebateProtocol(agents=AGENTS, rounds=3, stop_on_consensus=not isinstance(engine, HttpEngine), seed=1),
        engines=[engine],
        policy=NUMBER,
        store=open_store(str(folder / "store")),
        prefix="debate",
        journal=folder / "journal",
        concurrency=concurrency,
        on_progress=lambda done, failed, calls: progress(done),
        stop=asyncio.Event(),
    )


def shard_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every shard."""
    shards = sorted((folder / "store" / "debate" / "shards").iterdir())
    return {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest() for shard in shards}


def run_child(folder: Path, count: int) -> subprocess.Popen[bytes]:
    """Start a debate in a process of its own."""
    arguments = ["child", "--folder", str(folder), "--questions", str(count)]
    return subprocess.Popen([sys.executable, str(Path(__file__)), *arguments], stderr=subprocess.PIPE)


def child(options: argparse.Namespace) -> None:
    """Debate with an engine that writes every call it finished to a log."""
    log = options.folder / "calls.jsonl"
    engine = ScriptedEngine(reply, latency_s=0.05, wait=True, call_log=log)
    asyncio.run(debate(options.folder, options.questions, engine, concurrency=64))


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a child that is to succeed."""
    _, errors = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit(f"the debate failed with {process.returncode}:\n{errors.decode()}")


def kill(options: argparse.Namespace) -> dict[str, Any]:
    """Kill a debate again and again; compare its end with an undisturbed one.

    A kill is set off when a random number of calls is finished, a random few milliseconds later. A call counts as paid
    again if the engine finished it twice, except for the one case that no journal can exclude: the very last call that
    a killed process finished, when the kill fell between the engine's return and the journal's write. Those are
    counted apart.
    """
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, torn = Path(name, "whole"), Path(name, "torn")
        whole.mkdir()
        torn.mkdir()
        finish(run_child(whole, options.questions))
        total = len(call_log(whole))
        kills = 0
        for moment in sorted(draw.uniform(0, total) for _ in range(options.kills)):
            kills += kill_at(run_child(torn, options.questions), torn, moment, draw.uniform(0, 0.02))
        finish(run_child(torn, options.questions))
        calls = call_log(torn)
        again, window = paid_again(calls)
        records = list(read_records(open_store(str(torn / "store")), "debate"))
        result = {
            "questions": options.questions,
            "kills": kills,
            "calls": total,
            "every_question_once": [record.id for record in records] == [q.id for q in questions(options.questions)],
            "same_digests": shard_digests(whole) == shard_digests(torn),
            "same_calls": {call["digest"] for call in calls} == {call["digest"] for call in call_log(whole)},
            "paid_again": again,
            "killed_between_return_and_write": window,
            "journal_files_left": len(list((torn / "journal").glob("*.jsonl"))),
        }
    good = result["every_question_once"] and result["same_digests"] and result["same_calls"]
    return result | {"ok": good and kills == options.kills and not result["paid_again"]}


def paid_again(calls: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Count calls that were finished before, and apart those that were the last one of a killed process."""
    last = {call["pid"]: position for position, call in enumerate(calls)}
    before: dict[str, int] = {}
    again = window = 0
    for position, call in enumerate(calls):
        if call["digest"] in before:
            earlier = before[call["digest"]]
            if last[calls[earlier]["pid"]] == earlier:
                window += 1
            else:
                again += 1
        before[call["digest"]] = position
    return again, window


def call_log(folder: Path) -> list[dict[str, Any]]:
    """Read the finished calls of all processes."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_bytes().splitlines()]


def kill_at(process: subprocess.Popen[bytes], folder: Path, calls: float, later_s: float) -> int:
    """Kill a child when so many calls are finished in all; return 1 if it was still alive."""
    log = folder / "calls.jsonl"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < calls):
        time.sleep(0.002)
    time.sleep(later_s)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return int(alive)


class Server:
    """`benchmarks/server.py` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        template = "{digest} " + "so " * REPLY_WORDS + "\\boxed{{{index}}}"
        command = [sys.executable, str(HERE / "server.py"), "--template", template, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()


def throughput(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the debate's requests a second with the server's best, before and after it in the same run."""
    from server import load, request_bodies

    with Server("--latency-s", str(options.latency_s)) as server, tempfile.TemporaryDirectory() as name:
        bodies = request_bodies(10 * options.parallel)
        best = [asyncio.run(load(server.url, bodies, options.parallel)).rate]
        started, busy = time.perf_counter(), time.process_time()
        summary = asyncio.run(debate_over_http(Path(name), options.questions, server.url, options.parallel))
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        best.append(asyncio.run(load(server.url, bodies, options.parallel)).rate)
    rate = summary.calls / seconds
    return {
        "parallel": options.parallel,
        "latency_s": options.latency_s,
        "questions": summary.questions,
        "calls": summary.calls,
        "debate_requests_per_s": round(rate, 1),
        "server_best_requests_per_s": [round(value, 1) for value in best],
        "ratio": round(rate / max(best), 4),
        "client_cpu_ms_per_call": round(1000 * busy / summary.calls, 3),
        "ok": rate / max(best) >= 0.95 and summary.failed == 0,
    }


async def debate_over_http(folder: Path, count: int, url: str, parallel: int, **settings: Any) -> Summary:
    """Debate through the real HTTP engine."""
    engine = HttpEngine(Connection(url, "test", max_connections=parallel, **settings))
    try:
        return await debate(folder, count, engine, concurrency=parallel)
    finally:
        await engine.aclose()


def faults(options: argparse.Namespace) -> dict[str, Any]:
    """Debate while 5 % of all tries end in 429, 500, silence or a cut connection: no question may be lost."""
    arguments = ("--latency-s", "0.02", "--fault-rate", str(options.rate), "--hang-s", "5", "--seed", str(options.seed))
    with Server(*arguments) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        work = debate_over_http(folder, options.questions, server.url, options.parallel, timeout_s=2.0, backoff_s=0.05)
        summary = asyncio.run(work)
        seconds = time.perf_counter() - started
        ids = [record.id for record in read_records(open_store(str(folder / "store")), "debate")]
        lost = options.questions - len(set(ids))
        counts = asyncio.run(server_counts(server.url))
    return {
        "fault_rate": options.rate,
        "faults": counts["faults"],
        "questions": options.questions,
        "calls": summary.calls,
        "tries": counts["requests"],
        "lost": lost,
        "repeated": len(ids) - len(set(ids)),
        "seconds": round(seconds, 1),
        "ok": not lost and len(ids) == len(set(ids)) and summary.failed == 0 and sum(counts["faults"].values()) > 0,
    }


async def server_counts(url: str) -> dict[str, Any]:
    """Ask the server what it saw."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(url.removesuffix("/v1") + "/counts") as response:
        return dict(await response.json())


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Follow the resident memory of one process over many questions."""
    resident: dict[int, float] = {}

    def progress(done: int) -> None:
        if done % 500 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident[done] = round(pages * resource.getpagesize() / 2**20, 1)

    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        work = debate(Path(name), options.questions, ScriptedEngine(reply), concurrency=256, progress=progress)
        summary = asyncio.run(work)
        seconds = time.perf_counter() - started
        journal = sum(path.stat().st_size for path in Path(name, "journal").iterdir())
    early = max(mib for done, mib in resident.items() if done <= 1000)
    late = max(mib for done, mib in resident.items() if done > 1000)
    return {
        "questions": summary.questions,
        "calls": summary.calls,
        "mib_until_1000": early,
        "mib_at_most_later": late,
        "mib_at_the_end": resident[max(resident)],
        "growth_mib": round(late - early, 1),
        "journal_bytes_left": journal,
        "seconds": round(seconds, 1),
        # Allocators and thread pools warm up for a while; 19,000 records would be some 400 MiB.
        "ok": late - early <= max(0.1 * early, 10),
    }


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Processor time of the debate itself: a scripted engine that answers at once, its own time taken off."""
    with tempfile.TemporaryDirectory() as name:
        busy = time.process_time()
        summary = asyncio.run(debate(Path(name), options.questions, ScriptedEngine(reply), concurrency=256))
        busy = time.process_time() - busy
        records = list(read_records(open_store(str(Path(name, "store"))), "debate"))
    engine = ScriptedEngine(reply)
    prompt = [Message("user", "word " * (sum(r.prompt_tokens for r in records) // summary.calls))]
    samples = sum(len(record.turns) for record in records) / summary.calls

    async def bare() -> None:
        for seed in range(summary.calls):
            await engine.chat(prompt, sampling=Sampling(), n=round(samples), seed=seed)

    own = time.process_time()
    asyncio.run(bare())
    own = time.process_time() - own
    per_call = 1000 * (busy - own) / summary.calls
    return {
        "questions": summary.questions,
        "calls": summary.calls,
        "samples_per_call": round(samples, 2),
        "cpu_ms_per_call": round(per_call, 3),
        "ok": per_call < 0.5,
    }


def main() -> None:
    """Read the options, run one command, print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    defaults: dict[Callable[[argparse.Namespace], dict[str, Any]], dict[str, Any]] = {
        kill: {"kills": 20, "questions": 2000, "seed": 0},
        throughput: {"questions": 2000, "parallel": 256, "latency_s": 0.5},
        faults: {"questions": 1000, "parallel": 256, "rate": 0.05, "seed": 0},
        memory: {"questions": 20_000},
        cost: {"questions": 2000},
    }
    for run, values in defaults.items():
        command = commands.add_parser(run.__name__, help=(run.__doc__ or "").splitlines()[0].replace("%", "%%"))
        for name, default in values.items():
            command.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
        command.add_argument("--json", action="store_true")
        command.set_defaults(run=run)
    hidden = commands.add_parser("child")
    hidden.add_argument("--folder", type=Path, required=True)
    hidden.add_argument("--questions", type=int, required=True)
    options = parser.parse_args()
    if options.command == "child":
        child(options)
        return
    result = options.run(options)
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name.replace('_', ' '):35} {value}" for name, value in result.items()))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
