"""What a running plan looks like: a live table in a terminal, one line per event elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from agentark.cli.output import PlainConsole, output_stream, say, styled
from agentark.cli.tables import duration
from agentark.execution.local import StageStatus
from agentark.planning import Plan
from agentark.terminal import printable_line

_PLAIN_EVERY_S = 15.0
_STYLES = {"Running": "bold cyan", "Done": "green", "Cached": "dim", "Failed": "bold red", "Interrupted": "yellow"}


class Display:
    """Shows stage, percent, rate and ETA."""

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._plan = plan
        self._console = PlainConsole(output_stream(error=True))
        self._quiet = quiet
        self._live = (
            Live(console=self._console, refresh_per_second=4) if self._console.is_terminal and not quiet else None
        )
        self._states: dict[str, str] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        elif not self._quiet:
            say(f"{self._plan.kind} {self._plan.name}: run {self._plan.run_id}", error=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, statuses: Mapping[str, StageStatus]) -> None:
        """Show where every stage stands."""
        if self._live is not None:
            self._live.update(_table(self._plan, statuses))
        elif not self._quiet:
            self._lines(statuses)

    def _lines(self, statuses: Mapping[str, StageStatus]) -> None:
        now = time.monotonic()
        for key, status in statuses.items():
            changed = self._states.get(key, "Waiting") != status.state
            due = status.state == "Running" and now - self._last_line.get(key, now) >= _PLAIN_EVERY_S
            if not changed and not due:
                self._last_line.setdefault(key, now)
                continue
            self._states[key] = status.state
            self._last_line[key] = now
            say(_line(status), error=True)


def _line(status: StageStatus) -> str:
    parts = [status.stage.name, status.state.lower()]
    if status.state == "Done":
        parts.append(duration(status.seconds))
    if status.state == "Running" and status.progress is not None:
        parts += [f"{status.progress.percent:.0f} %", _rate(status)]
    if status.state in ("Failed", "Interrupted"):
        parts.append(_last_line(status))
    lines = ["  ".join(part for part in parts if part), *_outcome(status)]
    return "\n".join(lines)


def _outcome(status: StageStatus) -> list[str]:
    return [printable_line(f"  {status.stage.name}: {line}") for line in status.outcome]


def _last_line(status: StageStatus) -> str:
    return printable_line(status.message.strip("\n").rsplit("\n", 1)[-1])


def _rate(status: StageStatus) -> str:
    progress = status.progress
    if progress is None or not progress.rate:
        return ""
    eta = f", {duration(progress.eta_s)} left" if progress.eta_s is not None else ""
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.done}/{progress.total}, {progress.rate:.1f}/s{eta}{failed}"


def _table(plan: Plan, statuses: Mapping[str, StageStatus]) -> RenderableType:
    table = Table(box=None, padding=(0, 2), show_header=True, header_style="dim")
    for heading in ("stage", "state", "progress", "", "time"):
        table.add_column(heading)
    for status in statuses.values():
        running = status.state == "Running"
        percent = status.progress.percent if running and status.progress else None
        table.add_row(
            status.stage.name,
            styled((status.state.lower(), _STYLES.get(status.state, ""))),
            "" if percent is None else f"{_bar(percent)} {percent:3.0f} %",
            _rate(status) if running else _last_line(status)[:60],
            duration(status.seconds) if status.seconds else "",
        )
    outcomes = [
        styled((line, "yellow" if "WARNING" in line else ""))
        for status in statuses.values()
        for line in _outcome(status)
    ]
    return Group(styled((f"{plan.kind} {plan.name}: run {plan.run_id}", "bold")), table, *outcomes)


def _bar(percent: float, width: int = 16) -> str:
    full = round(percent / 100 * width)
    return "█" * full + "░" * (width - full)
