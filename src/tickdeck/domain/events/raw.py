"""Events of types that this process does not know."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from tickdeck.domain.events.base import ENVELOPE, DomainEvent, encode_payload
from tickdeck.domain.events.frozen import FrozenDict, FrozenList
from tickdeck.domain.events.kinds import InvalidValue, Kind, Names, is_nested_deeper
from tickdeck.domain.events.registry import event_class
from tickdeck.errors import EventValidationError

__all__ = ["RawEvent"]


_DEEPEST = 250
"""How many levels ``raw`` may have. Deeper JSON may exceed the calls that Python nests when it is read."""


class _Json(Kind):
    """A JSON object with any content."""

    wanted = "a dict of JSON values with str keys"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(_RawDict)}"

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise self.invalid(path, value)
        if is_nested_deeper(value, _DEEPEST):
            raise InvalidValue(path, "...", f"a dict of at most {_DEEPEST} levels")
        if not _is_json(value):
            raise InvalidValue(path, value, "a dict that can be written to JSON, with str keys")
        return value if type(value) is _RawDict else _RawDict((key, _frozen(item)) for key, item in value.items())


class _RawDict(FrozenDict[str, Any]):
    """Created only in this module, so its content is always immutable JSON."""

    __slots__ = ()


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return FrozenDict((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return FrozenList(map(_frozen, value))
    return value


def _is_json(value: dict[Any, Any]) -> bool:
    try:
        return bool(msgspec.json.decode(encode_payload(value)) == value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return False


class RawEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An event whose type this process does not know. It is stored and shown unchanged.

    ``raw`` contains its fields as they were read. ``raw_stream`` is the stream in which it was stored. If you publish
    it again, it keeps its type, fields and stream, and gets new stamps.
    """

    event_type: ClassVar[str] = ""
    _is_raw: ClassVar[bool] = True
    raw_type: str
    raw_version: int = 1
    raw: Annotated[dict[str, Any], _Json()] = {}
    raw_stream: str | None = None

    def __post_init__(self) -> None:
        cls = event_class(self.raw_type)
        if cls is not None:  # it would be read as one, and might not be
            raise EventValidationError(
                f"RawEvent: raw_type is {self.raw_type!r}, which {cls.__name__} is for; create a {cls.__name__}, or "
                "use event_from_dict"
            )

    @property
    def stream(self) -> str | None:
        return self.raw_stream

    @property
    def payload(self) -> dict[str, Any]:
        return {k: v for k, v in self.raw.items() if k not in ENVELOPE}

    def to_dict(self) -> dict[str, Any]:
        out = super().to_dict()
        out.update(event_type=self.raw_type, version=self.raw_version)
        return out

    def to_payload(self) -> bytes:
        """The payload as the original process would have written it, with the current envelope."""
        return encode_payload(self._fields())

    def to_json(self) -> bytes:
        return encode_payload({"event_type": self.raw_type, "version": self.raw_version, **self._fields()})

    def _fields(self) -> dict[str, Any]:
        envelope = {name: value for name in DomainEvent.__struct_fields__ if (value := getattr(self, name))}
        return {**envelope, **self.payload}
