"""Put a file, or a folder with all that is in it, into an S3 store:

    python examples/cluster/upload.py examples/quickstart/base s3://agentark/models/base

The server is that of AWS_ENDPOINT_URL (AWS itself where it is not set), the keys are AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. `mc cp --recursive` and `aws s3 cp --recursive` do the same.
"""

import sys
from pathlib import Path

from agentark.store import open_store


def main(source: Path, uri: str) -> None:
    """Upload what is there; what was there before is replaced."""
    folder, _, name = uri.rpartition("/")
    store = open_store(uri if source.is_dir() else folder)
    files = {name: source} if source.is_file() else {str(file.relative_to(source)): file for file in source.rglob("*")}
    for path, file in sorted(files.items()):
        if file.is_file():
            store.upload(path, file)
            print(f"{store.uri}/{path}  {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: upload.py FILE-OR-FOLDER s3://BUCKET/PATH")
    main(Path(sys.argv[1]), sys.argv[2])
