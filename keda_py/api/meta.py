"""What all kinds have in common: camelCase at the border, frozen values, errors in a person's words."""

from datetime import datetime
from typing import Any, Self

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

    @classmethod
    def parse(cls, raw: Any, *, at: str = "") -> Self:
        """Return what a decoded manifest says there; raise `ManifestError` with all that is wrong below `at`."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            sentences = "; ".join(_sentence(detail, at) for detail in error.errors(include_input=False))
            raise ManifestError(sentences) from None


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


def _sentence(detail: Any, at: str) -> str:
    where = at
    for part in detail["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    hint = "; put it in quotes" if detail["type"] == "string_type" and ".metadata." in where else ""
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}{hint}"
