"""A short description of an event: its subject and its main figures."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.application.bus import type_name
from tickdeck.application.units import iso_time, span
from tickdeck.domain.events import ActionIntent, DomainEvent, OrderEvent, ProtectionTerms, RawEvent, StateLeg
from tickdeck.domain.values import plain
from tickdeck.interfaces.cli.output import one_line

__all__ = ["describe_event"]

_OMITTED = frozenset({"account_id", "venue_order_id", "venue_trade_id", "average_price", "fee_currency"})


def describe_event(event: DomainEvent) -> str:
    """Returns, for example, ``BTCUSDT buy 0.01 @ 61700``: no time, no ids, no type. It is one line without control
    characters, whatever text the event has, such as a venue's reason."""
    if isinstance(event, RawEvent):
        return one_line(_fields(event))
    default: Callable[[Any], str] = _order if isinstance(event, OrderEvent) else _fields
    return one_line(_DESCRIPTIONS.get(type_name(event), default)(event))


def _fields(event: DomainEvent) -> str:
    """The default for types without a description of their own: the non-empty fields, the symbol first."""
    parts: list[str] = []
    if isinstance(event, RawEvent):
        values = event.payload
    else:
        envelope = DomainEvent.__struct_fields__
        values = {name: getattr(event, name) for name in type(event).__struct_fields__ if name not in envelope}
    for name, value in values.items():
        if name in _OMITTED or value in ("", None, (), {}) or (value == 0 and value is not False):
            continue
        if name == "symbol":
            parts.insert(0, str(value))
        elif name == "order_id":
            parts.append(_short(str(value)))
        elif name in ("reason", "detail"):
            parts.append(str(value))
        else:
            parts.append(f"{name}={_value(value)}")
    return " ".join(parts)


def _value(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, ActionIntent):
        return _intent(value)
    if isinstance(value, StateLeg):
        price = "" if value.average_price is None else f" @ {plain(value.average_price)}"
        return f"{value.symbol} {plain(value.quantity)}{price}"
    if isinstance(value, dict):
        return ",".join(f"{name}:{_value(inner)}" for name, inner in value.items())
    if isinstance(value, tuple | list):
        return ",".join(_value(inner) for inner in value)
    if isinstance(value, str | int):
        return str(value)
    built_in = msgspec.to_builtins(value)  # an enum, a time, a set or a struct of a user's class
    return str(built_in) if isinstance(built_in, str | int) or type(built_in) is type(value) else _value(built_in)


def _short(order_id: str) -> str:
    """The last characters of an order id, enough to tell the orders of one run apart."""
    return f"#{order_id[-6:]}"


def _intent(intent: ActionIntent) -> str:
    if intent.action in ("cancel", "exit"):
        return f"{intent.action} {_short(intent.order_id)}"
    if intent.action == "amend":
        quantity = f" to {plain(intent.quantity)}" if intent.quantity else ""
        return f"amend {_short(intent.order_id)}{quantity}" + (f" {_limit(intent.limit)}" if intent.limit else "")
    if intent.action == "protect":
        what = intent.symbol or _short(intent.order_id)
        return f"unprotect {what}" if intent.protection is None else f"protect {what}: {_terms(intent.protection)}"
    text = f"{intent.symbol} {intent.side} {plain(intent.quantity)} {_price(intent.limit, intent.stop)}"
    return text if intent.protection is None else f"{text}, {_terms(intent.protection)}"


def _limit(limit: Decimal | None) -> str:
    return "at market" if limit is None else f"@ {plain(limit)}"


def _price(limit: Decimal | None, stop: Decimal | None) -> str:
    """The price of an order: its limit, or the stop and the target of an exit order."""
    if stop is None:
        return _limit(limit)
    return f"stop {_amount(stop)}" + ("" if limit is None else f", target {_amount(limit)}")


def _amount(price: Decimal) -> str:
    return f"{Decimal(plain(price)):,f}"


def _terms(terms: ProtectionTerms) -> str:
    """The prices of a protection: ``stop 5%, target 62,000``."""
    parts: list[str] = []
    for word, name in (("stop", "stop_loss"), ("target", "take_profit"), ("trailing", "trailing")):
        price, percent = getattr(terms, name), getattr(terms, f"{name}_percent")
        if price is not None:
            parts.append(f"{word} {_amount(price)}")
        if percent is not None:
            parts.append(f"{word} {plain(percent)}%")
    return ", ".join(parts) or "nothing"


def _protected(event: Any) -> str:
    """What protects a position from now on."""
    of = f" of {event.strategy_id}" if event.strategy_id else ""
    held = f" {plain(event.quantity)} @ {plain(event.price)}" if event.quantity else f" {_short(event.protection_id)}"
    return f"{event.symbol}{of}{held}: {_terms(event.terms)}"


def _exit(event: Any) -> str:
    """The order that is sent or cancelled for a protection, and why."""
    intent = _intent(event.intent)
    text = intent if event.intent.action == "order" else f"{event.symbol} {intent}"
    return f"{text}: {_WHY_DECIDED.get(event.reason, event.reason)}"


_WHY_DECIDED = {
    "stop": "the stop was reached",
    "target": "the target was reached",
    "trailing": "the trailing stop was reached",
    "protect": "it waits at the venue",
    "move": "another one replaces it",
    "yield": "it makes room for another order",
    "exit": "it is to be closed at once",
    "rest": "the order before did not close everything",
    "end": "nothing is left to protect",
}
_WHY_ENDED = {
    "closed": "the position is closed",
    "unfilled": "the entry was not filled",
    "dust": "what is left is too little for an order",
    "removed": "the protection was removed",
}


