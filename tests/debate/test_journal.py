"""What survives a torn, damaged or full disk."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from agentark.debate.journal import JournalledEngine, open_journal
from agentark.errors import StoreError
from agentark.llm.chat import Completion, Message, Reply, Sampling
from agentark.llm.testing import ScriptedEngine

ASKED = (Message("user", "Why?"),)
SAMPLING = Sampling(stop=("END",))


def thinking(messages: object, sampling: Sampling, index: int, seed: int) -> Completion:
    return Completion(f"{seed} \ud800 \x00 \u2028\n", f"thought {index}", "length", 7)


async def ask(folder: Path, engine: ScriptedEngine, seeds: list[int]) -> list[Reply]:
    """Send requests through the journal of one shard."""
    with open_journal(folder, shard_size=4) as journal:
        shard = journal.shard(0)
        slots = asyncio.Semaphore(2)
        journalled = JournalledEngine(engine, journal=shard, slots=slots, stopping=lambda: False)
        replies = [await journalled.chat(ASKED, sampling=SAMPLING, n=2, seed=seed) for seed in seeds]
        shard.close()
    return replies


async def test_replies_come_back_equal(tmp_path: Path) -> None:
    paid = await ask(tmp_path, ScriptedEngine(thinking, latency_s=1 / 3), [1, 2])
    engine = ScriptedEngine(thinking)
    assert await ask(tmp_path, engine, [2, 1]) == paid[::-1]
    assert engine.calls == 0


async def test_each_part_of_a_request_names_it(tmp_path: Path) -> None:
    engine = ScriptedEngine(thinking)
    with open_journal(tmp_path, shard_size=4) as journal:
        await ask_variants(journal.shard(0), engine)
    with open_journal(tmp_path, shard_size=4) as journal:
        await ask_variants(journal.shard(0), engine)
    assert engine.calls == 7


async def ask_variants(shard: object, engine: ScriptedEngine) -> None:
    journalled = JournalledEngine(engine, journal=shard, slots=asyncio.Semaphore(1), stopping=lambda: False)  # type: ignore[arg-type]
    for messages, sampling, n, seed in (
        (ASKED, SAMPLING, 1, 1),
        ((Message("system", "Why?"),), SAMPLING, 1, 1),
        ((*ASKED, *ASKED), SAMPLING, 1, 1),
        (ASKED, Sampling(), 1, 1),
        (ASKED, Sampling(temperature=0.1), 1, 1),
        (ASKED, SAMPLING, 2, 1),
        (ASKED, SAMPLING, 1, 2),
    ):
        await journalled.chat(messages, sampling=sampling, n=n, seed=seed)


@pytest.mark.parametrize("lost", [1, 10, 100])
async def test_a_torn_last_line_costs_its_call_only(tmp_path: Path, lost: int) -> None:
    await ask(tmp_path, ScriptedEngine(thinking), [1, 2, 3])
    file = tmp_path / "000000.jsonl"
    file.write_bytes(file.read_bytes()[:-lost])
    engine = ScriptedEngine(thinking)
    await ask(tmp_path, engine, [1, 2, 3])
    assert engine.calls == 1
    await ask(tmp_path, engine, [1, 2, 3])
    assert engine.calls == 1, "the line after the torn one is whole"


async def test_a_damaged_line_costs_its_call_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await ask(tmp_path, ScriptedEngine(thinking), [1, 2, 3])
    file = tmp_path / "000000.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"\x00" * 40 + b"\n" + lines[2])
    engine = ScriptedEngine(thinking)
    await ask(tmp_path, engine, [1, 2, 3])
    assert engine.calls == 1
    assert "000000.jsonl:2 is damaged" in caplog.text


ROOT = Path(__file__).resolve().parents[2]
# In a process of its own: the limit would also hold for the file that the test run's output may go to.
ON_A_SMALL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from agentark.errors import StoreError
from agentark.llm.testing import ScriptedEngine
from tests.debate.test_journal import ask, thinking

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write above the limit then fails with EFBIG, as ENOSPC would
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    asyncio.run(ask(Path(sys.argv[1]), ScriptedEngine(thinking), list(range(20))))
except StoreError as error:
    print(error)
"""


async def test_a_full_disk_is_an_error_that_keeps_whole_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-B", "-c", ON_A_SMALL_DISK, str(tmp_path)]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    assert re.search(r"000000.jsonl: .*make room or choose another work folder", out.decode())
    data = (tmp_path / "000000.jsonl").read_bytes()
    assert data.endswith(b"\n")
    kept = data.count(b"\n")
    assert kept >= 2
    engine = ScriptedEngine(thinking)
    await ask(tmp_path, engine, list(range(kept)))
    assert engine.calls == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/journal"), open_journal(tmp_path / "file/journal", shard_size=1):
        pass


def test_a_damaged_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "layout.json").write_text("{")
    with pytest.raises(StoreError, match=r"layout\.json is damaged"), open_journal(tmp_path, shard_size=1):
        pass
