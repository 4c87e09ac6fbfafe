"""Moments as Kubernetes and the store write them, as seconds since the epoch."""

from datetime import UTC, datetime


def parse_time(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time."""
    return datetime.fromisoformat(text).timestamp()


def format_time(seconds: float) -> str:
    """ISO 8601 in UTC, to the second, as metav1.Time."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
