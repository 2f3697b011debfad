"""The admin address: the ground truth as JSON, and what a tester may do to the venue.

``GET /admin/...`` reads, ``POST /admin/...`` with a JSON object acts. Numbers are decimal text, times ns UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.commands import Account, Convert, Expire
from tickdeck.infrastructure.venue.exchange import Exchange, Fill
from tickdeck.infrastructure.venue.faults import Faults, parse_duration
from tickdeck.infrastructure.venue.matching import HOUSE, MarketStatus, Order, OrderRefused
from tickdeck.infrastructure.venue.traders import Traders

__all__ = ["AdminApi", "Door"]

Json = dict[str, Any]
_MOST = 10_000  # trades or levels in one request
_SMALLEST, _LARGEST = Decimal("0.00000001"), Decimal(10) ** 15


class Door(Protocol):
    """What the admin address needs from a dialect."""

    @property
    def exchange(self) -> Exchange: ...
    @property
    def faults(self) -> Faults: ...
    @property
    def requests(self) -> int: ...
    @property
    def late_orders(self) -> int: ...
    def advance(self, by_ns: int) -> None: ...
    def now(self) -> int: ...
    def set_limits(self, values: Json) -> Json: ...
    def ban(self, address: str, duration_ns: int) -> None: ...
    def check_account(self, account: Account) -> None: ...
    def refuse(self, symbol: str, code: int | None, text: str) -> None: ...
    def send_private(self, account: str, event: Json) -> None: ...
    def disconnect(self, path: str, refuse_ns: int = 0) -> int: ...
    def announce_shutdown(self) -> int: ...
    def change_connections(self, values: Json) -> Json: ...
    def change_time_unit(self, unit: str) -> None: ...
    def send_public(self, stream: str, event: object) -> int: ...
    def act(self, account: str, request: str, params: dict[str, str]) -> object: ...
    def serve_depth_late(self, age_ns: int, renew_ns: int) -> None: ...
    def script(self, values: Json) -> None: ...
    def script_reports(self, values: Json) -> None: ...
    def hide_orders(self, duration_ns: int) -> None: ...
    @property
    def asked(self) -> dict[str, int]: ...


class AdminApi:
    """Answers requests under ``/admin/``."""

    def __init__(self, door: Door, traders: Traders) -> None:
        self._door = door
        self._traders = traders
        self._reads: dict[str, Callable[[Json], Any]] = {
            "state": self._state,
            "orders": self._orders,
            "fills": self._fills,
            "balances": self._balances,
            "markets": self._markets,
            "faults": self._show_faults,
        }
        self._acts: dict[str, Callable[[Json], Any]] = {
            "deposit": self._deposit,
            "withdraw": self._withdraw,
            "convert": self._convert,
            "market": self._market,
            "faults": self._set_faults,
            "advance": self._advance,
            "account": self._account,
            "trade": self._trade,
            "trades": self._trades,
            "quote": self._quote,
            "quotes": self._quotes,
            "expire": self._expire,
            "limits": lambda values: self._door.set_limits(values),
            "ban": self._ban,
            "refuse": self._refuse,
            "event": self._event,
            "script": self._script,
            "reports": self._reports,
            "hide": self._hide,
            "stale_depth": self._stale_depth,
            "shutdown": lambda _: {"clients": self._door.announce_shutdown()},
            "disconnect": self._disconnect,
            "connections": lambda values: self._door.change_connections(values),
            "time_unit": self._time_unit,
            "stream": self._stream,
            "request": self._request,
        }

    def handle(self, method: str, path: str, values: Json) -> tuple[int, Any]:
        """The status and the JSON value that answer a request. ``path`` is what follows ``/admin/``."""
        table = {"GET": self._reads, "POST": self._acts}.get(method, {})
        action = table.get(path.strip("/") or "state")
        if action is None:
            return 404, {"error": f"there is no {method} /admin/{path}; there are {', '.join(table)}"}
        try:
            return 200, action(values)
        except OrderRefused as error:
            return 409, {"error": str(error)}
        except ConfigError as error:
            return 400, {"error": str(error)}
        except KeyError as error:
            return 400, {"error": f"{path}: {error.args[0]!r} is missing or not known"}
        except (ValueError, ArithmeticError, TypeError, AttributeError, msgspec.MsgspecError) as error:
            return 400, {"error": f"{path}: {error}"}

    # -- the truth ------------------------------------------------------------------------------------------------

    def _state(self, values: Json) -> Json:
        exchange = self._door.exchange
        return {
            "now": self._door.now(),
            "requests": self._door.requests,
            "late_orders": self._door.late_orders,
            "asked": dict(self._door.asked),
            "markets": self._markets(values),
            "orders": self._orders(values),
            "fills": self._fills(values),
            "balances": self._balances(values),
            "faults": self._show_faults(values),
            "update_ids": {symbol: history.update_id for symbol, history in exchange.history.items()},
        }

    def _names(self, values: Json) -> list[str]:
        return [values["account"]] if "account" in values else list(self._door.exchange.accounts)

    def _orders(self, values: Json) -> list[Json]:
        exchange = self._door.exchange
        symbols = [values["symbol"]] if "symbol" in values else list(exchange.engine.markets)
        orders = [o for name in self._names(values) for s in symbols for o in exchange.engine.orders(name, s)]
        return [_order(order) for order in sorted(orders, key=lambda order: order.number)]

    def _fills(self, values: Json) -> list[Json]:
        fills = self._door.exchange.fills
        return [{"account": name, **_fill(fill)} for name in self._names(values) for fill in fills.get(name, ())]

    def _balances(self, values: Json) -> Json:
        balances = self._door.exchange.engine.balances
        return {
            name: {asset: {"free": f"{b.free:f}", "locked": f"{b.locked:f}"} for asset, b in balances.of(name).items()}
            for name in self._names(values)
        }

    def _markets(self, _: Json) -> list[Any]:
        return [msgspec.to_builtins(market) for market in self._door.exchange.engine.markets.values()]

    def _show_faults(self, _: Json) -> Json:
        faults = self._door.faults
        return {
            "seed": faults.seed,
            "active": {name: msgspec.to_builtins(fault) for name, fault in faults.active.items()},
            "counts": dict(faults.counts),
        }

    # -- what a tester does ---------------------------------------------------------------------------------------

    def _deposit(self, values: Json, sign: int = 1) -> Json:
        account = self._known_account(values)
        amount = _decimal(values, "amount")
        listed = _flag(values, "listed", default=True)
        asset = str(values["asset"]).upper()
        self._door.exchange.move(account, asset, sign * amount, self._door.now(), listed=listed)
        return {"balances": self._balances({"account": account})[account]}

    def _withdraw(self, values: Json) -> Json:
        return self._deposit(values, -1)

    def _convert(self, values: Json) -> Json:
        """Exchange one asset for another, as its owner does beside the markets: ``{"account", "from", "spent", "to",
        "received"}``, and ``"dust": true``."""
        account = self._known_account(values)
        asset, into = str(values["from"]).upper(), str(values["to"]).upper()
        if asset == into:
            raise ValueError(f"from and to are both {asset}")
        dust = _flag(values, "dust")
        if dust and into != "BNB":
            raise ValueError(f"dust becomes BNB, not {into}")
        conversion = Convert(
            account,
            asset,
            _decimal(values, "spent"),
            into,
            _decimal(values, "received"),
            dust=dust,
            listed=_flag(values, "listed", default=True),
        )
        self._door.exchange.convert(conversion, self._door.now())
        return {"balances": self._balances({"account": account})[account]}

    def _known_account(self, values: Json) -> str:
        account = values["account"]
        if account not in self._door.exchange.accounts:
            raise KeyError(account)
        return str(account)

    def _market(self, values: Json) -> Any:
        """Change the status, filters or fees of a symbol; every field of a market may be given."""
        market = self._door.exchange.market(str(values["symbol"]))
        merged = msgspec.to_builtins(market) | {name: value for name, value in values.items() if name != "symbol"}
        if unknown := merged.keys() - msgspec.to_builtins(market).keys():
            raise KeyError(min(unknown))
        merged["status"] = MarketStatus(merged["status"]).value
        changed = msgspec.convert(
            {name: str(v) if isinstance(v, float) else v for name, v in merged.items()}, type(market), strict=False
        )
        self._door.exchange.set_market(changed, self._door.now())
        return msgspec.to_builtins(changed)

    def _set_faults(self, values: Json) -> Json:
        """``{"drop_ack": "0.5"}`` switches on, ``{"drop_ack": "off"}`` off; ``{"clear": true}`` switches all off. After
        an error nothing has changed."""
        clear = bool(values.pop("clear", False))
        self._door.faults.change({name: str(value) for name, value in values.items()}, clear=clear)
        return self._show_faults({})

    def _advance(self, values: Json) -> Json:
        """Move the venue's clock: ``{"by": "5s"}``."""
        self._door.advance(parse_duration(str(values["by"])))
        return {"now": self._door.now()}

    def _account(self, values: Json) -> Json:
        deposits = values.pop("deposits", {})
        if not isinstance(deposits, dict):
            raise ValueError("deposits must be amounts by asset")
        account = msgspec.convert(values, Account)
        if not account.name or not account.key or account.name[:1] == HOUSE:
            raise ValueError(f"an account needs a name and a key, and its name does not begin with {HOUSE}")
        self._door.check_account(account)
        amounts = {asset: _decimal(deposits, asset) for asset in deposits}
        self._door.exchange.open_account(account, self._door.now(), **amounts)
        return {"account": account.name}

    def _trade(self, values: Json) -> Json:
        """Let another trader take: ``{"symbol", "side", "quantity", "price"}``."""
        market = self._door.exchange.market(str(values["symbol"]))
        is_buy = {"BUY": True, "SELL": False}[str(values["side"]).upper()]
        filled = self._traders.take(
            market.symbol, is_buy, _decimal(values, "quantity"), _decimal(values, "price"), self._door.now()
        )
        return {"filled": f"{filled:f}"}

    def _quote(self, values: Json) -> Json:
        """Make another trader's quantity at a price: ``{"symbol", "side", "quantity", "price"}``; 0 removes it. The
        symbol ``*`` stands for all."""
        if values["symbol"] == "*":
            for symbol in self._door.exchange.engine.markets:
                self._quote(values | {"symbol": symbol})
            return {}
        market = self._door.exchange.market(str(values["symbol"]))
        is_bid = {"BUY": True, "SELL": False}[str(values["side"]).upper()]
        price, quantity = _decimal(values, "price"), _decimal(values, "quantity", or_zero=True)
        self._traders.quote(market.symbol, is_bid, price, quantity, self._door.now())
        return {}

    def _trades(self, values: Json) -> Json:
        """Let another trader take ``count`` times: ``{"symbol", "side", "quantity", "price", "count"}``."""
        return {"filled": [self._trade(values)["filled"] for _ in range(_count(values, "count"))]}

    def _quotes(self, values: Json) -> Json:
        """Quote ``levels`` prices from ``price`` on, ``step`` apart and away from the other side."""
        step = _decimal(values, "step") * {"BUY": -1, "SELL": 1}[str(values["side"]).upper()]
        for level in range(_count(values, "levels")):
            self._quote(values | {"price": str(_decimal(values, "price") + level * step)})
        return {}

    def _expire(self, values: Json) -> Json:
        command = Expire(self._known_account(values), str(values["symbol"]), int(values["order"]))
        self._door.exchange.submit(command, self._door.now())
        return {}

    def _ban(self, values: Json) -> Json:
        self._door.ban(str(values.get("address", "127.0.0.1")), parse_duration(str(values["for"])))
        return {}

    def _refuse(self, values: Json) -> Json:
        """Refuse every order and cancel of a symbol with ``code`` and ``msg``; without a code, no longer."""
        market = self._door.exchange.market(str(values["symbol"]))
        code = values.get("code")
        self._door.refuse(market.symbol, int(code) if code is not None else None, str(values.get("msg", "")))
        return {}

    def _script(self, values: Json) -> Json:
        """Decide what becomes of the next requests of a kind: ``{"on": "place", "lost": true}``."""
        self._door.script(values)
        return {}

    def _reports(self, values: Json) -> Json:
        """Decide what becomes of the next private reports: ``{"on": "TRADE", "hold": "25s"}``."""
        self._door.script_reports(values)
        return {}

    def _hide(self, values: Json) -> Json:
        """Let queries not know the orders that are there now: ``{"for": "3s"}``."""
        self._door.hide_orders(parse_duration(str(values["for"])))
        return {}

    def _stale_depth(self, values: Json) -> Json:
        """Serve snapshots of books late: ``{"age": "25s", "renew": "30s"}``; an age of 0s ends it."""
        age, renew = (parse_duration(str(values[name])) for name in ("age", "renew"))
        if age < 0 or renew <= 0:
            raise ValueError("renew must be above 0, and age not below")
        self._door.serve_depth_late(age, renew)
        return {}

    def _disconnect(self, values: Json) -> Json:
        """Cut WebSockets: ``{"path": "/ws-api", "for": "8s"}``; for that long, no new one is taken."""
        refuse = parse_duration(str(values["for"])) if "for" in values else 0
        return {"closed": self._door.disconnect(str(values.get("path", "")), refuse)}

    def _time_unit(self, values: Json) -> Json:
        """Send the times of market streams in another unit: ``{"unit": "MICROSECOND"}``."""
        self._door.change_time_unit(str(values["unit"]))
        return {}

    def _request(self, values: Json) -> Any:
        """Act as the account's owner does elsewhere: ``{"account", "request": "POST order", "params": {...}}``."""
        params = {name: str(value) for name, value in dict(values["params"]).items()}
        return self._door.act(self._known_account(values), str(values["request"]), params)

    def _stream(self, values: Json) -> Json:
        """Send a message of a market stream as it is: ``{"stream": "btcusdt@trade", "event": {...}}``."""
        return {"clients": self._door.send_public(str(values["stream"]), values["event"])}

    def _event(self, values: Json) -> Json:
        """Send an event over the account's private streams as it is."""
        self._door.send_private(self._known_account(values), dict(values["event"]))
        return {}


