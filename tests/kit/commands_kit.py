"""An exchange of one account that fills at once, and a program with use cases on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from tickdeck.application.commands import (
    CopyRule,
    Dispatcher,
    ExecuteCopyTradeCommand,
    ExecuteCopyTradeHandler,
    LeaderTrade,
    OpenTrades,
    ReconcileTradeCommand,
    ReconcileTradeHandler,
    UnitOfWork,
    retry_on_conflict,
)
from tickdeck.application.ports import (
    Balance,
    ExchangeCapabilities,
    InstrumentStatus,
    ListedInstrument,
    OrderFill,
    OrderRequest,
    OrderResult,
)
from tickdeck.bootstrap import RecordedBus, open_bus
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import UnknownOrder

D = Decimal
NOW = 1_790_000_000_000_000_000
MINUTE = 60_000_000_000


class FillingExchange:
    """Fills each order at ``price`` if its limit allows, with a fee of 0.1 % in quote. ``before`` and ``after`` may
    raise around a placement; ``truth`` are the orders that it has."""

    name = "test"
    capabilities = ExchangeCapabilities(in_flight=10 * 1_000_000_000, query_lag=20 * 1_000_000_000)

    def __init__(self, price: Any = 100, **balances: Any) -> None:
        self.price = D(price)
        self.held = {currency: D(amount) for currency, amount in balances.items()}
        self.truth: dict[str, OrderResult] = {}
        self.requests: list[OrderRequest] = []
        self.now = NOW
        self.before: Callable[[OrderRequest], None] = lambda request: None
        self.after: Callable[[OrderRequest], Awaitable[None] | None] = lambda request: None

    async def instruments(self) -> tuple[ListedInstrument, ...]:
        return (ListedInstrument(instrument=instrument_for("BTCUSDT"), status=InstrumentStatus.TRADING),)

    async def server_time(self) -> int:
        return self.now

    async def balances(self) -> tuple[Balance, ...]:
        return tuple(Balance(currency=currency, free=amount) for currency, amount in self.held.items())

    async def place(self, order: OrderRequest) -> OrderResult:
        self.requests.append(order)
        self.before(order)
        result = self._match(order)
        self.truth[order.client_order_id] = result
        waited = self.after(order)
        if waited is not None:
            await waited
        return result

    def _match(self, order: OrderRequest) -> OrderResult:
        buys = order.side is Side.BUY
        limit = order.limit if order.limit is not None else self.price
        filled = order.quantity if (limit >= self.price if buys else limit <= self.price) else D(0)
        fill = OrderFill(
            symbol=order.symbol, venue_order_id=str(len(self.truth) + 1), venue_trade_id=str(len(self.truth) + 1),
            side=order.side, price=self.price, quantity=order.quantity, fee=self.price * order.quantity / 1000,
            fee_currency="USDT", client_order_id=order.client_order_id, ts=self.now,
        )  # fmt: skip
        if filled:
            self.held["BTC"] = self.held.get("BTC", D(0)) + filled * order.side.sign
            self.held["USDT"] = self.held.get("USDT", D(0)) - filled * self.price * order.side.sign - fill.fee
        return OrderResult(
            client_order_id=order.client_order_id, symbol=order.symbol, venue_order_id=fill.venue_order_id,
            status=OrderStatus.FILLED if filled else OrderStatus.EXPIRED, raw_status="FILLED" if filled else "EXPIRED",
            side=order.side, quantity=order.quantity, filled=filled, filled_quote=filled * self.price,
            fills=(fill,) if filled else (), ts=self.now,
        )  # fmt: skip

    async def order(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        if client_order_id not in self.truth:
            raise UnknownOrder("no such order")
        return self.truth[client_order_id]

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderResult, ...]:
        return ()

    async def fills(self, symbol: str, **_: Any) -> tuple[OrderFill, ...]:
        return tuple(fill for order in self.truth.values() for fill in order.fills)


async def no_wait(seconds: float) -> None:
    """A sleep that does not take time."""


class Program:
    """A dispatcher with both handlers of copy trading on one store, and the exchanges by account."""

    def __init__(self, url: Any = "memory://", **exchanges: FillingExchange) -> None:
        self.bus: RecordedBus = open_bus(url)
        self.exchanges = exchanges
        self.dispatcher = Dispatcher(retry_on_conflict(50))
        self.open_trades = OpenTrades(self.bus)
        make = (lambda: UnitOfWork(self.bus)), self.exchanges.__getitem__, self.open_trades
        self.dispatcher.register(ExecuteCopyTradeCommand, ExecuteCopyTradeHandler(*make, sleep=no_wait))
        self.dispatcher.register(ReconcileTradeCommand, ReconcileTradeHandler(*make, sleep=no_wait))

    async def copy(self, account: str = "a", trade_id: str = "L1", rule: CopyRule | None = None, **changes: Any) -> Any:
        fields = {"symbol": "BTCUSDT", "side": Side.BUY, "quantity": D("0.5"), "price": D(100)} | changes
        leader = LeaderTrade(trade_id=trade_id, **fields)
        return await self.dispatcher.dispatch(
            ExecuteCopyTradeCommand(leader=leader, account_id=account, rule=rule or CopyRule())
        )

    def balance(self, account: str, currency: str) -> Any:
        return UnitOfWork(self.bus).balances.get(account, currency)

    def types(self) -> list[str]:
        return [event.event_type for event in self.bus.store.read() if event.event_type.startswith("trade.")]
