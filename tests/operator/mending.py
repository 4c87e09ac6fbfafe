"""Something is in the way of a run, and somebody mends it."""

from typing import Any

from tests.operator.running import Bench, condition, phase

Body = dict[str, Any]


def waiting(bench: Bench, path: str, reason: str, *parts: str, phase_is: str = "Pending") -> Body:
    """Wait for a reason and the first part of its message, which must hold all, and nothing may say that it failed."""
    first = parts[0] if parts else ""

    def right(one: Body) -> bool:
        return condition(one)["reason"] == reason and first in condition(one)["message"]

    found = bench.server.awaited(path, right)
    message = condition(found)["message"]
    assert all(part in message for part in parts), message
    assert phase(found) == phase_is and not condition(found, "Failed")["status"]
    return found


def succeeds(bench: Bench, path: str, **options: float) -> Body:
    found = bench.server.awaited(path, lambda one: phase(one) in ("Succeeded", "Failed"), **options)
    assert phase(found) == "Succeeded", found["status"]
    return found
