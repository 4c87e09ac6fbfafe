"""The quickstart's model behind a URL, on a CPU: `python -m benchmarks.dashboards.model_server --port N`."""

import argparse
import json

from aiohttp import web

from agentark.llm import Engine, Message, Sampling
from tests.operator.running import ROOT

NAME = "base"
"""Of the model in requests."""


async def answered(request: web.Request) -> web.Response:
    """Reply to a chat request."""
    asked = json.loads(await request.read())
    messages = [Message(message["role"], message["content"]) for message in asked["messages"]]
    sampling = Sampling(
        temperature=asked["temperature"],
        top_p=asked.get("top_p", 1.0),
        top_k=asked.get("top_k", 0),
        max_tokens=asked["max_tokens"],
    )
    reply = await request.app[_ENGINE].chat(messages, sampling=sampling, n=asked.get("n", 1), seed=asked["seed"])
    choices = [
        {
            "index": number,
            "message": {"role": "assistant", "content": completion.text},
            "finish_reason": completion.finish_reason,
        }
        for number, completion in enumerate(reply.completions)
    ]
    written = sum(completion.completion_tokens for completion in reply.completions)
    usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": written}
    return web.json_response({"model": NAME, "choices": choices, "usage": usage})


async def listed(_: web.Request) -> web.Response:
    """Name the model."""
    return web.json_response({"object": "list", "data": [{"id": NAME}]})


_ENGINE = web.AppKey("engine", Engine)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    from agentark.llm.local import TransformersEngine

    app = web.Application(client_max_size=2**24)
    app[_ENGINE] = TransformersEngine(str(ROOT / "examples" / "quickstart" / "base"))
    app.router.add_get("/v1/models", listed)
    app.router.add_post("/v1/chat/completions", answered)
    web.run_app(app, host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
