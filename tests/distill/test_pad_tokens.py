"""Characters of generated tokens, whatever way the model cut the text."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from agentark.distill.pad.tokens import TokenEnds, last_token

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "base"


@pytest.fixture(scope="module")
def byte_level() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"])
    inner.train_from_iterator(["Step 1: so 3 + 4 = 7\n\nStep 2: also 7 * 2 = 14"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>")


@pytest.fixture(scope="module")
def sentence_piece() -> PreTrainedTokenizerFast:
    """Words carry their space in front; the first one's is dropped in decoding, as Llama 2's tokenizer does."""
    words = ["<unk>", "▁a", "▁Step", "▁one", "▁is", "▁7", "a", "b", ".", "▁"]
    inner = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def check(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> list[int]:
    text, ends = TokenEnds(tokenizer)(ids)
    assert text == tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert len(ends) == len(ids)
    assert ends == sorted(ends)
    assert not ids or ends[-1] == len(text)
    return ends


def test_prefixes_decode_to_what_the_ends_say(byte_level: PreTrainedTokenizerFast) -> None:
    draw = random.Random(1)
    for _ in range(50):
        # Any cut of an ASCII text into tokens, not only the tokenizer's own.
        text = "".join(draw.choices("Step 1: so\n3+47=\\{}", k=20))
        ids = [token for character in text for token in byte_level.encode(character)]
        ids += [*byte_level.encode(text), byte_level.eos_token_id]
        ends = check(byte_level, ids)
        for place in range(len(ids)):
            assert ends[place] == len(byte_level.decode(ids[: place + 1], skip_special_tokens=True))


def test_characters_of_several_tokens_end_with_the_last_of_them(byte_level: PreTrainedTokenizerFast) -> None:
    ids = byte_level.encode("aé=√中🙂b")
    ends = check(byte_level, ids)
    text = byte_level.decode(ids)
    assert [len(text[: ends[0]]), text] == [1, "aé=√中🙂b"]
    assert len(ids) > len(text)
    assert set(range(1, len(text) + 1)) <= set(ends)
    assert last_token(ends, 2) == 2  # The second byte of é.


def test_broken_bytes_do_no_harm(byte_level: PreTrainedTokenizerFast) -> None:
    draw = random.Random(2)
    for _ in range(100):
        check(byte_level, draw.choices(range(len(byte_level)), k=draw.randint(0, 15)))


def test_a_dropped_leading_space_shifts_nothing(sentence_piece: PreTrainedTokenizerFast) -> None:
    ids = sentence_piece.convert_tokens_to_ids(["▁Step", "▁one", "▁is", "▁7", "."])
    assert sentence_piece.decode(ids) == "Step one is 7."
    assert check(sentence_piece, ids) == [4, 8, 11, 13, 14]


def test_the_quickstart_s_own_tokens() -> None:
    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART)
    text = "Step 1: 9 + 7 = 16\nThe answer is \\boxed{16}"
    ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    ends = check(tokenizer, ids)
    assert tokenizer.decode(ids[: last_token(ends, text.index("\n")) + 1]) == "Step 1: 9 + 7 = 16"
