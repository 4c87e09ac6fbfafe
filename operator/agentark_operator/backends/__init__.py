"""Kubernetes objects that run attempts, one module each: named as its kind in small letters, with one `BACKEND`."""

from importlib import import_module
from typing import get_args

from agentark.api.training import BackendName
from agentark_operator.backends.backend import Backend

__all__ = ["BACKENDS", "Backend", "load"]


def load(name: str) -> Backend:
    """The backend of a name.

    Raises:
        ImportError: It has no module.
        TypeError: The `BACKEND` of its module is none.
    """
    module = import_module(f"{__name__}.{name.lower()}")
    backend = module.BACKEND
    if not isinstance(backend, Backend):
        raise TypeError(f"BACKEND of {module.__name__} is of type {type(backend).__name__}; make it a Backend")
    return backend


BACKENDS = {name: load(name) for name in sorted(get_args(BackendName))}
"""By the name in `training.backend`, which is the child's kind."""
