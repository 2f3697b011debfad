"""What every event is: immutable, checked, named by a dotted type, stamped by the kernel.

An event is created by whoever saw or decided something, with its own fields only. Publishing it stamps a copy
with its place in the run: ``seq``, ``event_id``, ``correlation_id``, ``causation_id`` and times. Equal events
encode to equal bytes, which is what proof rests on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    NoReturn,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec.structs import force_setattr

from tickdeck.domain.events.upcast import upcasted
from tickdeck.errors import EventDecodeError, EventValidationError, format_value

__all__ = [
    "DomainEvent",
    "FrozenDict",
    "RawEvent",
    "decode_payload",
    "encode_payload",
    "event_class",
    "event_from_dict",
    "event_from_json",
    "event_types",
    "iter_event_classes",
]

_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_ENVELOPE = frozenset({"event_id", "correlation_id", "causation_id", "seq", "ts", "ts_ingress", "source", "metadata"})

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that refuses to change; equal to, and encoded like, a plain one."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("an event is immutable: build a new one instead of changing its mapping")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


NO_METADATA: FrozenDict[str, str] = FrozenDict()


# -- registry ---------------------------------------------------------------------------------------------------

_registry: dict[str, type[DomainEvent]] = {}
_decoders: dict[str, msgspec.json.Decoder[Any]] = {}


def _register(cls: type[DomainEvent]) -> None:
    name = cls.__dict__.get("event_type", "")
    if not name:
        return  # an abstract base of a family
    if not _TYPE.fullmatch(name):
        raise EventValidationError(
            f"{cls.__name__}: event_type {name!r} must be dotted lower case, such as 'news.published'"
        )
    other = _registry.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise EventValidationError(
            f"event type {name!r} is taken by {other.__module__}.{other.__qualname__}; choose another"
        )
    _registry[name] = cls
    _decoders.pop(name, None)


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of all events. Subclass it with an ``event_type`` to make a type of your own::

        class NewsEvent(DomainEvent, frozen=True, kw_only=True):
            event_type: ClassVar[str] = "news.published"
            headline: str

    Fields that the kernel fills (leave them alone when you create an event):

    - ``event_id``: ``<n>`` for the n-th input of a run, ``<parent>-<k>`` for the k-th event its parent caused.
    - ``correlation_id``: the id of the input that began the story; ``causation_id``: the id of the direct cause,
      empty for an input from outside.
    - ``seq``: position in the run, counted over every dispatched event, from 1.
    - ``ts_ingress``: when we took it, ns since the epoch, UTC; never decreases within a run.

    Fields that the creator may fill: ``ts`` (the source's own time, ns UTC; the kernel puts its clock's time
    where it is 0), ``source`` (who saw it: a venue, a file, an engine) and ``metadata`` (strings).

    Raises ``EventValidationError`` on creation where a field has a value it must not have; in particular a money
    field that is not a finite ``Decimal``.
    """

    event_type: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Version of the type's schema (not of a stream)."""
    is_market_data: ClassVar[bool] = False
    """Public market data: an input file's copy serves as its record, and a subscriber may choose to lose some."""

    event_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    seq: int = 0
    ts: int = 0
    ts_ingress: int = 0
    source: str = ""
    metadata: dict[str, str] = NO_METADATA

    if TYPE_CHECKING:  # msgspec has it, its stubs do not

        def __copy__(self) -> Self: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _register(cls)

    def __post_init__(self) -> None:
        shape = _shapes.get(type(self)) or _shape(type(self))
        if not shape.holds(self):
            _raise_invalid(self, shape)
        for name in shape.containers:
            value = getattr(self, name)
            if type(value) is dict:
                force_setattr(self, name, FrozenDict(value) if value else NO_METADATA)
            elif type(value) is list:
                force_setattr(self, name, tuple(value))

    def _freeze_metadata(self) -> None:
        metadata = self.metadata
        if metadata is not NO_METADATA:
            force_setattr(self, "metadata", FrozenDict(metadata) if metadata else NO_METADATA)

    @property
    def aggregate_id(self) -> str:
        """What the event is about: an order's id, a position's key, a symbol; empty where it is about the run."""
        return ""

    @property
    def stream(self) -> str | None:
        """Key of the stream of the aggregate's events, ``None`` for market data and the system's events."""
        return None

    @property
    def is_input(self) -> bool:
        """Came from outside (as opposed to: derived by a handler), as its stamped id tells."""
        return "-" not in self.event_id

    @property
    def occurred_at(self) -> datetime:
        """``ts`` as an aware datetime in UTC, cut to microseconds."""
        seconds, ns = divmod(self.ts, 1_000_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns // 1000)

    @property
    def payload(self) -> dict[str, Any]:
        """The event's own fields, without the envelope, as JSON-ready values (decimals are strings)."""
        fields = type(self).__struct_fields__
        return {k: msgspec.to_builtins(getattr(self, k)) for k in fields if k not in _ENVELOPE}

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values: type, version, the envelope, ``aggregate_id``, the own fields."""
        out: dict[str, Any] = {
            "seq": self.seq,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "version": self.version,
            "ts": self.ts,
            "ts_ingress": self.ts_ingress,
            "aggregate_id": self.aggregate_id,
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "source": self.source,
            "metadata": dict(self.metadata),
        }
        out.update(self.payload)
        return out

    def to_json(self) -> bytes:
        """One JSON object that ``event_from_json`` turns back into an equal event."""
        head = f'{{"event_type":"{self.event_type}","version":{self.version}'.encode()
        body = encode_payload(self)
        return head + b"}" if body == b"{}" else head + b"," + body[1:]


class RawEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An event whose type this process does not know: kept as it was and shown raw."""

    event_type: ClassVar[str] = ""
    raw_type: str
    raw_version: int = 1
    raw: dict[str, Any] = {}

    @property
    def payload(self) -> dict[str, Any]:
        return {k: v for k, v in self.raw.items() if k not in _ENVELOPE}

    def to_dict(self) -> dict[str, Any]:
        out = super().to_dict()
        out.update(event_type=self.raw_type, version=self.raw_version)
        return out

    def to_json(self) -> bytes:
        return encode_payload({"event_type": self.raw_type, "version": self.raw_version, **self.raw})


# -- checks ---------------------------------------------------------------------------------------------------


def invalid(event: DomainEvent, field: str, wanted: str) -> EventValidationError:
    """The error for a field with a wrong value: names event, field and value."""
    name = type(event).event_type or type(event).__name__
    return EventValidationError(f"{name}: {field} is {format_value(getattr(event, field))}; it must be {wanted}")


def check_money(event: DomainEvent, field: str) -> None:
    """Refuse anything but a finite ``Decimal`` (or ``None`` where the field allows it)."""
    value = getattr(event, field)
    if value is None:
        return
    if type(value) is not Decimal:
        raise invalid(event, field, "a decimal.Decimal (a float is not exact)")
    if not value.is_finite():
        raise invalid(event, field, "a finite decimal")


class _Shape(NamedTuple):
    """What an event class asks of its fields. ``holds(event)`` says in one go whether all of it is given."""

    money: tuple[str, ...]
    scalars: tuple[tuple[str, tuple[type, ...]], ...]
    """Fields of plain classes, with these."""
    containers: tuple[str, ...]
    """Mappings and tuples."""
    holds: Callable[[DomainEvent], bool]


_shapes: dict[type, _Shape] = {}


def _shape(cls: type[DomainEvent]) -> _Shape:
    hints = get_type_hints(cls)
    fields = cls.__struct_fields__
    money = tuple(f for f in fields if hints[f] is Decimal or Decimal in get_args(hints[f]))
    containers = tuple(f for f in fields if (get_origin(hints[f]) or hints[f]) in (dict, tuple))
    scalars = tuple((f, kinds) for f in fields if (kinds := _plain_classes(hints[f])) and Decimal not in kinds)
    optional = tuple(f for f in money if NoneType in get_args(hints[f]))
    found = _shapes[cls] = _Shape(money, scalars, containers, _predicate(money, optional, dict(scalars)))
    return found


def _predicate(
    money: tuple[str, ...], optional: tuple[str, ...], scalars: dict[str, tuple[type, ...]]
) -> Callable[[DomainEvent], bool]:
    """The checks as one expression, compiled once a class as dataclasses do it: a loop over the fields would be the
    greater part of what it costs to create an event.
    """
    conditions = [f"type(e.{f}) is Decimal and e.{f}.is_finite()" for f in money if f not in optional]
    conditions += [f"(e.{f} is None or (type(e.{f}) is Decimal and e.{f}.is_finite()))" for f in optional]
    conditions += [f"isinstance(e.{f}, kinds_{f})" for f in scalars]
    names: dict[str, Any] = {"Decimal": Decimal, **{f"kinds_{f}": kinds for f, kinds in scalars.items()}}
    holds: Callable[[DomainEvent], bool] = eval(f"lambda e: {' and '.join(conditions)}", names)  # noqa: S307 (field names)
    return holds


def _raise_invalid(event: DomainEvent, shape: _Shape) -> None:
    """Raise for the first field that is not as it must be."""
    for name in shape.money:
        check_money(event, name)
    for name, kinds in shape.scalars:
        if not isinstance(getattr(event, name), kinds):
            raise invalid(event, name, " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds))


def _plain_classes(hint: Any) -> tuple[type, ...]:
    """``(int, str)`` for ``int | str``; nothing for what is not made of plain classes alone. An int may be a float."""
    kinds = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    if not all(isinstance(kind, type) and get_origin(kind) is None and kind is not object for kind in kinds):
        return ()
    return (*kinds, int) if float in kinds else tuple(kinds)


def _holds_money(hint: Any) -> bool:
    """Somewhere in a value of this type there may be a ``Decimal``."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return any(_holds_money(inner) for inner in get_type_hints(hint).values())
    return hint is Decimal or any(_holds_money(inner) for inner in get_args(hint))


class _FloatLiteral(str):
    """A number with a point or an exponent, as it stood in JSON."""

    __slots__ = ()


_literals = msgspec.json.Decoder(dict[str, Any], float_hook=_FloatLiteral)


def _refuse_floats(cls: type[DomainEvent], data: bytes | str) -> None:
    """msgspec takes a JSON float for a ``Decimal``; we do not: whoever wrote it may have rounded it."""
    values = _literals.decode(data)
    hints = get_type_hints(cls)
    for field in cls.__struct_fields__:
        if _holds_money(hints[field]):
            for path, literal in _floats(field, values.get(field)):
                wanted = "it must be a decimal in a string (a float is not exact)"
                raise EventDecodeError(f"{cls.event_type}: {path} is {literal}; {wanted}")


def _floats(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, _FloatLiteral):
        yield path, str(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _floats(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _floats(f"{path}[{index}]", inner)


# -- codec -----------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder(order=None)
_raw_decoder = msgspec.json.Decoder(dict[str, Any])


class _Head(msgspec.Struct):
    event_type: str
    version: int = 1


_head_decoder = msgspec.json.Decoder(_Head)


def event_class(event_type: str) -> type[DomainEvent] | None:
    """The class registered for a dotted type, or ``None``."""
    return _registry.get(event_type)


def event_types() -> list[str]:
    """All registered types, sorted."""
    return sorted(_registry)


def iter_event_classes() -> Iterator[type[DomainEvent]]:
    """All registered classes, by type."""
    return (_registry[name] for name in event_types())


encode_payload = _encoder.encode
"""``encode_payload(event) -> bytes``: the event's fields as one JSON object. Equal events give equal bytes: defaults
are written out, since leaving them out goes by identity (msgspec) and would depend on where a string came from."""


def decode_payload(event_type: str, data: bytes | str, version: int = 1) -> DomainEvent:
    """The inverse of ``encode_payload``. An unknown type gives a ``RawEvent``.

    For bytes that Tickdeck wrote: what comes from elsewhere goes through ``event_from_json``, which looks for floats.
    An older version of the type is brought to the newest by the functions that ``upcast`` registered. Raises
    ``EventDecodeError`` naming event, field and value, or a version that cannot be read.
    """
    cls = _registry.get(event_type)
    if cls is None:
        return _raw_event(event_type, data, version)
    decoder = _decoders.get(event_type)
    if decoder is None:
        decoder = _decoders[event_type] = msgspec.json.Decoder(cls)
    try:
        if version != cls.version:
            data = _upcast(cls, data, version)
        event: DomainEvent = decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise _decode_error(event_type, data, error) from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"{event_type}: it is not in UTF-8: {error}") from None
    return event


def _upcast(cls: type[DomainEvent], data: bytes | str, version: int) -> bytes:
    """The payload of an older version as one of the newest. The envelope stays: it is not the step's to change."""
    stored = _raw_decoder.decode(data)
    fields = upcasted(cls.event_type, stored, version, cls.version)
    fields |= {name: value for name, value in stored.items() if name in _ENVELOPE}
    try:
        newest = _encoder.encode(fields)
    except (TypeError, ValueError) as error:
        raise EventDecodeError(
            f"{cls.event_type}: the upcast from version {version} gave what JSON has not: {error}"
        ) from None
    _refuse_floats(cls, newest)
    return newest


def event_from_json(data: bytes | str) -> DomainEvent:
    """The inverse of ``DomainEvent.to_json``. A float where money belongs is refused.

    Raises ``EventDecodeError`` naming event, field and value.
    """
    try:
        head = _head_decoder.decode(data)
        cls = _registry.get(head.event_type)
        if cls is not None and cls.version == head.version:  # an older one is looked at when it was upcast
            _refuse_floats(cls, data)
    except msgspec.MsgspecError as error:
        raise EventDecodeError(f"event: {error}; an event in JSON is an object with an 'event_type'") from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"event: it is not in UTF-8: {error}") from None
    return decode_payload(head.event_type, data, head.version)


def event_from_dict(data: Mapping[str, Any]) -> DomainEvent:
    """The inverse of ``DomainEvent.to_dict``. A float where money belongs is refused."""
    return event_from_json(msgspec.json.encode(data))


def _raw_event(event_type: str, data: bytes | str, version: int) -> RawEvent:
    try:
        raw = _raw_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise _decode_error(event_type, data, error) from None
    except UnicodeDecodeError as error:
        raise EventDecodeError(f"{event_type}: it is not in UTF-8: {error}") from None
    raw.pop("event_type", None)
    raw.pop("version", None)
    envelope = {k: v for k, v in raw.items() if k in _ENVELOPE}
    return RawEvent(raw_type=event_type, raw_version=version, raw=raw, **envelope)


_PATH = re.compile(r"at `\$\.?(?P<path>[^`]*)`")


def _decode_error(event_type: str, data: bytes | str, error: Exception) -> EventDecodeError:
    text = str(error)
    match = _PATH.search(text)
    if match is None or not match["path"]:
        return EventDecodeError(text if text.startswith(f"{event_type}: ") else f"{event_type}: {text}")
    path = match["path"]
    value: Any = msgspec.json.decode(data)
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)]
        else:
            break
    return EventDecodeError(
        f"{event_type}: {path} is {value!r}; {text[0].lower()}{text[1 : match.start()].rstrip(' -')}"
    )
