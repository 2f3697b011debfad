"""The exchange without its network: accounts, orders, fills, public trades, candles, and listeners.

Pure: no I/O and no clock. Each change is a command with a time. Equal commands lead to an equal exchange, so it can be
restored after a crash. Protocols are in ``dialects``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Protocol

import msgspec

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.commands import (
    Account,
    Cancel,
    Command,
    Convert,
    Expire,
    Move,
    OpenAccount,
    Place,
    PlaceList,
    Reduce,
    SetMarket,
)
from tickdeck.infrastructure.venue.market_data import AggregateTrade, MarketHistory, MarketTrade
from tickdeck.infrastructure.venue.matching import (
    HOUSE,
    Execution,
    ExecutionKind,
    ListChange,
    Market,
    MarketStatus,
    MatchingEngine,
    NewOrder,
    Order,
)

__all__ = ["Conversion", "Exchange", "Fill", "Log", "Transfer", "Update"]

ZERO = Decimal(0)
_KEPT_TRANSFERS = 10_000  # for each account, and as many conversions


class Transfer(msgspec.Struct, frozen=True, array_like=True):
    """A deposit of an account, or a withdrawal with a negative ``amount``. ``number`` counts those of all accounts."""

    number: int
    asset: str
    amount: Decimal
    at: int


class Conversion(msgspec.Struct, frozen=True, array_like=True):
    """A conversion of an account. ``number`` counts those of all accounts."""

    number: int
    of: Convert
    at: int


class Fill(msgspec.Struct, frozen=True, gc=False):
    """An account's part of a trade. ``number`` is the trade's id in its market."""

    symbol: str
    number: int
    order: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    at: int
    is_buyer: bool
    is_maker: bool
    order_list: int = -1


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What one command changed: the executions in order, the public trades, and the levels of the book.

    ``levels`` are (is a bid, price, quantity now); they have the update ids ``first_update_id`` to
    ``last_update_id``. ``moved`` is a deposit or withdrawal, or both sides of a conversion. ``cancel_id`` is the client
    id of a cancellation. ``lists`` is what happened to order lists.
    """

    at: int
    symbol: str = ""
    executions: tuple[Execution, ...] = ()
    trades: tuple[tuple[MarketTrade, AggregateTrade], ...] = ()
    levels: tuple[tuple[bool, Decimal, Decimal], ...] = ()
    first_update_id: int = 0
    last_update_id: int = 0
    moved: tuple[Move, ...] = ()
    market: Market | None = None
    cancel_id: str = ""
    lists: tuple[ListChange, ...] = ()


class Log(Protocol):
    """Where commands are stored. Returns when the command will survive the process."""

    def append(self, at: int, command: Command) -> None: ...


