"""Every error a user can meet.

AgentArkError                 exit code 1: the work failed; a retry may help
├── InvalidInput              exit code 2: the input must be changed first
├── Unavailable               exit code 69: a service does not answer or has no room; goes on once that is mended
├── StoreError                what lies in the artifact store is missing, damaged, or cannot be used
│   ├── NotFound              an object that should be there is not
│   └── StoreUnavailable      (Unavailable too) the store cannot be used for now, or is full
│       ├── StoreUnreachable  nobody answers at its address
│       └── StoreRefused      it does not take the credentials
├── EngineError               a language model gave no usable reply
│   └── EngineUnavailable     (Unavailable too) no server answers when a stage first asks, or it is not ready
└── Interrupted               exit code 75: stopped at a point from which it resumes
"""


class AgentArkError(Exception):
    """An error whose text says what went wrong and what to do about it."""

    exit_code = 1


class InvalidInput(AgentArkError):
    """The manifest, data or arguments are wrong; trying again without a change cannot help."""

    exit_code = 2


class Unavailable(AgentArkError):
    """A service that the work needs does not answer, refuses or has no room; the same work goes on once it does.

    EX_UNAVAILABLE of sysexits.h, as EX_TEMPFAIL stands for Interrupted.
    """

    exit_code = 69


class StoreError(AgentArkError):
    """The artifact store failed, or what lies there cannot be used."""


class NotFound(StoreError):
    """An object or file that was asked for does not exist in the store."""


class StoreUnavailable(StoreError, Unavailable):
    """The artifact store cannot be reached, refuses access, or has no space left."""


class StoreUnreachable(StoreUnavailable):
    """Nobody answers at the store's address; what was asked for does not matter then, so the text does not say it."""


class StoreRefused(StoreUnavailable):
    """The store does not take the credentials; whoever knows where they come from says what to correct there.

    Args:
        what: The place, and what was refused.
        rights: What the right key may do.
    """

    def __init__(self, what: str, rights: str) -> None:
        super().__init__(f"{what}: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and that {rights}")
        self.what, self.rights = what, rights


class EngineError(AgentArkError):
    """A language model engine gave up on a request after its retries."""


class EngineUnavailable(EngineError, Unavailable):
    """No server answers at a model's address, or it is not ready to."""


class Interrupted(AgentArkError):
    """The work was told to stop and has left a state from which it resumes."""

    exit_code = 75
