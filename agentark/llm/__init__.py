"""Chat engines behind one protocol.

Importing this package loads neither torch, transformers nor vLLM: the in-process engines live in
`agentark.llm.local` and `agentark.llm.vllm` and are imported from there.
"""

from agentark.llm.chat import Completion, Engine, Message, Reply, Role, Sampling
from agentark.llm.testing import ScriptedEngine

__all__ = ["Completion", "Engine", "Message", "Reply", "Role", "Sampling", "ScriptedEngine"]
