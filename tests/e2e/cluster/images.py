"""Small container images without a registry and without a builder: an OCI archive is a few files of JSON and a tar."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LAYOUT = {"imageLayoutVersion": "1.0.0"}
_TYPE = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Go calls them


def write_image(
    archive: Path,
    name: str,
    files: Mapping[str, Path],
    *,
    links: Mapping[str, str] | None = None,
    entrypoint: Sequence[str] = (),
    user: str = "65532:65532",
) -> Path:
    """Write an image of one layer as an OCI archive.

    Args:
        archive: The file to write.
        name: What the image is called, with its tag.
        files: Programs by their path in the image, without the leading slash.
        links: Symbolic links in the image, by path.
        entrypoint: Command of its containers.
        user: Numbers of user and group that it runs as.
    """
    layer = _layer(files, links or {})
    digest = _digest(layer)
    settings: dict[str, Any] = {"User": user, "Env": ["PATH=/bin"]}
    if entrypoint:
        settings["Entrypoint"] = list(entrypoint)
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    blobs = {digest: layer}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": _described(blobs, _json(config), "config.v1+json"),
        "layers": [{"mediaType": f"{_TYPE}.layer.v1.tar", "digest": digest, "size": len(layer)}],
    }
    described = _described(blobs, _json(manifest), "manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [described]}
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", _json(_LAYOUT))
        _add(tar, "index.json", _json(index))
        for digest, content in blobs.items():
            _add(tar, f"blobs/{digest.replace(':', '/')}", content)
    return archive


def _described(blobs: dict[str, bytes], content: bytes, kind: str) -> dict[str, Any]:
    blobs[_digest(content)] = content
    return {"mediaType": f"{_TYPE}.{kind}", "digest": _digest(content), "size": len(content)}


def _layer(files: Mapping[str, Path], links: Mapping[str, str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
        for path, source in files.items():
            _add(tar, path, source.read_bytes(), mode=0o755)
        for path, target in links.items():
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return written.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()
