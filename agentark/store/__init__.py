"""Where results lie: a folder or an S3 bucket, and what stages and runs keep there."""

from agentark.store.addresses import open_store
from agentark.store.digests import sha256_file, sha256_tree
from agentark.store.interface import Entry, Patience, Store
from agentark.store.outputs import Output
from agentark.store.progress import Progress, ProgressWriter, read_progress
from agentark.store.records import readable
from agentark.store.runs import RunRecord, RunStage, list_runs, read_run, read_run_of, write_run
from agentark.store.shares import ALL, Share
from agentark.store.stages import StageManifest, commit, next_attempt, read_manifest, stage_path, verify_outputs

__all__ = [
    "ALL",
    "Entry",
    "Output",
    "Patience",
    "Progress",
    "ProgressWriter",
    "RunRecord",
    "RunStage",
    "Share",
    "StageManifest",
    "Store",
    "commit",
    "list_runs",
    "next_attempt",
    "open_store",
    "read_manifest",
    "read_progress",
    "read_run",
    "read_run_of",
    "readable",
    "sha256_file",
    "sha256_tree",
    "stage_path",
    "verify_outputs",
    "write_run",
]
