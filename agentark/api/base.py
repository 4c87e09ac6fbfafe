"""What all resources share: strict frozen models, camelCase on the wire, numbers that Kubernetes keeps exactly."""

import decimal
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, ValidationInfo
from pydantic._internal._model_construction import ModelMetaclass
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from agentark.errors import InvalidInput

API_VERSION: Literal["agentark.dev/v1alpha1"] = "agentark.dev/v1alpha1"

DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,3})?$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
_LONGEST_DECIMAL = 24
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Location = tuple[str | int, ...]
"""Path of a field on the wire: names of fields, and places in lists from 0."""


def dotted(location: Location) -> str:
    """A path as people write it, such as spec.methods[0]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


class Rule(NamedTuple):
    """A condition over several fields, as the API server checks it; a validator of the model says the same."""

    cel: str
    """In the Common Expression Language; ``$a.b`` is the field a.b, or its default where it is left out. Not for lists:
    the API server takes one with a default for endlessly long, and the rule for too dear."""
    message: str
    """What a user reads when it is false: the field and the mend."""


class Key(NamedTuple):
    """Marks a field that is not part of every key in which its model is; see `Spec.keyed`."""

    uses: tuple[str, ...] | None = None
    """The uses of the model in whose keys the field is; None: all."""
    unless_default: bool = False
    """Left out where it has its default: for fields that are newer than v1alpha1, so that older keys stay."""

    def holds(self, uses: Sequence[str], *, is_default: bool) -> bool:
        """Whether a field so marked is part of a key for these uses."""
        used = self.uses is None or not set(uses).isdisjoint(self.uses)
        return used and not (self.unless_default and is_default)


NOT_IN_KEY = Key(uses=())
"""The result does not depend on the field, or the key has it in another form, such as a digest for an address."""


class _Checked(ModelMetaclass):
    """In Python, too, what is wrong is said in the words of a manifest's errors."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        """Make a spec.

        Raises:
            InvalidInput: If values are not accepted; names all of them.
        """
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            from agentark.api.manifest import explained  # which knows all kinds

            wrong = [
                f"{dotted((cls.__name__, *place))}: {message}" for place, message in explained(error, cast(Any, cls))
            ]
            raise InvalidInput("; ".join(wrong)) from None


class Spec(BaseModel, metaclass=_Checked):
    """A part of a resource: unknown fields are refused, values cannot be changed after reading."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )

    def canonical(self) -> dict[str, Any]:
        """The spec as plain JSON data with its defaults filled in."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def keyed(self, *uses: str) -> dict[str, Any]:
        """What of the spec is part of a stage's key.

        Args:
            uses: What the spec is used for, in the words of its fields' `Key` marks.
        """
        content = self.canonical()
        for name, field in type(self).model_fields.items():
            alias, value = field.alias or name, getattr(self, name)
            if isinstance(value, Spec):
                content[alias] = value.keyed(*uses)
            elif isinstance(value, list):
                content[alias] = [part.keyed(*uses) if isinstance(part, Spec) else part for part in value]
            for key in field.metadata:
                is_default = value == field.get_default() or content.get(alias) == {}
                if isinstance(key, Key) and not key.holds(uses, is_default=is_default):
                    content.pop(alias, None)
        return content


def decimal_text(value: float) -> str:
    """The one text of a number, however it was written: below 0.01 with an exponent, such as 5e-4; else 0.05 or 2."""
    number = decimal.Decimal(repr(float(value))).normalize()
    return f"{number:e}" if 0 < number < decimal.Decimal("0.01") else f"{number:f}"


class Decimal(NamedTuple):
    """The type of a number that is text on the wire and a float in Python, with its bounds."""

    low: float
    """At least 0."""
    high: float

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        text = core_schema.plain_serializer_function_ser_schema(decimal_text, when_used="json")
        return core_schema.with_info_plain_validator_function(self._read, serialization=text)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: object) -> dict[str, JsonValue]:
        """How the API server sees it; text of any length would make its rule too dear."""
        bounds = [f"double(self)<={self.high}"]
        if self.low > 0:  # the pattern has no sign
            bounds.insert(0, f"double(self)>={self.low}")
        rule: dict[str, JsonValue] = {"rule": " && ".join(bounds), "message": self._accepted()}
        text: dict[str, JsonValue] = {"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": _LONGEST_DECIMAL}
        return text | {"x-kubernetes-validations": [rule]}

    def _read(self, value: object, info: ValidationInfo) -> float:
        if isinstance(value, str):
            if len(value) > _LONGEST_DECIMAL or not re.fullmatch(DECIMAL_PATTERN, value):
                raise ValueError(f'a decimal number in quotes, such as "0.5" or "5e-4", {self._accepted()}')
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a decimal number {self._accepted()}")
        elif info.mode == "json" and self.low <= value <= self.high:
            raise ValueError(f'write the number in quotes: "{value}" (Kubernetes keeps decimals only as text)')
        elif not self.low <= value <= self.high:  # also where a whole number is too large for a float
            raise ValueError(self._accepted())
        number = float(value)
        if not self.low <= number <= self.high:
            raise ValueError(self._accepted())
        return number + 0.0  # -0.0 is 0

    def _accepted(self) -> str:
        return f"must lie between {decimal_text(self.low)} and {decimal_text(self.high)}"


Fraction = Annotated[float, Decimal(0.0, 1.0)]
"""From 0 to 1; in a manifest a text such as "0.1"."""

Threshold = Annotated[float, Decimal(0.01, 1.0)]
"""From 0.01 to 1; in a manifest a text such as "0.8"."""

Temperature = Annotated[float, Decimal(0.0, 2.0)]
"""From 0 (greedy) to 2; in a manifest a text."""

PositiveDecimal = Annotated[float, Decimal(0.0, 1_000_000.0)]
"""From 0 to 1,000,000; in a manifest a text, such as "0.0005" or "5e-4"."""

AboveZero = Annotated[float, Decimal(1e-12, 1_000_000.0)]
"""More than 0; in a manifest a text."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)]
"""A DNS label: lower-case letters, digits and '-'."""

Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
"""A content digest, 'sha256:' and 64 hex digits."""

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Seed of all random choices, 0 to 2147483647."""


PodTemplate = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A part of a pod template, {metadata, spec}, laid over the one that is made; its container is called "stage"."""


class Reference(Spec):
    """The name of another object in the same namespace."""

    name: Name
    """Name of the object."""


class Metadata(BaseModel):
    """The part of metav1.ObjectMeta that AgentArk reads; everything else is carried along."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: Name
    """Name of the resource."""
    namespace: Name = "default"
    """Namespace of the resource; on a laptop only part of the run's path."""
