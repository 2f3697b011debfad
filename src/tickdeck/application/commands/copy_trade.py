"""Copy trading, one follower at a time: size the trade, reserve, execute, then confirm or roll back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Context, Decimal

from tickdeck.application.commands.messages import Command
from tickdeck.application.commands.open_trades import OpenTrades
from tickdeck.application.commands.unit_of_work import UnitOfWork
from tickdeck.application.identity import client_order_id
from tickdeck.application.ports import Exchange, OrderFill, OrderRequest, OrderResult
from tickdeck.domain.aggregates import ValueObject
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import (
    EXACT,
    CopyRule,
    CopySizing,
    LeaderTrade,
    Trade,
    check_symbol,
    tradable_quantity,
    wanted_quantity,
    worst_price,
)
from tickdeck.domain.values import ZERO, Money, Quantity, Side, TimeInForce
from tickdeck.errors import (
    ConcurrencyError,
    DomainError,
    DuplicateClientId,
    ExchangeError,
    InvalidSymbol,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    UnknownOrder,
    VenueUnavailable,
)

__all__ = [
    "CopyRule",
    "CopySizing",
    "ExecuteCopyTradeCommand",
    "ExecuteCopyTradeHandler",
    "LeaderTrade",
    "ReconcileTradeCommand",
    "ReconcileTradeHandler",
]

_AVERAGE = Context(prec=28)
_CONFLICTS = 20  # times that a result is saved again because another trade changed the same balance
_ATTEMPTS = 3  # times that a request is sent which had no effect


class ExecuteCopyTradeCommand(Command, frozen=True, kw_only=True):
    """Let ``account_id`` copy a trade by its rule. Sent again for the same leader's trade, it makes no second trade."""

    leader: LeaderTrade
    account_id: str
    user_id: str = ""
    rule: CopyRule = CopyRule()

    @property
    def trade_id(self) -> str:
        """The id of the copy, unique in its account."""
        return f"copy-{self.leader.trade_id}"


class ReconcileTradeCommand(Command, frozen=True, kw_only=True):
    """Find out what became of a trade that is neither executed nor failed."""

    account_id: str
    trade_id: str


class _Outcome(ValueObject, frozen=True, kw_only=True):
    """What became of an order: executed if ``quantity`` is above 0, in doubt if ``doubt`` is set, else never executed.
    ``notional`` (quote) is the sum of price x quantity."""

    quantity: Quantity = ZERO
    notional: Money = ZERO
    fees: dict[str, Money] = {}
    doubt: str = ""
    reason: str = ""


