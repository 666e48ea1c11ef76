"""What all kinds have in common: camelCase at the border, frozen values, errors in a person's words."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class ManifestError(Exception):
    """A manifest that cannot be understood; the message says where, and what was expected there."""


class Model(BaseModel):
    """Base of all parts of a manifest. What is not known is left alone."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class StatusCondition(Model):
    """One thing that is, is not, or is not known to be true of the object."""

    type: str
    """What it is about."""
    status: str
    """True, False or Unknown."""
    reason: str = ""
    """Why, in a word."""
    message: str = ""
    """Why, in a sentence, and what to do."""


class ObjectMeta(Model):
    """The part of an object's metadata that we read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None


def manifest_error(error: ValidationError) -> ManifestError:
    """Return the error of a manifest, with each place and what was expected there, and no values."""
    return ManifestError("; ".join(_sentence(detail) for detail in error.errors(include_input=False)))


def _sentence(detail: Any) -> str:
    where = ""
    for part in detail["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    hint = "; put it in quotes" if detail["type"] == "string_type" and ".metadata." in where else ""
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}{hint}"
