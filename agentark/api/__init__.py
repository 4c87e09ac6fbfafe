"""The custom resources as pydantic models: the single source of schemas, defaults, validation and reference docs."""

from agentark.api.base import API_VERSION, decimal_text
from agentark.api.debaterun import DebateRunSpec, DebateSpec, Execution, Protocol, Sampling
from agentark.api.distilljob import Curation, DistillJobSpec, Evaluation, Gate, Release, Suite
from agentark.api.manifest import InvalidManifest, Issue, check_manifest, read_manifest
from agentark.api.modelrelease import ModelReleaseSpec
from agentark.api.pad import PAD, PADGuards, PRMEndpoint
from agentark.api.prmtraining import MonteCarlo, PRMSpec, PRMTrainingSpec
from agentark.api.prompts import Prompts
from agentark.api.resources import (
    KINDS,
    DebateRun,
    DistillJob,
    ModelRelease,
    PRMTraining,
    Resource,
    json_schema,
)
from agentark.api.running import OPERATOR, RunPolicy
from agentark.api.sources import Dataset, Endpoint, Grading, Model, SecretKey, Serving, StoreSource, Teacher
from agentark.api.training import DPO, Elastic, Gang, Lora, RuntimeRef, Training

__all__ = [
    "API_VERSION",
    "DPO",
    "KINDS",
    "OPERATOR",
    "PAD",
    "Curation",
    "Dataset",
    "DebateRun",
    "DebateRunSpec",
    "DebateSpec",
    "DistillJob",
    "DistillJobSpec",
    "Elastic",
    "Endpoint",
    "Evaluation",
    "Execution",
    "Gang",
    "Gate",
    "Grading",
    "InvalidManifest",
    "Issue",
    "Lora",
    "Model",
    "ModelRelease",
    "ModelReleaseSpec",
    "MonteCarlo",
    "PADGuards",
    "PRMEndpoint",
    "PRMSpec",
    "PRMTraining",
    "PRMTrainingSpec",
    "Prompts",
    "Protocol",
    "Release",
    "Resource",
    "RunPolicy",
    "RuntimeRef",
    "Sampling",
    "SecretKey",
    "Serving",
    "StoreSource",
    "Suite",
    "Teacher",
    "Training",
    "check_manifest",
    "decimal_text",
    "json_schema",
    "read_manifest",
]
