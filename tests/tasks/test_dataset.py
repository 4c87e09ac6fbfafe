"""Data sets read as streams, and every fault of a file is named."""

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from agentark.errors import AgentArkError, InvalidInput, NotFound
from agentark.store import open_store
from agentark.tasks import TASKS, StoreOptions, Task, open_lines, read_questions, task
from agentark.tasks.dataset import MAX_LINE_BYTES
from tests.servers.s3 import S3Server

GSM8K, MEDMCQA, JSONL = TASKS["gsm8k"], TASKS["medmcqa"], TASKS["jsonl"]
ROW = b'{"question": "1+1?", "answer": "2"}\n'
ROWS = [{"question": f"{n}+1?", "answer": str(n + 1)} for n in range(3)]


def test_reads_gsm8k_rows() -> None:
    line = b'{"question": "How many?", "answer": "1000+80=1,080\\n#### 1,080"}'
    (question,) = read_questions(GSM8K, [line], source="f")
    assert (question.text, question.gold, question.choices) == ("How many?", "1,080", ())


def test_reads_medmcqa_rows_with_the_choices_in_the_text() -> None:
    row = {"id": "q1", "question": "Which?", "opa": "w", "opb": "x", "opc": "y", "opd": "z", "cop": 2}
    (question,) = read_questions(MEDMCQA, [json.dumps(row).encode()], source="f")
    assert question.text == "Which?\nA. w\nB. x\nC. y\nD. z"
    assert (question.id, question.gold, question.choices) == ("q1", "C", ("w", "x", "y", "z"))


def test_ids_do_not_depend_on_the_place_in_the_file() -> None:
    lines = [json.dumps(row).encode() for row in ROWS]
    ids = {q.text: q.id for q in read_questions(JSONL, lines, source="f")}
    assert ids == {q.text: q.id for q in read_questions(JSONL, [b"\n", *reversed(lines)], source="g")}
    assert len(set(ids.values())) == 3


def test_numbers_are_taken_as_gold_answers() -> None:
    assert [q.gold for q in read_questions(JSONL, [b'{"id": 1, "question": "?", "answer": 2.5}'], source="f")] == [
        "2.5"
    ]


def test_streams_and_stops_at_the_limit() -> None:
    endless = (json.dumps({"question": f"{n}?", "answer": n}).encode() for n in itertools.count())
    assert len(list(read_questions(JSONL, endless, source="f", limit=5))) == 5
    assert next(endless).startswith(b'{"question": "5?"')


def test_a_byte_order_mark_is_tolerated() -> None:
    assert len(list(read_questions(JSONL, [b"\xef\xbb\xbf" + ROW], source="f"))) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "f: no questions"),
        ([b"\n", b" \n"], "f: no questions"),
        ([ROW, b'{"question": "caf\xe9", "answer": "1"}'], "f:2: byte 0xe9 at 18 is not UTF-8"),
        (['{"question"'.encode("utf-16")], "f:1: byte 0xff at 1: the file is UTF-16; save it as UTF-8"),
        ([b'{"question": '], "f:1: not JSON: Expecting value at 14"),
        ([b"[1, 2]"], r"f:1: must be a JSON object {...}, found list \[1, 2\]"),
        ([b'{"answer": "1"}'], "f:1: field 'question': missing; the row has 'answer'"),
        ([b'{"question": "  ", "answer": "1"}'], "f:1: field 'question': empty"),
        ([b'{"question": "?"}'], "f:1: field 'answer': missing"),
        ([b'{"question": "?", "answer": null}'], "f:1: field 'answer': found null"),
        ([b'{"question": "?", "answer": ""}'], "f:1: field 'answer': empty"),
        ([b'{"question": "?", "answer": [1]}'], r"f:1: field 'answer': must be a text, found \[1\]"),
        ([b'{"question": "?", "answer": NaN}'], "f:1: not JSON that can be read: NaN is no JSON value"),
        ([b'{"question": "\\ud800", "answer": "1"}'], "f:1: field 'question': half of a surrogate pair"),
        ([b'{"id": [], "question": "?", "answer": "1"}'], "f:1: field 'id': must be a text or a whole number"),
        ([ROW, ROW], "f:2: the row has no 'id', and its content was seen before"),
        ([b"[" * 100_000], "f:1: not JSON"),
        ([b'{"question": ' + b"9" * 5000 + b"}"], "f:1: not JSON that can be read"),
        ([b" " * 10 + b"x" * MAX_LINE_BYTES], "f:1: the line is longer than 16 MiB"),
    ],
)  # fmt: skip
def test_faults_name_the_line_and_the_mend(lines: list[bytes], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        list(read_questions(JSONL, lines, source="f"))


def test_duplicate_ids_are_refused() -> None:
    lines = [json.dumps({"id": "a", **row}).encode() for row in ROWS]
    with pytest.raises(InvalidInput, match="f:2: field 'id' was seen before: 'a'"):
        list(read_questions(JSONL, lines, source="f"))


@pytest.mark.parametrize(
    ("right", "message"),
    [(-1, "field 'cop': no gold answer: found -1"), (None, "no gold answer: found null"), (4, "must be 0, 1, 2 or 3")],
)
def test_medmcqa_rows_without_a_gold_answer_are_refused(right: int | None, message: str) -> None:
    row = {"question": "?", "opa": "w", "opb": "x", "opc": "y", "opd": "z", "cop": right}
    with pytest.raises(InvalidInput, match=message):
        list(read_questions(MEDMCQA, [json.dumps(row).encode()], source="f"))


@pytest.mark.parametrize("answer", ["18", "#### none"])
def test_gsm8k_rows_without_a_final_number_are_refused(answer: str) -> None:
    with pytest.raises(InvalidInput, match="f:1: field 'answer'"):
        list(read_questions(GSM8K, [json.dumps({"question": "?", "answer": answer}).encode()], source="f"))


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"'gsm8'.*did you mean 'gsm8k'"):
        task("gsm8")
    with pytest.raises(InvalidInput, match="limit must be at least 1"):
        next(read_questions(JSONL, [ROW], source="f", limit=0))


