"""Decodes any JSON document of Binance, for debugging and for tests.

A document is a stream message, a message of the private stream, or the body of a REST response, also in the wrappers of
common recorders.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from tickdeck.application.ports import Balance, Frame, ListedInstrument, OrderFill, OrderPairResult, OrderResult
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError, EventError, ExchangeError, ProtocolError
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder
from tickdeck.infrastructure.exchanges.binance.mappers.account import AccountBody, balances_of
from tickdeck.infrastructure.exchanges.binance.mappers.errors import error_from
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import ExchangeInfo, listed_instruments
from tickdeck.infrastructure.exchanges.binance.mappers.orders import (
    OrderBody,
    OrderListBody,
    TradeBody,
    fill_of,
    order_result,
    pair_result,
)
from tickdeck.infrastructure.exchanges.binance.mappers.user_stream import user_message

__all__ = ["Answer", "Document", "ServerTime", "decode_document"]


class ServerTime(msgspec.Struct, frozen=True):
    """The venue's clock, ns UTC."""

    ts: int


class Answer(msgspec.Struct, frozen=True):
    """A document without an event or a result, such as the response to a subscription. ``what`` names it."""

    what: str


Document: TypeAlias = (
    DomainEvent
    | OrderResult
    | OrderPairResult
    | OrderFill
    | Balance
    | ListedInstrument
    | ServerTime
    | Answer
    | ExchangeError
)

_PRIVATE = (
    "executionReport",
    "outboundAccountPosition",
    "balanceUpdate",
    "listStatus",
    "eventStreamTerminated",
    "externalLockUpdate",
)
_MS = 1_000_000
_UNREADABLE = (
    msgspec.MsgspecError, EventError, ConfigError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError
)  # fmt: skip


def decode_document(data: bytes, *, received: int = 1, symbol: str = "") -> tuple[Document, ...]:
    """Everything that a document contains, in order; at least an ``Answer``.

    ``received`` is the receive time (ns UTC), ``symbol`` that of a body that does not name its own. Raises
    ``ProtocolError`` if it is not JSON, or not what it seems to be.
    """
    try:
        return _decode(msgspec.json.decode(data), received, symbol.upper())
    except _UNREADABLE as e:
        shown = data[:80].decode(errors="replace")
        raise ProtocolError(f"binance: a document cannot be read ({e}); it begins with {shown!r}") from None


def _decode(body: Any, received: int, symbol: str, status: int = 0) -> tuple[Document, ...]:
    if isinstance(body, list):
        return _listed(body, received, symbol)
    if not isinstance(body, dict):
        raise ProtocolError(f"binance: a document is neither an object nor a list: {str(body)[:80]!r}")
    for wrapper in ("msg", "response", "body"):  # added by recorders; "msg" is also the text of an error
        inner = body.get(wrapper)
        if isinstance(inner, dict | list) and "code" not in body:
            said = str(body.get("request", ""))
            named = said.partition("symbol=")[2].partition("&")[0]
            return _decode(inner, received, named or symbol, body.get("http_status") or status)
    kind = _private_kind(body)
    if kind:
        message = user_message(msgspec.json.encode(body), received)
        return message.events or (Answer(message.kind),)
    if isinstance(body.get("error"), dict) and "code" in body["error"]:
        body, status = body["error"], body.get("status") or status or 400
    if isinstance(body.get("code"), int) and "msg" in body:
        return (error_from(status or 400, msgspec.json.encode(body)),)
    return _object(body, received, symbol)


def _private_kind(body: dict[str, Any]) -> str:
    for inner in (body.get("event"), body.get("data"), body):
        if isinstance(inner, dict) and inner.get("e") in _PRIVATE:
            return str(inner["e"])
    return ""


def _object(body: dict[str, Any], received: int, symbol: str) -> tuple[Document, ...]:
    if "listClientOrderId" in body and "orders" in body:
        return (pair_result(msgspec.convert(body, OrderListBody, strict=False)),)
    if "orderId" in body and "clientOrderId" in body:
        return (order_result(msgspec.convert(body, OrderBody, strict=False)),)
    if "symbols" in body and "serverTime" in body:
        listed = listed_instruments(msgspec.convert(body, ExchangeInfo, strict=False))
        return listed or (Answer("exchangeInfo without symbols"),)
    if "serverTime" in body:
        return (ServerTime(int(body["serverTime"]) * _MS),)
    if "balances" in body:
        return balances_of(msgspec.convert(body, AccountBody, strict=False)) or (Answer("no balances"),)
    if "bidPrice" in body and "askQty" in body:
        names = {"bidPrice": "b", "bidQty": "B", "askPrice": "a", "askQty": "A"}
        body = {"u": 0, "s": body["symbol"], **{short: body[name] for name, short in names.items()}}
    if "lastUpdateId" in body and "symbol" not in body and "s" not in body:
        body = {"symbol": _needed(symbol, "this book"), **body}
    if "method" in body and "params" in body:
        return (Answer(f"request {body['method']}"),)
    decoder = FrameDecoder()
    event = decoder.event(Frame(received, msgspec.json.encode(body)))
    if event is not None:
        return (event,)
    return (Answer(next(iter(decoder.skipped), "message")),)


def _listed(body: list[Any], received: int, symbol: str) -> tuple[Document, ...]:
    found: list[Document] = []
    decoder = FrameDecoder()
    for item in body:
        if isinstance(item, dict) and "commission" in item and "isBuyer" in item:
            found.append(fill_of(msgspec.convert(item, TradeBody, strict=False)))
            continue
        if isinstance(item, dict) and "isBuyerMaker" in item:
            kind, number = "trade", item.get("id")
            data = {"t": number, "p": item["price"], "q": item["qty"], "T": item["time"], "m": item["isBuyerMaker"]}
        elif isinstance(item, dict) and {"a", "p", "q", "T", "m"} <= item.keys():
            kind, data = "aggTrade", item
        elif isinstance(item, list) and len(item) >= 9:
            kind = "kline_1m"
            names = ("t", "o", "h", "l", "c", "v", "T")
            data = {"k": dict(zip(names, item, strict=False)) | {"n": item[8], "x": True}}
        else:
            found.extend(_decode(item, received, symbol, 0))
            continue
        message = {"stream": f"{_needed(symbol, 'this list').lower()}@{kind}", "data": data}
        event = decoder.event(Frame(received, msgspec.json.encode(message)))
        if event is not None:
            found.append(event)
    return tuple(found) or (Answer("empty list"),)


def _needed(symbol: str, what: str) -> str:
    if not symbol:
        raise ProtocolError(f"binance: {what} does not name its symbol; give one, such as --symbol BTCUSDT")
    return symbol
