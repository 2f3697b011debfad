"""An account at Binance spot: orders and queries over REST."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import (
    Balance,
    ExchangeCapabilities,
    ListedInstrument,
    OrderFill,
    OrderPair,
    OrderPairResult,
    OrderRequest,
    OrderResult,
    Transfer,
)
from tickdeck.domain.events import DomainEvent
from tickdeck.domain.values import Price, Quantity
from tickdeck.errors import (
    AuthenticationFailed,
    ClockSkew,
    ExchangeError,
    NotSupported,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    RequestRefused,
    VenueUnavailable,
)
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.exchanges.binance.conversions import WEIGHTS_BY_ACCOUNT, conversion_history
from tickdeck.infrastructure.exchanges.binance.decoder import UNREADABLE
from tickdeck.infrastructure.exchanges.binance.http import AiohttpClient, Answer, HttpClient
from tickdeck.infrastructure.exchanges.binance.limits import (
    account_limits,
    announced_limits,
    connect_limits,
    observe,
    wallet_limits,
)
from tickdeck.infrastructure.exchanges.binance.mappers.account import (
    AccountBody,
    KeyRestrictions,
    KeyRights,
    balances_of,
    fees_event,
)
from tickdeck.infrastructure.exchanges.binance.mappers.errors import TOO_MANY_ORDERS, error_from
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import ExchangeInfo, TimeBody, listed_instruments
from tickdeck.infrastructure.exchanges.binance.mappers.orders import (
    OrderBody,
    OrderListBody,
    TradeBody,
    fill_of,
    order_result,
    pair_result,
    read_amend,
    read_order,
    read_pair,
)
from tickdeck.infrastructure.exchanges.binance.order_params import named, order_query, pair_params, text
from tickdeck.infrastructure.exchanges.binance.private_stream import PrivateStream, StreamTimes
from tickdeck.infrastructure.exchanges.binance.profile import BINANCE_SPOT, Profile
from tickdeck.infrastructure.exchanges.binance.transfers import transfer_history
from tickdeck.infrastructure.exchanges.binance.wire import (
    MAINNET,
    Endpoints,
    HttpRequest,
    SigningKey,
    public_request,
    signed_request,
    ws_request,
)
from tickdeck.infrastructure.resilience import (
    FAILURES,
    BreakerTransition,
    CircuitBreaker,
    RateLimiter,
    retry_with_backoff,
)

__all__ = ["BinanceExchange"]

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R", bound=OrderResult | OrderPairResult)

_MS = 1_000_000  # ns in a millisecond
_PAGE = 1000  # fills in one answer
_UNREADABLE = (*UNREADABLE, KeyError)
_ORDER, _LIST = "/api/v3/order", "/api/v3/orderList"


class _LastPrice(msgspec.Struct):
    price: Decimal


class BinanceExchange:
    """An account at Binance spot, as an ``Exchange``.

    - ``key``: signs requests; it is never shown. ``account_id``: our name of the account.
    - ``limits``: share one ``RateLimiter`` between all exchanges of an account. ``instruments()`` adopts the limits
      that the venue announces.
    - ``self_trade_prevention``: the mode of every order; ``None`` leaves it to the venue's default for the symbol.
    - ``on_transition`` is called when the state of one of the two circuit breakers changes: one for queries, one for
      orders. ``stream_times``: when the private stream counts as broken.

    An order is sent once. A time-out, a lost connection or a failure of the venue is ``OutcomeUnknown``. Queries are
    retried with backoff. The offset between the clocks is measured before the first signed request, and again after the
    venue rejected a request because of its time.
    """

    name = "binance"

    def __init__(
        self,
        key: SigningKey,
        *,
        endpoints: Endpoints = MAINNET,
        account_id: str = "main",
        profile: Profile = BINANCE_SPOT,
        clock: LiveClock | None = None,
        http: HttpClient | None = None,
        limits: RateLimiter | None = None,
        self_trade_prevention: str | None = "EXPIRE_MAKER",
        stream_times: StreamTimes = StreamTimes(),  # noqa: B008 (frozen)
        on_transition: Callable[[BreakerTransition], None] = lambda transition: None,
    ) -> None:
        self._key, self._endpoints, self._account_id, self._profile = key, endpoints, account_id, profile
        self._clock = clock or SystemClock()
        self._http = http or AiohttpClient(endpoints.rest)
        self.limits = limits or account_limits(profile, self._clock)
        self.connects = connect_limits(profile, self._clock)
        self._wallet_limits = wallet_limits(profile, self._clock)
        self._window = profile.receive_window // _MS
        self._prevention = self_trade_prevention
        self._offset: int | None = None  # ns: the venue's clock less ours
        self._fees: tuple[Decimal, Decimal] | None = None  # maker and taker
        self._client_id = re.compile(profile.capabilities.client_order_id)
        self._breakers = {
            group: CircuitBreaker(
                f"{self.name}/{group}",
                counts=(*FAILURES, AuthenticationFailed),  # a key that was revoked refuses every order
                clock=self._clock,
                on_transition=on_transition,
            )
            for group in ("queries", "orders")
        }
        self._stream = PrivateStream(
            endpoints.ws_api,
            account_id,
            clock=self._clock,
            room=self._room_to_connect,
            subscription=self._subscription,
            open_orders=self.open_orders,
            on_clock_skew=self._forget_offset,
            news=self._changed_fees,
            times=stream_times,
        )

    @property
    def capabilities(self) -> ExchangeCapabilities:
        return self._profile.capabilities

    # -- queries --------------------------------------------------------------------------------------------------

    async def instruments(self) -> tuple[ListedInstrument, ...]:
        def read(info: ExchangeInfo) -> tuple[ListedInstrument, ...]:
            self.limits.replace(announced_limits(info.rate_limits))
            return listed_instruments(info)

        return await self._query(ExchangeInfo, public_request("/api/v3/exchangeInfo"), 20, read)

    async def server_time(self) -> int:
        return await self._query(TimeBody, public_request("/api/v3/time"), 1, lambda body: body.server_time * _MS)

    async def price(self, symbol: str) -> Price:
        what = public_request("/api/v3/ticker/price", {"symbol": symbol})
        return await self._query(_LastPrice, what, 2, lambda body: body.price)

    async def balances(self) -> tuple[Balance, ...]:
        return await self._account(balances_of)

    async def account(self) -> AccountBody:
        """The account as the venue reports it: balances, fee rates, and whether the account may trade or withdraw."""
        return await self._account(lambda body: body)

    async def _account(self, read: Callable[[AccountBody], A]) -> A:
        return await self._query(AccountBody, ("/api/v3/account", {"omitZeroBalances": "true"}), 20, read)

    async def key_rights(self) -> KeyRights:
        """What this key may do. If the venue does not have that query, as the test net, this is what the account may
        do.
        """
        account = await self.account()
        try:
            found = await self._query(KeyRestrictions, ("/sapi/v1/account/apiRestrictions", {}), 1, lambda body: body)
        except (RequestRefused, ProtocolError):
            return KeyRights(may_read=True, may_trade=account.can_trade, may_withdraw=account.can_withdraw)
        return KeyRights(
            may_read=found.enable_reading,
            may_trade=found.enable_spot_and_margin_trading and account.can_trade,
            may_withdraw=found.enable_withdrawals,
            address_bound=found.ip_restrict,
        )

    async def clock_offset(self) -> int:
        """How many ns the venue's clock is ahead of ours. Measures it, and uses it from now on."""
        sent = self._clock.time_ns()
        venue = await self.server_time()
        self._offset = venue - (sent + self._clock.time_ns()) // 2  # assume that half of the round trip is the way back
        return self._offset

    async def order(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        params = {"symbol": symbol, **named(client_order_id, venue_order_id)}
        return await self._query(OrderBody, (_ORDER, params), 4, order_result)

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderResult, ...]:
        params = {} if symbol is None else {"symbol": symbol}
        what, weight = ("/api/v3/openOrders", params), 6 if symbol else 80
        return await self._query(list[OrderBody], what, weight, lambda bodies: tuple(map(order_result, bodies)))

    async def fills(
        self, symbol: str, *, since: int = 0, after: str = "", venue_order_id: str = ""
    ) -> tuple[OrderFill, ...]:
        found: list[OrderFill] = []
        page: dict[str, Any] = {"symbol": symbol, "limit": _PAGE}
        if venue_order_id:
            page |= {"orderId": venue_order_id}
            first = {"fromId": 0}
        else:
            first = {"fromId": int(after) + 1} if after else {"startTime": since // _MS}
        params, weight = page | first, 5 if venue_order_id else 20
        while True:
            what = ("/api/v3/myTrades", params)
            fills = await self._query(list[TradeBody], what, weight, lambda bodies: tuple(map(fill_of, bodies)))
            found += fills
            if len(fills) < _PAGE:
                return tuple(found)
            following = {"fromId": int(fills[-1].venue_trade_id) + 1}
            if following["fromId"] <= params.get("fromId", 0):
                raise ProtocolError("binance: pages of fills do not advance")
            params = page | following

    async def transfers(self, since: int) -> tuple[Transfer, ...]:
        return await transfer_history(self._ask_wallet, since, await self._venue_ms() * _MS)

    async def conversions(self, since: int) -> tuple[Transfer, ...]:
        return await conversion_history(self._ask_wallet, since, await self._venue_ms() * _MS)

    async def _ask_wallet(self, kind: Any, path: str, params: dict[str, Any], read: Callable[[Any], Any]) -> Any:
        await self._wallet_limits.wait_for(conversions=WEIGHTS_BY_ACCOUNT.get(path, 0))
        return await self._query(kind, (path, params), 1, read, group="wallet")

    # -- orders ---------------------------------------------------------------------------------------------------

    async def place(self, order: OrderRequest) -> OrderResult:
        self._check_id(order.client_order_id)
        query = order_query(order, self._prevention)
        return await self._change("POST", _ORDER, query, {"weight": 1, "orders": 1}, read_order)

    def _check_id(self, client_id: str) -> None:
        if not self._client_id.fullmatch(client_id):
            raise RequestRefused(f"binance: client order id {client_id!r} does not match {self._client_id.pattern}")

    async def cancel(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        params = {"symbol": symbol, **named(client_order_id, venue_order_id)}
        return await self._change("DELETE", _ORDER, params, {"weight": 1}, read_order, urgent=True)

    async def amend(
        self, symbol: str, *, quantity: Quantity, limit: Price, client_order_id: str = "", venue_order_id: str = ""
    ) -> OrderResult:
        order = await self.order(symbol, client_order_id=client_order_id, venue_order_id=venue_order_id)
        if limit != order.limit or quantity > order.quantity:
            raise NotSupported(
                f"binance: an amend can only reduce an order; cancel order {order.client_order_id} and place another"
            )
        params = {
            "symbol": symbol,
            "orderId": order.venue_order_id,
            "newQty": text(quantity),
            "newClientOrderId": order.client_order_id,  # otherwise the venue gives it another one
        }
        return await self._change("PUT", f"{_ORDER}/amend/keepPriority", params, {"weight": 4}, read_amend)

    # -- pairs of orders ------------------------------------------------------------------------------------------

    async def place_pair(self, pair: OrderPair) -> OrderPairResult:
        """Place two orders where a fill of one cancels the other, once. Raises what ``place`` raises;
        then neither exists.

        Query the orders by their own ids. The pair is not done while one of them is open.
        """
        for client_id in (pair.client_order_id, pair.target_id, pair.stop_id):
            self._check_id(client_id)
        params = pair_params(pair)
        if self._prevention is not None:
            params["selfTradePreventionMode"] = self._prevention
        params["newOrderRespType"] = "RESULT"
        return await self._change("POST", f"{_LIST}/oco", params, {"weight": 1, "orders": 2}, read_pair)

    async def cancel_pair(self, symbol: str, client_order_id: str) -> OrderPairResult:
        """Cancel what is open of a pair. Raises ``UnknownOrder`` where it is done."""
        params = {"symbol": symbol, "listClientOrderId": client_order_id}
        return await self._change("DELETE", _LIST, params, {"weight": 1}, read_pair, urgent=True)

    async def pair(self, client_order_id: str) -> OrderPairResult:
        """A pair and the ids of its orders, without their states. Raises ``UnknownOrder``; that may be old news."""
        params = {"origClientOrderId": client_order_id}
        return await self._query(OrderListBody, (_LIST, params), 4, pair_result)

    # -- the private stream ---------------------------------------------------------------------------------------

    def private_events(self) -> AsyncIterator[DomainEvent]:
        return self._stream.events()

    async def close(self) -> None:
        await self._http.close()

    async def _room_to_connect(self) -> None:
        await self.connects.wait_for(connects=1)

    async def _subscription(self) -> bytes:
        now = await self._venue_ms()
        method = "userDataStream.subscribe.signature"
        return ws_request(self._key, 1, method, {"recvWindow": self._window}, timestamp=now)

    # -- calls ----------------------------------------------------------------------------------------------------

    async def _query(
        self,
        kind: type[T],
        what: HttpRequest | tuple[str, Mapping[str, Any]],
        weight: int,
        read: Callable[[T], A],
        group: str = "queries",
    ) -> A:
        """Send a request that changes nothing, and ``read`` its answer. It is retried while the venue is
        unavailable."""

        @retry_with_backoff(clock=self._clock)
        async def ask() -> Answer:
            request = what
            if not isinstance(request, HttpRequest):
                path, params = request
                request = await self._signed("GET", path, params)
            return await self._send(request, group, {"weight": weight}, changes=False)

        try:
            answer = await ask()
        except ClockSkew:
            self._offset = None
            answer = await ask()
        try:
            return read(msgspec.json.decode(answer.body, type=kind, strict=False))
        except _UNREADABLE as error:
            raise ProtocolError(f"binance: an answer cannot be read ({error})", status=answer.status) from None

    async def _change(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | str,
        weights: dict[str, int],
        read: Callable[[bytes], R],
        *,
        urgent: bool = False,
    ) -> R:
        """Send an order, a cancel or an amend, once. ``read`` decodes the response."""
        request = await self._signed(method, path, params)
        try:
            answer = await self._send(request, "orders", weights, changes=True, urgent=urgent)
        except ClockSkew:
            self._offset = None
            with contextlib.suppress(ExchangeError):  # now, so that the next order does not wait for it
                await self._venue_ms()
            raise
        try:
            result = read(answer.body)
        except _UNREADABLE as error:
            raise OutcomeUnknown(f"binance: the answer to an order cannot be read ({error})") from None
        for order in result.orders if isinstance(result, OrderPairResult) else (result,):
            self._stream.answered(order)
        return result

    async def _send(
        self, request: HttpRequest, group: str, weights: dict[str, int], *, changes: bool, urgent: bool = False
    ) -> Answer:
        self.limits.admit(urgent=urgent, requests=1, **weights)
        with self._breakers.get(group) or contextlib.nullcontext():  # trading does not depend on the wallet
            try:
                answer = await self._http.send(request)
            except (TimeoutError, ConnectionError) as error:
                kind = OutcomeUnknown if changes else VenueUnavailable
                raise kind(str(error) or f"binance: {type(error).__name__}") from None
            observe(self.limits, answer.headers)
            if answer.status >= 300:
                now = self._clock.time_ns() // _MS
                refusal = error_from(answer.status, answer.body, answer.headers, changes=changes, now_ms=now)
                if isinstance(refusal, RateLimited):
                    self.limits.stop(refusal.wait, alone=refusal.code == TOO_MANY_ORDERS)
                raise refusal
        return answer

    async def _signed(self, method: str, path: str, params: Mapping[str, Any] | str) -> HttpRequest:
        now = await self._venue_ms()
        return signed_request(self._key, method, path, params, timestamp=now, receive_window=self._window)

    async def _changed_fees(self) -> tuple[DomainEvent, ...]:
        """Query the fee rates of the account, unless they are known."""
        fees = await self._account(lambda body: fees_event(body, self._clock.time_ns(), self._account_id))
        if fees is None or (fees.maker, fees.taker) == self._fees:
            return ()
        self._fees = fees.maker, fees.taker
        return (fees,)

    def _forget_offset(self) -> None:
        self._offset = None

    async def _venue_ms(self) -> int:
        """The current time of the venue, by the offset that was measured last."""
        offset = await self.clock_offset() if self._offset is None else self._offset
        return (self._clock.time_ns() + offset) // _MS
