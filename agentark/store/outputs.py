"""Files and folders of files as outputs of a stage, with digests that are checked on the way back."""

import hashlib
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agentark.errors import StoreError
from agentark.store.digests import hash_file, sha256_file, sha256_tree, tree_digest, tree_files
from agentark.store.interface import Store

_IN_MEMORY = 8 << 20


class Output(BaseModel):
    """One output of a stage: an object, or all objects below a folder."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Store path of the object or folder."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the object (`sha256_file`) or of the folder (`sha256_tree`), 64 hex digits."""
    bytes: int = Field(ge=0)
    """Size, of all files together for a folder."""
    rows: int | None = None
    """Number of rows, where the output has any."""


def put_file(store: Store, path: str, source: Path, *, rows: int | None = None) -> Output:
    """Upload a file and describe it.

    Raises:
        StoreError: If it cannot be read or stored.
    """
    store.upload(path, source)
    return Output(path=path, sha256=sha256_file(source), bytes=source.stat().st_size, rows=rows)


def put_bytes(store: Store, path: str, data: bytes, *, rows: int | None = None) -> Output:
    """Store bytes and describe them."""
    store.write(path, data)
    return Output(path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), rows=rows)


def put_folder(store: Store, path: str, source: Path, *, rows: int | None = None) -> Output:
    """Upload every file below a folder and describe them together.

    Raises:
        StoreError: If the folder is empty or cannot be read or stored.
    """
    size = 0
    for relative, file in tree_files(source):
        store.upload(f"{path}/{relative}", file)
        size += file.stat().st_size
    return Output(path=path, sha256=sha256_tree(source), bytes=size, rows=rows)


def fetch(store: Store, output: Output, target: Path) -> Path:
    """Download an output to `target` (a file, or a folder for a folder) and check its digest.

    Raises:
        NotFound: If it is not in the store.
        StoreError: If its content is not what the manifest says.
    """
    if store.stat(output.path) is not None:
        store.download(output.path, target)
        digest = sha256_file(target)
    else:
        for entry in store.entries(output.path):
            store.download(entry.path, target / entry.path.removeprefix(f"{output.path}/"))
        # No object and no folder: the plain download raises NotFound with the store's own words.
        if not target.is_dir():
            store.download(output.path, target)
        digest = sha256_tree(target)
    if digest != output.sha256:
        raise StoreError(f"store {store.uri}: {output.path} {_differs(output, digest)}")
    return target


def check_size(store: Store, name: str, output: Output) -> None:
    """Compare presence and size of an output with its description, without reading it.

    Raises:
        StoreError: If it is missing or has another size.
    """
    entry = store.stat(output.path)
    sizes = [entry.size] if entry else [item.size for item in store.entries(output.path)]
    if not sizes:
        raise StoreError(f"store {store.uri}: output {name!r} is missing, nothing lies at {output.path}")
    if sum(sizes) != output.bytes:
        actual = f"output {name!r} at {output.path} has {sum(sizes)} bytes"
        raise StoreError(f"store {store.uri}: {actual}, its manifest says {output.bytes}")


def check_digest(store: Store, name: str, output: Output) -> None:
    """Read an output and compare its digest with its description.

    Raises:
        StoreError: If it is missing or has another content.
    """
    entry = store.stat(output.path)
    if entry:
        digest = _digest(store, entry.path, entry.size)
    else:
        digests = {
            item.path.removeprefix(f"{output.path}/"): _digest(store, item.path, item.size)
            for item in store.entries(output.path)
        }
        digest = tree_digest(digests)
    if digest != output.sha256:
        raise StoreError(f"store {store.uri}: output {name!r} at {output.path} {_differs(output, digest)}")


def _differs(output: Output, actual: str) -> str:
    return f"has sha256 {actual[:16]}..., its manifest says {output.sha256[:16]}...: it was changed or damaged"


def _digest(store: Store, path: str, size: int) -> str:
    if size <= _IN_MEMORY:
        return hashlib.sha256(store.read(path)).hexdigest()
    with tempfile.TemporaryDirectory(prefix="agentark-") as folder:
        target = Path(folder) / "object"
        store.download(path, target)
        return hash_file(target)
