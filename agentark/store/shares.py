"""One process's part of a stage that several work on side by side."""

from dataclasses import dataclass

from agentark.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Share:
    """Of `workers` processes this is number `index`, from 0; by default one does all."""

    index: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.workers:
            raise InvalidInput(
                f"worker {self.index} of {self.workers}: workers are numbered from 0 to one less than their number"
            )

    @property
    def is_all(self) -> bool:
        """Whether one process does everything."""
        return self.workers == 1

    @property
    def name(self) -> str:
        """Name of what this worker alone writes, e.g. `0002-of-0016`."""
        return f"{self.index:04d}-of-{self.workers:04d}"

    def has(self, number: int) -> bool:
        """Whether part `number` of the work is this worker's."""
        return number % self.workers == self.index


ALL = Share()
"""Everything."""
