"""The private stream: its envelope, and the mapper for each message."""

from __future__ import annotations

import msgspec

from tickdeck.domain.events import DomainEvent
from tickdeck.errors import EventError, ProtocolError
from tickdeck.infrastructure.exchanges.binance.mappers.account import (
    AccountPosition,
    BalanceUpdate,
    balance_events,
    transfer_event,
)
from tickdeck.infrastructure.exchanges.binance.mappers.orders import ExecutionReport, report_events

__all__ = ["UserMessage", "user_message"]

_EMPTY = msgspec.Raw()


class _Envelope(msgspec.Struct):
    """``{"subscriptionId":n,"event":{...}}``, ``{"stream":...,"data":{...}}``, or the message itself."""

    event: msgspec.Raw = _EMPTY
    data: msgspec.Raw = _EMPTY
    kind: str = msgspec.field(name="e", default="")


class _Kind(msgspec.Struct):
    kind: str = msgspec.field(name="e", default="")


class UserMessage(msgspec.Struct, frozen=True):
    """A message of the private stream: its ``kind`` (``executionReport``, ``balanceUpdate`` and so on; empty for a
    response) and its events.
    """

    kind: str
    events: tuple[DomainEvent, ...] = ()


def user_message(data: bytes, received: int, account_id: str = "main") -> UserMessage:
    """Decode a message of the private stream. These kinds have no events, because they change nothing here:
    ``listStatus``, ``externalLockUpdate``, unknown kinds, and ``balanceUpdate``, which contains only a difference
    (query the balances after it). Raises ``ProtocolError`` if the message cannot be read.
    """
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        inner, kind = data, envelope.kind
        for wrapped in (envelope.event, envelope.data):
            if wrapped:
                inner = bytes(wrapped)
                kind = msgspec.json.decode(inner, type=_Kind).kind
                break
        if kind == "executionReport":
            report = msgspec.json.decode(inner, type=ExecutionReport)
            return UserMessage(kind, report_events(report, received, account_id))
        if kind == "outboundAccountPosition":
            position = msgspec.json.decode(inner, type=AccountPosition)
            return UserMessage(kind, balance_events(position, received, account_id))
        if kind == "balanceUpdate":
            update = msgspec.json.decode(inner, type=BalanceUpdate)
            return UserMessage(kind, (transfer_event(update, received, account_id),))
        return UserMessage(kind)
    except (msgspec.MsgspecError, EventError, ValueError, KeyError, ArithmeticError, RecursionError) as error:
        shown = data[:80].decode(errors="replace")
        raise ProtocolError(f"binance: a private message cannot be read ({error}); it begins with {shown!r}") from None
