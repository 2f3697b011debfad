"""The WebSocket API: requests as JSON, sessions that log on, and private streams on the same connection."""

from __future__ import annotations

from typing import Any

import msgspec

from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.dialects.binance.account_calls import ACCOUNT_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.connection import Connection
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.list_calls import LIST_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.market_calls import MARKET_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.order_calls import ORDER_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.signing import is_ed25519, is_signed, ws_payload
from tickdeck.infrastructure.venue.dialects.binance.user_stream import Subscription, UserStreams
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, Answer, BinanceVenue, Call, Operation, Security

__all__ = ["METHODS", "WsApiSession"]

Json = dict[str, Any]

_MARKET = {
    "ping": "ping",
    "time": "time",
    "exchangeInfo": "exchangeInfo",
    "depth": "depth",
    "trades.recent": "trades",
    "trades.historical": "historicalTrades",
    "trades.aggregate": "aggTrades",
    "klines": "klines",
    "uiKlines": "uiKlines",
    "avgPrice": "avgPrice",
    "ticker.price": "ticker/price",
    "ticker.book": "ticker/bookTicker",
    "ticker.24hr": "ticker/24hr",
}
_ACCOUNT = {
    "order.status": "GET order",
    "openOrders.status": "GET openOrders",
    "allOrders": "GET allOrders",
    "myTrades": "GET myTrades",
    "account.status": "GET account",
    "account.commission": "GET account/commission",
    "account.rateLimits.orders": "GET rateLimit/order",
}
_ORDERS = {
    "order.place": "POST order",
    "order.test": "POST order/test",
    "order.cancel": "DELETE order",
    "order.cancelReplace": "POST order/cancelReplace",
    "order.amend.keepPriority": "PUT order/amend/keepPriority",
    "openOrders.cancelAll": "DELETE openOrders",
}
_LISTS = {
    "orderList.place.oco": "POST orderList/oco",
    "orderList.cancel": "DELETE orderList",
    "orderList.status": "GET orderList",
    "openOrderLists.status": "GET openOrderList",
    "allOrderLists": "GET allOrderList",
}
METHODS: dict[str, Operation] = {
    **{method: MARKET_OPERATIONS[name] for method, name in _MARKET.items()},
    **{method: ACCOUNT_OPERATIONS[name] for method, name in _ACCOUNT.items()},
    **{method: ORDER_OPERATIONS[name] for method, name in _ORDERS.items()},
    **{method: LIST_OPERATIONS[name] for method, name in _LISTS.items()},
}
"""Every method but those of the session itself."""
_KEYLESS = ("userDataStream.subscribe", "session.status", "session.logout", "session.subscriptions")


