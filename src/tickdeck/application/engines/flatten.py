"""Carries out the commands ``cancel``, ``close`` and ``flatten``, and what becomes of open orders at a halt."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.approvals import Approvals
from tickdeck.domain.accounts import Account
from tickdeck.domain.events import ActionIntent, CommandReceived, DomainEvent, OrderEvent, SystemWarning
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import CountedOrder, Exposure
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, OrderStatus, Price, Quantity, Side, plain

__all__ = ["Flatten"]

_RISK = "risk"


class Flatten:
    """Cancels open orders and closes positions at market, bounded by what is held.

    ``price(symbol)`` is the last price (quote). ``why_not(symbol)`` says why no order in a symbol may be sent now, and
    is empty if it may. ``protects(order_id)`` says whether an order is the stop or the target of a position.
    """

    def __init__(
        self,
        bus: CoreBus,
        exposure: Exposure,
        account: Account,
        *,
        approvals: Approvals,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        why_not: Callable[[str], str],
        protects: Callable[[str], bool],
    ) -> None:
        self._bus = bus
        self._exposure = exposure
        self._account = account
        self._approvals = approvals
        self._price = price
        self._instrument = instrument
        self._why_not = why_not
        self._protects = protects
        self._waiting: dict[str, list[str]] = {}  # orders that must end before the rest is closed, by symbol

    def cancel(self, order_id: str, symbol: str) -> None:
        """Cancel one order, or the open orders of one symbol or of all."""
        order = self._exposure.orders.get(order_id)
        if order_id and (order is None or not order.is_open):
            state = "is not known" if order is None else f"is {order.status.value}"
            self._warn(f"cancel: order {order_id} {state}")
            return
        for open_order in [order] if order is not None else self._exposure.open_orders(symbol):
            self._approvals.cancel(open_order)

    def at_halt(self, orders: str) -> None:
        """The command ``halt`` asks for the open ``orders``: ``cancel`` them, except stops and targets, or ``leave``
        them."""
        if orders not in ("", "leave", "cancel"):
            self._warn(f"halt: trading is halted, but orders is {orders!r}; give 'cancel' or 'leave'; they stay")
        elif orders == "cancel":
            for order in self._others():
                if not order.withdrawn:
                    self._approvals.cancel(order)

    def left_at_halt(self) -> str:
        """What becomes of the open orders now that trading is halted, in words; empty if there are none."""
        others = self._others()
        leaving = sum(order.withdrawn for order in others)
        resting = len(self._exposure.open_orders()) - len(others)
        parts: list[str] = []
        if others:
            parts.append(f"open orders: {leaving:,} being cancelled, {len(others) - leaving:,} left")
        if resting:
            parts.append(f"stops and targets: {resting:,} left")
        return "; ".join(parts)

    def _others(self) -> list[CountedOrder]:
        """The open orders without stops and targets."""
        return [order for order in self._exposure.open_orders() if not self._protects(order.order_id)]

    def close(self, symbol: str) -> None:
        """Flatten one symbol, in which there must be something to close."""
        if symbol and (self._exposure.position(symbol) or any(self._exposure.open_orders(symbol))):
            self.flatten(symbol)
            return
        self._warn(f"close: there is no position and no open order in {symbol or 'a symbol without a name'}")

    def flatten(self, symbol: str) -> None:
        """Cancel the open orders and close the positions at market, for one symbol or all."""
        if why := self._why_not(""):
            self._warn(f"flatten: only cancels pass, because {why}")
            return
        for order in self._exposure.open_orders(symbol):
            self._waiting.setdefault(order.symbol, []).append(order.order_id)
            self._approvals.cancel(order)
        for held in list(self._exposure.positions):
            if symbol in ("", held):
                self._warn_of_doubt(held)
                self._close(held)

    def on_order(self, symbol: str) -> None:
        """An order in ``symbol`` changed: close the rest if the orders that the flatten waits for have ended."""
        if symbol in self._waiting and self._forget_ended(symbol) and not self._why_not(""):
            self._close(symbol)

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if isinstance(event, OrderEvent) and event.symbol in self._waiting:
            self._forget_ended(event.symbol)
        elif isinstance(event, CommandReceived) and not self._why_not(""):
            symbol = event.arguments.get("symbol", "")
            if event.command == "flatten" or (event.command == "close" and symbol):
                for order in self._exposure.open_orders(symbol):
                    self._waiting.setdefault(order.symbol, []).append(order.order_id)

    def _forget_ended(self, symbol: str) -> bool:
        """Wait no more for the orders in ``symbol`` that have ended. Returns whether there were any."""
        orders, waiting = self._exposure.orders, self._waiting[symbol]
        ended = [i for i in waiting if (order := orders.get(i)) is None or not order.is_open]
        self._waiting[symbol] = [order_id for order_id in waiting if order_id not in ended]
        if not self._waiting[symbol]:
            del self._waiting[symbol]
        return bool(ended)

    def _close(self, symbol: str) -> None:
        """Close the position in ``symbol`` at market, minus what open orders on the same side may still fill: a fill
        that is faster than its cancel would reverse the position."""
        held, instrument = self._exposure.position(symbol), self._instrument(symbol)
        side = Side.SELL if held > 0 else Side.BUY
        most = abs(held)
        if side is Side.SELL and (sellable := self._sellable(symbol)) < held:
            most = max(sellable, ZERO)
            self._warn(
                f"flatten: {plain(EXACT.subtract(held, most))} {symbol} stay, because orders of others lock them"
            )
        quantity = EXACT.subtract(most, self._exposure.working(symbol, side))
        if quantity <= 0 or instrument.is_dust(quantity, self._price(symbol)):
            return
        if why := self._why_not(symbol):
            self._warn(f"flatten: {plain(held)} {symbol} are not closed, because {why}")
            return
        quantity = instrument.quantise_quantity(quantity)
        intent = ActionIntent(action="order", symbol=symbol, side=side, quantity=quantity, reduce_only=True)
        self._approvals.approve(_RISK, intent)

    def _sellable(self, symbol: str) -> Quantity:
        """The coins of ``symbol`` that no order of others locks; the whole position if none are locked (base)."""
        account, base = self._account, self._instrument(symbol).base
        locked = account.locks.get(base, ZERO)
        held = account.balances.get(base, ZERO) if locked else self._exposure.position(symbol)
        return EXACT.subtract(held, locked)

    def _warn_of_doubt(self, symbol: str) -> None:
        """Say what is not closed yet: an order in doubt may close it at the venue."""
        position = self._exposure.position(symbol)
        for order in self._exposure.open_in(symbol):
            if order.status is OrderStatus.UNKNOWN and position * order.side.sign < 0:
                what = f"{plain(min(order.exposure, abs(position)))} {symbol}"
                self._warn(f"flatten: {what} stay until order {order.order_id}, which is in doubt, has ended")

    def _warn(self, message: str) -> None:
        self._bus.publish(SystemWarning(component=_RISK, message=message))
