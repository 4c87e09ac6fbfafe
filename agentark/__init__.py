"""AgentArk: debates between language models, distilled into one."""

__version__ = "0.1.0"
