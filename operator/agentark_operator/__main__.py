"""`python -m agentark_operator`: run until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys
import threading

from agentark.errors import AgentArkError
from agentark_operator.runtime import Operator
from agentark_operator.settings import read_settings


async def _main() -> None:
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Operator(read_settings()).run(stop)


def main() -> int:
    """Run the operator; 0 after a signal, 2 if it cannot begin."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_main())
    except AgentArkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