class Exchange:
    """The markets, the accounts, and everything that happened. Times are ns UTC.

    ``log`` receives each command after it was applied and before the listeners are called. ``listeners`` are called
    with every ``Update``, in the order in which they were added.
    """

    def __init__(self, markets: Iterable[Market], log: Log | None = None) -> None:
        markets = list(markets)
        self.engine = MatchingEngine(markets)
        self.accounts: dict[str, Account] = {}
        self.history: dict[str, MarketHistory] = {market.symbol: MarketHistory() for market in markets}
        self.listeners: list[Callable[[Update], None]] = []
        self.fills: dict[str, deque[Fill]] = {}
        self.transfers: dict[str, deque[Transfer]] = {}
        """By account, oldest first."""
        self.conversions: dict[str, deque[Conversion]] = {}
        """By account, oldest first."""
        self._by_key: dict[str, Account] = {}
        self._log = log
        self.given_ids = 0

    # -- changes --------------------------------------------------------------------------------------------------

    def submit(self, command: Command, now: int) -> Order | None:
        """Apply a command at ``now``, log it, and call the listeners. Returns the order that it is about.

        Raises ``OrderRefused`` if it is refused; then nothing has changed and nothing is logged.
        """
        order, update = self._apply(command, now)
        if self._log is not None:
            self._log.append(now, command)
        for listener in self.listeners:
            listener(update)
        return order

    def restore(self, commands: Iterable[tuple[int, Command]]) -> int:
        """Apply logged commands again without calling listeners. Returns how many there were."""
        count = 0
        for at, command in commands:
            self._apply(command, at)
            count += 1
        return count

    def open_account(self, account: Account, now: int, **deposits: Decimal) -> None:
        """Open an account, with deposits by asset."""
        self.submit(OpenAccount(account), now)
        for asset, amount in deposits.items():
            self.move(account.name, asset, amount, now)

    def move(self, account: str, asset: str, amount: Decimal, now: int, *, listed: bool = True) -> None:
        """Deposit, or withdraw a negative amount. Raises ``OrderRefused`` if the free balance is too small."""
        self.submit(Move(account, asset, amount, listed), now)

    def convert(self, conversion: Convert, now: int) -> None:
        """Exchange one asset for another. Raises ``OrderRefused`` if the free balance is too small."""
        self.submit(conversion, now)

    def set_market(self, market: Market, now: int) -> None:
        """Add a market or change its filters, fees or status."""
        self.submit(SetMarket(market), now)

    def set_status(self, symbol: str, status: MarketStatus, now: int) -> None:
        """Open, halt or close a market."""
        self.set_market(msgspec.structs.replace(self.market(symbol), status=status), now)

    def place(self, request: NewOrder, now: int) -> Order:
        """Place an order. Raises ``OrderRefused``."""
        order = self.submit(Place(request), now)
        assert order is not None
        return order

    def cancel(self, order: Order, now: int, client_id: str = "") -> Order:
        """Cancel an order. Raises ``OrderRefused``."""
        self.submit(Cancel(order.account, order.symbol, order.number, client_id), now)
        return order

    # -- queries --------------------------------------------------------------------------------------------------

    def market(self, symbol: str) -> Market:
        """A market. Raises ``ConfigError`` if there is no market of this name."""
        market = self.engine.markets.get(symbol)
        if market is None:
            raise ConfigError(f"venue: there is no market {symbol!r}; it has {', '.join(self.engine.markets)}")
        return market

    def account_of_key(self, key: str) -> Account | None:
        """The account that an API key belongs to."""
        return self._by_key.get(key)

    def new_client_id(self) -> str:
        """A client id for an order that came without one: 22 letters, like those of the real venue."""
        self.given_ids += 1
        return f"venue{self.given_ids:017d}"

    # -- the core -------------------------------------------------------------------------------------------------

    def _apply(self, command: Command, now: int) -> tuple[Order | None, Update]:
        engine = self.engine
        if isinstance(command, Place):
            self._count_id(command.order.client_id)
            order = engine.place(command.order, now)
        elif isinstance(command, PlaceList):
            for one in command.orders:
                self._count_id(one.client_id)
            self._count_id(command.client_id)
            found = engine.place_list(command.orders, command.client_id, now)
            placed = engine.find(found.account, found.symbol, number=found.orders[0])
            assert placed is not None
            order = placed
        elif isinstance(command, Cancel):
            self._count_id(command.client_id)
            order = engine.cancel(command.account, command.symbol, now, number=command.number)
        elif isinstance(command, Reduce):
            self._count_id(command.client_id)
            order = engine.reduce(
                command.account, command.symbol, command.number, command.quantity, now, client_id=command.client_id
            )
        elif isinstance(command, Expire):
            known = engine.find(command.account, command.symbol, number=command.number)
            if known is None or not known.working:
                return None, Update(at=now)
            order = known
            engine.expire(order, now)
        else:
            return None, self._apply_setting(command, now)
        cancel_id = command.client_id if isinstance(command, Cancel) else ""
        return order, self._update(order.symbol, now, cancel_id)

    def _apply_setting(self, command: OpenAccount | Move | Convert | SetMarket, now: int) -> Update:
        if isinstance(command, OpenAccount):
            self.know_account(command.account)
            return Update(at=now)
        if isinstance(command, Move):
            self.engine.deposit(command.account, command.asset, command.amount)
            if command.listed:
                number = 1 + max((kept[-1].number for kept in self.transfers.values()), default=0)
                self.keep_transfers(command.account, [Transfer(number, command.asset, command.amount, now)])
            return Update(at=now, moved=(command,))
        if isinstance(command, Convert):
            return self._convert(command, now)
        self.engine.set_market(command.market)
        self.history.setdefault(command.market.symbol, MarketHistory())
        return Update(at=now, symbol=command.market.symbol, market=command.market)

    def _convert(self, command: Convert, now: int) -> Update:
        account = command.account
        sides = (Move(account, command.asset, -command.spent), Move(account, command.into, command.received))
        for side in sides:  # only the first one can be refused
            self.engine.deposit(account, side.asset, side.amount)
        if command.listed:
            number = 1 + max((kept[-1].number for kept in self.conversions.values()), default=0)
            self.keep_conversions(account, [Conversion(number, command, now)])
        return Update(at=now, moved=sides)

    def keep_conversions(self, account: str, conversions: Iterable[Conversion]) -> None:
        """Adopt an account's conversions from a snapshot. They do not move its balances."""
        self.conversions.setdefault(account, deque(maxlen=_KEPT_TRANSFERS)).extend(conversions)

    def keep_transfers(self, account: str, transfers: Iterable[Transfer]) -> None:
        """Adopt an account's transfers from a snapshot. They do not move its balances."""
        self.transfers.setdefault(account, deque(maxlen=_KEPT_TRANSFERS)).extend(transfers)

    def know_account(self, account: Account) -> None:
        """Adopt an account from a command or a snapshot. Use ``open_account`` for everything else."""
        before = self.accounts.get(account.name)
        if before is not None:
            self._by_key.pop(before.key, None)
        self.accounts[account.name] = account
        self._by_key[account.key] = account
        self.engine.pay_fees_in(account.name, account.pays_fees_in)

    def _update(self, symbol: str, now: int, cancel_id: str) -> Update:
        history = self.history[symbol]
        executions = tuple(self.engine.drain())
        trades = []
        for execution in executions:
            if execution.kind is not ExecutionKind.TRADE:
                continue
            counter = execution.counter
            assert counter is not None
            order = execution.order
            if not execution.is_maker:
                buyer, seller = (order, counter) if order.is_buy else (counter, order)
                trade = MarketTrade(
                    execution.trade_id,
                    execution.price,
                    execution.quantity,
                    now,
                    buyer is counter,
                    buyer.number,
                    seller.number,
                )
                trades.append((trade, history.add(trade, order.number)))
            if order.account[:1] != HOUSE:
                fills = self.fills.get(order.account)
                if fills is None:
                    fills = self.fills[order.account] = deque(maxlen=200_000)
                fills.append(
                    Fill(
                        symbol,
                        execution.trade_id,
                        order.number,
                        execution.price,
                        execution.quantity,
                        execution.commission,
                        execution.commission_asset,
                        now,
                        order.is_buy,
                        execution.is_maker,
                        order.list_number,
                    )
                )
        levels = tuple(self.engine.take_changed_levels(symbol))
        first = history.update_id + 1
        history.update_id += len(levels)
        return Update(
            at=now,
            symbol=symbol,
            executions=executions,
            trades=tuple(trades),
            levels=levels,
            first_update_id=first,
            last_update_id=history.update_id,
            cancel_id=cancel_id,
            lists=tuple(self.engine.drain_lists()) if self.engine.lists.changes else (),
        )

    def _count_id(self, client_id: str) -> None:
        """Continue the numbers after a restart where the existing ids end."""
        if client_id.startswith("venue") and len(client_id) == 22 and client_id[5:].isdigit():
            self.given_ids = max(self.given_ids, int(client_id[5:]))
