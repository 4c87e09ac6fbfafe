"""The engines that a stage asks, built from its settings."""

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentark.api import Endpoint, Execution, SecretKey, Teacher
from agentark.devices import has_gpu
from agentark.errors import InvalidInput
from agentark.execution.context import StageContext
from agentark.execution.metering import MeteredEngine
from agentark.execution.weights import model_folder
from agentark.llm import Engine

if TYPE_CHECKING:
    from agentark.llm.connection import Connection


def build_engines(context: StageContext) -> list[Engine]:
    """One engine per distinct model of the stage, in the order that its protocol counts them; requests are counted."""
    execution = Execution.model_validate_json(json.dumps(context.stage.settings["execution"]))
    if "model" in context.stage.inputs:
        weights = weights_engine(context.input_output("model", "model"), execution)
        return [MeteredEngine(weights, "student", context.figures)]
    engines: list[Engine] = []
    for settings in context.stage.settings["models"]:
        teacher = Teacher.model_validate_json(json.dumps(settings))
        if teacher.endpoint is not None:
            engines.append(metered_endpoint(context, teacher.endpoint, execution))
        elif teacher.model is not None:
            weights = weights_engine(model_folder(context, teacher.model.uri), execution)
            engines.append(MeteredEngine(weights, teacher.model.uri, context.figures))
    return engines


def metered_endpoint(context: StageContext, endpoint: Endpoint, execution: Execution) -> Engine:
    """An engine that asks a running server for a stage, which counts the requests.

    Raises:
        InvalidInput: The key that the manifest names is not there.
    """
    return MeteredEngine(endpoint_engine(endpoint, execution), endpoint.model, context.figures)


def endpoint_engine(endpoint: Endpoint, execution: Execution) -> Engine:
    """An engine that asks a running server.

    Raises:
        InvalidInput: The key that the manifest names is not there.
    """
    from agentark.llm.http import HttpEngine

    return HttpEngine(
        connection(endpoint, max_connections=execution.concurrency, deadline_s=execution.request_timeout_seconds)
    )


def connection(endpoint: Endpoint, **limits: Any) -> "Connection":
    """A connection to a running server, with the key that the manifest names.

    Args:
        endpoint: The server.
        limits: As `Connection` takes them.

    Raises:
        InvalidInput: The key is not there, or the address is none.
    """
    from agentark.llm.connection import Connection

    key = secret(endpoint.api_key_secret_ref) if endpoint.api_key_secret_ref else ""
    return Connection(endpoint.base_url, endpoint.model, api_key=key, **limits)


async def check_engines(engines: Sequence[Engine]) -> None:
    """Ask every server whether it is there and serves its model, before the first question is paid for.

    Raises:
        InvalidInput: The address, the model's name or the key is wrong.
        EngineError: The server does not answer.
    """
    from agentark.llm.http import HttpEngine

    for one in engines:
        engine = one.engine if isinstance(one, MeteredEngine) else one
        if isinstance(engine, HttpEngine):
            await engine.check()


def weights_engine(folder: Path, execution: Execution) -> Engine:
    """An engine that runs weights in this process.

    Raises:
        InvalidInput: The folder holds no usable model, or the engine asked for is not installed.
    """
    if execution.engine == "VLLM" or (execution.engine == "Auto" and vllm_can_run()):
        from agentark.llm.vllm import VllmEngine

        return VllmEngine(str(folder))
    from agentark.llm.local import TransformersEngine

    return TransformersEngine(str(folder))


def vllm_can_run() -> bool:
    """vLLM in process is taken by itself only where it and a GPU are there."""
    return has_gpu() and importlib.util.find_spec("vllm") is not None


def secret(reference: SecretKey) -> str:
    """The value of a Secret's key on this machine.

    Raises:
        InvalidInput: The environment variable that stands for it is not set.
    """
    value = os.environ.get(reference.variable, "")
    if not value:
        raise InvalidInput(
            f"the manifest names Secret {reference.name!r}, key {reference.key!r}: set {reference.variable}"
        )
    return value
