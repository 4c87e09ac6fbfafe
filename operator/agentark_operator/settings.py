"""What the operator is told by its environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from agentark.errors import InvalidInput
from agentark_operator.backends import BACKENDS


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator runs."""

    store: str = ""
    """Store of resources that name none; without one they have to."""
    store_endpoint: str = ""
    """Its S3 server."""
    store_region: str = ""
    """Its region."""
    store_secret: str = ""
    """Its Secret, of that name in each resource's namespace, with accessKey and secretKey."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to look after; none means all, and needs a cluster role."""
    address: str = "0.0.0.0:8080"
    """HOST:PORT of /metrics, /healthz and /readyz."""
    worker_image: str = "agentark-worker:latest"
    """Image of the pods that run stages."""
    teacher_image: str = "vllm/vllm-openai:latest"
    """Image of the pods that serve teachers."""
    pull_policy: str = "IfNotPresent"
    """Of both."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets for the registries of both, of these names in each resource's namespace."""
    offline: bool = False
    """No pod asks the Hugging Face hub, and no address there is taken."""
    backends: frozenset[str] = frozenset(BACKENDS)
    """Kinds that it makes for trainings; Jobs run all other stages and are always among them."""
    teachers: bool = True
    """Whether it serves teachers' weights."""
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """Resource -> price of one for an hour, such as nvidia.com/gpu."""
    currency: str = "USD"
    """Of the prices."""
    budget_per_hour: Decimal | None = None
    """Most that an hour may cost; above it an alert fires."""
    log_format: Literal["plain", "json"] = "plain"
    """plain, or json for machines."""
    poll_s: float = 10.0
    """Time between two looks at the progress of a running stage, in seconds; longer where many run."""
    retry_s: float = 10.0
    """Wait after a stage's first failure, in seconds; it doubles with each further one."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment: AGENTARK_ and the name of the setting in capitals.

    Lists are divided by commas, prices as well: "nvidia.com/gpu=2.50,cpu=0.04". What is on or off is true or false.

    Raises:
        InvalidInput: A value cannot be read; the text names it.
    """

    values = {}
    for setting in fields(Settings):
        variable = variable_of(setting.name)
        if text := environment.get(variable, ""):
            try:
                values[setting.name] = _READERS[setting.type](text)
            except (ValueError, InvalidOperation) as error:
                raise InvalidInput(f"{variable} is {text!r}: {error or 'cannot be read'}") from None
    return Settings(**values)


def variable_of(setting: str) -> str:
    """The variable that a setting is read from."""
    return f"AGENTARK_{setting.removesuffix('_s')}{'_seconds' * setting.endswith('_s')}".upper()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("give true or false")
    return text == "true"


def _backends(text: str) -> frozenset[str]:
    kinds = frozenset(_names(text))
    if kinds - BACKENDS.keys():
        raise ValueError(f"give some of {', '.join(sorted(BACKENDS))}, divided by commas")
    return kinds | {"Job"}


def _log_format(text: str) -> str:
    if text not in ("plain", "json"):
        raise ValueError("give plain or json")
    return text


def _prices(text: str) -> dict[str, Decimal]:
    prices = {}
    for part in text.split(","):
        name, separator, price = part.strip().partition("=")
        if not separator:
            raise ValueError("write it as resource=price, divided by commas")
        prices[name] = Decimal(price)
    return prices


_READERS: Mapping[Any, Callable[[str], Any]] = {
    str: str,
    float: float,
    bool: _flag,
    tuple[str, ...]: _names,
    frozenset[str]: _backends,
    Mapping[str, Decimal]: _prices,
    Decimal | None: Decimal,
    Literal["plain", "json"]: _log_format,
}
"""Type of a setting -> how it is read from text."""
