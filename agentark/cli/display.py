"""What a running plan looks like: a live table in a terminal, one line per event elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agentark.cli.tables import duration
from agentark.execution.local import StageStatus
from agentark.planning import Plan

_PLAIN_EVERY_S = 15.0
_STYLES = {"Running": "bold cyan", "Done": "green", "Cached": "dim", "Failed": "bold red", "Interrupted": "yellow"}


class Display:
    """Shows stage, percent, rate and ETA."""

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._plan = plan
        self._console = Console(stderr=True)
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
            print(f"{self._plan.kind} {self._plan.name}: run {self._plan.run_id}", file=sys.stderr, flush=True)
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
            print(_line(status), file=sys.stderr, flush=True)


def _line(status: StageStatus) -> str:
    parts = [status.stage.name, status.state.lower()]
    if status.state == "Done":
        parts.append(duration(status.seconds))
    if status.state == "Running" and status.progress is not None:
        parts += [f"{status.progress.percent:.0f} %", _rate(status)]
    if status.state in ("Failed", "Interrupted"):
        parts.append(status.message.splitlines()[-1] if status.message else "")
    lines = ["  ".join(part for part in parts if part), *_outcome(status)]
    return "\n".join(lines)


def _outcome(status: StageStatus) -> list[str]:
    return [f"  {status.stage.name}: {line}" for line in status.outcome]


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
            Text(status.state.lower(), style=_STYLES.get(status.state, "")),
            "" if percent is None else f"{_bar(percent)} {percent:3.0f} %",
            _rate(status) if running else status.message.splitlines()[-1][:60] if status.message else "",
            duration(status.seconds) if status.seconds else "",
        )
    outcomes = [
        Text(line, style="yellow" if "WARNING" in line else "") for one in statuses.values() for line in _outcome(one)
    ]
    return Group(Text(f"{plan.kind} {plan.name}: run {plan.run_id}", style="bold"), table, *outcomes)


def _bar(percent: float, width: int = 16) -> str:
    full = round(percent / 100 * width)
    return "█" * full + "░" * (width - full)
