"""Studies as figures: accuracy over the values of one setting, a line a subject.

matplotlib is imported when a figure is drawn (`pip install agentark[figures]`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from agentark.errors import InvalidInput
from agentark.terminal import printable_line

_SUFFIXES: Final = (".svg", ".png", ".pdf")
# Okabe and Ito: told apart by colour-blind readers, too; markers and dashes for print.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS: Final = "osD^vPX"
_SPAN_FOR_LOG: Final = 8


class Point(NamedTuple):
    """What one value of the setting gave."""

    x: float | str
    value: float
    """Accuracy, 0..1; the mean of the runs."""
    low: float
    """End of the 95 % interval of a single run, the lowest of several."""
    high: float
    runs: int


@dataclass(frozen=True, slots=True)
class Series:
    """One subject's points, in the order of the setting."""

    name: str
    label: str
    points: tuple[Point, ...]


def draw(series: Sequence[Series], out: Path, *, title: str, x_label: str) -> None:
    """Draw a study.

    Equal studies give equal files. Numbers that span a factor of 8 or more get a logarithmic axis.

    Args:
        series: The lines, all over the same values.
        out: A file that ends in .svg, .png or .pdf; its folder is made.
        title: Above the figure.
        x_label: Name of the setting.

    Raises:
        InvalidInput: If the file has another ending, or matplotlib is not installed.
    """
    if out.suffix not in _SUFFIXES:
        raise InvalidInput(f"{out}: a figure ends in {', '.join(_SUFFIXES)}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InvalidInput("figures need matplotlib; install it with: pip install 'agentark[figures]'") from error
    values = [point.x for point in series[0].points]
    numbers = [value for value in values if isinstance(value, float)]
    places = numbers or [float(i) for i in range(len(values))]
    logarithmic = bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) >= _SPAN_FOR_LOG
    # Names are texts: a '$' in one begins no formula, and an SVG file may hold no control characters.
    settings = {"svg.hashsalt": "agentark", "svg.fonttype": "none", "font.size": 10, "text.parse_math": False}
    with rc_context(settings):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for index, line in enumerate(series):
            _line(axes, line, places, index)
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xticks(places, [printable_line(_written(value)) for value in values])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(printable_line(x_label))
        axes.set_ylabel("accuracy, % (95 % interval)")
        axes.set_title(printable_line(title), loc="left", fontsize=11)
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="best")
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=150, metadata={"Date": None} if out.suffix == ".svg" else None)


def _line(axes: object, line: Series, places: Sequence[float], index: int) -> None:
    heights = [100 * point.value for point in line.points]
    below = [100 * (point.value - point.low) for point in line.points]
    above = [100 * (point.high - point.value) for point in line.points]
    axes.errorbar(  # type: ignore[attr-defined]
        places,
        heights,
        yerr=(below, above),
        label=printable_line(line.label),
        color=_COLOURS[index % len(_COLOURS)],
        marker=_MARKERS[index % len(_MARKERS)],
        linestyle="-" if index % 2 == 0 else "--",
        markersize=5,
        capsize=3,
    )


def _written(value: float | str) -> str:
    return value.rsplit("/", 1)[-1] if isinstance(value, str) else f"{value:g}"
