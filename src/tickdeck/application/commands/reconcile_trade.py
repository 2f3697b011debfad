"""Settles trades whose outcome is not known: by evidence of the exchange, or by a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tickdeck.application.arguments import check_function, check_methods
from tickdeck.application.commands.messages import Command
from tickdeck.application.commands.open_trades import OpenTrades
from tickdeck.application.commands.unit_of_work import UnitOfWork
from tickdeck.application.ports import Exchange, OrderFill, OrderResult
from tickdeck.domain.aggregates import ValueObject
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import (
    EXACT,
    Reconciliation,
    ReconciliationStatus,
    Silence,
    Trade,
    TradeStatus,
    average_of,
    balance_changes,
    judge_silence,
)
from tickdeck.domain.values import ZERO, Money, Quantity
from tickdeck.errors import ConcurrencyError, ConfigError, ExchangeError, InvalidSymbol, InvalidTransition, UnknownOrder

__all__ = [
    "Outcome",
    "ReconcileTradeCommand",
    "ReconcileTradeHandler",
    "SettleTradeCommand",
    "SettleTradeHandler",
    "TradeHandler",
]

_CLOCKS_APART = 60_000_000_000  # ns between ours and the exchange's, at most
_CONFLICTS = 20  # times that a result is saved again because another trade changed the same balance


class ReconcileTradeCommand(Command, frozen=True, kw_only=True):
    """Find out what became of a trade that is neither executed nor failed. ``wait``: ask the exchange again and again,
    until there is evidence or a person must decide; otherwise ask once."""

    account_id: str
    trade_id: str
    wait: bool = False


class SettleTradeCommand(Command, frozen=True, kw_only=True):
    """A person has looked at the exchange: the order of a trade that needs reconciliation never was there, or ended
    there unfilled. ``reason`` says how they know."""

    account_id: str
    trade_id: str
    reason: str


class Outcome(ValueObject, frozen=True, kw_only=True):
    """What became of an order: executed if ``quantity`` is above 0, in doubt if ``doubt`` is set, else never executed.
    ``notional`` (quote) is the sum of price x quantity.

    If it was looked up, ``found`` and ``since`` are those of ``reconciliation.read``, and ``is_for_a_person`` says that
    no other reading will help.
    """

    quantity: Quantity = ZERO
    notional: Money = ZERO
    fees: dict[str, Money] = {}
    doubt: str = ""
    reason: str = ""
    found: str = ""
    since: int = 0
    is_for_a_person: bool = False


class TradeHandler:
    """What the handlers of trades share: the account's exchange, looking an order up, and saving an outcome."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        exchange: Callable[[str], Exchange],
        open_trades: OpenTrades,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``exchange(account_id)`` is the account's exchange, always the same one. If it raises a ``KeyError``, the
        account has none, and the use case raises a ``ConfigError``. ``sleep(seconds)`` paces retries and readings: that
        of a clock. Raises ``ConfigError`` if one of them is no function."""
        for name, function in (("unit_of_work", unit_of_work), ("exchange", exchange), ("sleep", sleep)):
            check_function(type(self).__name__, name, function, optional=False)
        check_methods(type(self).__name__, "open_trades", open_trades, "of", "all")
        self._unit_of_work = unit_of_work
        self._open_trades = open_trades
        self._exchange_of = exchange
        self._sleep = sleep
        self._instruments: dict[str, dict[str, Instrument]] = {}  # by account and symbol

    def _exchange(self, account_id: str) -> Exchange:
        try:
            return self._exchange_of(account_id)
        except KeyError:
            raise ConfigError(f"{type(self).__name__}: there is no exchange of account {account_id!r}") from None

    async def _instrument(self, account_id: str, symbol: str) -> Instrument:
        listed = self._instruments.get(account_id)
        if listed is None:
            found = await self._exchange(account_id).instruments()
            listed = self._instruments[account_id] = {one.symbol: one.instrument for one in found}
        if symbol not in listed:
            raise InvalidSymbol(f"account {account_id}: the exchange does not list {symbol}")
        return listed[symbol]

    # -- readings ----------------------------------------------------------------------------------------------------

    async def _look_up(self, account_id: str, trade_id: str) -> tuple[Trade, Reconciliation]:
        """Ask the exchange once about the order of a trade that may have been sent, and save what follows."""
        async with self._unit_of_work() as work:
            trade = work.trades.get(account_id, trade_id)
            saga = work.reconciliations.get_or_new(account_id, trade_id)
        if trade.status.is_final:
            return trade, saga
        try:
            outcome = await self._read(trade, saga)
        except ExchangeError as error:
            outcome = Outcome(doubt=f"the exchange could not be asked: {error}", found="no_answer")
        return await self._save(account_id, trade_id, outcome, is_looked_up=True)

    async def _read(self, trade: Trade, saga: Reconciliation) -> Outcome:
        exchange = self._exchange(trade.account_id)
        try:
            result = await exchange.order(trade.symbol, client_order_id=trade.order_id)
        except UnknownOrder:
            return await self._nowhere(trade, saga, exchange)
        return await self._outcome(trade, result)

    async def _nowhere(self, trade: Trade, saga: Reconciliation, exchange: Exchange) -> Outcome:
        """The query does not know the order, which is weak evidence."""
        if saga.was_shown:
            return Outcome(
                doubt="the exchange does not know the order, but has shown it before; compare its history, and decide",
                found="contradiction",
                is_for_a_person=True,
            )
        can, now = exchange.capabilities, await exchange.server_time()
        since = saga.since or now
        silence = judge_silence(
            since=since,
            now=now,
            sent=trade.reserved_ts,
            wait=can.in_flight + can.query_lag,
            window=can.lookup_window,
        )
        if silence is Silence.OUTDATED:
            return Outcome(
                doubt="the exchange may have forgotten the order; compare its history, and decide",
                found="nowhere",
                since=since,
                is_for_a_person=True,
            )
        if silence is Silence.WEAK:
            doubt = "the exchange does not know the order, but the request may still arrive there"
            return Outcome(doubt=doubt, found="nowhere", since=since)
        found = await self._elsewhere(trade, exchange)
        if found is not None:
            return await self._outcome(trade, found)
        return Outcome(reason="the exchange never received the order")

    async def _elsewhere(self, trade: Trade, exchange: Exchange) -> OrderResult | None:
        """The order, if it is open or one of the account's fills belongs to it."""
        evidence = exchange.capabilities.evidence
        if "open_orders" in evidence:
            for order in await exchange.open_orders(trade.symbol):
                if order.client_order_id == trade.order_id:
                    return order
        if "fills" in evidence:
            seen: dict[str, None] = {}
            for fill in await exchange.fills(trade.symbol, since=trade.reserved_ts - _CLOCKS_APART):
                if fill.client_order_id not in ("", trade.order_id) or fill.venue_order_id in seen:
                    continue  # at some exchanges, fills do not name our id
                seen[fill.venue_order_id] = None
                order = await exchange.order(trade.symbol, venue_order_id=fill.venue_order_id)
                if order.client_order_id == trade.order_id:
                    return order
        return None

    async def _outcome(self, trade: Trade, result: OrderResult) -> Outcome:
        if result.status is None or not result.status.is_final:
            return Outcome(doubt=f"the order is {result.raw_status or result.status}", found="open")
        if not result.filled:
            return Outcome(reason=result.reason or f"nothing was filled at {trade.limit} or better")
        fills: Sequence[OrderFill] = result.fills
        if not fills:
            fills = await self._exchange(trade.account_id).fills(trade.symbol, venue_order_id=result.venue_order_id)
        filled, notional, fees = ZERO, ZERO, dict[str, Money]()
        for fill in fills:
            filled = EXACT.add(filled, fill.quantity)
            notional = EXACT.fma(fill.price, fill.quantity, notional)
            if fill.fee:
                fees[fill.fee_currency] = EXACT.add(fees.get(fill.fee_currency, ZERO), fill.fee)
        if filled != result.filled:
            return Outcome(doubt=f"{result.filled} are filled, but fills of {filled} are known", found="open")
        return Outcome(quantity=filled, notional=notional, fees=fees)

    # -- results -----------------------------------------------------------------------------------------------------

    async def _save(
        self, account_id: str, trade_id: str, outcome: Outcome, *, is_looked_up: bool
    ) -> tuple[Trade, Reconciliation]:
        """Confirm the trade or roll it back, and settle the balances, however often others change these meanwhile. If
        the outcome ``is_looked_up``, its reconciliation takes a step."""
        for _ in range(_CONFLICTS):
            async with self._unit_of_work() as work:
                trade = work.trades.get(account_id, trade_id)
                saga = work.reconciliations.get_or_new(account_id, trade_id)
                if trade.status.is_final:
                    return trade, saga
                if is_looked_up:
                    self._step(trade, saga, outcome)
                if outcome.doubt:
                    trade.doubt(outcome.doubt)
                elif outcome.quantity:
                    price = average_of(outcome.notional, outcome.quantity)
                    trade.confirm(price, outcome.quantity, outcome.fees)
                    self._settle(work, trade, outcome, await self._instrument(account_id, trade.symbol))
                else:
                    trade.roll_back(outcome.reason)
                    work.balances.get(account_id, trade.reserved_currency).release(trade.reserved)
                try:
                    await work.commit()
                except ConcurrencyError:
                    await self._sleep(0)
                    continue
                return trade, saga
        raise ConcurrencyError(
            f"trade {trade_id}: its balances changed {_CONFLICTS} times while it was saved; reconcile it"
        )

    def _step(self, trade: Trade, saga: Reconciliation, outcome: Outcome) -> None:
        if not outcome.doubt:
            executed = f"{outcome.quantity:f} were executed" if outcome.quantity else outcome.reason
            saga.settle(trade, executed)
            return
        saga.read(trade, outcome.found, outcome.doubt, outcome.since)
        if outcome.is_for_a_person and saga.status is not ReconciliationStatus.FOR_A_PERSON:
            saga.hand_over(trade, outcome.doubt)

    def _settle(self, work: UnitOfWork, trade: Trade, outcome: Outcome, instrument: Instrument) -> None:
        changes = balance_changes(
            trade.side,
            outcome.quantity,
            outcome.notional,
            outcome.fees,
            base=instrument.base,
            quote=instrument.quote,
        )
        for currency, change in changes.items():
            work.balances.get_or_new(trade.account_id, currency).settle(
                change=change,
                released=trade.reserved if currency == trade.reserved_currency else ZERO,
                fee=outcome.fees.get(currency, ZERO),
            )


