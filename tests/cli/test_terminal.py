"""What models, data and stores hold reaches a terminal as text and as nothing else."""

import ast
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from agentark.cli.app import run
from agentark.cli.display import Display, _table
from agentark.cli.output import PlainConsole, prepare_streams, styled
from agentark.cli.tables import columns
from agentark.execution.local import StageStatus
from agentark.planning import Plan, Stage
from agentark.terminal import PrintableFormatter, printable, printable_json, printable_line
from tests.cli.hostile import HOSTILE, ORDINARY, SHOWN, hostile_store

ROOT = Path(__file__).resolve().parents[2]
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a hostile store at the default place."""
    found = tmp_path_factory.mktemp("hostile")
    hostile_store(found / ".agentark")
    rows = [{"subject": HOSTILE, "prediction": HOSTILE, "gold": ORDINARY}]
    (found / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": HOSTILE}}
    (found / "wrong.yaml").write_text(json.dumps(manifest | {"spec": {HOSTILE: HOSTILE}}))
    return found


def call(folder: Path, *arguments: str, encoding: str = "utf-8") -> str:
    """Both outputs of the command line as they reach a terminal."""
    environment = os.environ | {"PYTHONIOENCODING": encoding, "FORCE_COLOR": "", "COLUMNS": "400"}
    command = [sys.executable, "-m", "agentark", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, env=environment)
    return (done.stdout + done.stderr).decode(encoding)


@pytest.mark.parametrize(
    "arguments",
    [
        ("transcript", "talk"),
        ("show", "talk"),
        ("runs",),
        ("releases",),
        ("releases", "sums"),
        ("prm", "show", "talk"),
        ("score", "answers.jsonl", "--metrics", "F1"),
        ("study", "talk", "talk", "--by", "seed"),
        ("study", "talk", "--by", "nothing"),
        ("transcript", "talk", "--stage", f"a{HOSTILE[1:]}".replace("\x00", "")),
        ("locate", "talk"),
        ("ask", "talk", "why?"),
        ("validate", "-f", "wrong.yaml"),
        ("plan", "-f", "wrong.yaml"),
        ("promote", "sums"),
    ],
)
def test_no_sub_command_passes_control_characters_on(folder: Path, arguments: tuple[str, ...]) -> None:
    output = call(folder, *arguments)
    assert output.strip() and "Traceback" not in output
    assert CONTROLS.findall(output) == []


@pytest.mark.parametrize(
    "arguments", [("transcript", "talk"), ("show", "talk"), ("releases", "sums"), ("prm", "show", "talk")]
)
def test_what_was_there_is_spelled_out_and_ordinary_text_is_as_it_was(folder: Path, arguments: tuple[str, ...]) -> None:
    output = call(folder, *arguments)
    assert SHOWN in output
    assert "[link=http://evil]a[/link][/red]:warning:" in output, "brackets and colons are no markup"
    # rich writes a tab as spaces.
    assert all(part in output for part in ORDINARY.split("\t")) or arguments[0] == "releases"


def test_a_cell_with_a_line_break_makes_no_row_of_its_own(folder: Path) -> None:
    assert len(columns([("a", "b"), ("x\ny\r\nz", "tab\there")]).splitlines()) == 2
    shown = call(folder, "runs")
    assert len(shown.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments", [("transcript", "talk"), ("show", "talk"), ("prm", "show", "talk"), ("releases",)]
)
def test_machines_get_exactly_the_texts_and_no_raw_control_characters(folder: Path, arguments: tuple[str, ...]) -> None:
    output = call(folder, *arguments, "--json")
    assert CONTROLS.findall(output) == []

    def texts(value: object) -> list[str]:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [value] if isinstance(value, str) else [text for child in children for text in texts(child)]

    assert HOSTILE in texts(json.loads(output)) or f"sums: {HOSTILE}" in texts(json.loads(output))


def test_an_output_that_cannot_hold_a_character_gets_it_spelled_out(folder: Path) -> None:
    assert "\\u4f60\\u597d" in call(folder, "transcript", "talk", encoding="ascii")
    json.loads(call(folder, "transcript", "talk", "--json", encoding="ascii"))


@pytest.mark.parametrize(
    "text",
    [ORDINARY, "two\nlines\tand a tab", "Windows\r\n", "e\u0301", "\u200eA\u200f", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a\\x1bb", ""],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert printable(text) == text
    assert printable_json(text) == json.dumps(text, ensure_ascii=False)


def test_every_control_character_is_spelled_out_once() -> None:
    every = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDFFF]
    for code in every:
        shown = printable_line(f"a{chr(code)}b")
        assert shown == (f"a\\x{code:02x}b" if code < 0x100 else f"a\\u{code:04x}b")
        assert printable_line(shown) == printable(shown) == shown
        assert json.loads(printable_json(chr(code))) == chr(code)
        printable_json(chr(code)).encode()
        if chr(code) not in "\n\t":
            assert printable(f"a{chr(code)}b") == shown


def status(message: str) -> StageStatus:
    stage = Stage(kind="debate", name=f"evaluate/{HOSTILE}", key="0" * 16, params={}, inputs={}, settings={})
    return StageStatus(stage, "Failed", message=message, exit_code=1)


def a_plan(stage: Stage) -> Plan:
    return Plan(
        kind="DebateRun", name=HOSTILE, namespace="default", run_id=HOSTILE, manifest={}, pins={}, stages=(stage,)
    )


def test_a_live_table_holds_no_controls_but_its_own_and_does_not_break_on_markup() -> None:
    failed = status(f"first\n{HOSTILE}[/red]")
    hostile, tame = io.StringIO(), io.StringIO()
    PlainConsole(hostile, terminal=True).print(_table(a_plan(failed.stage), {"a": failed}))
    PlainConsole(tame, terminal=True).print("tame", styled(("bold", "bold")))
    own = r"\x1b\[[0-9;]*m"
    assert re.search(own, tame.getvalue()), "a terminal gets colours"
    assert CONTROLS.findall(re.sub(own, "", hostile.getvalue())) == []
    assert "owned" in hostile.getvalue()
    assert "\x1b[2J" not in hostile.getvalue()


def test_lines_of_a_run_that_goes_to_a_file_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    failed = status(f"first\n{HOSTILE}")
    with Display(a_plan(failed.stage), quiet=False) as display:
        display.update({"a": failed})
    shown = capsys.readouterr().err
    assert CONTROLS.findall(shown) == [] and shown.count("\n") == 2
    assert SHOWN in shown


def test_an_outcome_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    done = replace(status(""), state="Done", outcome=(f"WARNING: a\n{HOSTILE}\nb",))
    with Display(a_plan(done.stage), quiet=False) as display:
        display.update({"a": done})
    shown = capsys.readouterr().err
    assert CONTROLS.findall(shown) == [] and shown.count("\n") == 3
    table = io.StringIO()
    PlainConsole(table, terminal=False, soft_wrap=True).print(_table(a_plan(done.stage), {"a": done}))
    assert len(table.getvalue().splitlines()) == 4


def test_defects_logs_and_warnings_are_printable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object, **__: object) -> None:
        raise ValueError(HOSTILE)

    monkeypatch.setattr("agentark.cli.runs.store_of", defect)
    assert run(["runs"]) == 1
    shown = capsys.readouterr().err
    assert f"ValueError: {SHOWN}" in shown and CONTROLS.findall(shown) == []
    record = logging.LogRecord("a", logging.WARNING, "", 1, "model said %s", (HOSTILE,), None)
    try:
        defect()
    except ValueError:
        record.exc_info = sys.exc_info()
    assert CONTROLS.findall(PrintableFormatter().format(record)) == []
    with warnings.catch_warnings(), monkeypatch.context() as patch:
        warnings.simplefilter("always")
        root = logging.getLogger()
        patch.setattr(root, "handlers", [])
        # An earlier command of this process may have left them captured, for a hook that is no longer there.
        logging.captureWarnings(False)
        prepare_streams()
        warnings.warn(HOSTILE, stacklevel=1)
        logging.captureWarnings(False)
    shown = capsys.readouterr().err
    assert SHOWN in shown and CONTROLS.findall(shown) == []


WRITERS = {
    "sys": {"stdout", "stderr", "__stdout__", "__stderr__"},
    "typer": {"echo", "secho", "style", "prompt", "confirm", "progressbar"},
    "logging": {"StreamHandler", "basicConfig"},
}
LAYOUTS = {"rich.console": {"Group", "RenderableType"}, "rich.live": {"Live"}, "rich.table": {"Table"}}
"""What may be taken from rich: what arranges texts, which `PlainConsole` writes."""


def writes_past_the_sanitiser(source: str) -> list[str]:
    """What in a module could write to a terminal by itself."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                found.append((node.lineno, "print"))
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in WRITERS.get(module, ()):
                found.append((node.lineno, f"{module}.{name}"))
            case ast.Import(names=names):
                found += [(node.lineno, name.name) for name in names if name.name.split(".")[0] in ("click", "rich")]
            case ast.ImportFrom(module=str(module), names=names):
                outside = module.split(".")[0] in ("click", "rich")
                barred = {name.name for name in names} if outside else WRITERS.get(module, set())
                taken = {name.name for name in names} & (barred - LAYOUTS.get(module, set()))
                found += [(node.lineno, f"{module}.{name}") for name in sorted(taken)]
    return [f"{line}: {what}" for line, what in found]


