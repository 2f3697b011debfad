"""What every event is: immutable, checked, named by a dotted type, stamped by the kernel.

An event is created by whoever saw or decided something, with its own fields only. Publishing it stamps a copy
with its place in the run: ``seq``, ``event_id``, ``correlation_id``, ``causation_id`` and times. Equal events
encode to equal bytes, which is what proof rests on.
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
"""``encode_payload(event) -> bytes``: the event's fields as one JSON object. Equal events give equal bytes: events
keep dicts and sets in one order, and defaults are written out. (Equal to the digit: ``Decimal("1.50")`` and
``Decimal("1.5")`` are equal numbers and different text, since what a venue sent keeps its digits.)

A thread whose decimal context has ``capitals = 0`` would write ``1e+3`` for ``1E+3``. Where the context may be a
user's, call it in ``plain_digits()``.
"""


@contextmanager
def plain_digits() -> Iterator[None]:
    """Decimals are written alike in the block, whatever the thread's decimal context says."""
    if getcontext().capitals == 1:
        yield
        return
    with localcontext() as context:
        context.capitals = 1
        yield


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
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

    Every field is checked when the event is created: what passes can be stored and read back as an equal event. Lists
    become tuples, dicts and sets immutable ones in one order, times with a zone UTC; a subclass of ``str``, ``int``,
    ``float`` or ``Decimal`` becomes the plain one. Raises ``EventValidationError``, which names event, field and value;
    a class that cannot work raises it when it is defined. ``__post_init__`` of a subclass may check more; the fields
    were checked before it runs. (``msgspec.structs.force_setattr`` goes around the checks: it is the kernel's.)
    """

    event_type: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Version of the type's schema (not of a stream)."""
    is_market_data: ClassVar[bool] = False
    """Public market data: an input file's copy serves as its record, and a subscriber may choose to lose some."""
    priority: ClassVar[Priority] = Priority.P3
    """How urgent the event is while it waits at the ingress."""
    _is_raw: ClassVar[bool] = False

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
        declare(cls, DomainEvent)

    def __post_init__(self) -> None:
        if type(self) is DomainEvent:
            raise EventValidationError("DomainEvent is the base of all events; make one of its subclasses")

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
        with plain_digits():
            return {k: msgspec.to_builtins(getattr(self, k)) for k in fields if k not in ENVELOPE}

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values: type, version, the envelope, ``aggregate_id``, ``occurred_at`` (``ts`` in ISO
        8601, UTC, cut to microseconds), the own fields."""
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
        """One JSON object that ``event_from_json`` turns back into an equal event."""
        head = f'{{"event_type":"{self.event_type}","version":{self.version}'.encode()
        with plain_digits():
            body = encode_payload(self)
        return head + b"}" if body == b"{}" else head + b"," + body[1:]


ENVELOPE = frozenset(DomainEvent.__struct_fields__)
"""The fields that every event has."""


def invalid(event: DomainEvent, field: str, wanted: str) -> EventValidationError:
    """The error for a field with a wrong value: names event, field and value."""
    name = type(event).event_type or type(event).__name__
    return EventValidationError(f"{name}: {field} is {format_value(getattr(event, field))}; it must be {wanted}")
