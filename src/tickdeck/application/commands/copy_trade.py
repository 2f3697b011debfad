"""Copy trading, one follower at a time: size the trade, reserve, execute, then confirm or roll back."""

from __future__ import annotations

import logging

from tickdeck.application.bus.faults import place_of
from tickdeck.application.commands.messages import Command
from tickdeck.application.commands.reconcile_trade import Outcome, TradeHandler
from tickdeck.application.commands.unit_of_work import UnitOfWork
from tickdeck.application.identity import client_order_id
from tickdeck.application.ports import OrderRequest
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
from tickdeck.domain.values import ZERO, Side, TimeInForce
from tickdeck.errors import (
    DomainError,
    DuplicateClientId,
    ExchangeError,
    InvalidSymbol,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    VenueUnavailable,
)

__all__ = [
    "CopyRule",
    "CopySizing",
    "ExecuteCopyTradeCommand",
    "ExecuteCopyTradeHandler",
    "LeaderTrade",
]

log = logging.getLogger("tickdeck.commands")

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


class ExecuteCopyTradeHandler(TradeHandler):
    """Copies a trade in two phases. What it reserves is durable before the order is sent, and the order has one id, so
    it is executed once at most, whenever the process dies.

    The order is a limit order at the leader's price plus the slippage that is allowed, immediate or cancelled. A trade
    that cannot be made is ``failed``, with its reason. If the outcome is unknown, the trade needs reconciliation.
    """

    async def handle(self, command: ExecuteCopyTradeCommand) -> Trade:
        """The trade, as it is when this returns. Raises ``ConcurrencyError`` if another use case changed the account
        meanwhile (nothing was reserved or sent; ``retry_on_conflict`` repeats it), ``ExchangeError`` if the exchange
        could not be asked for the account's balances, and ``ConfigError`` if the account has no exchange."""
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
                outcome = None
        if outcome is None:
            return (await self._look_up(account_id, command.trade_id))[0]
        return (await self._save(account_id, command.trade_id, outcome, is_looked_up=False))[0]

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
            await self._observe(work, command, instrument)
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

    async def _observe(self, work: UnitOfWork, command: ExecuteCopyTradeCommand, instrument: Instrument) -> None:
        """Adopt the exchange's balances of the instrument's currencies and of the coin in which the exchange charges
        fees, unless the account has an open trade.

        The balances are loaded before the exchange is asked: if a trade begins and ends in between, the commit finds
        that they changed.
        """
        account_id = command.account_id
        exchange = self._exchange(account_id)
        named = (instrument.base, instrument.quote, exchange.capabilities.fee_currency)
        currencies = [currency for currency in dict.fromkeys(named) if currency]
        balances = [work.balances.get_or_new(account_id, currency) for currency in currencies]
        reported = {balance.currency: balance for balance in await exchange.balances()}
        if self._open_trades.of(account_id):
            return
        for balance in balances:
            found = reported.get(balance.currency)
            total, locked = (found.total, found.locked) if found is not None else (ZERO, ZERO)
            balance.observe(total, locked, command.user_id)

    async def _execute(self, trade: Trade) -> Outcome | None:
        """Send the order. It is sent again only if the request had no effect. Returns ``None`` if the exchange has it
        already."""
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
                result = await exchange.place(request)
                break
            except (RateLimited, VenueUnavailable) as error:
                if attempt == _ATTEMPTS:
                    return Outcome(reason=str(error))
                await self._sleep(error.wait if isinstance(error, RateLimited) else float(attempt))
            except DuplicateClientId:  # it arrived before this process was started
                return None
            except (OutcomeUnknown, ProtocolError) as error:
                return Outcome(doubt=str(error))
            except ExchangeError as error:
                return Outcome(reason=str(error))
            except Exception as error:  # noqa: BLE001 (whatever it is, the order may have been sent)
                # An adapter must not raise this, so nobody knows what it did. The message may contain a secret.
                what = f"the adapter of the exchange failed with {type(error).__name__}"
                log.warning("trade %s of %s: %s at %s", trade.trade_id, trade.account_id, what, place_of(error))
                return Outcome(doubt=what)
        try:
            return await self._outcome(trade, result)
        except ExchangeError as error:  # it was placed, so it is never sent again
            return Outcome(doubt=f"its fills could not be asked for: {error}")
