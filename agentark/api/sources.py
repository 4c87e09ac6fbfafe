"""Where data, models, endpoints and artifacts are."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from agentark.api.base import (
    NOT_IN_KEY,
    Digest,
    Fraction,
    Key,
    Name,
    PodTemplate,
    PositiveDecimal,
    Reference,
    Rule,
    Spec,
)

URI_PATTERN = r"^(file:|s3://|hf://|release://).+"
Uri = Annotated[str, Field(pattern=URI_PATTERN, max_length=2048)]
"""file:PATH (relative to the manifest), s3://bucket/key, hf://org/name@revision or release://name@version."""


class Grading(Spec):
    """Which answers count as the same, beyond what the task says; votes, labels, rewards and results follow it."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule("double($relativeTolerance) < 1.0", "relativeTolerance is less than 1"),)

    absolute_tolerance: Annotated[PositiveDecimal, Key(unless_default=True)] = 0.0
    """Numbers at most this far apart are equal, in the unit that is written."""
    relative_tolerance: Annotated[Fraction, Key(unless_default=True)] = 0.0
    """The same, as a part of the larger number; less than 1. The wider of the two tolerances counts."""
    lists: Annotated[Literal["Ordered", "Unordered"], Key(unless_default=True)] = "Ordered"
    """Whether 2,3 differs from 3,2 (Ordered). Only for lists without brackets: (2,3) is a point."""

    @model_validator(mode="after")
    def _tells_numbers_apart(self) -> Self:
        if self.relative_tolerance >= 1:
            raise ValueError(
                f'relativeTolerance is "{self.relative_tolerance:g}", so all numbers would be equal; give less than 1'
            )
        return self


class Dataset(Spec):
    """A set of questions with answers."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.grading) || $task != 'medmcqa'",
            "answers of task medmcqa are letters; remove grading",
        ),
    )

    uri: Annotated[Uri, NOT_IN_KEY]
    """Address of the rows: .jsonl, .jsonl.gz, .jsonl.zst or .json; hf:// data sets name config and split after '#'."""
    task: Literal["gsm8k", "medmcqa", "jsonl"] = "jsonl"
    """How rows are read and answers graded; jsonl takes {"id", "question", "answer"}."""
    grading: Annotated[Grading | None, Key(unless_default=True)] = None
    """Tolerances and the order of lists; exact and ordered by default. Not for medmcqa, whose answers are letters."""
    limit: Annotated[Annotated[int, Field(ge=1)] | None, NOT_IN_KEY] = None
    """Use only the first so many questions."""
    digest: Annotated[Digest | None, NOT_IN_KEY] = None
    """Expected content; a file with another digest is refused."""

    @model_validator(mode="after")
    def _grades_what_it_asks(self) -> Self:
        if self.grading is not None and self.task == "medmcqa":
            raise ValueError("answers of task medmcqa are letters; remove grading")
        return self


class Model(Spec):
    """The weights and tokenizer of a causal language model."""

    uri: Uri
    """Address of a Hugging Face model folder."""
    digest: Digest | None = None
    """Expected content; a model with another digest is refused."""


class SecretKey(Spec):
    """One key of a Secret. On a laptop: the environment variable AGENTARK_SECRET_<NAME>_<KEY>, in capitals and with '_'
    for '-' and '.'; two keys of a resource that come to one variable are refused."""

    name: Name
    """Name of the Secret."""
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = "apiKey"
    """Key inside the Secret."""

    @property
    def variable(self) -> str:
        """The environment variable from which a stage reads it, on a laptop and in a pod."""
        return f"AGENTARK_SECRET_{self.name}_{self.key}".upper().replace("-", "_").replace(".", "_")


class Endpoint(Spec):
    """An OpenAI-compatible server that is already running."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)]
    """Root of the API, usually ending in /v1."""
    model: Annotated[str, Field(min_length=1, max_length=512)]
    """Name of the model as the server knows it."""
    api_key_secret_ref: SecretKey | None = None
    """The key to send as bearer token; none by default."""


class Serving(Spec):
    """How vLLM serves a teacher's weights on a cluster; on a laptop they run in process. Not part of a key."""

    replicas: Annotated[int, Field(ge=1, le=256)] = 1
    """Pods that serve."""
    gpus_per_replica: Annotated[int, Field(ge=0, le=16)] = 1
    """GPUs of each; 0 serves on the CPU."""
    args: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=64)] = []
    """Further arguments of `vllm serve`."""
    start_deadline_seconds: Annotated[int, Field(ge=10, le=86400)] = 1800
    """Longest time from a pod's start until it serves, in seconds: loading weights takes a while."""
    pods: PodTemplate | None = None
    """Laid over the pod template: {metadata, spec}; the container is called "vllm"."""


class Teacher(Spec):
    """The model that debates: weights to load, or a server to ask."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.model) != has(self.endpoint)", "give exactly one of 'model' and 'endpoint'"),
        Rule("!has(self.serving) || has(self.model)", "serving belongs to 'model'; an endpoint is served already"),
    )

    model: Model | None = None
    """Weights to load (on a cluster: to serve by vLLM)."""
    endpoint: Endpoint | None = None
    """A running OpenAI-compatible server."""
    serving: Serving | None = None
    """How the weights are served on a cluster; defaults apply when left out."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("give exactly one of 'model' and 'endpoint'")
        if self.serving is not None and self.model is None:
            raise ValueError("serving belongs to 'model'; an endpoint is served already")
        return self


class StoreSource(Spec):
    """Where artifacts are kept."""

    uri: Annotated[str, Field(pattern=r"^(file:|s3://).+", max_length=2048)] = "file:.agentark"
    """s3://bucket/prefix, or file:FOLDER on a laptop (relative to the working directory)."""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """The S3 server; none means AWS."""
    region: str = ""
    """Region of the bucket; most servers need none."""
    credentials_secret_ref: Reference | None = None
    """Secret with accessKey and secretKey. On a laptop: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""
