"""Resources as the API server has them, as models. Pure."""

import json

from pydantic import ValidationError

from agentark.api import KINDS, Resource
from agentark.errors import InvalidInput
from agentark_operator.informers.resources import Body


def parse_resource(body: Body) -> Resource:
    """The resource as a model.

    Raises:
        InvalidInput: If it is none, as when it was stored under another version of the definitions.
    """
    content = {name: body[name] for name in ("apiVersion", "kind", "metadata", "spec") if name in body}
    try:
        return KINDS[body["kind"]].model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{place}: {first['msg']}") from None