class _Request(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: dict[str, msgspec.Raw] = {}


class WsApiSession:
    """A client's connection to the WebSocket API. ``now`` is ns UTC throughout."""

    def __init__(
        self,
        venue: BinanceVenue,
        users: UserStreams,
        connection: Connection,
        *,
        unit: int = MS,
        shows_limits: bool = True,
    ) -> None:
        self.venue = venue
        self.users = users
        self.connection = connection
        self.unit = unit
        self.shows_limits = shows_limits
        """Whether answers list the rate limits, unless a request says otherwise."""
        self.subscriptions: dict[int, Subscription] = {}
        self.logged_on: Account | None = None
        self._logged_on_at = 0
        self._next = 0

    # -- requests -------------------------------------------------------------------------------------------------

    def on_text(self, text: str, now: int) -> None:
        """Handle a request; the answer is queued."""
        try:
            request = msgspec.json.decode(text, type=_Request)
            params = Params({name: _text(raw) for name, raw in request.params.items()})
        except msgspec.ValidationError as error:
            self._reply(None, _failed(ApiError(-1100, f"Invalid request: {error}")), now)
            return
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._reply(None, _failed(ApiError(-1135, "Invalid JSON Request")), now)
            return
        number, method = request.id, request.method
        shows_limits = {"true": True, "false": False}.get(params.values.get("returnRateLimits", ""), self.shows_limits)
        if self.logged_on is not None and self.venue.exchange.account_of_key(self.logged_on.key) is None:
            self._reply(None, _failed(ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)), now)
            return
        operation = METHODS.get(method) or self._session_operation(method)
        if operation is None:
            self._reply(number, _failed(ApiError(-1000, f"Unknown method '{method}'.")), now)
            return
        answer = self.venue.execute(
            operation,
            params,
            now=now,
            address=self.connection.address,
            unit=self.unit,
            authorise=lambda: self._authorise(method, operation, params, now),
        )
        if answer.lost or (answer.body is not None and answer.error is None):
            return
        self._reply(number, answer, now, shows_limits)

    def _authorise(self, method: str, operation: Operation, params: Params, now: int) -> Account | None:
        if operation.security == Security.NONE:
            return None
        if "apiKey" not in params.values and method not in ("session.logon", "userDataStream.subscribe.signature"):
            if self.logged_on is None:
                raise ApiError(-2014, "API-key format invalid.", 401)
            if method not in _KEYLESS:
                self.venue.check_time(params, now)
            return self.logged_on
        account = self.venue.account_of(params.text("apiKey"), self.connection.address)
        if not is_signed(account, ws_payload(params.values), params.text("signature")):
            raise ApiError(-1022, "Signature for this request is not valid.")
        self.venue.check_time(params, now)
        return account

    def _reply(self, number: int | str | None, answer: Answer, now: int, shows_limits: bool = True) -> None:
        reply: Json = {"id": number, "status": answer.status}
        error = answer.error
        if error is not None:
            told: Json = {"code": error.code, "msg": error.text}
            if error.data is not None:
                told["data"] = error.data
            if error.retry_after_s is not None:
                told["data"] = {"serverTime": now // MS, "retryAfter": now // MS + error.retry_after_s * 1_000}
            reply["error"] = told
        elif answer.status != 200:
            reply["error"] = {"code": -1000, "msg": "An unknown error occurred while processing the request."}
        else:
            reply["result"] = answer.result
        if shows_limits:
            reply["rateLimits"] = self._rate_limits(answer, now)
        due = self.venue.now() + answer.delay_ns if answer.delay_ns else 0
        self.connection.send(msgspec.json.encode(reply).decode(), due)

    def _rate_limits(self, answer: Answer, now: int) -> list[Json]:
        limits = self.venue.limits
        rows = [dict(row) for row in limits.rates.as_json() if row["rateLimitType"] != "RAW_REQUESTS"]
        shown = []
        for row in rows:
            if row["rateLimitType"] == "REQUEST_WEIGHT":
                row["count"] = limits.used(self.connection.address, now)
            elif answer.account:
                in_10s, in_day = limits.order_counts(answer.account, now)
                row["count"] = in_10s if row["interval"] == "SECOND" else in_day
            else:
                continue
            shown.append(row)
        return shown

    # -- sessions and private streams -----------------------------------------------------------------------------

    def _session_operation(self, method: str) -> Operation | None:
        signed, none = Security.SIGNED, Security.NONE
        return {
            "session.logon": Operation(self._logon, 2, signed),
            "session.status": Operation(self._status, 2, none),
            "session.logout": Operation(self._logout, 2, none),
            "session.subscriptions": Operation(self._list, 2, none),
            "userDataStream.subscribe": Operation(self._subscribe, 2, signed, kind="subscribe"),
            "userDataStream.subscribe.signature": Operation(self._subscribe, 2, signed, kind="subscribe"),
            "userDataStream.unsubscribe": Operation(self._unsubscribe, 2, none),
        }.get(method)

    def _logon(self, call: Call) -> Json:
        account = call.account
        assert account is not None
        if not is_ed25519(account):
            raise ApiError(-4056, "HMAC_SHA256 API key is not supported.")
        self.logged_on, self._logged_on_at = account, call.now
        return self._status(call)

    def _status(self, call: Call) -> Json:
        account = self.logged_on
        return {
            "apiKey": account.key if account is not None else None,
            "authorizedSince": self._logged_on_at // call.unit if account is not None else None,
            "connectedSince": self.connection.opened // call.unit,
            "returnRateLimits": self.shows_limits,
            "serverTime": call.now // call.unit,
            "userDataStream": bool(self.subscriptions),
        }

    def _logout(self, call: Call) -> Json:
        self.log_out(call.now)
        return self._status(call)

    def log_out(self, now: int) -> None:
        """End the logon, and the private stream that came with it."""
        account, self.logged_on = self.logged_on, None
        for number, subscription in list(self.subscriptions.items()):
            if account is not None and subscription.of_session:
                del self.subscriptions[number]
                self.users.end(subscription, now)

    def _subscribe(self, call: Call) -> Json:
        account = call.account
        assert account is not None
        if any(subscription.account == account.name for subscription in self.subscriptions.values()):
            raise ApiError(-2035, "User Data Stream subscription already active on this session.")
        number, self._next = self._next, self._next + 1
        subscription = Subscription(account.name, self.connection, number, call.now, self.unit)
        subscription.of_session = "signature" not in call.params.values
        self.subscriptions[number] = subscription
        self.users.add(subscription)
        return {"subscriptionId": number}

    def _unsubscribe(self, call: Call) -> Json:
        number = call.params.integer("subscriptionId")
        chosen = list(self.subscriptions) if number is None else [number]
        if not chosen or any(n not in self.subscriptions for n in chosen):
            raise ApiError(-2036, "User Data Stream subscription not active on this session.")
        for n in chosen:
            self.users.end(self.subscriptions.pop(n), call.now)
        return {}

    def _list(self, _: Call) -> list[Json]:
        return [{"subscriptionId": number} for number in self.subscriptions]

    def tick(self, now: int) -> None:
        """End what is too old, by the fault ``expire_session``."""
        fault = self.venue.faults.get("expire_session")
        if fault is None:
            return
        if self.logged_on is not None and now - self._logged_on_at >= fault.duration_ns:
            self.venue.faults.count("expire_session")
            self.log_out(now)
        for number, subscription in list(self.subscriptions.items()):
            if now - subscription.opened >= fault.duration_ns:
                self.venue.faults.count("expire_session")
                del self.subscriptions[number]
                self.users.end(subscription, now)

    def close(self) -> None:
        """The connection is gone."""
        for subscription in self.subscriptions.values():
            self.users.remove(subscription)
        self.subscriptions.clear()


def _failed(error: ApiError) -> Answer:
    return Answer(status=error.status, error=error)


def _text(raw: msgspec.Raw) -> str:
    """A parameter as the text that is signed: strings without quotes, numbers exactly as written, lists as JSON."""
    data = bytes(raw)
    if data[:1] == b'"':
        return msgspec.json.decode(data, type=str)
    if data[:1] in b"[{":
        return msgspec.json.encode(msgspec.json.decode(data)).decode()
    return data.decode()
