"""Every payload of Binance that we have, and its decoded events. docs/binance.md has the same table."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tickdeck.application.ports import Balance, InstrumentStatus, ListedInstrument, OrderFill, OrderResult
from tickdeck.domain.events import (
    CandleEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    SystemWarning,
    TickEvent,
    TradeEvent,
    VenueBalanceReported,
    VenueFillReported,
    VenueOrderReported,
    VenueTransferReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import (
    AuthenticationFailed,
    BadSignature,
    ClockSkew,
    DuplicateClientId,
    FilterViolated,
    InsufficientFunds,
    InvalidSymbol,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    RequestRefused,
    SymbolHalted,
    UnknownOrder,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)
from tickdeck.infrastructure.exchanges.binance.documents import Answer, Document, ServerTime, decode_document
from tickdeck.infrastructure.exchanges.binance.mappers.account import AccountBody, fees_event
from tickdeck.infrastructure.exchanges.binance.mappers.errors import error_from
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import instrument_event
from tickdeck.infrastructure.exchanges.binance.mappers.user_stream import user_message

ROOT = Path(__file__).resolve().parents[4]

EXPECTED: dict[str, list[type[object]]] = {
    "gct_rest_exchangeinfo_trimmed.json": [ListedInstrument],
    "gct_rest_order_get.json": [OrderResult],
    "jk_rest_cancelallorders.json": [OrderResult, OrderResult],
    "jk_rest_cancelorder.json": [OrderResult],
    "jk_rest_getaccountinfo.json": [Balance, Balance],
    "jk_rest_getopenorders.json": [OrderResult],
    "jk_rest_getorder.json": [OrderResult],
    "jk_rest_getusertrades.json": [OrderFill],
    "jk_rest_placeorder.json": [OrderResult],
    "jk_ws_accountposition.jsonl": [Answer, Answer, VenueBalanceReported],
    "jk_ws_aggregatedtrades.jsonl": [Answer, Answer, TradeEvent],
    "jk_ws_bookticker.jsonl": [Answer, Answer, TickEvent],
    "jk_ws_klines.jsonl": [Answer, Answer, Answer],
    "jk_ws_order.jsonl": [Answer, Answer, VenueOrderReported],
    "jk_ws_partialbook.jsonl": [Answer, Answer, OrderBookEvent],
    "jk_ws_trades.jsonl": [Answer, Answer, TradeEvent],
    "nt_account_position.json": [VenueBalanceReported, VenueBalanceReported],
    "nt_account_response.json": [Balance, Balance],
    "nt_account_trades_response.json": [OrderFill],
    "nt_balance_update.json": [VenueTransferReported],
    "nt_book_ticker_response.json": [TickEvent],
    "nt_cancel_order_response.json": [OrderResult],
    "nt_depth_response.json": [OrderBookEvent],
    "nt_exchange_info_response.json": [ListedInstrument],
    "nt_execution_report_canceled.json": [VenueOrderReported],
    "nt_execution_report_new.json": [VenueOrderReported],
    "nt_execution_report_trade.json": [VenueFillReported, VenueOrderReported],
    "nt_execution_report_wrapped.json": [VenueOrderReported],
    "nt_http_spot_market_book_ticker.json": [TickEvent],
    "nt_http_spot_market_klines.json": [CandleEvent],
    "nt_klines_response.json": [CandleEvent],
    "nt_new_order_full_response.json": [OrderResult],
    "nt_open_orders_response.json": [OrderResult],
    "nt_order_response.json": [OrderResult],
    "nt_server_time_response.json": [ServerTime],
    "nt_trades_response.json": [TradeEvent],
    "nt_ws_spot_agg_trade.json": [TradeEvent],
    "nt_ws_spot_execution_report_canceled.json": [VenueOrderReported],
    "nt_ws_spot_execution_report_custom_client_id.json": [VenueFillReported, VenueOrderReported],
    "nt_ws_spot_execution_report_expired.json": [VenueOrderReported],
    "nt_ws_spot_execution_report_new.json": [VenueOrderReported],
    "nt_ws_spot_execution_report_rejected.json": [VenueOrderReported],
    "nt_ws_spot_execution_report_trade.json": [VenueFillReported, VenueOrderReported],
    "nt_ws_spot_execution_report_trade_l_zero_partial.json": [VenueOrderReported],
    "nt_ws_spot_ticker_24hr.json": [Answer],
    "nt_ws_spot_ticker_book.json": [TickEvent],
    "nt_ws_spot_trade.json": [TradeEvent],
    "rec_depth_snapshot_LRCBTC.json": [OrderBookEvent],
    "rec_depth_snapshot_NKNUSDT.json": [OrderBookEvent],
    "rec_depth_stream_LRCBTC.jsonl": [OrderBookDeltaEvent],
    "rec_depth_stream_NKNUSDT.jsonl": [OrderBookDeltaEvent],
    "rec_other_streams_LRCBTC.jsonl": [TickEvent, TradeEvent, Answer],
    "rec_other_streams_NKNUSDT.jsonl": [TickEvent, TradeEvent, Answer, CandleEvent],
}
"""For each file, the kinds of decoded events, in order; for a long file, the possible kinds."""

NO_PAYLOADS = {"index.json", "client_requests.jsonl", "error_bodies.jsonl", "signing_vectors.json"}


def decoded(path: Path) -> list[Document]:
    text = path.read_text()
    documents = text.splitlines() if path.suffix == ".jsonl" else [text]
    return [found for document in documents for found in decode_document(document.encode(), symbol="BNBBTC")]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_payload_is_decoded_as_the_table_says(shared: Path, name: str) -> None:
    found = decoded(shared / "exchanges" / "binance" / name)
    expected = EXPECTED[name]

    if len(found) > len(expected):
        assert {type(document) for document in found} <= set(expected)
    else:
        assert [type(document) for document in found] == expected


def test_no_payload_is_missing_in_the_table(shared: Path) -> None:
    files = {path.name for path in (shared / "exchanges" / "binance").iterdir()}

    assert files - NO_PAYLOADS == set(EXPECTED)


def test_the_documentation_has_the_table() -> None:
    page = (ROOT / "docs" / "binance.md").read_text("utf-8")

    assert [name for name in EXPECTED if f"`{name}`" not in page] == []


@pytest.fixture
def payload(shared: Path):
    def read(name: str) -> list[Document]:
        return decoded(shared / "exchanges" / "binance" / name)

    return read


def test_a_fill_has_the_digits_that_the_venue_sent(payload) -> None:
    fill, order = payload("nt_ws_spot_execution_report_trade.json")

    assert (fill.order_id, fill.side, fill.liquidity) == ("O-12345-test-trade", Side.BUY, "maker")
    assert [str(n) for n in (fill.price, fill.quantity, fill.fee)] == ["2499.50000000", "0.50000000", "0.00050000"]
    assert (fill.fee_currency, fill.venue_trade_id, fill.venue_order_id) == ("ETH", "98765432", "1234567890")
    assert (order.status, order.filled) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.5"))
    assert order.ts == 1759347763167_000_000


def test_a_fill_of_quantity_zero_is_ignored(payload) -> None:
    (order,) = payload("nt_ws_spot_execution_report_trade_l_zero_partial.json")

    assert (order.status, order.filled) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.5"))


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("nt_ws_spot_execution_report_expired.json", OrderStatus.EXPIRED, ""),
        ("nt_ws_spot_execution_report_rejected.json", OrderStatus.REJECTED, "GTX_ORDER_REJECT"),
        ("nt_ws_spot_execution_report_canceled.json", OrderStatus.CANCELLED, ""),
        ("nt_ws_spot_execution_report_new.json", OrderStatus.ACCEPTED, ""),
    ],
)
def test_reports_have_the_state_of_the_order(payload, name: str, status: OrderStatus, reason: str) -> None:
    (order,) = payload(name)

    assert (order.status, order.reason) == (status, reason)


def test_a_cancel_is_reported_under_our_id_and_not_under_the_cancels() -> None:
    report = {
        "e": "executionReport",
        "s": "BTCUSDT",
        "c": "cancel-7",
        "C": "ours",
        "S": "BUY",
        "x": "CANCELED",
        "X": "CANCELED",
        "i": 1,
        "z": "0.1",
    }
    (order,) = user_message(json.dumps(report).encode(), 1).events

    assert isinstance(order, VenueOrderReported)
    assert order.order_id == "ours"


def test_a_rest_cancel_has_our_id(payload) -> None:
    (order,) = payload("jk_rest_cancelorder.json")

    assert (order.client_order_id, order.status) == ("myOrder1", OrderStatus.CANCELLED)


def test_an_answer_with_fills_lists_each_with_its_fee(payload) -> None:
    (order,) = payload("nt_new_order_full_response.json")

    assert (order.status, order.limit, order.side) == (OrderStatus.FILLED, None, Side.SELL)
    assert [fill.venue_trade_id for fill in order.fills] == ["56", "57", "58", "59", "60"]
    assert sum(fill.quantity for fill in order.fills) == order.filled == 10
    assert order.fills[1].fee == Decimal("19.995")


def test_an_unknown_status_changes_nothing_and_causes_a_warning() -> None:
    report = {"e": "executionReport", "s": "BTCUSDT", "c": "ours", "S": "BUY", "x": "NEW", "X": "FROZEN", "i": 1}
    (warning,) = user_message(json.dumps(report).encode(), 1).events
    (order,) = decode_document(b'{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"ours","status":"FROZEN"}')

    assert isinstance(warning, SystemWarning)
    assert "'FROZEN' is unknown" in warning.message
    assert isinstance(order, OrderResult)
    assert (order.status, order.raw_status) == (None, "FROZEN")


def test_prevented_quantity_is_neither_fill_nor_rejection() -> None:
    report = {
        "e": "executionReport",
        "s": "BTCUSDT",
        "c": "ours",
        "S": "BUY",
        "x": "TRADE_PREVENTION",
        "X": "EXPIRED_IN_MATCH",
        "i": 1,
        "l": "0",
        "L": "0",
        "pl": "2",
        "pL": "10",
        "z": "1",
        "t": -1,
    }
    (order,) = user_message(json.dumps(report).encode(), 1).events

    assert isinstance(order, VenueOrderReported)
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, 1)


def test_instruments_have_their_steps_and_their_status(payload) -> None:
    listed = {found.symbol: found for found in payload("gct_rest_exchangeinfo_trimmed.json")}
    of = listed["ETHBTC"].instrument

    assert listed["ETHBTC"].status is InstrumentStatus.TRADING
    assert (of.base, of.quote) == ("ETH", "BTC")
    assert (of.tick_size, of.lot_size, of.min_notional) == (Decimal("0.00001"), Decimal("0.0001"), Decimal("0.0001"))


def test_instruments_and_fees_become_inputs(payload, shared: Path) -> None:
    listed = {found.symbol: found for found in payload("gct_rest_exchangeinfo_trimmed.json")}
    event = instrument_event(listed["ETHBTC"], 7)
    body = json.loads((shared / "exchanges" / "binance" / "jk_rest_getaccountinfo.json").read_text())["response"]
    fees = fees_event(msgspec.convert(body, AccountBody, strict=False), 7)

    assert (event.symbol, event.status, event.raw_status) == ("ETHBTC", "trading", "TRADING")
    assert (event.tick_size, event.lot_size) == (Decimal("0.00001"), Decimal("0.0001"))
    assert fees is not None
    assert (fees.maker, fees.taker) == (Decimal("0.0015"), Decimal("0.0015"))


def test_a_symbol_with_an_unknown_status_counts_as_halted() -> None:
    body = {"serverTime": 1, "symbols": [{"symbol": "A", "baseAsset": "A", "quoteAsset": "B", "status": "ASLEEP"}]}
    (found,) = decode_document(json.dumps(body).encode())

    assert isinstance(found, ListedInstrument)
    assert (found.status, found.raw_status) == (InstrumentStatus.OTHER, "ASLEEP")


ERRORS = {
    "invalid symbol": InvalidSymbol,
    "bad signature": BadSignature,
    "timestamp outside recvWindow": ClockSkew,
    "timestamp ahead": ClockSkew,
    "insufficient balance": InsufficientFunds,
    "duplicate client order id": DuplicateClientId,
    "cancel unknown order": UnknownOrder,
    "query unknown order": UnknownOrder,
    "rate limit": RateLimited,
    "bad api key": AuthenticationFailed,
    "lot size filter": FilterViolated,
}


def test_every_error_body_has_its_exception(shared: Path) -> None:
    lines = (shared / "exchanges" / "binance" / "error_bodies.jsonl").read_text().splitlines()
    found = {}
    for line in lines:
        case = json.loads(line)
        found[case["case"]] = type(error_from(case["http_status"], json.dumps(case["body"]).encode()))

    assert found == ERRORS


@pytest.mark.parametrize(
    ("status", "code", "text", "kind"),
    [
        (400, -2010, "Filter failure: MAX_NUM_ALGO_ORDERS", FilterViolated),
        (400, -1013, "Market is closed.", SymbolHalted),
        (400, -2010, "Order would immediately match and take.", WouldTake),
        (400, -2010, "Order would trigger immediately.", WouldTrigger),
        (400, -2010, "The relationship of the prices for the orders is not correct.", WouldTrigger),
        (400, -1111, "Precision is over the maximum defined for this asset.", FilterViolated),
        (400, -2010, "A refusal of a new kind.", RequestRefused),
        (400, -9999, "An error of a new kind.", RequestRefused),
        (500, -1007, "Timeout waiting for response from backend server.", OutcomeUnknown),
        (503, -1008, "Service Unavailable.", OutcomeUnknown),
        (400, -1006, "An unexpected response was received from the message bus.", OutcomeUnknown),
        (429, -1015, "Too many new orders.", RateLimited),
        (400, -2026, "Order was canceled or expired with no executed qty over 90 days ago.", UnknownOrder),
    ],
)
def test_codes_shared_by_several_errors_are_distinguished(status: int, code: int, text: str, kind: type) -> None:
    error = error_from(status, json.dumps({"code": code, "msg": text}).encode())

    assert type(error) is kind
    assert (error.code, error.status) == (code, status)


def test_a_failure_of_the_venue_leaves_an_order_in_doubt_but_not_a_query() -> None:
    assert type(error_from(502, b"<html>Bad Gateway</html>")) is OutcomeUnknown
    assert type(error_from(502, b"<html>Bad Gateway</html>", changes=False)) is VenueUnavailable


def test_a_rate_limit_has_its_wait_and_a_ban_is_marked() -> None:
    body = b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1790000060000."}'
    limited = error_from(429, body, {"retry-after": "7"})
    banned = error_from(418, body, now_ms=1790000000000)

    assert isinstance(limited, RateLimited)
    assert isinstance(banned, RateLimited)
    assert (limited.wait, limited.banned) == (7, False)
    assert (banned.wait, banned.banned) == (60, True)


@pytest.mark.parametrize("body", [b"", b"[", b"3", b"[1]", b'{"symbols":3,"serverTime":1}', b"[" * 100_000])
def test_an_invalid_document_is_a_typed_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_document(body)
