"""Curves of trainings as a line of text each."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from agentark.cli.output import speaks_unicode
from agentark.cli.tables import columns
from agentark.reports.curves import Course

_WIDTH = 40
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-=+*#@"
_PAD_CURVES = (
    ("right answers, sampled", "accuracy", ".1%"),
    ("process reward", "process_reward", ".3f"),
    ("outcome reward", "reward", ".3f"),
    ("steps per answer", "step_count", ".1f"),
    ("tokens per answer", "length", ".0f"),
    ("wrong scored above right", "disagreement", ".1%"),
    ("divergence, nats per token", "kl", ".3f"),
)


def render_course(course: Course) -> str:
    """A training's figures and curves, for terminals and pipes alike."""
    return _reward_model(course) if course.method == "PRM" else _student(course)


def outcome(course: Course) -> str:
    """How a training by process rewards ended: what its output is, and why it was stopped if it was."""
    history = course.history
    best, steps = history["best_step"], history["steps"]
    parts = []
    if history["stopped"]:
        parts.append(f"STOPPED by a guard after step {steps}: {history['stopped']}.")
    if best == 0:
        parts.append("No checkpoint was better on the held-out questions, so the model it started from is returned.")
    else:
        parts.append(f"The model of step {best} of {steps} is returned.")
    return " ".join(parts)


def _reward_model(course: Course) -> str:
    history = course.history
    lines = [f"{course.name}: process reward model, {_steps_on(history)}"]
    curves = [_curve("loss", [step["loss"] for step in history["losses"]], ".3f")]
    lines += [columns([row for row in curves if row])] if any(curves) else []
    return "\n".join([*lines, f"  {held_out_figures(history['held_out'])}"])


def held_out_figures(figures: Mapping[str, Any] | None) -> str:
    """How a process reward model does on questions that it was not trained on, in one line."""
    if figures is None:
        return "held out: too few labelled steps to measure; hold out more questions (heldOutFraction)"
    parts = [
        f"step accuracy {figures['accuracy']:.1%}",
        f"AUROC {figures['auroc']:.3f}" if figures["auroc"] is not None else "AUROC unknown (all steps alike)",
        f"calibration error {figures['ece_calibrated']:.3f}",
    ]
    if figures["first_error_found"] is not None:
        parts.append(f"first error found in {figures['first_error_found']:.0%} of {figures['first_errors']}")
    text = f"held out ({figures['steps']:,} steps, {figures['base_rate']:.0%} right): {', '.join(parts)}"
    best = figures["best_of_n"]
    if best is None:
        return text
    majority = f", by majority {best['majority']:.1%}" if best["majority"] is not None else ""
    return (
        f"{text}\n  best of {best['solutions']:.1f} solutions: {best['prm']:.1%} right by its choice, at random "
        f"{best['random']:.1%}{majority}, at best {best['oracle']:.1%}"
    )


def _student(course: Course) -> str:
    history = course.history
    lines = [f"{course.name}: PAD, {_steps_on(history)}"]
    rows = []
    for title, name, form in _PAD_CURVES:
        values = [point[name] for point in history["curves"] if point[name] is not None]
        if row := _curve(title, values, form):
            rows.append(row)
    if row := _curve("right answers, held out", [evaluation["accuracy"] for evaluation in history["accuracy"]], ".1%"):
        rows.append(row)
    lines += [columns(rows)] if rows else []
    return "\n".join([*lines, f"  {outcome(course)}"])


def _steps_on(history: Mapping[str, Any]) -> str:
    return f"{history['steps']:,} steps on {history['questions']:,} questions"


def _curve(title: str, values: Sequence[float], form: str) -> tuple[str, str, str] | None:
    if not values:
        return None
    ends = f"{values[0]:{form}} -> {values[-1]:{form}}" if len(values) > 1 else f"{values[0]:{form}}"
    return title, sparkline(values), ends


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Values as one character each, lowest to highest; more than fit are averaged in order."""
    if len(values) > width:
        edges = [round(place * len(values) / width) for place in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(values), max(values)
    signs = _BLOCKS if speaks_unicode() else _PLAIN
    if high == low:
        return signs[0] * len(values)
    return "".join(signs[min(7, int((value - low) / (high - low) * 8))] for value in values)
