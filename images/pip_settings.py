"""How pip reaches its index from here, for the pip inside a build."""

import ast
import subprocess
import sys
from pathlib import Path

CA = "/run/secrets/ca"
"""Where a build step finds the certificates."""
_PASSED = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")


def settings(listed: str) -> dict[str, str]:
    """Return pip's settings out of what `pip config list` prints; later lines and the environment win, as with pip."""
    options: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, divider, value = line.partition("=")
        if divider:
            options[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return options


def secrets(listed: str, folder: Path) -> dict[str, Path]:
    """Write what a build is told about pip into a folder.

    Args:
        listed: What `pip config list` printed.
        folder: Where the files go.

    Returns:
        Name of a secret -> its file: `pip`, a pip.conf, and `ca`, if pip has certificates of its own; none without
        settings.
    """
    here = settings(listed)
    lines = [f"{name} = {here[name].replace(chr(10), chr(10) + '    ')}" for name in _PASSED if name in here]
    secret_files = {}
    if "cert" in here:
        secret_files["ca"] = Path(here["cert"])
        lines.append(f"cert = {CA}")
    if lines:
        secret_files["pip"] = folder / "pip.conf"
        secret_files["pip"].write_text("\n".join(["[global]", *lines, ""]))
    return secret_files


def config_list() -> str:
    """What pip is told here."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
