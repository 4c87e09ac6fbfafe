"""Prints what the project asks for, by itself and for the named extras: `requirements.py [EXTRA…] < pyproject.toml`.

`-NAME` among the extras leaves that package out. So the layer of dependencies depends on them alone, and a change of
the source leaves it as it is.
"""

import re
import sys
import tomllib


def requirements(project: dict[str, object], words: list[str]) -> list[str]:
    """The `[project]` table's requirements, for these words of the command line."""
    lines = list(_lines(project["dependencies"]))
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    for extra in [word for word in words if not word.startswith("-")]:
        lines += _lines(extras[extra])
    without = {word.removeprefix("-") for word in words if word.startswith("-")}
    return sorted({line for line in lines if re.split(r"[^\w.-]", line)[0] not in without})


def _lines(content: object) -> list[str]:
    assert isinstance(content, list)
    return [str(line) for line in content]


if __name__ == "__main__":
    print("\n".join(requirements(tomllib.load(sys.stdin.buffer)["project"], sys.argv[1:])))
