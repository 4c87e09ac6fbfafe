"""Debates between language models: the protocol, its texts, its transcripts, and running it over many questions."""

from agentark.debate.outcome import Outcome, outcome_of, warning_of
from agentark.debate.prompts import split_reply
from agentark.debate.protocol import DebateProtocol, discuss
from agentark.debate.running import Summary, run_questions
from agentark.debate.shards import Failure
from agentark.debate.sharing import questions_of, whole_summary
from agentark.debate.transcript import (
    MessageRef,
    Record,
    Turn,
    format_record,
    read_records,
    read_shard,
    render_messages,
)

__all__ = [
    "DebateProtocol",
    "Failure",
    "MessageRef",
    "Outcome",
    "Record",
    "Summary",
    "Turn",
    "discuss",
    "format_record",
    "outcome_of",
    "questions_of",
    "read_records",
    "read_shard",
    "render_messages",
    "run_questions",
    "split_reply",
    "warning_of",
    "whole_summary",
]
