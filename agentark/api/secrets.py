"""Secret keys that resources name, and which of them a stage could not tell apart.

A stage reads each key from an environment variable, on a laptop and in a pod alike. Names of variables know no small
letters, dots or dashes, so two keys can come to one variable, and one server would be sent the other's key.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydantic import BaseModel

from agentark.api.base import Location, dotted
from agentark.api.sources import SecretKey


class NamedKey(NamedTuple):
    """A Secret's key, and the field that names it."""

    location: Location
    key: SecretKey
    resource: str = ""
    """Whose field it is, such as "DebateRun 'small'"; empty where only one is looked at."""

    def __str__(self) -> str:
        return f"{self.resource} {dotted(self.location)} {{name: {self.key.name}, key: {self.key.key}}}".lstrip()


class Clash(NamedTuple):
    """Different keys that are read from one variable."""

    variable: str
    keys: tuple[NamedKey, ...]
    """Two or more, each with the first field that names it."""

    def __str__(self) -> str:
        return (
            f"{' and '.join(map(str, self.keys))} are different keys, and a stage would read them from one variable, "
            f"{self.variable}; rename a Secret or a key so that they differ in more than capitals and '-', '.', '_'"
        )


def named_keys(model: BaseModel, *, resource: str = "") -> list[NamedKey]:
    """Every reference to a Secret's key below a resource or its spec, in the order of the fields."""
    return [NamedKey(location, key, resource) for location, key in _below(model, ())]


def clashes(named: Iterable[NamedKey]) -> list[Clash]:
    """The variables that stand for more than one key."""
    by_variable: dict[str, dict[SecretKey, NamedKey]] = defaultdict(dict)
    for reference in named:
        by_variable[reference.key.variable].setdefault(reference.key, reference)
    return [Clash(variable, tuple(keys.values())) for variable, keys in by_variable.items() if len(keys) > 1]


def _below(value: object, location: Location) -> Iterator[tuple[Location, SecretKey]]:
    if isinstance(value, SecretKey):
        yield location, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _below(getattr(value, name), (*location, field.alias or name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _below(part, (*location, index))
