"""The REST API: a request in, a response out, nothing else. The server moves the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_plus

import msgspec

from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.dialects.binance.account_calls import ACCOUNT_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError, refused
from tickdeck.infrastructure.venue.dialects.binance.list_calls import LIST_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.market_calls import MARKET_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.order_calls import ORDER_OPERATIONS
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.signing import is_signed, rest_payload
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, Answer, BinanceVenue, Call, Operation, Security
from tickdeck.infrastructure.venue.dialects.binance.wallet_calls import WALLET_OPERATIONS
from tickdeck.infrastructure.venue.matching import OrderRefused

__all__ = ["REQUESTS", "Request", "Response", "RestApi"]

_ROOT = "/api/v3/"
REQUESTS: dict[str, Operation] = {
    **{f"GET {path}": operation for path, operation in MARKET_OPERATIONS.items()},
    **ACCOUNT_OPERATIONS,
    **ORDER_OPERATIONS,
    **LIST_OPERATIONS,
    **WALLET_OPERATIONS,
}
"""By the method and what follows the root of the path; for other paths, by all of it."""
_UNITS = {"": MS, "MILLISECOND": MS, "MICROSECOND": 1_000}
_JSON = "application/json;charset=UTF-8"
_encode = msgspec.json.encode


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came: ``query`` and ``body`` are exactly the text that was sent."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    headers: Mapping[str, str] = {}
    address: str = "127.0.0.1"

    def header(self, name: str) -> str:
        """A header by its name in lower case; empty if it was not sent."""
        return self.headers.get(name, "")


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, ``delay_ns`` later. A ``lost`` response is never sent: the connection closes."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    content_type: str = _JSON
    lost: bool = False
    delay_ns: int = 0


class RestApi:
    """Answers requests under ``/api/v3``, and those about the account's wallet."""

    def __init__(self, venue: BinanceVenue) -> None:
        self.venue = venue

    def handle(self, request: Request, now: int) -> Response:
        """Answer a request at ``now`` (ns UTC). Raises nothing that a request could cause."""
        path = request.path
        name = f"{request.method} {path.removeprefix(_ROOT)}"
        if path == "/api/v3/userDataStream":
            return self._listen_key(request, now)
        operation = REQUESTS.get(name)
        if operation is None:
            return _not_found()
        params = Params(_values(request.body) | _values(request.query))
        unit = _UNITS.get(request.header("x-mbx-time-unit").upper())

        def authorise() -> Account | None:
            if unit is None:
                raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
            if _repeats(request.query) or _repeats(request.body):
                raise ApiError(-1101, "Duplicate values for a parameter detected.")
            return self._authorise(request, params, operation, now)

        answer = self.venue.execute(
            operation, params, now=now, address=request.address, unit=unit or MS, authorise=authorise
        )
        return self._respond(answer, request, now, operation)

    def act(self, name: str, params: dict[str, str], account: Account, now: int) -> object:
        """Do what an account's owner does elsewhere, such as on the web site: ``POST order`` with its parameters. It is
        neither signed nor counted. Raises ``ValueError``."""
        operation = REQUESTS.get(name)
        if operation is None:
            raise ValueError(f"there is no {name!r}; write it as POST orderList/oco")
        try:
            return operation.run(Call(self.venue, Params(params), now, MS, "", account))
        except OrderRefused as error:
            raise ValueError(refused(error).text) from None
        except ApiError as error:
            raise ValueError(error.text) from None

    def _authorise(self, request: Request, params: Params, operation: Operation, now: int) -> Account | None:
        if operation.security == Security.NONE:
            return None
        account = self.venue.account_of(request.header("x-mbx-apikey"), request.address)
        payload, signature = rest_payload(request.query, request.body)
        if not signature:
            params.text("signature")
        if not is_signed(account, payload, signature):
            raise ApiError(-1022, "Signature for this request is not valid.")
        self.venue.check_time(params, now)
        return account

    def _respond(self, answer: Answer, request: Request, now: int, operation: Operation) -> Response:
        limits = self.venue.limits
        used = str(limits.used(request.address, now))
        headers = {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}
        if operation.counts_order and answer.account and answer.error is None:
            in_10s, in_day = limits.order_counts(answer.account, now)
            headers |= {"x-mbx-order-count-10s": str(in_10s), "x-mbx-order-count-1d": str(in_day)}
        error = answer.error
        if answer.body is not None:
            body, kind = answer.body.encode(), "text/html" if answer.body.startswith("<") else _JSON
            return Response(
                status=answer.status,
                body=body,
                headers=headers,
                content_type=kind,
                lost=answer.lost,
                delay_ns=answer.delay_ns,
            )
        if error is None:
            body = _encode(answer.result) if answer.status == 200 else b""
            return Response(
                status=answer.status, body=body, headers=headers, lost=answer.lost, delay_ns=answer.delay_ns
            )
        if error.retry_after_s is not None:
            headers["retry-after"] = str(error.retry_after_s)
        told: dict[str, object] = {"code": error.code, "msg": error.text}
        if error.data is not None:
            told["data"] = error.data
        return Response(
            status=answer.status, body=_encode(told), headers=headers, lost=answer.lost, delay_ns=answer.delay_ns
        )

    def _listen_key(self, request: Request, now: int) -> Response:
        """The real venue retired listen keys in February 2026. They are served only with ``legacy_listen_key``."""
        if not self.venue.legacy_listen_key:
            body = _encode({"code": -1000, "msg": "This endpoint is retired; use the WebSocket API."})
            return Response(status=410, body=body)
        del now
        try:
            account = self.venue.account_of(request.header("x-mbx-apikey"), request.address)
        except ApiError as error:
            return Response(status=error.status, body=_encode({"code": error.code, "msg": error.text}))
        return Response(status=200, body=_encode({"listenKey": f"listen-{account.name}"}))


def _values(text: str) -> dict[str, str]:
    """The parameters of a query string or form body, decoded."""
    values: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if equals:
            values[unquote_plus(name)] = unquote_plus(value, errors="surrogateescape")
    return values


def _repeats(text: str) -> bool:
    """Whether a parameter is there more than once."""
    names = [part.partition("=")[0] for part in text.split("&") if "=" in part]
    return len(names) != len(set(names))


def _not_found() -> Response:
    return Response(status=404, body=b"<html><body><h2>404 Not Found</h2></body></html>", content_type="text/html")
