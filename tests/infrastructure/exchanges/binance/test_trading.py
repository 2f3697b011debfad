"""Orders at Binance, with a scripted venue: an order is sent once, whatever happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from scripted_binance import EPOCH, Venue
from virtual_time import run

from tickdeck.application.ports import OrderRequest
from tickdeck.domain.values import OrderStatus, Side, TimeInForce
from tickdeck.errors import (
    AuthenticationFailed,
    ClockSkew,
    InsufficientFunds,
    NotSupported,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    RequestRefused,
    UnknownOrder,
    VenueUnavailable,
)
from tickdeck.infrastructure.exchanges.binance.http import Answer
from tickdeck.infrastructure.exchanges.binance.wire import HttpRequest
from tickdeck.infrastructure.exchanges.venue_reports import circuit_event

D = Decimal
ORDER = {"symbol": "BTCUSDT", "orderId": 7, "clientOrderId": "td-1", "status": "NEW", "side": "BUY", "origQty": "1"}


def buy(**changes: Any) -> OrderRequest:
    given = {"client_order_id": "td-1", "symbol": "BTCUSDT", "side": Side.BUY, "quantity": Decimal("1E-3")}
    return OrderRequest(**{**given, "limit": Decimal("60000.10"), **changes})


def refused(code: int, text: str, status: int = 400, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"code": code, "msg": text}, {n.replace("_", "-"): v for n, v in headers.items()}


def test_a_limit_order_has_our_id_and_its_numbers_in_plain_digits() -> None:
    venue = Venue(ORDER)
    result = run(venue.exchange.place(buy()))
    params = venue.params()

    assert (result.status, result.venue_order_id) == (OrderStatus.ACCEPTED, "7")
    assert params["quantity"] == "0.001"
    assert {name: params[name] for name in ("type", "timeInForce", "side", "price", "newClientOrderId")} == {
        "type": "LIMIT",
        "timeInForce": "GTC",
        "side": "BUY",
        "price": "60000.10",
        "newClientOrderId": "td-1",
    }
    assert params["selfTradePreventionMode"] == "EXPIRE_MAKER"


def test_a_market_order_is_sized_in_base_and_a_post_only_order_has_no_time_in_force() -> None:
    venue = Venue(ORDER)
    run(venue.exchange.place(buy(limit=None)))
    market = venue.params()
    run(venue.exchange.place(buy(time_in_force=TimeInForce.POST_ONLY)))
    maker = venue.params()

    assert market["type"] == "MARKET"
    assert "quoteOrderQty" not in market
    assert "price" not in market
    assert maker["type"] == "LIMIT_MAKER"
    assert "timeInForce" not in maker


@pytest.mark.parametrize("client_id", ["", "a b", "x" * 37, "ü"])
def test_an_id_that_violates_the_venues_rules_is_never_sent(client_id: str) -> None:
    venue = Venue(ORDER)
    with pytest.raises(RequestRefused, match="does not match"):
        run(venue.exchange.place(buy(client_order_id=client_id)))
    assert not venue.sent


@pytest.mark.parametrize(
    "answer",
    [
        TimeoutError("no answer within 10 s"),
        ConnectionError("broke"),
        (502, b"<html>", {}),
        refused(-1007, "Timeout waiting for response from backend server.", 500),
        refused(-1006, "An unexpected response.", 400),
        (200, b"{", {}),
    ],
)
def test_an_order_in_doubt_is_unknown_and_was_sent_once(answer: Any) -> None:
    venue = Venue(answer)
    with pytest.raises(OutcomeUnknown):
        run(venue.exchange.place(buy()))
    assert len(venue.sent) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(-2010, "Account has insufficient balance for requested action."), InsufficientFunds),
        (refused(-1003, "Too many requests.", 429, retry_after="3"), RateLimited),
        (refused(-1021, "Timestamp for this request is outside of the recvWindow."), ClockSkew),
        (VenueUnavailable("refused"), VenueUnavailable),
    ],
)
def test_an_order_that_is_refused_was_sent_once(answer: Any, kind: type[Exception]) -> None:
    venue = Venue(answer)
    with pytest.raises(kind):
        run(venue.exchange.place(buy()))
    assert len(venue.sent) == 1


def test_a_query_is_repeated_until_the_venue_answers() -> None:
    venue = Venue(TimeoutError(), (503, b"", {}), ORDER)
    result = run(venue.exchange.order("BTCUSDT", client_order_id="td-1"))

    assert result.client_order_id == "td-1"
    assert len(venue.sent) == 3


def test_a_missing_order_raises_unknown_order() -> None:
    venue = Venue(refused(-2013, "Order does not exist."))
    with pytest.raises(UnknownOrder):
        run(venue.exchange.order("BTCUSDT", client_order_id="td-1"))


def test_the_clocks_offset_is_measured_and_measured_again_when_the_venue_refuses_the_time() -> None:
    class Jumping(Venue):
        """Its clock jumps when it rejects a request, as ours may have done before."""

        async def send(self, request: HttpRequest) -> Answer:
            answer = await super().send(request)
            if answer.status == 400:
                self.offset_ms = 3_000
            return answer

    venue = Jumping(refused(-1021, "Timestamp for this request was 1000ms ahead of the server's time."), [ORDER])
    venue.offset_ms = -5_000

    async def work() -> int:
        with pytest.raises(ClockSkew):
            await venue.exchange.place(buy())
        venue.offset_ms = 10_000  # is not queried again
        await venue.exchange.open_orders("BTCUSDT")
        return venue.clock.time_ns() // 10**6

    now = run(work())
    stamps = [int(dict(parse_qsl(r.body or r.target.partition("?")[2]))["timestamp"]) for r in venue.sent]
    assert stamps == [EPOCH // 10**6 - 5_000, now + 3_000]


def test_a_revoked_key_opens_the_breaker_of_orders() -> None:
    venue = Venue((401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, {}))

    async def work() -> None:
        for _ in range(5):
            with pytest.raises(AuthenticationFailed):
                await venue.exchange.place(buy())
        with pytest.raises(VenueUnavailable, match="Invalid API-key"):
            await venue.exchange.place(buy())

    run(work())
    assert len(venue.sent) == 5


def test_the_breaker_of_orders_opens_and_queries_still_go_through() -> None:
    venue = Venue(*[TimeoutError()] * 5, [ORDER])

    async def work() -> int:
        for _ in range(5):
            with pytest.raises(OutcomeUnknown):
                await venue.exchange.place(buy())
        with pytest.raises(VenueUnavailable, match="not called"):
            await venue.exchange.place(buy())
        return len(await venue.exchange.open_orders("BTCUSDT"))

    assert run(work()) == 1
    assert len(venue.sent) == 6
    (event,) = [circuit_event(change, 7) for change in venue.changes]
    assert (event.name, event.before, event.after) == ("binance/orders", "closed", "open")
    assert event.reason == "OutcomeUnknown"


@pytest.mark.parametrize(
    "refusal",
    [
        refused(-1003, "Too many requests.", 429, retry_after="9"),
        refused(-1003, "Way too much request weight used; IP banned.", 418, retry_after="9"),
        refused(-1003, f"Way too much request weight used; IP banned until {EPOCH // 10**6 + 9_000}.", 418),
        refused(-1015, "Too many new orders; current limit is 100 orders per 10 SECOND.", 429, retry_after="9"),
    ],
)
def test_after_a_rate_limit_nothing_is_sent_until_the_wait_is_over(refusal: Any) -> None:
    venue = Venue(refusal, ORDER)

    async def work() -> float:
        with pytest.raises(RateLimited):
            await venue.exchange.place(buy())
        with pytest.raises(RateLimited) as caught:
            await venue.exchange.cancel("BTCUSDT", client_order_id="td-1")
        assert len(venue.sent) == 1
        await venue.clock.sleep(caught.value.wait)
        await venue.exchange.cancel("BTCUSDT", client_order_id="td-1")
        return caught.value.wait

    assert run(work()) == 9
    assert len(venue.sent) == 2


def test_the_limits_that_the_venue_announces_apply_and_leave_room_for_cancels() -> None:
    limits = [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 10},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1_000},
        {"rateLimitType": "SOMETHING_NEW", "interval": "FORTNIGHT", "intervalNum": 1, "limit": 1},
    ]
    venue = Venue({"symbols": [], "rateLimits": limits}, ORDER)

    async def work() -> int:
        await venue.exchange.instruments()
        for _ in range(9):
            await venue.exchange.place(buy())
        with pytest.raises(RateLimited) as caught:
            await venue.exchange.place(buy())
        await venue.exchange.cancel("BTCUSDT", client_order_id="td-1")
        return caught.value.status

    assert run(work()) == 0  # the venue was not asked


def test_orders_placed_with_other_keys_count_too() -> None:
    venue = Venue((200, ORDER, {"x-mbx-order-count-10s": "3", "x-mbx-order-count-1d": "199999"}))

    async def work() -> None:
        await venue.exchange.place(buy())
        with pytest.raises(RateLimited):
            await venue.exchange.place(buy())

    run(work())
    assert len(venue.sent) == 1


def test_cancels_have_room_when_orders_have_none() -> None:
    venue = Venue((200, ORDER, {"x-mbx-order-count-10s": "95", "x-mbx-used-weight-1m": "5500"}), ORDER)

    async def work() -> None:
        await venue.exchange.place(buy())
        with pytest.raises(RateLimited):
            await venue.exchange.place(buy())
        await venue.exchange.cancel("BTCUSDT", client_order_id="td-1")

    run(work())
    assert [request.method for request in venue.sent] == ["POST", "DELETE"]


def test_fills_are_read_page_by_page() -> None:
    def fill(number: int) -> dict[str, Any]:
        flags = {"isBuyer": True, "isMaker": False, "time": 1}
        return {"symbol": "BTCUSDT", "id": number, "orderId": 7, "price": "1", "qty": "1", **flags}

    venue = Venue([fill(n) for n in range(1, 1001)], [fill(1001)])
    found = run(venue.exchange.fills("BTCUSDT", after="0"))

    assert [f.venue_trade_id for f in found] == [str(n) for n in range(1, 1002)]
    assert venue.params()["fromId"] == "1001"


def test_an_answer_to_a_query_that_cannot_be_read_is_a_typed_error() -> None:
    with pytest.raises(ProtocolError):
        run(Venue(b'{"orderId":"x"}').exchange.order("BTCUSDT", venue_order_id="7"))


def test_an_order_without_an_id_is_refused_before_it_is_sent() -> None:
    venue = Venue(ORDER)
    with pytest.raises(RequestRefused, match="name the order"):
        run(venue.exchange.cancel("BTCUSDT"))
    assert not venue.sent


AMENDED = {
    "symbol": "BTCUSDT",
    "orderId": 7,
    "clientOrderId": "td-1",
    "price": "60000.10",
    "qty": "0.5",
    "executedQty": "0.1",
    "cumulativeQuoteQty": "6000.01",
    "status": "PARTIALLY_FILLED",
    "side": "BUY",
}


def test_an_order_that_is_reduced_keeps_its_client_id() -> None:
    venue = Venue({**ORDER, "price": "60000.10"}, {"transactTime": 1, "executionId": 1, "amendedOrder": AMENDED})
    result = run(venue.exchange.amend("BTCUSDT", quantity=D("0.5"), limit=D("60000.1"), client_order_id="td-1"))

    assert (result.status, result.quantity, result.filled) == (OrderStatus.PARTIALLY_FILLED, D("0.5"), D("0.1"))
    assert venue.sent[-1].method == "PUT"
    assert venue.sent[-1].target.startswith("/api/v3/order/amend/keepPriority?")
    assert venue.params()["newQty"] == "0.5"
    assert venue.params()["newClientOrderId"] == "td-1"


@pytest.mark.parametrize(("quantity", "limit"), [("0.5", "60000"), ("2", "60000.10")])
def test_another_price_or_a_larger_quantity_is_not_supported(quantity: str, limit: str) -> None:
    venue = Venue({**ORDER, "price": "60000.10"})
    with pytest.raises(NotSupported, match="can only reduce an order"):
        run(venue.exchange.amend("BTCUSDT", quantity=D(quantity), limit=D(limit), client_order_id="td-1"))
    assert [request.method for request in venue.sent] == ["GET"]


def test_an_amend_without_an_answer_is_unknown_and_was_sent_once() -> None:
    venue = Venue({**ORDER, "price": "60000.10"}, TimeoutError())
    with pytest.raises(OutcomeUnknown):
        run(venue.exchange.amend("BTCUSDT", quantity=D("0.5"), limit=D("60000.10"), client_order_id="td-1"))
    assert [request.method for request in venue.sent] == ["GET", "PUT"]


def test_no_error_shows_the_key_or_the_signature() -> None:
    for answer in (TimeoutError(), ConnectionError(), (502, b"", {}), refused(-1022, "Signature is not valid.")):
        venue = Venue(answer)
        with pytest.raises(Exception) as caught:  # noqa: PT011 (each of them)
            run(venue.exchange.place(buy()))
        signature = venue.params()["signature"]
        assert not any(secret in f"{caught.value!r}" for secret in ("the-key", "the-secret", signature))
