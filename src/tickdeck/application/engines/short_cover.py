"""Covers short positions by equity: refuses orders that would exceed it, and buys back what it no longer covers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_UP, Decimal

from tickdeck.application.bus import SubscribeOptions, Subscription
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.approvals import Approvals
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.trading_gate import TradingGate
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.domain.events import (
    ActionIntent,
    BalanceEvent,
    CandleEvent,
    DomainEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    RiskApprovedEvent,
    SystemWarning,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import Breach, Exposure
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, OrderType, Price, Quantity, Side, plain

__all__ = ["PRICES", "ShortCover"]

PRICES = (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent, CandleEvent)
_SECOND = 1_000_000_000
_COVERED = Decimal("0.99")
"""Buying back covers slightly more than necessary, so that not every price change needs another order."""


class ShortCover:
    """Compares what the account owes in coins, valued in the reporting currency, with its equity.

    There is no margin account yet, so the equity must cover every short position completely. ``judge`` refuses a sale
    that would owe more, and a purchase that would spend the proceeds of short sales. While the account owes coins,
    every price is checked, and what the equity no longer covers is bought back, with at most one order per second and
    symbol. If the equity is 0 or less, trading halts and everything is bought back.
    """

    def __init__(
        self,
        bus: CoreBus,
        portfolio: PortfolioEngine,
        exposure: Exposure,
        *,
        approvals: Approvals,
        gate: TradingGate,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        halt: Callable[[str], None],
    ) -> None:
        """``halt(reason)`` halts trading for everything that does not reduce a position."""
        self._bus = bus
        self._portfolio = portfolio
        self._exposure = exposure
        self._approvals = approvals
        self._gate = gate
        self._price = price
        self._instrument = instrument
        self._halt = halt
        self._watching: list[Subscription] = []  # of market data, while coins are owed
        self._bought_at: dict[str, int] = {}  # ns, by symbol
        self._seen: dict[str, Price | None] = {}  # the price at the last check, by symbol

    # -- before an order ---------------------------------------------------------------------------------------------

    def judge(self, side: Side, symbol: str, quantity: Quantity, price: Price) -> Breach | None:
        """Why the account must not buy or sell ``quantity`` (base) of ``symbol`` at ``price`` (quote), assuming that
        all open orders are filled; ``None`` if it may."""
        instrument = self._instrument(symbol)
        if side is Side.SELL:
            return self._judge_sale(instrument, quantity, price)
        return self._judge_purchase(instrument, quantity, price)

    def _judge_sale(self, instrument: Instrument, quantity: Quantity, price: Price) -> Breach | None:
        debts = self._debts(Side.SELL, {instrument.base: quantity})
        if instrument.base not in debts:
            return None
        if not self._rate(instrument.quote):
            what = f"no price tells what {instrument.quote} is worth in {self._currency}"
            return Breach("short_cover", f"{what}, so that no equity is known to cover a short of {instrument.symbol}")
        owed = self._worth(debts, instrument, price)
        equity = self._portfolio.equity()
        if owed <= equity:
            return None
        what = f"shorts worth {owed:.2f} {self._currency} are more than the equity of {equity:.2f}"
        return Breach("short_cover", f"{what}, which has to cover them in full")

    def _judge_purchase(self, instrument: Instrument, quantity: Quantity, price: Price) -> Breach | None:
        debts = self._debts()
        if not debts:
            return None
        cost = ZERO
        buying = self._on_the_way(Side.BUY)
        buying[instrument.symbol] = EXACT.add(buying.get(instrument.symbol, ZERO), quantity)
        owed = dict(debts)
        for symbol, amount in buying.items():
            bought = self._instrument(symbol)
            opening = EXACT.subtract(amount, owed.get(bought.base, ZERO))  # the rest buys back
            if opening > 0:
                at = price if symbol == instrument.symbol else self._price(symbol) or ZERO
                cost = EXACT.add(cost, EXACT.multiply(EXACT.multiply(opening, at), self._rate(bought.quote)))
            owed[bought.base] = max(EXACT.subtract(ZERO, opening), ZERO)
        spare = EXACT.subtract(self._portfolio.cash(), self._worth(debts))
        if not cost or cost <= spare:
            return None
        what = f"it would cost {cost:.2f} {self._currency} with the open orders, and {max(spare, ZERO):.2f} is free"
        return Breach("short_cover", f"{what}; the proceeds of short sales are reserved for buying back")

    # -- after a fill, and at each price -----------------------------------------------------------------------------

    def on_holdings(self, now: int) -> None:
        """A fill changed the balances, at ``now`` (ns)."""
        if not self._debts():
            for subscription in self._watching:
                subscription.cancel()
            self._watching.clear()
            return
        self._watch()
        self._seen.clear()
        for symbol in list(self._exposure.positions):
            self._restore(symbol, now)

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. If the account owes coins, their prices are watched
        from the end of the past on."""
        if isinstance(event, RiskApprovedEvent) and event.strategy_id == "risk" and event.intent.side is Side.BUY:
            self._bought_at[event.intent.symbol] = event.ts_ingress
        elif isinstance(event, BalanceEvent) and event.total < 0:
            self._watch()  # until a fill after which nothing is owed

    def _watch(self) -> None:
        if not self._watching:
            own: SubscribeOptions = {"priority": PRIORITY["risk"], "component": "risk"}
            self._watching = [self._bus.subscribe(event_type, self.on_price, **own) for event_type in PRICES]

    def on_price(self, event: MarketEvent) -> None:
        symbol = event.symbol
        price = self._price(symbol)
        if price == self._seen.get(symbol):
            return
        self._seen[symbol] = price
        now = self._bus.clock.now()
        for owed in list(self._exposure.positions):
            self._restore(owed, now)

    def _restore(self, symbol: str, now: int) -> None:
        """Buy back the part of ``symbol`` that the equity does not cover."""
        instrument = self._instrument(symbol)
        debt = self._debts().get(instrument.base)
        price = self._price(symbol)
        if debt is None or price is None or not (self._exposure.position(symbol) < 0 or self._is_home(instrument)):
            return
        owed, equity = self._worth(self._debts()), self._portfolio.equity()
        if owed <= equity:
            return
        if equity <= 0:
            self._halt(f"short_cover: the equity is {equity:.2f} {self._currency}; all shorts are bought back")
        if now - self._bought_at.get(symbol, -_SECOND) < _SECOND:
            return
        excess = EXACT.subtract(owed, EXACT.multiply(max(equity, ZERO), _COVERED))
        unit = EXACT.multiply(price, self._rate(instrument.quote))
        wanted = min(EXACT.divide(excess, unit), debt)
        quantity = self._tradable(instrument, EXACT.subtract(wanted, self._being_bought(symbol)), debt, price)
        if quantity is None:
            return
        self._bought_at[symbol] = now
        why = f"shorts are worth {owed:.2f} {self._currency} and the equity is {equity:.2f}, which has to cover them"
        self._buy_back(symbol, quantity, f"{why}: {plain(quantity)} {symbol} is bought back")

    def _buy_back(self, symbol: str, quantity: Quantity, why: str) -> None:
        """Cancel the open orders of strategies in ``symbol``, and buy at the market."""
        if self._gate.is_closed:
            return
        self._bus.publish(SystemWarning(component="risk", message=f"short_cover: {why}"))
        for order in self._exposure.open_orders(symbol):
            if order.strategy_id != "risk":
                self._approvals.cancel(order)
        intent = ActionIntent(action="order", symbol=symbol, side=Side.BUY, quantity=quantity, reduce_only=True)
        self._approvals.approve("risk", intent)

    def _tradable(self, instrument: Instrument, wanted: Quantity, debt: Quantity, price: Price) -> Quantity | None:
        """``wanted`` rounded up to what the instrument allows, at most ``debt``; ``None`` if that cannot be bought."""
        if wanted <= 0:
            return None
        least = max(wanted, instrument.min_quantity, EXACT.divide(instrument.min_notional, price))
        lots = (least / instrument.lot_size).quantize(Decimal(1), ROUND_UP)
        quantity = min(lots * instrument.lot_size, instrument.quantise_quantity(debt))
        if instrument.max_quantity:
            quantity = min(quantity, instrument.quantise_quantity(instrument.max_quantity))
        return quantity if instrument.violation(OrderType.MARKET, quantity, price) is None else None

    # -- helpers -----------------------------------------------------------------------------------------------------

    @property
    def _currency(self) -> str:
        return self._portfolio.account.quote

    def _is_home(self, instrument: Instrument) -> bool:
        return self._portfolio.account.homes.get(instrument.base) == instrument.symbol

    def _rate(self, currency: str) -> Decimal:
        return self._portfolio.rate(currency, self._currency) or ZERO

    def _on_the_way(self, side: Side) -> dict[str, Quantity]:
        """What open orders may still fill, by symbol."""
        symbols = self._exposure.symbols()
        return {symbol: quantity for symbol in symbols if (quantity := self._exposure.working(symbol, side))}

    def _being_bought(self, symbol: str) -> Quantity:
        own = (order for order in self._exposure.open_orders(symbol) if order.strategy_id == "risk")
        return sum((order.exposure for order in own if order.side is Side.BUY), ZERO)

    def _debts(self, side: Side | None = None, more: Mapping[str, Quantity] | None = None) -> dict[str, Quantity]:
        """The amounts that the account owes, by currency (above 0). With ``side``, this assumes that all open orders of
        that side are filled. ``more`` are additional sales."""
        held = dict(self._portfolio.account.balances)
        if side is not None:
            for symbol, quantity in self._on_the_way(side).items():
                base = self._instrument(symbol).base
                held[base] = EXACT.subtract(held.get(base, ZERO), quantity)
        for currency, quantity in (more or {}).items():
            held[currency] = EXACT.subtract(held.get(currency, ZERO), quantity)
        return {currency: -amount for currency, amount in held.items() if amount < 0}

    def _worth(self, debts: Mapping[str, Quantity], instrument: Instrument | None = None, price: Price = ZERO) -> Money:
        """The value of ``debts``. Those in the base currency of ``instrument`` are valued at ``price`` (quote) or
        more."""
        total = ZERO
        for currency, amount in debts.items():
            rate = Decimal(1) if currency == self._currency else self._rate(currency)
            if instrument is not None and currency == instrument.base:
                rate = max(rate, EXACT.multiply(price, self._rate(instrument.quote)))
            total = EXACT.add(total, EXACT.multiply(amount, rate))
        return total
