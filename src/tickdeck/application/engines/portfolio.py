"""The portfolio engine: books fills and publishes positions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tickdeck.application.bus import EventBus
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.strategies import PositionView
from tickdeck.domain.accounts import Account
from tickdeck.domain.events import (
    BalanceEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionClosedEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
    StateLeg,
    StateUpdated,
    SystemWarning,
    VenueBalanceReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money

__all__ = ["PortfolioEngine"]

_FILLS = (OrderPartiallyFilledEvent, OrderFilledEvent)


class PortfolioEngine:
    """One account: cash, positions, PnL, fees, equity; exact decimals, in the account's quote currency."""

    component = "portfolio"
    hears = (VenueBalanceReported, OrderEvent)
    publishes = (
        PositionOpenedEvent,
        PositionUpdatedEvent,
        PositionClosedEvent,
        BalanceEvent,
        StateUpdated,
        SystemWarning,
    )

    def __init__(
        self,
        bus: EventBus,
        account: Account,
        market_data: MarketDataEngine,
        instrument: Callable[[str], Instrument],
    ) -> None:
        self._bus = bus
        self._market_data = market_data
        self._instrument = instrument
        self.account = account
        self._reported: dict[str, None] = {}  # currencies whose first balance is known
        bus.subscribe(OrderEvent, self.on_order, priority=PRIORITY[self.component], component=self.component)
        bus.subscribe(
            VenueBalanceReported, self.on_balance, priority=PRIORITY[self.component], component=self.component
        )

    @property
    def account_id(self) -> str:
        return self.account.account_id

    @property
    def user_id(self) -> str:
        return self.account.user_id

    def on_order(self, order: OrderEvent) -> None:
        """Hold back what the order takes, and book its fill, if it is one."""
        self.account.reserve(order)
        if isinstance(order, _FILLS):
            self._bus.publish_all(self.account.apply_fill(order, self._instrument(order.symbol)))
            self._bus.publish(self._state())

    def on_balance(self, report: VenueBalanceReported) -> None:
        """Adopt the initial balance: the first report of a currency without any bookings.

        Later reports are compared. A difference only causes a warning, because a fill may still be on its way to us.
        """
        held = self.account.balances.get(report.currency)
        if held is None and report.currency not in self._reported:
            self._reported[report.currency] = None
            self._bus.publish_all(self.account.set_balance(report))
        elif (held or ZERO) != report.total:
            message = (
                f"the venue reports {report.total} {report.currency}, but our books have {held or ZERO}. Nothing "
                "was changed. A fill may still be on its way; if it stays, compare the account with the venue's"
            )
            self._bus.publish(SystemWarning(component=self.component, message=message))

    def _state(self) -> StateUpdated:
        account = self.account
        figures = {
            "cash": account.cash,
            "equity": self.equity(),
            "realized_pnl": account.realized_pnl(),
            "unrealized_pnl": self.unrealized_pnl(),
            "fees": account.fees(),
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

    def equity(self) -> Money:
        """Cash and positions at the market's prices, in quote."""
        return self.account.equity(self._market_data.prices())

    def pnl(self) -> Money:
        """The profit of trading on the deposits: realised and unrealised, after fees, in quote."""
        return EXACT.subtract(self.equity(), self.account.deposits())

    def unrealized_pnl(self) -> Money:
        return self.account.unrealized_pnl(self._market_data.prices())

    def view(self, symbol: str) -> PositionView:
        """The position in ``symbol`` at the market's price."""
        position = self.account.position(symbol)
        price = self._market_data.market(symbol).price
        unrealized = position.unrealized_pnl(price) if price is not None else Decimal(0)
        return PositionView(symbol, position.quantity, position.average_price, position.realized_pnl, unrealized)
