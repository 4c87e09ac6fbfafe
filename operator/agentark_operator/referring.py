"""Which resources name each other. Pure; works on plain data: one that cannot be read spoils no other."""

from collections.abc import Iterator, Mapping
from typing import Any

Body = dict[str, Any]

_KINDS = {"debateRef": "DebateRun", "prmRef": "PRMTraining"}


def references(body: Body) -> set[str]:
    """The "Kind/name" of every resource that a spec names."""
    return set(_references(body.get("spec")))


def related(body: Body, siblings: Mapping[str, Body]) -> dict[str, Body]:
    """Of the other resources of a namespace those that count for the plan of one.

    These are the ones that it names, what they name in turn, and those that name it: a job that takes the debate's
    consensus for labels decides whether the debate needs gold answers.
    """
    own = f"{body['kind']}/{body['metadata']['name']}"
    return _named(body, siblings) | {name: other for name, other in siblings.items() if own in references(other)}


def missing(body: Body, siblings: Mapping[str, Body]) -> list[str]:
    """What a resource names, directly or by another, that is not there; sorted."""
    named = _named(body, siblings)
    wanted = references(body).union(*(references(other) for other in named.values()))
    return sorted(wanted - named.keys() - {f"{body['kind']}/{body['metadata']['name']}"})


def _named(body: Body, siblings: Mapping[str, Body]) -> dict[str, Body]:
    found: dict[str, Body] = {}
    ahead = references(body)
    while ahead:
        name = ahead.pop()
        if name in siblings and name not in found:
            found[name] = siblings[name]
            ahead |= references(siblings[name])
    return found


def _references(node: object) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    for field, value in node.items():
        if field in _KINDS and isinstance(value, Mapping) and isinstance(value.get("name"), str):
            yield f"{_KINDS[field]}/{value['name']}"
        else:
            yield from _references(value)