def _flag(values: Json, name: str, *, default: bool = False) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false")
    return value


def _decimal(values: Json, name: str, *, or_zero: bool = False) -> Decimal:
    try:
        value = Decimal(str(values[name]))
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or (not _SMALLEST <= value <= _LARGEST and not (or_zero and not value)):
        raise ValueError(f"{name} is {str(values[name])[:40]!r}; give a decimal above 0, up to {_LARGEST:f}")
    return value


def _count(values: Json, name: str) -> int:
    value = int(values[name])
    if not 1 <= value <= _MOST:
        raise ValueError(f"{name} is {value}; give 1 to {_MOST:,}")
    return value


def _order(order: Order) -> Json:
    return {
        "number": order.number,
        "account": order.account,
        "symbol": order.symbol,
        "client_id": order.client_id,
        "side": "BUY" if order.is_buy else "SELL",
        "type": order.type.value,
        "tif": order.tif.value,
        "status": order.status.value,
        "price": f"{order.price:f}" if order.price is not None else None,
        "quantity": f"{order.quantity:f}",
        "filled": f"{order.filled:f}",
        "spent": f"{order.spent:f}",
        "prevented": f"{order.prevented:f}",
        "created": order.created,
        "updated": order.updated,
    }


def _fill(fill: Fill) -> Json:
    return {name: f"{v:f}" if isinstance(v, Decimal) else v for name, v in msgspec.structs.asdict(fill).items()}
