"""Why a resource, a stage or an attempt stands as it does: every word that the operator gives or knows.

Reasons are stable: alerts and scripts rely on them. docs/reasons.md and docs/kinds/modelrelease.md say what each means.
"""

from enum import StrEnum
from typing import NewType, Self

KubernetesReason = NewType("KubernetesReason", str)
"""A word that Kubernetes gives, passed on as it is."""


class Reason(StrEnum):
    """One CamelCase word."""

    by_itself: bool
    """Whether a resource is not ready for it and yet nobody has to do anything."""

    def __new__(cls, word: str, by_itself: bool = False) -> Self:
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.by_itself = by_itself
        return reason

    # Come by themselves
    PLANNING = "Planning", True
    WAITING = "Waiting", True
    WAITING_FOR_INPUTS = "WaitingForInputs", True
    WAITING_FOR_QUOTA = "WaitingForQuota", True
    ADMITTED = "Admitted"
    SHARED_STAGE = "SharedStage", True
    DEPENDENCY_RUNNING = "DependencyRunning", True
    ENDPOINT_NOT_READY = "EndpointNotReady", True
    STARTING = "Starting", True
    NO_PODS = "NoPods", True
    STAGE_RUNNING = "StageRunning", True
    RETRYING = "Retrying", True
    PODS_ENDING = "PodsEnding", True
    REPLACED = "Replaced", True
    RESUMED = "Resumed", True
    SUSPENDED = "Suspended", True
    NOT_STARTED = "NotStarted", True
    COMPLETE = "Complete"

    # Are mended by somebody
    STORE_UNAVAILABLE = "StoreUnavailable"
    INPUT_NOT_READY = "InputNotReady"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    NAME_TAKEN = "NameTaken"
    REFUSED = "Refused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    LIMIT_RANGE = "LimitRange"
    POD_SECURITY = "PodSecurity"
    RESTARTED = "Restarted"

    # Wait for a change of the spec
    INVALID_SPEC = "InvalidSpec"
    BACKEND_NOT_ENABLED = "BackendNotEnabled"
    TEACHERS_NOT_ENABLED = "TeachersNotEnabled"
    BACKEND_NOT_INSTALLED = "BackendNotInstalled"

    # End a run
    INVALID_INPUT = "InvalidInput"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    INTERRUPTION_LIMIT_EXCEEDED = "InterruptionLimitExceeded"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    PRE_RUNNING_DEADLINE_EXCEEDED = "PreRunningDeadlineExceeded"
    STAGE_FAILED = "StageFailed"

    # End an attempt
    SUCCEEDED = "Succeeded"
    ERROR = "Error"
    STORAGE_LIMIT_EXCEEDED = "StorageLimitExceeded"
    NO_RESULT = "NoResult"
    STALL_DETECTED = "StallDetected"
    FAILED = "Failed"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    INTERRUPTED = "Interrupted"
    NODE_LOST = "NodeLost"
    POD_DELETED = "PodDeleted"
    POD_LOST = "PodLost"
    PODS_GONE = "PodsGone"
    OBJECT_GONE = "ObjectGone"

    # Are told by events alone
    STARTED = "Started"
    SUPERSEDED = "Superseded"

    # Of ModelReleases
    NEWEST = "Newest"
    CHOSEN = "Chosen"
    PROMOTED = "Promoted"
    NO_VERSION = "NoVersion", True
    NO_CURRENT_VERSION = "NoCurrentVersion", True
    NOT_PROMOTED = "NotPromoted"
    VERSION_NOT_FOUND = "VersionNotFound"
    DIGEST_MISMATCH = "DigestMismatch"

    # Words of Kubernetes that the operator knows
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    ERR_IMAGE_PULL = "ErrImagePull"
    INVALID_IMAGE_NAME = "InvalidImageName"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    IMAGE_INSPECT_ERROR = "ImageInspectError"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    RUN_CONTAINER_ERROR = "RunContainerError"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
    FAILED_CREATE = "FailedCreate"
    FAILED_CREATE_POD = "FailedCreatePod"
    FAILED_MOUNT = "FailedMount"
    FAILED_ATTACH_VOLUME = "FailedAttachVolume"
    FAILED_CREATE_POD_SAND_BOX = "FailedCreatePodSandBox"
    OOM_KILLED = "OOMKilled"
    START_ERROR = "StartError"
    CONTAINER_CANNOT_RUN = "ContainerCannotRun"
    DISRUPTION_TARGET = "DisruptionTarget"
    EVICTED = "Evicted"


AnyReason = Reason | KubernetesReason
"""mypy refuses any other text. It is only as strict as `reason_of`, which lets every word of others pass."""
NO_REASON = KubernetesReason("")
COMES_BY_ITSELF = frozenset(reason for reason in Reason if reason.by_itself)
"""Reasons of which no event is made; all others, those of kubelets and schedulers too, are told."""


def reason_of(word: object) -> AnyReason:
    """A word that Kubernetes or a status gives, as a reason."""
    return KubernetesReason(str(word))
