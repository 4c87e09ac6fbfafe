"""The quickstart's scripts import one another as files of one folder, so the tests import them in the same way."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "quickstart"))
