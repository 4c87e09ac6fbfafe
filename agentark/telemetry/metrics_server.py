"""Answer /metrics while a stage runs, where its environment says at which address."""

import logging
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from agentark.telemetry.figures import StageFigures

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

ADDRESS = "AGENTARK_METRICS_ADDRESS"
"""Environment variable: HOST:PORT, [HOST]:PORT for IPv6; nothing is served without it."""

_log = logging.getLogger(__name__)


@contextmanager
def serving(figures: StageFigures, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve figures for the length of the block.

    Of the processes that torchrun starts on a machine the first one serves, so each pod of a training is there to be
    scraped; what only the main process knows is missing from the others. Work never stops for the want of an
    address: one that is taken or malformed is a warning.

    Args:
        figures: What to serve.
        environment: Of this process.

    Yields:
        HOST:PORT that is served at, with the port that was given where 0 was asked for; empty where nothing is.
    """
    address = environment.get(ADDRESS, "")
    first = int(environment.get("LOCAL_RANK", "0")) == 0
    with ExitStack() as stack:
        served = ""
        if address and first:
            try:
                served = stack.enter_context(_answering(address, figures))
            except (OSError, ValueError, OverflowError) as error:
                _log.warning("%s is %r: %s; the stage goes on without serving metrics", ADDRESS, address, error)
        yield served


@contextmanager
def _answering(address: str, figures: StageFigures) -> Iterator[str]:
    from agentark.telemetry.exposition import stage_registry

    host, separator, port = address.rpartition(":")
    if not separator:
        raise ValueError("give HOST:PORT")
    with _server(host.strip("[]"), int(port), stage_registry(figures)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _server(host: str, port: int, registry: "Collector") -> socketserver.TCPServer:
    from prometheus_client import MetricsHandler

    # Not http.server's: that asks for the machine's name, which takes many seconds where DNS does not answer.
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    return Server((host, port), MetricsHandler.factory(registry))
