"""Every reason that the operator's code can give is in the pages, and the pages have no others."""

import ast
import re
from pathlib import Path

from agentark_operator.status.events import _COMES_BY_ITSELF

from tests.docs.commands import DOCS

CODE = DOCS.parent / "operator" / "agentark_operator"
_WORD = re.compile(r"(?:OOM)?[A-Z][a-z]+(?:[A-Z][a-z]*)*")
_FIRST = re.compile(rf"({_WORD.pattern}): ")
CONDITIONS = {"Ready", "Reconciling", "Stalled", "Complete", "Failed", "Suspended", "QuotaReserved"}
NO_REASONS = {
    *("True", "False", "None", "Normal", "Warning"),
    *("DebateRun", "DistillJob", "ModelRelease"),
    *("Job", "PyTorchJob", "TrainJob", "Pod", "Deployment", "Service", "Secret", "Event", "Role", "RoleBinding"),
    *("Cluster", "ServiceAccount", "CustomResourceDefinition", "DeleteOptions"),
    # Phases, and states of stages, attempts, pods and passes
    *("Pending", "Running", "Queued", "Cached", "Done", "Later", "Current", "InProgress", "Terminating", "Unknown"),
    # Classes of failures, what is done about a pin, and a value of a figure
    *("Application", "Interruption", "Keep", "Pin", "Unpin", "Released"),
    # Fields and values of Kubernetes objects
    *("Accept", "Background", "BearerToken", "Foreground", "ExitCode", "FailJob", "FallbackToLogsOnError", "Indexed"),
    *("IfNotPresent", "Master", "Worker", "Memory", "Never", "NotIn", "OnRootMismatch", "RollingUpdate"),
    *("RuntimeDefault", "PodScheduled", "ReplicaFailure", "NamespaceTerminating", "NotFound", "Timeout"),
    # A name of Python's
    "Key",
    # What a kubelet says and is told as another word
    *("ContainerCreating", "PodInitializing", "ContainerStatusUnknown", "Loading"),
    # What the Job controller says of a Job that will have failed
    "FailureTarget",
}
"""Words of the code that are no reasons."""


def words_of_the_code() -> set[str]:
    """Every CamelCase word that stands as a text of its own in the operator, or before a colon."""
    found = set()
    for file in CODE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        silent = {id(one) for node in ast.walk(tree) if _silent(node) for one in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                match = _WORD.fullmatch(node.value) or _FIRST.match(node.value)
                found |= {match[0].removesuffix(": ")} if match else set()
    return found


def _silent(node: ast.AST) -> bool:
    """Whether nothing in there is said to anybody: docstrings, and the names that a module offers."""
    if isinstance(node, ast.Assign):
        return any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def words_of_a_page(page: str, heading: str = "reason") -> set[str]:
    """The words in the first column of every table that is headed like this."""
    found, inside = set(), False
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        inside = line.startswith("|") and (inside or cells[0] == heading)
        found |= set(re.findall(r"`(\w+)`", cells[0])) if inside else set()
    return found


def documented() -> set[str]:
    return words_of_a_page("reasons.md") | words_of_a_page("kinds/modelrelease.md")


def test_each_reason_of_the_code_is_documented() -> None:
    missing = words_of_the_code() - NO_REASONS - CONDITIONS - documented()
    assert not missing, "say what they mean in docs/reasons.md, or that they are no reasons in NO_REASONS"


def test_each_documented_reason_is_in_the_code() -> None:
    assert documented() <= words_of_the_code(), "gone from the code; take it out of the page"


def test_what_is_said_to_be_no_reason_is_in_the_code_and_in_no_table() -> None:
    assert words_of_the_code() >= NO_REASONS
    assert not NO_REASONS & documented()


def test_each_condition_is_documented() -> None:
    assert words_of_a_page("reasons.md", "condition") == CONDITIONS


def test_what_comes_by_itself_is_told_so() -> None:
    text = (DOCS / "reasons.md").read_text()
    _, _, rest = text.partition("## Comes by itself")
    section, _, _ = rest.partition("\n## ")
    told = {word for row in section.splitlines() if row.startswith("|") for word in re.findall(r"`(\w+)`", row[:80])}
    releases = words_of_a_page("kinds/modelrelease.md")
    assert set(_COMES_BY_ITSELF) - releases <= told


def test_words_are_read_from_code_and_pages(tmp_path: Path) -> None:
    assert {"BackoffLimitExceeded", "StoreUnavailable", "NoVersion", "OOMKilled", "Replaced"} <= words_of_the_code()
    assert "ImagePullBackOff" in words_of_a_page("reasons.md")
