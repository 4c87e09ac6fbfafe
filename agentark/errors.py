"""Every error a user can meet.

AgentArkError                 exit code 1: the work failed; a retry may help
├── InvalidInput              exit code 2: the input must be changed first
├── StoreError                the artifact store cannot be reached, refuses, or is full
│   └── NotFound              an object that should be there is not
├── EngineError               a language model gave no usable reply
└── Interrupted               exit code 75: stopped at a point from which it resumes
"""


class AgentArkError(Exception):
    """An error whose text says what went wrong and what to do about it."""

    exit_code = 1


class InvalidInput(AgentArkError):
    """The manifest, data or arguments are wrong; trying again without a change cannot help."""

    exit_code = 2


class StoreError(AgentArkError):
    """The artifact store failed: unreachable, access refused, or no space left."""


class NotFound(StoreError):
    """An object or file that was asked for does not exist in the store."""


class EngineError(AgentArkError):
    """A language model engine gave up on a request after its retries."""


class Interrupted(AgentArkError):
    """The work was told to stop and has left a state from which it resumes."""

    exit_code = 75
