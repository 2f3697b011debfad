"""The portfolio engine: books fills and publishes positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from tickdeck.application.bus import SubscribeOptions, Subscription
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.balance_check import BalanceCheck
from tickdeck.application.engines.fee_coins import FeeCoins
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.strategies import PositionView
from tickdeck.domain.accounts import Account, Differences, OwnedPositions, Rates, Valuation
from tickdeck.domain.events import (
    AccountDifferenceFound,
    BalanceEvent,
    CandleEvent,
    CommandReceived,
    DomainEvent,
    MarginCallEvent,
    MarketEvent,
    NotificationAlert,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionClosedEvent,
    PositionEvent,
    PositionLiquidatedEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
    StateLeg,
    StateUpdated,
    SystemWarning,
    TickEvent,
    TradeEvent,
    VenueBalanceReported,
    VenueExternalFillReported,
    VenueFillReported,
    VenueLiquidationReported,
    VenueMarginCallReported,
    VenueRateReported,
    VenueTransferReported,
)
from tickdeck.domain.events.base import ENVELOPE
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, Ownership, balance_changes
from tickdeck.domain.values import ZERO, Money, Price, Quantity, plain

__all__ = ["PortfolioEngine"]

_FILLS = (OrderPartiallyFilledEvent, OrderFilledEvent)
_KEPT = 10_000  # fills of others, and payments, that are not booked again
_PRICES = (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent, CandleEvent)
_MARGIN_CALL = tuple(name for name in VenueMarginCallReported.__struct_fields__ if name not in ENVELOPE)


class PortfolioEngine:
    """One account: cash, positions, PnL, fees and equity over all its currencies, as exact decimals in its quote
    currency.

    What others do with the account, payments and fills of their orders, moves the balances as payments in and out. A
    balance that the venue reports later is compared with ours (``BalanceCheck``).

    The engine only receives market data and reports of fills while something waits for the first price of a symbol:
    coins that the account had at the start, or an amount in another currency.
    """

    component = "portfolio"
    hears = (
        VenueBalanceReported,
        VenueExternalFillReported,
        VenueTransferReported,
        VenueRateReported,
        VenueMarginCallReported,
        VenueLiquidationReported,
        VenueFillReported,
        OrderEvent,
        CommandReceived,
        *_PRICES,
    )
    publishes = (
        PositionOpenedEvent,
        PositionUpdatedEvent,
        PositionClosedEvent,
        BalanceEvent,
        AccountDifferenceFound,
        MarginCallEvent,
        PositionLiquidatedEvent,
        StateUpdated,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        bus: CoreBus,
        account: Account,
        market_data: MarketDataEngine,
        instrument: Callable[[str], Instrument],
        rates: Rates,
        *,
        on_difference: str = "halt",
    ) -> None:
        """``rates`` are the exchange rates between currencies. ``on_difference``: what follows if the venue reports
        another balance than ours, ``adopt``, ``halt`` or ``ask``."""
        self._bus = bus
        self._market_data = market_data
        self._instrument = instrument
        self._rates = rates
        self.account = account
        self.valuation = Valuation(account, rates, instrument)
        self.owned = OwnedPositions()
        """What each strategy holds."""
        self._reported: dict[str, None] = {}  # currencies whose first balance is known
        self._watching: list[Subscription] = []  # of market data
        self._check = BalanceCheck(bus, account, policy=on_difference, pay=self._pay)
        self._fee_coins = FeeCoins(bus, account, instrument)
        self._external: dict[tuple[str, str], None] = {}  # the last fills of others, and payments
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        bus.subscribe(OrderEvent, self.on_order, **own)
        bus.subscribe(VenueBalanceReported, self.on_balance, **own)
        bus.subscribe(VenueExternalFillReported, self.on_external_fill, **own)
        bus.subscribe(VenueTransferReported, self.on_transfer, **own)
        bus.subscribe(VenueRateReported, self.on_rate, **own)
        bus.subscribe(VenueMarginCallReported, self.on_margin_call, **own)
        bus.subscribe(VenueLiquidationReported, self.on_liquidation, **own)
        bus.subscribe(CommandReceived, self.on_command, **own)

    @property
    def quote(self) -> str:
        """The currency of the figures."""
        return self.account.quote

    @property
    def known(self) -> tuple[str, ...]:
        """The currencies whose balance is known. One that was reported as 0 and has had no bookings is not among the
        account's balances, but a second report of it is a reading and no first balance."""
        return tuple(dict.fromkeys((*self.account.balances, *self._reported)))

    @property
    def differences(self) -> Differences:
        """Between the venue's balances and ours."""
        return self._check.differences

    @property
    def account_id(self) -> str:
        return self.account.account_id

    @property
    def user_id(self) -> str:
        return self.account.user_id

    def on_order(self, order: OrderEvent) -> None:
        """Update the reservation of the order, and book its fill, if it is one."""
        self.account.reserve(order)
        if isinstance(order, _FILLS):
            instrument = self._instrument(order.symbol)
            self.owned.take(order, instrument.base)
            booked = self.account.apply_fill(order, instrument)
            self._value(booked)
            self._bus.publish_all(booked)
            self._bus.publish(self._state())
            if self._fee_coins.runs_low(order):
                self._fee_coins.warn(order)

    def on_balance(self, report: VenueBalanceReported) -> None:
        """Adopt the initial balance: the first report of a currency without any bookings. Compare later reports."""
        if self._is_first(report):
            self._book(self.account.set_balance(report))
            return
        self._check.on_report(report)
        locked = self.account.locked_by_others(report.currency, report.locked)
        self._bus.publish_all(self.account.lock(report.currency, locked, report.ts))

    def _is_first(self, report: VenueBalanceReported) -> bool:
        """Whether ``report`` is the initial balance of its currency."""
        if report.currency in self.account.balances or report.currency in self._reported:
            return False
        self._reported[report.currency] = None
        return True

    def on_command(self, command: CommandReceived) -> None:
        """``adopt``: take the venue's figure where a difference was found."""
        if command.command == "adopt":
            self._check.adopt(command)

    def on_external_fill(self, fill: VenueExternalFillReported) -> None:
        """Book a fill of somebody else's order as payments in and out."""
        if self._is_repeated(fill.symbol, fill.venue_trade_id):
            return
        notional, fees = EXACT.multiply(fill.price, fill.quantity), {fill.fee_currency or fill.quote: fill.fee}
        self._pay(balance_changes(fill.side, fill.quantity, notional, fees, base=fill.base, quote=fill.quote), fill.ts)

    def on_margin_call(self, report: VenueMarginCallReported) -> None:
        """The venue warns of a liquidation."""
        fields = {name: getattr(report, name) for name in _MARGIN_CALL}
        self._bus.publish(MarginCallEvent(**fields, ts=report.ts))
        at = f"{report.symbol} is at {plain(report.price)}, and its position is liquidated at"
        left = f"{report.equity:.2f} {report.currency} of its margin is left, and {report.requirement:.2f} has to be"
        text = f"margin call: {at} {plain(report.liquidation_price)} ({left})"
        self._bus.publish(NotificationAlert(text=text, severity="critical"))

    def on_liquidation(self, report: VenueLiquidationReported) -> None:
        """Book what the venue closed by itself."""
        if self._is_repeated(report.symbol, f"liquidation {report.venue_trade_id}"):
            return
        if not report.order_id:  # positions name what closed them; without an order, it was a payment
            report = replace(report, order_id=f"liquidation-{report.venue_trade_id}")
        instrument = self._instrument(report.symbol)
        average = self.account.position(report.symbol).average_price
        self._bus.publish_all(self._open_holding(report.symbol, report.ts, report.price))
        self.owned.liquidate(report)
        booked = self.account.apply_fill(report, instrument)
        self._value(booked)
        self._bus.publish_all(booked)
        realized = sum((event.realized_pnl for event in booked if isinstance(event, PositionEvent)), ZERO)
        self._bus.publish(
            PositionLiquidatedEvent(
                symbol=report.symbol,
                account_id=report.account_id,
                user_id=report.user_id,
                side=report.side,
                quantity=report.quantity,
                price=report.price,
                average_price=average,
                realized_pnl=realized,
                fee=report.fee,
                fee_currency=report.fee_currency,
                currency=instrument.quote,
                order_id=report.order_id,
                venue_trade_id=report.venue_trade_id,
                ts=report.ts,
            )
        )
        what = f"{plain(report.quantity)} {report.symbol} at {plain(report.price)}"
        text = f"the venue liquidated {what}: {realized:.2f} {instrument.quote} before fees"
        self._bus.publish(NotificationAlert(text=text, severity="critical"))
        self._bus.publish(self._state())

    def on_rate(self, report: VenueRateReported) -> None:
        """Value a currency that no symbol of the run leads to."""
        self._rates.report(report.currency, report.into, report.rate)
        self.valuation.on_rate(report.currency, self._market_data.price)

    def on_transfer(self, transfer: VenueTransferReported) -> None:
        """Book money that was paid in or out."""
        if not self._is_repeated("", transfer.transfer_id):
            self._pay({transfer.currency: transfer.amount}, transfer.ts)

    def _pay(self, changes: Mapping[str, Money], ts: int) -> None:
        self._book([self.account.transfer(currency, amount, ts) for currency, amount in changes.items() if amount])

    def _is_repeated(self, symbol: str, number: str) -> bool:
        """Whether a fill or a payment of others was booked before."""
        known = self._external
        if (symbol, number) in known:
            return True
        known[symbol, number] = None
        if len(known) > _KEPT:
            del known[next(iter(known))]
        return False

    def _book(self, booked: list[BalanceEvent]) -> None:
        self._value(booked)
        self._bus.publish_all(booked)

    def on_price(self, event: MarketEvent) -> None:
        """Value what waits for a price of this symbol."""
        self._bus.publish_all(self._open_holding(event.symbol, event.ts))
        if not self.valuation.waits:
            for subscription in self._watching:
                subscription.cancel()
            self._watching.clear()

    def on_fill_report(self, report: VenueFillReported) -> None:
        """Value coins that wait for the first price of a symbol at that of its first fill, such as of a ``flatten``
        before any market data, before the fill itself is booked."""
        self._bus.publish_all(self._open_holding(report.symbol, report.ts, report.price))

    def _open_holding(self, symbol: str, ts: int, first: Price | None = None) -> Sequence[PositionEvent]:
        """Value what waited for a price of ``symbol``: at that of the market, or at ``first``, that of a fill before
        there is one. Returns the events of coins that became a position."""
        price = self._market_data.price
        before = self.account.position(symbol).quantity
        if first is None:
            moved = self.valuation.on_price(symbol, price, ts)
        else:
            moved = self.valuation.open_holding(symbol, first, price, ts)
        self.owned.pay(moved, before)
        return moved

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record: fold it into the account. Publishes nothing."""
        if isinstance(event, MarketEvent):
            if self.valuation.waits:
                self._open_holding(event.symbol, event.ts)
            return
        if isinstance(event, VenueRateReported):
            self.on_rate(event)
        elif isinstance(event, CommandReceived):
            self._check.recall(event)
        elif getattr(event, "account_id", None) == self.account_id:
            self._recall_account(event)

    def _recall_account(self, event: DomainEvent) -> None:
        if isinstance(event, OrderEvent | BalanceEvent | PositionEvent):
            self.account.apply_event(event)
            self._value((event,))
            if isinstance(event, _FILLS):
                self._fee_coins.runs_low(event)
                self.owned.take(event, self._instrument(event.symbol).base)
        elif isinstance(event, VenueBalanceReported):
            if not self._is_first(event):
                self._check.recall(event)
        elif isinstance(event, VenueFillReported):
            self._open_holding(event.symbol, event.ts, event.price)
        elif isinstance(event, AccountDifferenceFound):
            self._check.recall(event)
        elif isinstance(event, VenueExternalFillReported):
            self._is_repeated(event.symbol, event.venue_trade_id)
        elif isinstance(event, VenueTransferReported):
            self._is_repeated("", event.transfer_id)
        elif isinstance(event, VenueLiquidationReported) and not self._is_repeated(
            event.symbol, f"liquidation {event.venue_trade_id}"
        ):
            self._open_holding(event.symbol, event.ts, event.price)
            self.owned.liquidate(event)

    # -- figures -----------------------------------------------------------------------------------------------------

    def equity(self) -> Money:
        """Cash and positions of all currencies, in the account's quote currency."""
        return self.valuation.equity(self._market_data.price)

    def known_equity(self) -> Money | None:
        """The equity, or ``None`` before it is complete: until the venue has reported the balances at the start, there
        is market data, and each coin with a symbol has a price."""
        if not self.account.balances or self.valuation.waits or not self._market_data.prices():
            return None
        return self.equity()

    def cash(self) -> Money:
        """The balances of all currencies without the coins in positions."""
        return self.valuation.cash(self._market_data.price)

    def pnl(self) -> Money:
        """The result of trading and holding, realized and unrealized, after fees."""
        return self.valuation.pnl(self._market_data.price)

    def fees(self) -> Money:
        """Fees paid minus rebates, each valued when it was paid."""
        return self.valuation.fees

    def unrealized_pnl(self) -> Money:
        return self.valuation.unrealized_pnl(self._market_data.price)

    def left_out(self) -> dict[str, Money]:
        """Amounts by currency that are in no figure, because a price for them is missing."""
        return self.valuation.left_out(self._market_data.price)

    def rate(self, currency: str, into: str) -> Decimal | None:
        """The value of one unit of ``currency`` in ``into`` at the current prices; ``None`` if a price is missing."""
        return self._rates.rate(currency, into, self._market_data.price)

    def rate_symbols(self, currency: str, into: str) -> tuple[str, ...]:
        """The symbols whose prices ``rate`` may use; empty if there is no rate between the currencies."""
        return self._rates.symbols(currency, into)

    def agrees_with(self, report: VenueBalanceReported) -> bool:
        """Whether our books have the balance of ``report``, and what others lock of it."""
        account, currency = self.account, report.currency
        same = account.balances.get(currency, ZERO) == report.total
        return same and account.locks.get(currency, ZERO) == account.locked_by_others(currency, report.locked)

    def has_booked(self, transfer_id: str) -> bool:
        """Whether a payment was booked, as far as it is remembered."""
        return ("", transfer_id) in self._external

    def owners(self) -> dict[str, Ownership]:
        """What each strategy holds of each symbol, with coins that wait for their first price. These are copies."""
        owners = self.owned.shares()
        for symbol, quantity in self.account.unpriced.items():
            owners.setdefault(symbol, Ownership()).pay(quantity)
        return owners

    def has_last_price(self, symbol: str) -> bool:
        """Whether the symbol's price is that of its last trade or candle, not one made from quotes."""
        market = self._market_data.markets.get(symbol)
        return market is not None and market.last_price is not None

    def quantity(self, symbol: str) -> Quantity:
        """The position in ``symbol``, without coins that wait for their first price (base)."""
        return self.account.position(symbol).quantity

    def view(self, symbol: str) -> PositionView:
        """The position in ``symbol`` at the market's price."""
        position = self.account.position(symbol)
        price = self._market_data.price(symbol)
        unrealized = position.unrealized_pnl(price) if price is not None else ZERO
        quantity = self.account.unpriced.get(symbol, position.quantity)
        average, realized = position.average_price, position.realized_pnl
        return PositionView(symbol, quantity, average, realized, unrealized, price, self._instrument(symbol))

    def dust(self, symbols: Iterable[str]) -> dict[str, Quantity]:
        """Positions that are too little for an order, by symbol (base)."""
        views = map(self.view, symbols)
        return {view.symbol: view.quantity for view in views if view.is_dust}

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _value(self, booked: Iterable[DomainEvent]) -> None:
        self.valuation.take(booked, self._market_data.price)
        if self.valuation.waits and not self._watching:
            own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
            self._watching = [self._bus.subscribe(event_type, self.on_price, **own) for event_type in _PRICES]
            before_execution: SubscribeOptions = {"priority": PRIORITY["execution"] + 1, "component": self.component}
            self._watching.append(self._bus.subscribe(VenueFillReported, self.on_fill_report, **before_execution))

    def _state(self) -> StateUpdated:
        account = self.account
        price = self._market_data.price
        figures = {
            "cash": self.cash(),
            "equity": self.equity(),
            "realized_pnl": self.valuation.realized_pnl(price),
            "unrealized_pnl": self.unrealized_pnl(),
            "fees": self.fees(),
        }
        return StateUpdated(
            owner=account.account_id,
            kind="portfolio",
            values={name: format(value, "f") for name, value in figures.items()},
            legs=tuple(
                StateLeg(symbol=position.symbol, quantity=position.quantity, average_price=position.average_price)
                for position in account.positions.values()
                if position.quantity
            ),
        )
