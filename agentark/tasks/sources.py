"""Lines of a data set, wherever it lies: a file, an object in S3, the Hugging Face hub."""

import gzip
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from agentark.errors import AgentArkError, InvalidInput
from agentark.tasks.dataset import MAX_LINE_BYTES

MAX_LIST_BYTES: Final = 512 * 1024**2
"""A .json list is held in memory whole; a longer one belongs into JSONL."""

_HUB: Final = re.compile(
    r"hf://(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^#\s]+))?(?:#(?:(?P<config>[^/#\s]+)/)?(?P<split>[^/#\s]+))?"
)
_SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json")


class StoreOptions(NamedTuple):
    """How to reach S3; empty fields fall back on the environment as in `agentark.store.open_store`."""

    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""


def open_lines(uri: str, *, base: Path, store: StoreOptions | None = None) -> Iterator[bytes]:
    """Read the lines of a data set as a stream.

    Args:
        uri: `file:PATH` or a path (relative to `base`), `s3://BUCKET/KEY`, or
            `hf://ORG/NAME@REVISION#CONFIG/SPLIT` (revision, config and split may be left out; the split is then
            `train`). Files end in .jsonl, .jsonl.gz, .jsonl.zst or .json (a list of objects).
        base: Folder that relative paths start from: the manifest's.
        store: How to reach S3.

    Yields:
        One JSON value a line, as in the file; a line longer than `MAX_LINE_BYTES` is cut just behind that length, for
        the reader to refuse.

    Raises:
        InvalidInput: If the address is malformed, the file is missing, is of no known kind or is damaged.
        StoreError: If the S3 store fails.
        AgentArkError: If the hub cannot be reached.
    """
    if uri.startswith("hf://"):
        yield from _hub_lines(uri)
    elif uri.startswith("s3://"):
        yield from _object_lines(uri, store or StoreOptions())
    else:
        if re.match(r"[a-z][a-z0-9+.-]*://", uri) and not uri.startswith("file:"):
            raise InvalidInput(f"data set {uri!r}: unknown kind of address; use file:PATH, s3:// or hf://")
        yield from _file_lines(_local_path(uri, base), uri)


def _local_path(uri: str, base: Path) -> Path:
    path = uri.removeprefix("file:")
    if path.startswith("//") and not path.startswith("///"):
        raise InvalidInput(f"data set {uri!r}: names a host; write file:PATH or file:///ABSOLUTE/PATH")
    if not path:
        raise InvalidInput("data set: the address is empty; use file:PATH, s3:// or hf://")
    return base / ("/" + path.lstrip("/") if path.startswith("/") else path)


def _file_lines(path: Path, shown: str) -> Iterator[bytes]:
    opener = _opener(path.name, shown)
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise InvalidInput(f"data set {shown!r}: {path} {kind}; name a file ending in {', '.join(_SUFFIXES)}")
    # Imported with the file, not with the package: reading plain text must not cost a compression library.
    import zstandard

    try:
        with opener(path) as stream:
            yield from _list_lines(stream, shown) if path.suffix == ".json" else _split_lines(stream)
    except (EOFError, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise InvalidInput(f"data set {shown!r}: damaged or cut off: {error}; copy it again") from None
    except PermissionError:
        raise InvalidInput(f"data set {shown!r}: no permission to read {path}") from None


def _opener(name: str, shown: str) -> Callable[[Path], IO[bytes]]:
    if name.endswith(".jsonl.gz"):
        return lambda path: io.BufferedReader(gzip.GzipFile(path))
    if name.endswith(".jsonl.zst"):
        return _open_zstd
    if name.endswith((".jsonl", ".json")):
        return lambda path: path.open("rb")
    raise InvalidInput(f"data set {shown!r}: unknown kind of file; it must end in {', '.join(_SUFFIXES)}")


def _open_zstd(path: Path) -> IO[bytes]:
    import zstandard

    raw = path.open("rb")
    reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True)
    return io.BufferedReader(reader)


def _split_lines(stream: IO[bytes]) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE_BYTES + 2):
        yield line


def _list_lines(stream: IO[bytes], shown: str) -> Iterator[bytes]:
    content = stream.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        raise InvalidInput(f"data set {shown!r}: a .json list above {MAX_LIST_BYTES // 1024**2} MiB; convert to .jsonl")
    try:
        rows = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"data set {shown!r}: byte 0x{content[error.start]:02x} at {error.start + 1} is not UTF-8; save it as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"data set {shown!r}: not JSON: {error}") from None
    if not isinstance(rows, list):
        raise InvalidInput(f"data set {shown!r}: must be a JSON list [...], found {type(rows).__name__}")
    # NaN stays NaN here: the reader refuses it and names the item.
    yield from (json.dumps(row, ensure_ascii=True).encode() for row in rows)


def _object_lines(uri: str, options: StoreOptions) -> Iterator[bytes]:
    from agentark.store import open_store

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise InvalidInput(f"data set {uri!r}: must name a bucket and a key: s3://BUCKET/KEY")
    name = key.rpartition("/")[2]
    _opener(name, uri)
    opened = open_store(f"s3://{bucket}", **options._asdict())
    with tempfile.TemporaryDirectory(prefix="agentark-data-") as folder:
        target = Path(folder) / name
        opened.download(key, target)
        yield from _file_lines(target, uri)


def _hub_lines(uri: str) -> Iterator[bytes]:
    parts = _HUB.fullmatch(uri)
    if parts is None:
        raise InvalidInput(f"data set {uri!r}: must look like hf://ORG/NAME@REVISION#CONFIG/SPLIT")
    try:
        import datasets
    except ImportError:
        raise InvalidInput(f"data set {uri!r}: needs the datasets library: pip install 'agentark[train]'") from None
    try:
        rows = datasets.load_dataset(
            parts["name"], parts["config"], revision=parts["revision"], split=parts["split"] or "train", streaming=True
        )
        for row in rows:
            yield json.dumps(row, default=str).encode()
    except GeneratorExit:
        raise
    except Exception as error:  # the hub's client raises errors of a dozen libraries
        first_line = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise AgentArkError(
            f"data set {uri!r}: the hub gave no rows: {first_line}; check the name and the network, "
            "or download the file and use file:PATH"
        ) from error
