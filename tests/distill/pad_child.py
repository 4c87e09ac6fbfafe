"""A PAD training in a process of its own, to be stopped or torchrun: ``python -m tests.distill.pad_child``."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from agentark.api import PAD, Training
from agentark.errors import Interrupted
from tests.distill.pad_world import PadTraining


def main(folder: Path) -> int:
    given = json.loads((folder / "given.json").read_text())
    training = PadTraining(
        folder,
        model=Path(given["model"]),
        pad=PAD.model_validate(given["pad"]),
        training=Training.model_validate(given["training"]),
        scored=given["scored"],
    )
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))

    def report(step: int, _total: int, _metrics: Mapping[str, float]) -> None:
        print(f"step {step}", flush=True)

    try:
        result = training.run(on_progress=report, should_stop=lambda: bool(told))
    except Interrupted:
        return 75
    # A file each, because lines of several processes on one stream may run into each other.
    (folder / f"result-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
