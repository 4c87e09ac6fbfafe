"""ModelRelease: the published versions of a distilled model."""

from typing import Annotated

from pydantic import Field

from agentark.api.base import Digest, Spec
from agentark.api.sources import StoreSource


class ModelReleaseSpec(Spec):
    """Which version of a released model is the current one."""

    current_version: Annotated[int, Field(ge=1)] | None = None
    """Version to serve; the newest by default. Set an older one to roll back."""
    digest: Digest | None = None
    """Expected digest of that version."""
    store: StoreSource | None = None
    """Where the release lies; the operator's setting or the folder .agentark by default."""
