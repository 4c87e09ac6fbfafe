"""What was said about an agent's solution before it changed.

In a review each agent reads the others' last solutions, numbered from 1 without its own, and writes its critique in
front of its new solution. So what bears on an agent's mended step stands in its own critique, and in those lines of its
peers' critiques of the same round that begin with its number and say that something is wrong.
"""

import re
from collections.abc import Iterable

CHECK_WORDS = "Let me check this solution."
"""Line of a self-correction between an attempt and its critique."""
MEND_WORDS = "So the solution has to be mended."
"""Line of a self-correction between a critique that names a fault and the mended solution."""

_FAULT = re.compile(
    r"\b(?:wrong|incorrect|mistake[ns]?|errors?|erroneous|miscalculat\w*|should (?:be|have)|not (?:correct|right))\b",
    re.I,
)
_NO_FAULT = re.compile(
    r"\b(?:no|not|without|isn't|never|nothing)\s+(?:\w+\s+){0,2}(?:wrong|incorrect|mistakes?|errors?|erroneous)\b", re.I
)


def names_fault(text: str) -> bool:
    """Say whether a text calls something wrong."""
    return bool(_FAULT.search(_NO_FAULT.sub(" ", text)))


class PeerNames:
    """Recognises peers in replies by the name that the prompts' ``peer`` text gives them ("Agent 2")."""

    def __init__(self, peer_template: str) -> None:
        """Take the word in front of ``{number}``; without one no peer is ever recognised."""
        name = re.search(r"([^\W\d_]+)\W*\{number\}", peer_template)
        word = re.escape(name[1]) if name else None
        self._any = re.compile(rf"\b{word}s?\W{{0,4}}\d+\b|\bother {word}s\b", re.I) if word else None
        self._leading = re.compile(rf"^\W*{word}\W{{0,4}}(\d+)\b(?:['’]s\b)?\W*", re.I) if word else None

    def mentioned(self, text: str) -> bool:
        """Say whether a text speaks of a peer."""
        return bool(self._any and self._any.search(text))

    def own_lines(self, critique: str) -> str:
        """Return the lines of a critique that speak of no peer."""
        return "\n".join(line for line in critique.splitlines() if line.strip() and not self.mentioned(line)).strip()

    def faults_of(self, number: int, critique: str) -> list[str]:
        """Return what a critique says is wrong with the solution of peer `number`, without the name in front."""
        faults = []
        for line in critique.splitlines():
            name = self._leading.match(line) if self._leading else None
            if name and int(name[1]) == number:
                said = line[name.end() :].strip()
                if names_fault(said) and not self.mentioned(said):
                    faults.append(said)
        return faults


def number_of(agent: int, reader: int) -> int:
    """Return the number under which `reader` sees another agent's solution; both agents count from 0."""
    return agent + 1 if agent < reader else agent


def turning_critique(names: PeerNames, own: str, peers: Iterable[str]) -> str:
    """Join what named the fault of a solution: the agent's own lines if they do, then its peers'.

    Own lines that find nothing wrong are left out: they contradict what the agent did next.

    Returns:
        The critique in the models' own words; empty if nobody named a fault.
    """
    mine = names.own_lines(own)
    parts = [mine] if names_fault(mine) else []
    parts += peers
    return "\n".join(dict.fromkeys(parts))
