"""One question of a data set."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked and what it should find."""

    id: str
    """Unique in the data set and the same wherever the row stands in the file."""
    text: str
    """What the model reads, choices included."""
    gold: str
    """The right answer as the data set writes it; empty where it gives none and none is needed."""
    choices: tuple[str, ...] = ()
    """The choices apart, in order of their letters; empty where there are none."""
