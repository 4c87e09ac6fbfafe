"""What somebody sees whose operator cannot begin: one line that says what to do."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def begin(folder: Path, **environment: str) -> str:
    """Start the operator far from any cluster; its error."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "AGENTARK"))}
    command = [sys.executable, "-m", "agentark_operator"]
    env = {**bare, "HOME": str(folder), **environment}
    done = subprocess.run(
        command, cwd=ROOT / "operator", env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def kubeconfig(folder: Path) -> str:
    file = folder / "kubeconfig"
    content = {
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    file.write_text(json.dumps(content))
    return str(file)


def test_without_a_cluster_the_kubeconfig_is_asked_for(tmp_path: Path) -> None:
    assert "set KUBECONFIG" in begin(tmp_path)


def test_an_address_that_is_none_or_taken_is_named(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path)
    assert "AGENTARK_ADDRESS is 'nonsense'" in begin(tmp_path, KUBECONFIG=config, AGENTARK_ADDRESS="nonsense")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = begin(tmp_path, KUBECONFIG=config, AGENTARK_ADDRESS=address)
    assert address in found and "free port" in found


def test_without_its_packages_it_says_how_to_install_them(tmp_path: Path) -> None:
    (tmp_path / "kopf.py").write_text("raise ModuleNotFoundError(\"No module named 'kopf'\", name='kopf')")
    found = begin(tmp_path, PYTHONPATH=str(tmp_path))
    assert found == "error: the operator needs the package 'kopf'; pip install 'agentark[operator]'\n"
