"""`python -m agentark_operator`: run until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading

from agentark.errors import AgentArkError
from agentark.terminal import PrintableFormatter, printable
from agentark_operator.settings import Settings, read_settings

try:
    import uvloop
    from pythonjsonlogger.json import JsonFormatter

    from agentark_operator.runtime import Operator
except ModuleNotFoundError as error:
    needed = f"error: the operator needs the package {error.name!r}; pip install 'agentark[operator]'"
    print(printable(needed), file=sys.stderr)
    sys.exit(2)

_ABOUT = ("resource", "run", "stage", "attempt", "outcome", "reason")


async def _main(settings: Settings) -> None:
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Operator(settings).run(stop)


def _log_to_stderr(form: str) -> None:
    """A line for each record: JSON with its resource, run and stage, or plain text."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=names))
    else:
        handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Plain(PrintableFormatter):
    """Text, with what is known of the resource at the end."""

    def format(self, record: logging.LogRecord) -> str:
        known = [f"{name}={getattr(record, name)}" for name in _ABOUT if getattr(record, name, None)]
        return " ".join([super().format(record), *map(printable, known)])


def main() -> int:
    """Run the operator; 0 after a signal, 2 if it cannot begin."""
    # A thousand resources are a million objects that live long: to look through them after every few hundred new ones,
    # as Python does by itself, takes a tenth of all work.
    gc.set_threshold(50_000, 20, 100)
    # A thread computes for a millisecond or two between its requests: to take the lock from it after 5 ms, as Python
    # does by itself, only moves the wait to another of eight threads, and costs a fiftieth of all work.
    sys.setswitchinterval(0.03)
    try:
        settings = read_settings()
        _log_to_stderr(settings.log_format)
        if settings.offline:
            os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's library is loaded, which is when it is needed
        uvloop.run(_main(settings))  # a twentieth of all work less than with asyncio's own loop
    except AgentArkError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