class _TradeHandler:
    """What both handlers share: the follower's exchange, and saving an outcome."""

    def __init__(
        self,
        unit_of_work: Callable[[], UnitOfWork],
        exchange: Callable[[str], Exchange],
        open_trades: OpenTrades,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``exchange(account_id)`` is the account's exchange, always the same one. ``sleep(seconds)`` paces retries."""
        self._unit_of_work = unit_of_work
        self._open_trades = open_trades
        self._exchange = exchange
        self._sleep = sleep
        self._instruments: dict[str, dict[str, Instrument]] = {}  # by account and symbol

    async def _instrument(self, account_id: str, symbol: str) -> Instrument:
        listed = self._instruments.get(account_id)
        if listed is None:
            found = await self._exchange(account_id).instruments()
            listed = self._instruments[account_id] = {one.symbol: one.instrument for one in found}
        if symbol not in listed:
            raise InvalidSymbol(f"account {account_id}: the exchange does not list {symbol}")
        return listed[symbol]

    async def _find_out(self, trade: Trade) -> _Outcome:
        """What the exchange says about the order of a trade that may have been sent."""
        exchange = self._exchange(trade.account_id)
        try:
            try:
                result = await exchange.order(trade.symbol, client_order_id=trade.order_id)
            except UnknownOrder:
                return await self._not_found(trade, exchange)
            return await self._outcome(trade, result)
        except ExchangeError as error:
            return _Outcome(doubt=f"the exchange could not be asked: {error}")

    async def _not_found(self, trade: Trade, exchange: Exchange) -> _Outcome:
        """No such order: this proves nothing while the request may be under way or the answer may be outdated."""
        can = exchange.capabilities
        age = await exchange.server_time() - trade.reserved_ts
        if age <= can.in_flight + can.query_lag:
            return _Outcome(doubt="the exchange does not know the order, but the request may still arrive there")
        if age > can.lookup_window:
            return _Outcome(doubt="the exchange may have forgotten the order; compare its history, and decide")
        found = [order.client_order_id for order in await exchange.open_orders(trade.symbol)]
        found += [fill.client_order_id for fill in await exchange.fills(trade.symbol, since=trade.reserved_ts)]
        if trade.order_id in found:
            return _Outcome(doubt="the exchange's answers contradict each other")
        return _Outcome(reason="the exchange never received the order")

    async def _outcome(self, trade: Trade, result: OrderResult) -> _Outcome:
        if result.status is None or not result.status.is_final:
            return _Outcome(doubt=f"the order is {result.raw_status or result.status}")
        if not result.filled:
            return _Outcome(reason=result.reason or f"nothing was filled at {trade.limit} or better")
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
            return _Outcome(doubt=f"{result.filled} are filled, but fills of {filled} are known")
        return _Outcome(quantity=filled, notional=notional, fees=fees)

    async def _save(self, account_id: str, trade_id: str, outcome: _Outcome) -> Trade:
        """Confirm the trade or roll it back, and settle the balances, however often others change these meanwhile."""
        for _ in range(_CONFLICTS):
            async with self._unit_of_work() as work:
                trade = work.trades.get(account_id, trade_id)
                if trade.status.is_final:
                    return trade
                if outcome.doubt:
                    trade.doubt(outcome.doubt)
                elif outcome.quantity:
                    price = _AVERAGE.divide(outcome.notional, outcome.quantity)
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
                return trade
        raise ConcurrencyError(
            f"trade {trade_id}: its balances changed {_CONFLICTS} times while it was saved; reconcile it"
        )

    def _settle(self, work: UnitOfWork, trade: Trade, outcome: _Outcome, instrument: Instrument) -> None:
        sign = trade.side.sign
        changes = {
            instrument.base: EXACT.multiply(outcome.quantity, Decimal(sign)),
            instrument.quote: EXACT.multiply(outcome.notional, Decimal(-sign)),
        }
        for currency, fee in outcome.fees.items():
            changes[currency] = EXACT.subtract(changes.get(currency, ZERO), fee)
        for currency, change in changes.items():
            work.balances.get_or_new(trade.account_id, currency).settle(
                change=change,
                released=trade.reserved if currency == trade.reserved_currency else ZERO,
                fee=outcome.fees.get(currency, ZERO),
            )


class ExecuteCopyTradeHandler(_TradeHandler):
    """Copies a trade in two phases. What it reserves is durable before the order is sent, and the order has one id, so
    it is executed once at most, whenever the process dies.

    The order is a limit order at the leader's price plus the slippage that is allowed, immediate or cancelled. A trade
    that cannot be made is ``failed``, with its reason. If the outcome is unknown, the trade needs reconciliation.
    """

    async def handle(self, command: ExecuteCopyTradeCommand) -> Trade:
        """The trade, as it is when this returns. Raises ``ConcurrencyError`` if another use case changed the account
        meanwhile (nothing was reserved or sent; ``retry_on_conflict`` repeats it), and ``ExchangeError`` if the
        exchange could not be asked for the account's balances."""
        account_id = command.account_id
        async with self._unit_of_work() as work:
            known = work.trades.find(account_id, command.trade_id)
            if known is None:
                trade = await self._reserve(work, command)
                await work.commit()
                if trade.status.is_final:
                    return trade
                outcome = await self._execute(trade)
            elif known.status.is_final:
                return known
            else:  # the process died after it reserved, or the outcome is in doubt
                outcome = await self._find_out(known)
        return await self._save(account_id, command.trade_id, outcome)

    async def _reserve(self, work: UnitOfWork, command: ExecuteCopyTradeCommand) -> Trade:
        leader, rule, account_id = command.leader, command.rule, command.account_id
        trade = Trade.create_copy_trade(
            account_id,
            command.trade_id,
            copied_from=leader.trade_id,
            symbol=leader.symbol,
            side=leader.side,
            quantity=leader.quantity,
            limit=leader.price,
            order_id=client_order_id("copy", f"{account_id}/{command.trade_id}"),
            user_id=command.user_id,
        )
        try:
            check_symbol(leader, rule)
            instrument = await self._instrument(account_id, leader.symbol)
            currency = instrument.quote if leader.side is Side.BUY else instrument.base
            await self._observe(work, command, (instrument.base, instrument.quote))
            balance = work.balances.get_or_new(account_id, currency)
            limit = worst_price(leader, rule, instrument)
            wanted = wanted_quantity(leader, rule, limit, free=balance.free)
            quantity = tradable_quantity(wanted, leader, rule, instrument, limit, balance.free)
            trade.create(
                symbol=leader.symbol,
                side=leader.side,
                quantity=quantity,
                limit=limit,
                order_id=trade.order_id,
                user_id=command.user_id,
                copied_from=leader.trade_id,
            )
            amount = EXACT.multiply(quantity, limit) if leader.side is Side.BUY else quantity
            balance.reserve(amount)
            trade.reserve(amount, currency)
        except (DomainError, InvalidSymbol) as error:
            trade.roll_back(str(error))
        return work.trades.add(trade)

    async def _observe(self, work: UnitOfWork, command: ExecuteCopyTradeCommand, currencies: tuple[str, ...]) -> None:
        """Adopt the exchange's balances of these currencies, unless the account has an open trade.

        The balances are loaded before the exchange is asked: if a trade begins and ends in between, the commit finds
        that they changed.
        """
        account_id = command.account_id
        balances = [work.balances.get_or_new(account_id, currency) for currency in currencies]
        reported = {balance.currency: balance for balance in await self._exchange(account_id).balances()}
        if self._open_trades.of(account_id):
            return
        for balance in balances:
            found = reported.get(balance.currency)
            total, locked = (found.total, found.locked) if found is not None else (ZERO, ZERO)
            balance.observe(total, locked, command.user_id)

    async def _execute(self, trade: Trade) -> _Outcome:
        """Send the order. It is sent again only if the request had no effect."""
        exchange = self._exchange(trade.account_id)
        request = OrderRequest(
            client_order_id=trade.order_id,
            symbol=trade.symbol,
            side=trade.side,
            quantity=trade.quantity,
            limit=trade.limit,
            time_in_force=TimeInForce.IOC,
        )
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._outcome(trade, await exchange.place(request))
            except (RateLimited, VenueUnavailable) as error:
                if attempt == _ATTEMPTS:
                    return _Outcome(reason=str(error))
                await self._sleep(error.wait if isinstance(error, RateLimited) else float(attempt))
            except DuplicateClientId:  # it arrived before this process was started
                return await self._find_out(trade)
            except (OutcomeUnknown, ProtocolError) as error:
                return _Outcome(doubt=str(error))
            except ExchangeError as error:
                return _Outcome(reason=str(error))
        raise AssertionError("unreachable")


class ReconcileTradeHandler(_TradeHandler):
    """Asks the exchange what became of a trade, and confirms it or rolls it back. Without evidence it stays as it
    is."""

    async def handle(self, command: ReconcileTradeCommand) -> Trade:
        """The trade, as it is when this returns. Raises ``AggregateNotFound``."""
        async with self._unit_of_work() as work:
            trade = work.trades.get(command.account_id, command.trade_id)
            if trade.status.is_final:
                return trade
            outcome = await self._find_out(trade)
        return await self._save(command.account_id, command.trade_id, outcome)