class ReconcileTradeHandler(TradeHandler):
    """A saga: it asks the exchange what became of a trade, and confirms it with its actual fills or rolls it back. Each
    reading and each step is on the store (``reconciliation.*``), so a program that was killed goes on where it was.

    "No such order" counts only if two readings at least as far apart as the exchange's profile says, on the exchange's
    clock, agree, and neither the open orders nor the fills show it in the last one. An error is no answer. A trade
    that the exchange may have forgotten or has shown before, or that many readings did not settle, is for a person:
    ``SettleTradeCommand``.
    """

    async def handle(self, command: ReconcileTradeCommand) -> Trade:
        """The trade, as it is when this returns. Raises ``AggregateNotFound``."""
        while True:
            trade, saga = await self._look_up(command.account_id, command.trade_id)
            if trade.status.is_final or not command.wait or saga.status is ReconciliationStatus.FOR_A_PERSON:
                return trade
            await self._sleep(saga.pause)


class SettleTradeHandler(TradeHandler):
    """Rolls a trade back, because a person knows that its order was not executed and never will be."""

    async def handle(self, command: SettleTradeCommand) -> Trade:
        """The trade. Raises ``AggregateNotFound``, and ``InvalidTransition`` if it needs no reconciliation."""
        async with self._unit_of_work() as work:
            trade = work.trades.get(command.account_id, command.trade_id)
            if trade.status is not TradeStatus.NEEDS_RECONCILIATION:
                raise InvalidTransition(
                    f"trade {trade.trade_id} is {trade.status}; only one that needs reconciliation is settled"
                )
        outcome = Outcome(reason=f"settled by a person: {command.reason or 'no reason given'}")
        return (await self._save(command.account_id, command.trade_id, outcome, is_looked_up=True))[0]