def _files(folder: Path) -> Iterator[str]:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    half = len(lines) // 2
    frames = [zstandard.compress(part) for part in (lines[:half], lines[half:])]
    (folder / "a.jsonl.zst").write_bytes(b"".join(frames))
    (folder / "a.json").write_text(json.dumps(ROWS), encoding="utf-8")
    yield from ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.json")


def test_all_kinds_of_files_hold_the_same_questions(tmp_path: Path) -> None:
    for name in _files(tmp_path):
        for uri in (name, f"file:{name}", f"file://{tmp_path}/{name}", str(tmp_path / name)):
            read = list(read_questions(JSONL, open_lines(uri, base=tmp_path), source=name))
            assert [q.text for q in read] == [row["question"] for row in ROWS], uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("missing.jsonl", "does not exist"),
        ("folder.jsonl", "is a folder"),
        ("a.csv", "unknown kind of file; it must end in .jsonl"),
        ("cut.jsonl.gz", "damaged or cut off"),
        ("cut.jsonl.zst", "damaged or cut off"),
        ("object.json", r"must be a JSON list \[...\], found dict"),
        ("latin.json", "byte 0xe9 at 3 is not UTF-8"),
        ("ftp://host/a.jsonl", "unknown kind of address"),
        ("file://host/a.jsonl", "names a host"),
        ("", "the address is empty"),
        ("s3://bucket", "must name a bucket and a key"),
        ("hf://a b", "must look like hf://ORG/NAME@REVISION#CONFIG/SPLIT"),
    ],
)
def test_addresses_that_cannot_be_read(uri: str, message: str, tmp_path: Path) -> None:
    lines = ROW * 200
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-20])
    (tmp_path / "cut.jsonl.zst").write_bytes(b"(\xb5/\xfdgarbage, no frame")
    (tmp_path / "object.json").write_text("{}", encoding="utf-8")
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(InvalidInput, match=message):
        list(open_lines(uri, base=tmp_path))


def test_an_endless_line_is_cut_before_it_fills_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "long.jsonl").open("wb") as file:
        file.truncate(64 * 1024**2)
    with pytest.raises(InvalidInput, match="long:1: the line is longer than 16 MiB"):
        list(read_questions(JSONL, open_lines("long.jsonl", base=tmp_path), source="long"))


def test_a_hub_that_cannot_be_reached_is_said_plainly() -> None:
    with pytest.raises(AgentArkError, match=r"hf://no-such-org-/x.*the hub gave no rows.*use file:PATH"):
        list(open_lines("hf://no-such-org-/x", base=Path()))


def test_reads_an_object_of_a_real_s3_server(seaweedfs_server: S3Server, tmp_path: Path) -> None:
    keys = {name: getattr(seaweedfs_server, name) for name in ("access_key", "secret_key")}
    options = StoreOptions(endpoint=seaweedfs_server.endpoint, **keys)
    bucket = open_store(f"s3://{seaweedfs_server.bucket}", **options._asdict())
    names = list(_files(tmp_path))
    for name in names:
        bucket.upload(f"sets/{name}", tmp_path / name)
        lines = open_lines(f"s3://{seaweedfs_server.bucket}/sets/{name}", base=tmp_path, store=options)
        assert [q.gold for q in read_questions(JSONL, lines, source=name)] == ["1", "2", "3"]
    with pytest.raises(NotFound):
        list(open_lines(f"s3://{seaweedfs_server.bucket}/sets/none.jsonl", base=tmp_path, store=options))


@pytest.mark.parametrize(
    ("data", "row"),
    [
        (JSONL, {"question": "?"}),
        (JSONL, {"question": "?", "answer": None}),
        (JSONL, {"question": "?", "answer": " "}),
        (GSM8K, {"question": "?"}),
        (MEDMCQA, {"question": "?", "opa": "w", "opb": "x", "opc": "y", "opd": "z", "cop": -1}),
    ],
)
def test_questions_without_answers_are_read_where_none_is_needed(data: Task, row: dict[str, object]) -> None:
    lines = [json.dumps(row).encode()]
    (question,) = read_questions(data, lines, source="f", needs_gold=False)
    assert question.gold == "" and question.text.startswith("?")
    with pytest.raises(InvalidInput, match=r"^f:1: field"):
        list(read_questions(data, lines, source="f"))


def test_a_wrong_answer_is_a_fault_even_where_none_is_needed() -> None:
    with pytest.raises(InvalidInput, match="field 'answer': must be a text"):
        list(read_questions(JSONL, [b'{"question": "?", "answer": [1]}'], source="f", needs_gold=False))
