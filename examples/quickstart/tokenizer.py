"""The quickstart model's tokenizer: byte-level BPE trained on the world's text, every number 0..199 one token."""

import random

import world
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, END, USER, ASSISTANT, SYSTEM = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"
LARGEST_NUMBER = 199
MAX_TOKENS = 1024

# The phrases that every solution repeats are one token each, which makes a debate's prompts about a third shorter; the
# rest is split as GPT-2 does it.
_PIECES = (
    r"Step \d:|The answer is \\boxed\{|Agent \d:|Review these solutions and solve again\.| ?step \d is wrong,| right"
    r"| ?\p{L}+| ?\p{N}+|\n| ?[^\s\p{L}\p{N}]|\s+"
)
# {% generation %} marks what an assistant wrote, so that trainers can take the loss on it alone.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    f"{ASSISTANT}{{% generation %}}{{{{ message['content'] }}}}{END}{{% endgeneration %}}"
    "{%- elif message['role'] == 'user' -%}"
    f"{USER}{{{{ message['content'] }}}}{END}"
    "{%- else -%}"
    f"{SYSTEM}{{{{ message['content'] }}}}{END}"
    "{%- endif -%}"
    "{%- endfor -%}"
    f"{{%- if add_generation_prompt -%}}{ASSISTANT}{{%- endif -%}}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Trains the tokenizer; the same one on every call."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1400,
        min_frequency=20,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[PAD, END, USER, ASSISTANT, SYSTEM],
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_TOKENS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts() -> list[str]:
    rng = random.Random(0)
    numbers = [str(number) for number in range(LARGEST_NUMBER + 1)]
    # All numbers alike often, far above the frequency below which no merge is made: none may fall apart into digits.
    texts = [" ".join(numbers), "\n".join(f"The answer is \\boxed{{{number}}}" for number in numbers)] * 300
    slips = world.Slips(0.5, 0.1)
    for _ in range(3000):
        problem = world.make_problem(rng)
        own, *peers = [world.write_draft(problem.sums, slips, rng) for _ in range(3)]
        request = world.review_request([world.solution_text(draft) for draft in peers])
        texts += [problem.text, request, "Sums\nCheck\n" + "\n".join(world.write_verdicts(own, peers))]
    return texts
