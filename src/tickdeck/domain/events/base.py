"""The base of all events. Events are immutable, validated, and identified by a dotted type.

Create an event with its own fields only. Publishing stamps a copy of it with its place in the run: ``seq``,
``event_id``, ``correlation_id``, ``causation_id`` and times. Equal events encode to equal bytes; ``verify`` depends on
this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import getcontext, localcontext
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from tickdeck.domain.events.declaration import declare
from tickdeck.domain.events.frozen import FrozenDict
from tickdeck.domain.events.priority import Priority
from tickdeck.errors import EventValidationError, format_value

__all__ = ["ENVELOPE", "DomainEvent", "encode_payload", "invalid", "plain_digits"]

NO_METADATA: FrozenDict[str, str] = FrozenDict()

encode_payload = msgspec.json.Encoder(order=None).encode
"""``encode_payload(event) -> bytes``: the event's fields as one JSON object, including defaults.

Equal events give equal bytes, because dicts and sets in events have a fixed order. Values keep the form in which they
were given, and some that Python calls equal have different forms: ``Decimal("1.50")`` and ``Decimal("1.5")`` (digits
stay as the venue sent them), ``0.0`` and ``-0.0``, ``1`` and ``1.0`` in ``int | float``, times of day in two zones.

If the thread's decimal context has ``capitals = 0``, ``1E+3`` is written as ``1e+3``. Call this within
``plain_digits()`` if user code may have changed the context.
"""


@contextmanager
def plain_digits() -> Iterator[None]:
    """Within this block, decimals are formatted the same way regardless of the thread's decimal context."""
    if getcontext().capitals == 1:
        yield
        return
    with localcontext() as context:
        context.capitals = 1
        yield


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The base of all events. Subclass it with an ``event_type`` to define your own type::

        class NewsEvent(DomainEvent, frozen=True, kw_only=True):
            event_type: ClassVar[str] = "news.published"
            headline: str

    The kernel sets these fields. Do not set them when you create an event:

    - ``event_id``: ``<n>`` for the n-th input of a run, ``<parent>-<k>`` for the k-th event that its parent caused.
    - ``correlation_id``: the id of the input that started the chain of events.
    - ``causation_id``: the id of the direct cause; empty for inputs.
    - ``seq``: the position in the run, starting at 1. Every dispatched event counts.
    - ``ts_ingress``: when the run received the event, in ns since the epoch (UTC). It never decreases within a run.

    You may set these fields: ``ts`` (the source's time in ns UTC; if it is 0, the kernel sets the time of its clock),
    ``source`` (a venue, a file or an engine) and ``metadata`` (strings).

    All fields are validated when the event is created. A valid event can be stored and read back as an equal event.
    Values are normalized: lists become tuples, dicts and sets become immutable with a fixed order, times with a zone
    become UTC, and subclasses of ``str``, ``int``, ``float`` and ``Decimal`` become the plain type.

    Raises ``EventValidationError``, which names the event, the field and the value. A class that cannot work raises it
    when it is defined. A subclass can add checks in ``__post_init__``, which runs after these checks. Only the kernel
    may bypass the checks, with ``msgspec.structs.force_setattr``.
    """

    event_type: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """The version of the schema of this type. It is not the version of a stream."""
    is_market_data: ClassVar[bool] = False
    """True for public market data. If it comes from a file, the tape does not repeat it, and a subscriber may choose to
    drop some of it under load."""
    priority: ClassVar[Priority] = Priority.P3
    """The event's priority in the ingress queue."""
    _is_raw: ClassVar[bool] = False

    event_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    seq: int = 0
    ts: int = 0
    ts_ingress: int = 0
    source: str = ""
    metadata: dict[str, str] = NO_METADATA

    if TYPE_CHECKING:  # it exists, but the stubs of msgspec omit it

        def __copy__(self) -> Self: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declare(cls, DomainEvent)

    def __post_init__(self) -> None:
        if type(self) is DomainEvent:
            raise EventValidationError("DomainEvent is the base class of all events; create one of its subclasses")

    @property
    def aggregate_id(self) -> str:
        """What the event is about: an order id, the key of a position, a symbol. Empty if it is about the whole run."""
        return ""

    @property
    def stream(self) -> str | None:
        """The key of the aggregate's stream; ``None`` for market data and system events, which have no stream."""
        return None

    @property
    def is_input(self) -> bool:
        """Whether the event came from outside the run. False if a handler published it. Valid once it is stamped."""
        return "-" not in self.event_id

    @property
    def occurred_at(self) -> datetime:
        """``ts`` as an aware datetime in UTC, truncated to microseconds."""
        seconds, ns = divmod(self.ts, 1_000_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns // 1000)

    @property
    def payload(self) -> dict[str, Any]:
        """The event's own fields, without the envelope, as JSON-ready values (decimals are strings)."""
        fields = type(self).__struct_fields__
        with plain_digits():
            return {k: msgspec.to_builtins(getattr(self, k)) for k in fields if k not in ENVELOPE}

    def to_dict(self) -> dict[str, Any]:
        """The whole event as JSON-ready values: type, version, envelope, ``aggregate_id``, ``occurred_at`` (``ts`` in
        ISO 8601, UTC, truncated to microseconds) and the event's own fields."""
        out: dict[str, Any] = {
            "seq": self.seq,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "version": self.version,
            "ts": self.ts,
            "occurred_at": self.occurred_at.isoformat(),
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
        """The event as one JSON object. ``event_from_json`` turns it back into an equal event."""
        head = f'{{"event_type":"{self.event_type}","version":{self.version}'.encode()
        with plain_digits():
            body = encode_payload(self)
        return head + b"}" if body == b"{}" else head + b"," + body[1:]


ENVELOPE = frozenset(DomainEvent.__struct_fields__)
"""The fields that every event has."""


def invalid(event: DomainEvent, field: str, wanted: str) -> EventValidationError:
    """The error for an invalid field. It names the event, the field and the value."""
    name = type(event).event_type or type(event).__name__
    return EventValidationError(f"{name}: {field} is {format_value(getattr(event, field))}; it must be {wanted}")
