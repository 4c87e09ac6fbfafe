"""What all resources share: strict frozen models, camelCase on the wire, numbers that Kubernetes keeps exactly."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

API_VERSION: Literal["agentark.dev/v1alpha1"] = "agentark.dev/v1alpha1"

DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,2})?$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
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


class Spec(BaseModel):
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


def _quoted(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'write the number in quotes: "{value}" (Kubernetes keeps decimals only as text)')
    return value


def _decimal(low: str, high: str) -> Any:
    """How the API server sees a decimal string; text of any length would make its rule too dear."""
    bounds = [f"double(self)<={float(high)}"]
    if Decimal(low) > 0:  # the pattern has no sign
        bounds.insert(0, f"double(self)>={float(low)}")
    rule: dict[str, JsonValue] = {"rule": " && ".join(bounds)}
    rule["message"] = f"must lie between {low} and {high}"
    return Field(pattern=DECIMAL_PATTERN, max_length=24, json_schema_extra={"x-kubernetes-validations": [rule]})


def _bounded(low: str, high: str) -> AfterValidator:
    def check(value: str) -> str:
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise ValueError(f"must be a decimal number in quotes, {low} to {high}") from None
        if not Decimal(low) <= number <= Decimal(high):
            raise ValueError(f"must lie between {low} and {high}")
        return value

    return AfterValidator(check)


Fraction = Annotated[str, _decimal("0", "1"), BeforeValidator(_quoted), _bounded("0", "1")]
"""A decimal string from 0 to 1, such as "0.1"."""

Threshold = Annotated[str, _decimal("0.01", "1"), BeforeValidator(_quoted), _bounded("0.01", "1")]
"""A decimal string from 0.01 to 1, such as "0.8"."""

Temperature = Annotated[str, _decimal("0", "2"), BeforeValidator(_quoted), _bounded("0", "2")]
"""A decimal string from 0 (greedy) to 2."""

PositiveDecimal = Annotated[str, _decimal("0", "1000000"), BeforeValidator(_quoted), _bounded("0", "1000000")]
"""A decimal string, such as "0.0005" or "5e-4"."""

AboveZero = Annotated[str, _decimal("1e-12", "1000000"), BeforeValidator(_quoted), _bounded("1e-12", "1000000")]
"""A decimal string that is not 0."""

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
