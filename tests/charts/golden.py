"""What each chart makes of each set of values, for people to review: `python -m tests.charts.golden` writes it anew."""

import re
import sys
import tempfile
from pathlib import Path

from agentark import __version__
from tests.charts.charting import ROOT, Helm, examples
from tests.servers.helm import helm

FOLDER = Path(__file__).with_name("golden")
CHARTS = ("agentark-operator", "agentark-inference")
"""Those whose renders are kept here. The kinds' own are the files in crds/."""


def place(chart: str, values: Path) -> Path:
    """The file of a render."""
    return FOLDER / chart / f"{values.name.removesuffix('-values.yaml')}.yaml"


def render(helm: Helm, chart: str, values: Path) -> str:
    """What a chart makes of values; the same for every version of the charts, and without the files it hands on."""
    text = helm.template(chart, values)
    files = ROOT / "charts" / chart / "files"
    for file in sorted(files.rglob("*.*")):
        for width in (2, 4, 10):
            text = text.replace(_indented(file.read_text(), width), f"{' ' * width}({file.relative_to(files)})")
    text = re.sub(r"checksum/(\w+): [0-9a-f]{64}", r"checksum/\1: CHECKSUM", text.replace(__version__, "VERSION"))
    # Helm 3 and 4 leave other empty lines between templates.
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


def _indented(text: str, width: int) -> str:
    return "\n".join(" " * width + line for line in text.splitlines())


def main() -> int:
    """Write all of them."""
    with tempfile.TemporaryDirectory() as home:
        program = Helm(helm(), Path(home))
        for chart, values in examples(*CHARTS):
            target = place(chart, values)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(render(program, chart, values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
