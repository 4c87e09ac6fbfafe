"""From debates to training sets: which traces are trained on, in which form, and a card that accounts for all."""

from agentark.curate.card import Counts, DataCard
from agentark.curate.curating import Curated, curate
from agentark.curate.labels import LabelScore, leading
from agentark.curate.params import MethodCuration
from agentark.curate.rows import CuratedRow, HeldOut

__all__ = [
    "Counts",
    "Curated",
    "CuratedRow",
    "DataCard",
    "HeldOut",
    "LabelScore",
    "MethodCuration",
    "curate",
    "leading",
]
