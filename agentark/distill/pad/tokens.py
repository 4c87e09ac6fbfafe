"""Where in a decoded answer each generated token ends.

A model may write a text in other tokens than its tokenizer would, so ids cannot be had back from the text, nor offsets
from the tokenizer: they come from decoding the ids themselves.
"""

from collections.abc import Sequence
from typing import Any

_UNFINISHED = "�"  # What a tokenizer writes for bytes that are no whole character yet.


class TokenEnds:
    """Decodes answers with the character offset at which each of their tokens ends.

    Args:
        tokenizer: A Hugging Face tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # A token at the very start may lose a leading space in decoding; behind another one it keeps it.
        self._before = tokenizer.encode("a", add_special_tokens=False)
        self._skip = len(self._text(self._before))
        self._pieces: dict[int, str] = {}

    def __call__(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        """Return the text, special tokens left out, and for each token the end of what it wrote, never falling."""
        text = self._text(ids)
        pieces = [self._piece(one) for one in ids]
        whole = "".join(pieces)
        lead = 1 if whole != text and whole[:1] == " " and whole[1:] == text else 0
        if whole[lead:] != text:
            return text, self._read(ids, text)
        ends, end = [], -lead
        for piece in pieces:
            end += len(piece)
            ends.append(max(0, end))
        return text, ends

    def _piece(self, token: int) -> str:
        if token not in self._pieces:
            self._pieces[token] = self._text([*self._before, token])[self._skip :]
        return self._pieces[token]

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _read(self, ids: Sequence[int], text: str) -> list[int]:
        """Read on token by token, each time decoding only the last finished characters and what follows them."""
        ends, end, start, finished = [], 0, 0, 0
        for index in range(len(ids)):
            before, now = self._text(ids[start:finished]), self._text(ids[start : index + 1])
            # An unfinished character waits for the token that completes it, and ends there.
            if len(now) > len(before) and not now.endswith(_UNFINISHED):
                end += len(now) - len(before)
                start, finished = finished, index + 1
            ends.append(min(end, len(text)))
        if ends and ends[-1] < len(text):
            # Bytes that never became a character are written by the token after the last finished one.
            ends = [one if index < finished else len(text) for index, one in enumerate(ends)]
        return ends


def last_token(ends: Sequence[int], character: int) -> int:
    """Index of the first token that reaches up to `character` (exclusive); the last one if none does."""
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if ends[middle] >= character else (middle + 1, high)
    return low
