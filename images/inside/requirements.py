"""Prints what the project asks for, by itself and for the named extras: `requirements.py [EXTRA…] < pyproject.toml`.

So the layer of dependencies depends on them alone, and a change of the source leaves it as it is.
"""

import sys
import tomllib

if __name__ == "__main__":
    project = tomllib.load(sys.stdin.buffer)["project"]
    extras = [project["optional-dependencies"][extra] for extra in sys.argv[1:]]
    print("\n".join(sorted({*project["dependencies"], *(line for extra in extras for line in extra)})))
