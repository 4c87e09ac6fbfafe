"""Lines and bars as SVG, values with their units. Pure."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffcb7d", "#37872d", "#c0d8ff")
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 8, 22
_TICKS = 4
_ROUND_S = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
"""Distances between moments on an axis."""
_NO_MORE = 8
"""Names that a legend has room for."""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]
    """Seconds since the epoch, and the value; nothing is drawn through one that is no number."""

    @property
    def last(self) -> float:
        return self.points[-1][1] if self.points else math.nan


@dataclass(frozen=True, slots=True)
class Area:
    """Where and in what a chart is drawn."""

    width: int
    height: int
    start: float
    """Seconds since the epoch at the left edge."""
    end: float
    """At the right edge."""
    step: float
    """Seconds between two points; where some are missing there is a hole."""
    unit: str
    """As Grafana calls it."""


def shown(value: float, unit: str) -> str:
    """A value with its unit, as short as can be."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return _duration(value)
    if unit == "bytes":
        return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))
    text = _scaled(value, 1000, ("", "K", "M", "G"))
    return f"{text}{ {'reqps': ' req/s', 'ops': ' /s', 'h': ' h'}.get(unit, '') }"


def chart(lines: Sequence[Line], area: Area, *, stacked: bool = False, low: float | None = None) -> str:
    """A chart with its axes.

    Args:
        lines: What to draw.
        area: Where.
        stacked: Whether one lies upon the other.
        low: Least value of the axis; by the lines where it is not given.
    """
    drawn = _stacked(lines) if stacked else list(lines)
    values = [value for line in drawn for _, value in line.points if math.isfinite(value)]
    least = low if low is not None else min(values, default=0.0)
    most = max(values, default=least)
    most = most if most > least else least + 1.0
    step = _step(most - least)
    bottom = math.floor(least / step) * step
    top = bottom + step * math.ceil((most - bottom) / step - 1e-9)
    width, height = area.width - _LEFT - _RIGHT, area.height - _TOP - _BOTTOM

    def place(moment: float, value: float) -> tuple[float, float]:
        across = (moment - area.start) / (area.end - area.start)
        return _LEFT + across * width, _TOP + height * (1 - (value - bottom) / (top - bottom))

    parts = []
    level = bottom
    while level <= top + step / 2:
        _, y = place(area.start, level)
        text = html.escape(shown(0.0 if abs(level) < step / 1e6 else level, area.unit))
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        level += step
    apart = next((step for step in _ROUND_S if step * (_TICKS + 1) >= area.end - area.start), _ROUND_S[-1])
    for number in range(int((area.end - area.start) // apart) + 1):
        x = place(area.start + number * apart, bottom)[0]
        parts.append(f'<text x="{x:.1f}" y="{area.height - 6}" text-anchor="middle">{_duration(number * apart)}</text>')
    for number, line in reversed(list(enumerate(drawn))):
        parts += [
            _path(piece, COLOURS[number % len(COLOURS)], place, bottom, filled=stacked)
            for piece in _pieces(line, area.step)
        ]
    return f'<svg width="{area.width}" height="{area.height}">{"".join(parts)}</svg>'


def legend(lines: Sequence[Line]) -> str:
    """Names with their colours."""
    keys = [
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{html.escape(line.name)}</span>'
        for number, line in enumerate(lines[:_NO_MORE])
    ]
    more = f"<span>and {len(lines) - _NO_MORE} more</span>" if len(lines) > _NO_MORE else ""
    return f'<div class="legend">{"".join(keys)}{more}</div>'


def bars(lines: Sequence[Line], unit: str, most: float | None = None) -> str:
    """Horizontal bars of the last values, the longest first."""
    ordered = sorted(lines, key=lambda line: -line.last)
    top = most if most is not None else max([line.last for line in ordered if math.isfinite(line.last)] or [1.0])
    rows = [
        f"<tr><td>{html.escape(line.name)}</td>"
        f'<td class="bar"><i style="width:{100 * line.last / (top or 1):.1f}%"></i></td>'
        f"<td>{html.escape(shown(line.last, unit))}</td></tr>"
        for line in ordered
    ]
    return f'<table class="bars">{"".join(rows)}</table>'


def _stacked(lines: Sequence[Line]) -> list[Line]:
    heights: dict[float, float] = {}
    shapes = []
    for line in lines:
        points = []
        for moment, value in line.points:
            heights[moment] = heights.get(moment, 0.0) + (value if math.isfinite(value) else 0.0)
            points.append((moment, heights[moment]))
        shapes.append(Line(line.name, points))
    return shapes


def _pieces(line: Line, step: float) -> list[list[tuple[float, float]]]:
    """Parts of a line without holes."""
    pieces: list[list[tuple[float, float]]] = []
    for point in line.points:
        if not math.isfinite(point[1]):
            pieces.append([])
        elif pieces and pieces[-1] and point[0] - pieces[-1][-1][0] < 1.5 * step:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return [piece for piece in pieces if piece]


def _path(piece: list[tuple[float, float]], colour: str, place: object, bottom: float, *, filled: bool) -> str:
    assert callable(place)
    spots = [place(moment, value) for moment, value in piece]
    if len(spots) == 1:
        return f'<circle cx="{spots[0][0]:.1f}" cy="{spots[0][1]:.1f}" r="2" fill="{colour}"/>'
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    shape = f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    if filled:
        ground = place(piece[0][0], bottom)[1]
        edge = f"{spots[0][0]:.1f},{ground:.1f} {line} {spots[-1][0]:.1f},{ground:.1f}"
        shape = f'<polygon points="{edge}" fill="{colour}" fill-opacity="0.25"/>{shape}'
    return shape


def _step(span: float) -> float:
    """A round distance between two lines of a grid."""
    rough = max(span, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)


def _scaled(value: float, base: int, units: Sequence[str]) -> str:
    number = abs(value)
    power = 0
    while number >= base and power < len(units) - 1:
        number /= base
        power += 1
    text = f"{math.copysign(number, value):.3g}" if number else "0"
    return f"{text} {units[power]}".rstrip() if base == 1024 else f"{text}{units[power]}"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s" if abs(seconds) >= 1 or not seconds else f"{1000 * seconds:.3g} ms"
