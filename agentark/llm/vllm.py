"""Chat with a model in this process through vLLM, which batches and caches by itself.

Written for `vllm.v1.engine.async_llm.AsyncLLM` as of vLLM 0.2x and 0.3x. vLLM is imported when an engine is made, so
that this module can be imported without it.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentark.devices import placement
from agentark.errors import EngineError, InvalidInput
from agentark.llm.chat import Completion, FinishReason, Message, Reply, Sampling, split_reasoning
from agentark.llm.rendering import render
from agentark.pretrained import check_weights


class VllmEngine:
    """An engine on a model folder or hub id, run by vLLM in this process.

    Args:
        model_path: Folder with the model and its tokenizer, or a hub id.
        name: Name in replies; the last part of `model_path` if empty.
        max_model_len: Longest prompt with completion, in tokens; 0 takes what the model allows.

    Raises:
        InvalidInput: If vLLM is not installed, or cannot load the model.
    """

    def __init__(self, model_path: str | Path, *, name: str = "", max_model_len: int = 0) -> None:
        try:
            from vllm import SamplingParams
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.sampling_params import RequestOutputKind
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise InvalidInput(
                f"the in-process vLLM engine cannot be imported ({error}); install it with "
                "`pip install 'agentark[vllm]'`, or start a vLLM server and give its URL"
            ) from error
        self._name = name or Path(model_path).name
        self._params, self._final = SamplingParams, RequestOutputKind.FINAL_ONLY
        if Path(model_path).is_dir():
            check_weights((file.name for file in Path(model_path).iterdir()), str(model_path))
        length = {"max_model_len": max_model_len} if max_model_len else {}
        try:
            arguments = AsyncEngineArgs(
                model=str(model_path),
                dtype=placement("inference").dtype,
                trust_remote_code=False,
                load_format="safetensors",
                **length,
            )
            self._engine: Any = AsyncLLM.from_engine_args(arguments)
        except (OSError, ValueError, RuntimeError) as error:
            raise InvalidInput(f"vLLM cannot load {model_path}: {error}") from error
        self._tokenizer: Any = None
        self._numbers = itertools.count()

    @property
    def model(self) -> str:
        return self._name

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """Sample `n` next turns of the conversation.

        Raises:
            EngineError: If the prompt does not fit the model's context, or vLLM fails.
        """
        started = time.perf_counter()
        params = self._params(
            n=n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop) or None,
            seed=seed,
            output_kind=self._final,
        )
        result: Any = None
        try:
            prompt = {"prompt_token_ids": await self._encode(messages)}
            async for output in self._engine.generate(prompt, params, request_id=f"{id(self)}-{next(self._numbers)}"):
                result = output  # FINAL_ONLY yields once, with everything.
        except asyncio.CancelledError:
            raise  # generate() has aborted the request.
        except Exception as error:  # vLLM's errors share no base class.
            raise EngineError(f"vLLM failed on a request to {self._name}: {type(error).__name__}: {error}") from error
        if result is None or len(result.outputs) != n:
            raise EngineError(f"vLLM returned no complete reply for a request to {self._name}")
        completions = tuple(_completion(output) for output in sorted(result.outputs, key=lambda output: output.index))
        return Reply(completions, len(result.prompt_token_ids), time.perf_counter() - started, self._name)

    async def aclose(self) -> None:
        """Stop vLLM's engine process."""
        self._engine.shutdown()

    async def _encode(self, messages: Sequence[Message]) -> list[int]:
        if self._tokenizer is None:
            tokenizer = self._engine.get_tokenizer()
            # Depends on the version.
            self._tokenizer = await tokenizer if asyncio.iscoroutine(tokenizer) else tokenizer
        ids: list[int] = self._tokenizer(render(self._tokenizer, messages), add_special_tokens=False)["input_ids"]
        return ids


def _completion(output: Any) -> Completion:
    text, reasoning = split_reasoning(output.text)
    reason: FinishReason = "length" if output.finish_reason == "length" else "stop"
    return Completion(text, reasoning, reason, len(output.token_ids))
