"""What all resources share: strict frozen models, camelCase on the wire, numbers that Kubernetes keeps exactly."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

API_VERSION: Literal["agentark.dev/v1alpha1"] = "agentark.dev/v1alpha1"

DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,2})?$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class Spec(BaseModel):
    """A part of a resource: unknown fields are refused, values cannot be changed after reading."""

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


Fraction = Annotated[str, BeforeValidator(_quoted), Field(pattern=DECIMAL_PATTERN), _bounded("0", "1")]
"""A decimal string from 0 to 1, such as "0.1"."""

Threshold = Annotated[str, BeforeValidator(_quoted), Field(pattern=DECIMAL_PATTERN), _bounded("0.01", "1")]
"""A decimal string from 0.01 to 1, such as "0.8"."""

Temperature = Annotated[str, BeforeValidator(_quoted), Field(pattern=DECIMAL_PATTERN), _bounded("0", "2")]
"""A decimal string from 0 (greedy) to 2."""

PositiveDecimal = Annotated[str, BeforeValidator(_quoted), Field(pattern=DECIMAL_PATTERN), _bounded("0", "1000000")]
"""A decimal string, such as "0.0005" or "5e-4"."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)]
"""A DNS label: lower-case letters, digits and '-'."""

Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
"""A content digest, 'sha256:' and 64 hex digits."""

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Seed of all random choices, 0 to 2147483647."""


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
