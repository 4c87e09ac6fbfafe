"""Records in a store: small JSON objects that may be torn, foreign, or of a newer version than this one reads."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agentark.errors import StoreError, StoreUnreachable
from agentark.store.interface import Store

_Record = TypeVar("_Record", bound=BaseModel)
_Read = TypeVar("_Read")


class _Versioned(BaseModel):
    schema_version: int = 1


def parsed_record(
    store: Store, path: str, data: bytes, model: type[_Record], *, newest: int, what: str, mend: str
) -> _Record:
    """The record that was read from a path.

    Args:
        store: Where it lies.
        path: Its path there.
        data: Its content.
        model: What it is.
        newest: Newest `schema_version` that this code reads.
        what: What it should be, as a sentence says it: "is no record of a run".
        mend: What to do where it is damaged.

    Raises:
        StoreError: It is none, or of a newer version, which is no damage to mend.
    """
    try:
        record = model.model_validate_json(data)
    except ValidationError as error:
        if (version := _version(data)) <= newest:
            raise StoreError(f"store {store.uri}: {path} {what} ({_first(error)}); {mend}") from error
    else:
        if (version := getattr(record, "schema_version", 1)) <= newest:
            return record
    raise StoreError(
        f"store {store.uri}: {path} has schema_version {version}, this version reads up to {newest}; upgrade agentark"
    )


def readable(read: Callable[[], _Read]) -> _Read | StoreError:
    """What a read gives, or why that object cannot be used: one of many must not hide the others.

    Raises:
        StoreUnreachable: Nobody answers, so the others cannot be read either.
    """
    try:
        return read()
    except StoreUnreachable:
        raise
    except StoreError as error:
        return error


def _version(data: bytes) -> int:
    try:
        return _Versioned.model_validate_json(data).schema_version
    except ValidationError:
        return 1


def _first(error: ValidationError) -> str:
    item = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in item["loc"])
    return f"{place}: {item['msg']}" if place else item["msg"]
