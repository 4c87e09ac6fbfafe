"""Data sets, answer extraction and the one grader."""

from agentark.tasks.adapters import TASKS, Fields, Task, policy_of, task
from agentark.tasks.agreement import partition
from agentark.tasks.comparison import equal
from agentark.tasks.dataset import read_questions
from agentark.tasks.extraction import extract, reference
from agentark.tasks.grading import Grade, grade, grade_rows
from agentark.tasks.policy import CHOICE, MATH, NUMBER, TEXT, Policy
from agentark.tasks.question import Question
from agentark.tasks.sources import StoreOptions, open_lines

__all__ = [
    "CHOICE",
    "MATH",
    "NUMBER",
    "TASKS",
    "TEXT",
    "Fields",
    "Grade",
    "Policy",
    "Question",
    "StoreOptions",
    "Task",
    "equal",
    "extract",
    "grade",
    "grade_rows",
    "open_lines",
    "partition",
    "policy_of",
    "read_questions",
    "reference",
    "task",
]
