"""From debates to training sets: which traces are trained on, in which form, and a card that accounts for all."""

from agentark.curate.card import Counts, DataCard
from agentark.curate.curating import Curated, curate
from agentark.curate.labels import LabelScore, leading
from agentark.curate.params import CurationParams
from agentark.curate.rows import CuratedRow, HeldOut

__all__ = [
    "Counts",
    "Curated",
    "CuratedRow",
    "CurationParams",
    "DataCard",
    "HeldOut",
    "LabelScore",
    "curate",
    "leading",
]
