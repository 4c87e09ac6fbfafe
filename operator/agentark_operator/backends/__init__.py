"""Kubernetes objects that run attempts, one module each: named as its kind in small letters, with one `BACKEND`."""

from importlib import import_module
from typing import get_args

from agentark.api.training import BackendName
from agentark_operator.backends.backend import Backend

__all__ = ["BACKENDS", "Backend"]

BACKENDS: dict[str, Backend] = {
    name: import_module(f"{__name__}.{name.lower()}").BACKEND for name in sorted(get_args(BackendName))
}
"""By the name in `training.backend`, which is the child's kind."""
