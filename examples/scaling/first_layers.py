"""Cut a model to its first layers, as backbones of several sizes for a process reward model.

    python examples/scaling/first_layers.py MODEL OUT 1 2 4

Writes OUT/layers-1, OUT/layers-2, OUT/layers-4, each a model folder with the tokenizer.
"""

import argparse
from pathlib import Path

from transformers import AutoModelForCausalLM

from agentark.pretrained import load_weights, read_tokenizer


def main() -> None:
    """Cut and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a causal language model")
    parser.add_argument("out", type=Path, help="folder for the cut ones")
    parser.add_argument("layers", type=int, nargs="+", help="numbers of layers to keep")
    options = parser.parse_args()
    for layers in options.layers:
        model = load_weights(AutoModelForCausalLM, options.model, "writing", num_hidden_layers=layers)
        folder = options.out / f"layers-{layers}"
        model.save_pretrained(folder)
        read_tokenizer(options.model).save_pretrained(folder)
        print(f"{folder}: {sum(weight.numel() for weight in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
