"""Sampling the answers of a step: in this process, row by row from seeds, so that a resumed run samples the same ones.

vLLM's two ways are TRL's own; here is only what TRL has to be told for them.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from agentark.api import PAD
from agentark.errors import InvalidInput
from agentark.llm.chat import Message, Sampling
from agentark.llm.decoding import Prompt, decode, encode


def vllm_arguments(pad: PAD) -> dict[str, Any]:
    """Settings of TRL's trainer for roll-outs by vLLM; none for in-process roll-outs.

    Raises:
        InvalidInput: If vLLM is asked for and not installed.
    """
    if pad.rollouts == "InProcess":
        return {}
    if find_spec("vllm") is None:
        raise InvalidInput(
            f"PAD: rollouts is {pad.rollouts}, but vllm is not installed here; install agentark[vllm] (it needs a "
            "CUDA GPU), or take InProcess"
        )
    if pad.rollouts == "VLLMColocate":
        return {"use_vllm": True, "vllm_mode": "colocate"}
    return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": pad.vllm_url}


class InProcessRollouts:
    """TRL's `rollout_func`: samples with the trainer's own model.

    Each answer depends on the weights, the question, the seed, the batch's number and the answer's place in the batch
    of all processes: neither on how often the training was interrupted nor on the number of processes.

    Args:
        tokenizer: The student's.
        sampling: Temperature and longest answer.
        group: Answers per question.
        seed: Of the training.
    """

    def __init__(self, tokenizer: Any, *, sampling: Sampling, group: int, seed: int) -> None:
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._group = group
        self._seed = seed

    def __call__(self, prompts: Sequence[Sequence[Mapping[str, str]]], trainer: Any) -> dict[str, Any]:
        """Sample one answer for each prompt; a question comes as often as it has answers on this process."""
        requests = self._requests(prompts, trainer.accelerator.process_index * len(prompts), trainer.state.global_step)
        model = trainer.accelerator.unwrap_model(trainer.model)
        # The arithmetic of the training, or the samples would come from another policy than the one that learns.
        with trainer.accelerator.autocast():
            finished = decode(model, self._tokenizer, requests)
        return {
            "prompt_ids": [list(request.ids) for request in requests for _ in range(request.n)],
            "completion_ids": [list(tokens) for answers in finished for tokens in answers.tokens],
            "logprobs": None,  # On policy: TRL computes what it needs with the gradient.
        }

    def _requests(self, prompts: Sequence[Sequence[Mapping[str, str]]], start: int, step: int) -> list[Prompt]:
        """One request per question, for those of its answers that fall to this process."""
        requests, row = [], 0
        while row < len(prompts):
            question, first = divmod(start + row, self._group)
            n = min(self._group - first, len(prompts) - row)
            messages = [Message(turn["role"], turn["content"]) for turn in prompts[row]]  # type: ignore[arg-type]
            seed = (self._seed << 64) + (step << 32) + question
            requests.append(Prompt(encode(self._tokenizer, messages), self._sampling, n, seed, first))
            row += n
        return requests