def _opened(event: Any) -> str:
    """A bracket order that begins."""
    entry = f"{event.symbol} {event.side} {plain(event.quantity)} {_limit(event.limit)}"
    return f"{entry}, {_terms(event.terms)} {_short(event.bracket_id)}"


def _changed(event: Any) -> str:
    """A step of a bracket order."""
    held = f", {plain(event.held)} held" if event.held else ""
    return f"{event.symbol} {_short(event.bracket_id)} {event.status}{held}" + (
        f": {event.reason}" if event.reason else ""
    )


def _trade(event: Any) -> str:
    return f"{event.symbol} {event.side} {plain(event.quantity)} @ {plain(event.price)}"


def _fill(event: Any) -> str:
    return f"{_short(event.order_id)} {_trade(event)} fee {plain(event.fee)} {event.fee_currency} {event.liquidity}"


def _tick(event: Any) -> str:
    bid, ask = (plain(event.bid_price), plain(event.bid_quantity)), (plain(event.ask_price), plain(event.ask_quantity))
    return f"{event.symbol} {bid[1]} @ {bid[0]} / {ask[1]} @ {ask[0]}"


def _levels(event: Any) -> str:
    return f"{event.symbol} to update {event.last_update_id}: {len(event.bids)} bids, {len(event.asks)} asks"


def _candle(event: Any) -> str:
    prices = " ".join(f"{letter} {plain(getattr(event, name))}" for letter, name in _CANDLE)
    return f"{event.symbol} {prices} v {plain(event.volume)}"


def _venue_order(event: Any) -> str:
    filled = f", {plain(event.filled)} filled" if event.filled else ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{_short(event.order_id)} {event.symbol} {event.status.replace('_', ' ')}{filled}{reason}"


_CANDLE = (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"))


def _decision(event: Any) -> str:
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.strategy_id} {', '.join(map(_intent, event.intents))}{reason}"


def _submitted(event: Any) -> str:
    order = f"{event.symbol} {event.side} {plain(event.quantity)} {_price(event.limit, event.stop)}"
    return f"{_short(event.order_id)} {order} {event.time_in_force}"


def _order(event: Any) -> str:
    """What happened to an order, other than its submission and its fills. In an amend request, quantity and limit are
    the new ones."""
    parts = [_short(event.order_id), event.symbol]
    if event.side is not None and event.quantity is not None:  # absent from events of an earlier version
        parts += [str(event.side), plain(event.quantity), _limit(event.limit)]
    text = " ".join(parts)
    if event.filled:
        text += f", {plain(event.filled)} filled"
    reason = getattr(event, "reason", "")
    return f"{text}: {reason}" if reason else text


def _signals(event: Any) -> str:
    return " ".join((event.symbol, *(f"{name} {value:.6g}" for name, value in event.values.items())))


def _resumed(event: Any) -> str:
    """How long the run was away, and how it got its state back."""
    away = f"{span(event.ts - event.since)} after the last input; " if event.since else ""
    if event.how == "executed":
        return f"{away}the same code executed the record again"
    back = "".join(f"; {name} was {way}" for name, way in event.strategies.items())
    return f"{away}the state was restored from the record{back}"


def _position(event: Any) -> str:
    realized = f" realized {plain(event.realized_pnl)}" if event.realized_pnl else ""
    return f"{event.symbol} {plain(event.quantity)} @ {plain(event.average_price)}{realized}"


def _trigger(event: Any) -> str:
    """What a trigger watches from now on."""
    how = "" if event.once else f", each time{f', not within {span(event.every)}' if event.every else ''}"
    until = f", until {iso_time(event.expires)[:19]}Z" if event.expires else ""
    return f"{event.trigger_id}: when {event.when} then {event.then}{how}{until}"


def _fired(event: Any) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in event.values.items())
    return f"{event.trigger_id}: {event.when} ({values}), so {event.then}"


_DESCRIPTIONS: dict[str, Callable[[Any], str]] = {
    "market.trade": _trade,
    "market.tick": _tick,
    "market.book": _levels,
    "market.book_delta": _levels,
    "market.candle": _candle,
    "signal.snapshot": _signals,
    "strategy.decision": _decision,
    "risk.approved": lambda event: f"{event.strategy_id} {_intent(event.intent)}",
    "risk.limit_breached": lambda event: f"{event.strategy_id} {_intent(event.intent)}: {event.detail}",
    "order.submitted": _submitted,
    "bracket.opened": _opened,
    "bracket.changed": _changed,
    "protection.set": _protected,
    "protection.decided": _exit,
    "protection.guarded": lambda event: f"{event.symbol}: the run itself watches the price: {event.reason}",
    "protection.yielded": lambda event: f"{_intent(event.intent)}: it waits until the exit order has ended",
    "protection.ended": lambda event: f"{event.symbol}: {_WHY_ENDED.get(event.reason, event.reason)}",
    "order.partially_filled": _fill,
    "order.filled": _fill,
    "venue.order_reported": _venue_order,
    "venue.fill_reported": _fill,
    "venue.balance_reported": lambda event: f"{event.currency} {plain(event.total)}",
    "position.opened": _position,
    "position.updated": _position,
    "position.closed": _position,
    "balance.updated": lambda event: f"{event.currency} {plain(event.total)} ({plain(event.change)})",
    "run.resumed": _resumed,
    "trigger.created": _trigger,
    "trigger.updated": _trigger,
    "trigger.evaluated": lambda event: f"{event.trigger_id}: it {'holds' if event.holds else 'does not hold'}",
    "trigger.fired": _fired,
    "trading.halted": lambda event: str(event.reason),
}
