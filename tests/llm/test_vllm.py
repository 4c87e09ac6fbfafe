"""Where vLLM is missing, its engine says how to get it."""

import subprocess
import sys


def test_without_vllm_the_extra_is_named() -> None:
    # A process of its own, in which vLLM cannot be imported whether it is installed or not.
    code = (
        "import sys; sys.modules['vllm'] = None\n"
        "from agentark.errors import InvalidInput\n"
        "from agentark.llm.vllm import VllmEngine\n"
        "try: VllmEngine('somewhere')\n"
        "except InvalidInput as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "agentark[vllm]" in done.stdout
