"""Chat with a transformers model in this process, many requests in one batch.

One worker thread owns the model. It takes the requests that wait, groups those of similar length within a budget of
tokens, and decodes them together; each request returns as soon as its own completions are there.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from agentark.errors import AgentArkError, EngineError, InvalidInput
from agentark.llm.chat import Completion, Message, Reply, Sampling
from agentark.llm.decoding import Batch, Prompt, check_context, encode, end_tokens
from agentark.llm.kvcache import RowCache
from agentark.pretrained import load_weights, read_tokenizer

_LENGTH_RATIO = 1.5  # Padding costs less than a batch of its own up to about here.
_LENGTH_SLACK = 32  # Prompts that differ by less, in tokens, always go together.


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A prompt on its way through the worker."""

    prompt: Prompt
    reply: asyncio.Future[Reply]
    loop: asyncio.AbstractEventLoop

    def succeed(self, reply: Reply) -> None:
        self._settle(lambda: self.reply.set_result(reply))

    def fail(self, error: AgentArkError) -> None:
        self._settle(lambda: self.reply.set_exception(error))

    def _settle(self, settle: Any) -> None:
        # The caller may have gone, and its loop with it: then nobody waits for the outcome.
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(lambda: None if self.reply.done() else settle())


class TransformersEngine:
    """An engine on a model folder (or a model in the Hugging Face cache), decoded in this process.

    Args:
        model_path: Folder with the model and its tokenizer, which must have a chat template, or a hub id.
        name: Name in replies; the last part of `model_path` if empty.
        max_batch_tokens: Tokens (prompts and completions at their longest) decoded together; bounds the memory.

    Raises:
        InvalidInput: If there is no such model, it has no chat template, or its architecture cannot be batched.
    """

    def __init__(self, model_path: str | Path, *, name: str = "", max_batch_tokens: int = 65536) -> None:
        self._name = name or Path(model_path).name
        self._module, self._tokenizer = load(model_path)
        # Both refuse what could only fail later, request by request.
        end_tokens(self._module, self._tokenizer)
        RowCache(self._module.config, rows=1, width=1)
        self._max_batch_tokens = max_batch_tokens
        self._arrived: list[_Request] = []
        self._waiting: list[_Request] = []
        self._signal = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name=f"agentark-{self._name}", daemon=True)
        self._worker.start()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._name

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """Sample `n` next turns of the conversation.

        Raises:
            EngineError: If the conversation does not fit the model's context, its template refuses it, the model fails,
                or the engine is closed.
        """
        if self._closed:
            raise EngineError(f"the engine of {self._name} is closed")
        prompt = Prompt(encode(self._tokenizer, messages), sampling, n, seed)
        check_context(self._module, prompt)
        loop = asyncio.get_running_loop()
        request = _Request(prompt, loop.create_future(), loop)
        self._arrived.append(request)
        if len(self._arrived) == 1:
            # Handed over after everything that is ready now has had its turn, so that requests made together
            # are decoded together.
            loop.call_soon(self._hand_over)
        return await request.reply

    async def aclose(self) -> None:
        """Stop the worker after the batch it is decoding; requests that wait fail."""
        with self._signal:
            self._closed = True
            self._signal.notify()
        await asyncio.to_thread(self._worker.join)
        for request in (*self._waiting, *self._arrived):
            request.fail(EngineError(f"the engine of {self._name} was closed before it answered"))
        self._waiting, self._arrived = [], []

    def _hand_over(self) -> None:
        with self._signal:
            self._waiting.extend(self._arrived)
            self._arrived.clear()
            self._signal.notify()

    def _work(self) -> None:
        while True:
            with self._signal:
                self._signal.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                waiting = [request for request in self._waiting if not request.reply.cancelled()]
                batch = select([request.prompt for request in waiting], self._max_batch_tokens)
                requests = [waiting[index] for index in batch]
                taken = set(batch)
                self._waiting = [request for index, request in enumerate(waiting) if index not in taken]
            if requests:
                self._decode(requests)

    def _decode(self, requests: list[_Request]) -> None:
        started = time.perf_counter()
        try:
            batch = Batch(self._module, self._tokenizer, [request.prompt for request in requests])
            for done in batch.finished():
                self._answer(requests[done.prompt], done.completions, time.perf_counter() - started)
        except AgentArkError as error:
            self._fail(requests, error)
        except Exception as error:  # Whatever torch raises must reach those who wait, and the worker must go on.
            self._fail(requests, EngineError(
                f"{self._name} failed on a batch of {len(requests)} requests: {type(error).__name__}: {error}"
                + (f"; lower max_batch_tokens (now {self._max_batch_tokens})" if "memory" in str(error) else "")
            ))  # fmt: skip

    def _answer(self, request: _Request, completions: tuple[Completion, ...], latency_s: float) -> None:
        request.succeed(Reply(completions, len(request.prompt.ids), latency_s, self._name))

    def _fail(self, requests: Sequence[_Request], error: AgentArkError) -> None:
        for request in requests:
            request.fail(error)


def select(prompts: Sequence[Prompt], max_batch_tokens: int) -> list[int]:
    """Choose which of the waiting prompts to decode next: the oldest, and others of about its length.

    Args:
        prompts: In the order of their arrival.
        max_batch_tokens: Bound on the tokens of the batch; the oldest prompt is taken whatever its size.

    Returns:
        Their indices, the oldest first.
    """
    if not prompts:
        return []
    oldest = len(prompts[0].ids)
    taken, rows, shortest, longest, completion = [0], prompts[0].n, oldest, oldest, prompts[0].sampling.max_tokens
    for index in sorted(range(1, len(prompts)), key=lambda index: abs(len(prompts[index].ids) - oldest)):
        prompt = prompts[index]
        low, high = min(shortest, len(prompt.ids)), max(longest, len(prompt.ids))
        most = max(completion, prompt.sampling.max_tokens)
        if high > low * _LENGTH_RATIO + _LENGTH_SLACK or (rows + prompt.n) * (high + most) > max_batch_tokens:
            continue
        taken.append(index)
        rows, shortest, longest, completion = rows + prompt.n, low, high, most
    return taken


def load(model_path: str | Path) -> tuple[Any, Any]:
    """Load a model in eval mode, and its tokenizer.

    Raises:
        InvalidInput: If there is no such model, or it has no chat template.
    """
    mend = "give the folder of a transformers model (config.json, safetensors, tokenizer) or a hub id"
    path = Path(model_path)
    if path.is_dir() and not (path / "config.json").is_file():
        raise InvalidInput(f"{path} is not a model: it holds no config.json; {mend}")
    if not path.is_dir() and (path.is_absolute() or len(path.parts) != 2 or str(model_path).startswith(".")):
        raise InvalidInput(f"{path} is not there, or not a folder; {mend}")
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = read_tokenizer(model_path, padding_side="left")
        model = load_weights(AutoModelForCausalLM, model_path, "inference").eval()
    except InvalidInput:
        raise
    except Exception as error:  # Loaders of many formats raise many things; all mean that this is no usable model.
        raise InvalidInput(
            f"{model_path} cannot be loaded as a model: {type(error).__name__}: {error}; {mend}"
        ) from error
    if not tokenizer.chat_template:
        raise InvalidInput(
            f"{model_path} has no chat template, so it cannot be asked in turns; take a chat (instruct) model, or put "
            "a chat_template.jinja into its folder"
        )
    return model, tokenizer