def test_nothing_prints_past_the_one_place_that_makes_text_printable() -> None:
    for source in ("print(1)", "import sys\nsys.stderr.write('a')", "import typer\ntyper.echo('a')", "import rich",
                   "from rich.text import Text", "from rich import print", "from typer import echo"):  # fmt: skip
        assert writes_past_the_sanitiser(source), source
    files = [file for file in sorted((ROOT / "agentark").rglob("*.py")) if file != ROOT / "agentark/cli/output.py"]
    found = {file.name: writes_past_the_sanitiser(file.read_text()) for file in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


def printed_raw(source: str) -> list[int]:
    """Lines on which a module prints what did not go through `printable`, or writes to a stream itself."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="print"), args=[ast.Call(func=ast.Name(id="printable"))]):
                pass
            case ast.Call(func=ast.Name(id="print")):
                lines.append(node.lineno)
            case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id="sys")), attr=_)):
                lines.append(node.lineno)
    return lines


def test_the_operator_prints_nothing_raw() -> None:
    """What an API server answers reaches the terminal of whoever uninstalls; log lines have tests of their own."""
    for source in ("print(1)", "print(f'{a}')", "print(printable(a), b)", "import sys\nsys.stderr.write('a')"):
        assert printed_raw(source), source
    assert not printed_raw("print(printable(a), flush=True)")
    files = sorted((ROOT / "operator").rglob("*.py"))
    found = {file.name: printed_raw(file.read_text()) for file in files}
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert "uninstall.py" in found
