"""Whether a training question also stands in an evaluation set.

Questions are compared as sequences of lower-case words. A training question is contaminated if it

- is an evaluation question, word for word;
- shares 13 words in a row with one (the usual rule since GPT-3);
- or, where one of the two has fewer than 13 words (but at least 5), the shorter stands in the longer as a whole.

Runs of words that many evaluation questions share are instructions ("answer with the letter of the option"), not
questions, and do not count.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

_WORD = re.compile(r"\w+")
_RUN = 13
_SHORTEST = 5
_BOILERPLATE_SHARE = 0.01  # of the evaluation questions
_BOILERPLATE_LEAST = 5  # questions


class EvaluationIndex:
    """The words of all evaluation questions, arranged for look-up."""

    def __init__(self, questions: Iterable[str]) -> None:
        """Read evaluation questions.

        Args:
            questions: Their texts, as models read them.
        """
        self._words = [words for words in map(_words, questions) if words]
        self._exact = {" ".join(words) for words in self._words}
        self._runs: dict[int, frozenset[str]] = {_RUN: self._shared_runs(_RUN)}
        self._short: dict[int, set[str]] = {}
        for words in self._words:
            if _SHORTEST <= len(words) < _RUN:
                self._short.setdefault(len(words), set()).add(" ".join(words))

    def overlaps(self, question: str) -> bool:
        """Say whether a question is contaminated."""
        words = _words(question)
        if " ".join(words) in self._exact:
            return True
        if _SHORTEST <= len(words) < _RUN and " ".join(words) in self._runs_of(len(words)):
            return True
        if not self._runs[_RUN].isdisjoint(_runs(words, _RUN)):
            return True
        return any(not short.isdisjoint(_runs(words, length)) for length, short in self._short.items())

    def _runs_of(self, length: int) -> frozenset[str]:
        if length not in self._runs:
            self._runs[length] = self._shared_runs(length)
        return self._runs[length]

    def _shared_runs(self, length: int) -> frozenset[str]:
        counts = Counter(run for words in self._words for run in set(_runs(words, length)))
        most = max(_BOILERPLATE_LEAST, _BOILERPLATE_SHARE * len(self._words))
        return frozenset(run for run, count in counts.items() if count <= most)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: Sequence[str], length: int) -> Iterator[str]:
    return (" ".join(words[i : i + length]) for i in range(len(words) - length + 1))
