"""Plans in the store, where the pods of a run find them: `plans/<namespace>/<name>/<digest>.json`."""

import hashlib

from pydantic import ValidationError

from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.planning.stage import Plan
from agentark.store import Store


def keep_plan(store: Store, plan: Plan) -> str:
    """Keep a plan in the store, once, and return its path there.

    The path names the content, so a plan that pods read is never replaced under them.

    Raises:
        InvalidInput: Namespace or name cannot be part of a path.
        StoreError: The store cannot be written.
    """
    content = plan.model_dump_json(indent=1).encode()
    path = f"plans/{plan.namespace}/{plan.name}/{_digest(content)}.json"
    if store.stat(path) is None:
        store.create(path, content)
    return path


def read_plan(store: Store, path: str) -> Plan:
    """Read a kept plan.

    Raises:
        InvalidInput: There is none at the path, or this version cannot read it.
        StoreError: The store cannot be read, or what lies there is not what was kept.
    """
    try:
        content = store.read(path)
    except NotFound:
        raise InvalidInput(
            f"store {store.uri}: no plan lies at {path}; it was deleted or is in another store: start the run again"
        ) from None
    if _digest(content) != path.rsplit("/", 1)[-1].removesuffix(".json"):
        raise StoreError(f"store {store.uri}: {path} does not hold what its name says; delete it, start the run again")
    return parsed_plan(content, f"store {store.uri}: {path}")


def parsed_plan(content: bytes, place: str) -> Plan:
    """A plan from its JSON; `place` begins the message.

    Raises:
        InvalidInput: It is none, or one of another version.
    """
    try:
        return Plan.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"{place} is no plan that this version reads ({where}: {first['msg']}); plan and run with the same version"
        ) from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
