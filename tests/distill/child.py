"""A training in a process of its own, to be killed or run under torchrun: ``python -m tests.distill.child FOLDER``."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from agentark.api import DPO
from agentark.api import Training as TrainingSettings
from tests.distill.world import Training


def main(folder: Path) -> None:
    given = json.loads((folder / "given.json").read_text())
    training = Training(
        folder,
        model=Path(given["model"]),
        rows=Path(given["rows"]),
        held_out=Path(given["held_out"]) if given["held_out"] else None,
        settings=TrainingSettings.model_validate(given["settings"]),
        dpo=DPO.model_validate(given["dpo"]) if given["dpo"] else None,
    )
    result = training.run(on_progress=lambda step, _total, _metrics: print(f"step {step}", flush=True))
    # A file each, because lines of several processes on one stream may run into each other.
    (folder / f"result-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(asdict(result)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
