"""What a run answers about itself: its orders, positions, balances, results and health."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Protocol

import msgspec

from tickdeck.application.engines import AccountEngines, BracketEngine, ExecutionEngine, StrategyEngine
from tickdeck.application.engines.trading_gate import AT_THE_END, HaltedBy
from tickdeck.application.kernel import money_context
from tickdeck.application.results.journal import STATISTICS_BY, TradeJournal, trade_statistics
from tickdeck.application.results.strategy_states import StrategyStates
from tickdeck.domain.events import StateLeg, StateUpdated
from tickdeck.domain.trading import Bracket, Order, Protection, RoundTrip, StrategyDefinition, cut
from tickdeck.domain.values import OrderStatus, plain
from tickdeck.errors import ConfigError, format_value

__all__ = ["QUERIES", "RunQueries"]

_MOST_ORDERS = 100  # in the history, unless more are asked for

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "orders": ("symbol", "strategy", "account"),
    "history": ("symbol", "strategy", "limit", "account"),
    "positions": ("account",),
    "balances": ("account",),
    "brackets": ("symbol", "strategy", "account"),
    "pnl": ("by", "account"),
    "strategies": ("strategy", "account"),
    "health": ("account",),
}
QUERIES = tuple(_ARGUMENTS)
"""The names of the queries."""


class Engines(Protocol):
    """The engines of a run, by account."""

    @property
    def accounts(self) -> Sequence[AccountEngines]: ...
    @property
    def strategies(self) -> StrategyEngine: ...
    @property
    def brackets(self) -> BracketEngine: ...


class RunQueries:
    """Answers from the state of ``engines``, and changes nothing.

    ``journal()`` is the trade journal of the run, and ``states()`` what is known of its strategies.
    ``figures(account)`` are the equity and the other totals of an account (empty: of all together), ``None`` where
    they are not known. ``health(account)`` adds what only the caller knows. All amounts are text without an
    exponent, all times ns UTC.
    """

    def __init__(
        self,
        engines: Engines,
        *,
        journal: Callable[[], TradeJournal],
        figures: Callable[[str], Mapping[str, Any]],
        health: Callable[[str], Mapping[str, Any]],
        states: Callable[[], StrategyStates] = StrategyStates,
    ) -> None:
        self._engines = engines
        self._journal = journal
        self._figures = figures
        self._health = health
        self._states = states
        self._answers: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
            "orders": self._orders,
            "history": self._history,
            "positions": self._positions,
            "balances": self._balances,
            "brackets": self._brackets,
            "pnl": self._pnl,
            "strategies": self._strategies,
            "health": self._own_health,
        }

    def answer(self, query: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The answer to ``query``, JSON-ready. Raises ``ConfigError`` for an unknown query or a wrong argument."""
        known = _ARGUMENTS.get(query)
        if known is None:
            raise ConfigError(f"there is no query {format_value(query)}; give one of {', '.join(QUERIES)}")
        for name in arguments:
            if name not in known:
                there_is = f"give {', '.join(known)}" if known else "it has none"
                raise ConfigError(f"{query}: there is no argument {format_value(name)}; {there_is}")
        with money_context():
            return self._answers[query](arguments)

    def _chosen(self, arguments: Mapping[str, str]) -> Sequence[AccountEngines]:
        """The account that is asked for; all, if none is named."""
        name, accounts = arguments.get("account", ""), self._engines.accounts
        chosen = [one for one in accounts if name in ("", one.portfolio.account_id)]
        if not chosen:
            there_is = ", ".join(one.portfolio.account_id for one in accounts)
            raise ConfigError(f"this run has no account {format_value(name)}; it has: {there_is}")
        return chosen

    def _orders(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The open orders of each account, oldest first."""
        symbol = arguments.get("symbol", "")
        orders = chain.from_iterable(one.execution.open_of(symbol) for one in self._chosen(arguments))
        return {"orders": [_order(order) for order in orders if _is_of(order, arguments)]}

    def _history(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The orders of each account that ended, newest first: of the last 10,000."""
        most = arguments.get("limit", "") or str(_MOST_ORDERS)
        if not (most.isascii() and most.isdecimal() and len(most) <= 9 and int(most)):
            raise ConfigError(f"history: limit is {format_value(most)}; give a whole number of at least 1")
        symbol = arguments.get("symbol", "")
        orders = chain.from_iterable(reversed(one.execution.orders.values()) for one in self._chosen(arguments))
        found = (
            _order(order)
            for order in orders
            if not order.is_open and symbol in ("", order.symbol) and _is_of(order, arguments)
        )
        return {"orders": list(islice(found, int(most)))}

    def _positions(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The positions that are not 0, and how their parts are protected."""
        return {"positions": [position for one in self._chosen(arguments) for position in _held(one)]}

    def _balances(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The balances by currency. ``locked``: by orders that are not ours; ``reserved``: by ours."""
        return {
            "balances": [
                _texts(
                    currency=currency,
                    total=total,
                    free=account.free(currency),
                    locked=account.locked(currency),
                    reserved=account.reserved(currency),
                    account_id=account.account_id,
                    user_id=account.user_id,
                )
                for account in (one.portfolio.account for one in self._chosen(arguments))
                for currency, total in account.balances.items()
            ]
        }

    def _brackets(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The bracket orders, oldest first: all that are not over, and the last that are."""
        accounts = {one.portfolio.account_id for one in self._chosen(arguments)}
        symbol, strategy_id = arguments.get("symbol", ""), arguments.get("strategy", "")
        return {
            "brackets": [
                _bracket(one)
                for one in self._engines.brackets.brackets.values()
                if one.opened.account_id in accounts
                and symbol in ("", one.opened.symbol)
                and strategy_id in ("", one.opened.strategy_id)
            ]
        }

    def _pnl(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The totals, the closed trades by a key, and the trades that are open."""
        by, account = arguments.get("by", "") or "strategy", arguments.get("account", "")
        if by not in STATISTICS_BY:
            raise ConfigError(f"pnl: by is {format_value(by)}; give one of {', '.join(STATISTICS_BY)}")
        views = self._chosen(arguments)[0].portfolio.view
        journal = self._journal()
        closed, still_open = (
            [trip for trip in trips if account in ("", trip.account_id)]
            for trips in (journal.closed, journal.open(lambda symbol: views(symbol).price))
        )
        lines = (msgspec.structs.asdict(line) for line in trade_statistics(closed, by))
        return {
            **_texts(**self._figures(account)),
            "by": by,
            "closed": [_texts(**{by: line.pop("key")} | line) for line in lines],
            "open": [_trip(trip) for trip in still_open],
        }

    def _strategies(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The strategies, also deleted ones, with what they hold by their own trades and what they said last."""
        wanted, states = arguments.get("strategy", ""), self._states()
        chosen = self._chosen(arguments)
        accounts, views = {one.portfolio.account_id for one in chosen}, chosen[0].portfolio.view
        open_orders = [order for one in chosen for order in one.execution.open_of()]
        trips = [
            trip for trip in self._journal().open(lambda symbol: views(symbol).price) if trip.account_id in accounts
        ]
        return {
            "strategies": [
                _strategy(
                    definition,
                    states.said.get(strategy_id),
                    open_orders=sum(order.strategy_id == strategy_id for order in open_orders),
                    legs=[_leg(trip) for trip in trips if trip.strategy_id == strategy_id],
                )
                for strategy_id, definition in states.definitions.items()
                if wanted in ("", strategy_id)
            ]
        }

    def _own_health(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Whether the run can trade, or one account of it, and what is in its way."""
        strategies, accounts, account = self._engines.strategies, self._chosen(arguments), arguments.get("account", "")
        mine = [name for name in strategies.strategies if account in ("", strategies.portfolio_of(name).account_id)]
        open_orders = [order for one in accounts for order in one.execution.open_of()]
        halted = [one for one in accounts if one.risk.gate.closed_because]
        reasons = (f"account {one.portfolio.account_id}: {_why_halted(one)}" for one in halted)
        if len(accounts) == 1:
            reasons = (_why_halted(one) for one in halted)
        return {
            "halted": "; ".join(reasons) or None,
            "halted_by": max(one.risk.gate.halted_by for one in halted).name.lower() if halted else None,
            "paused": [name for name in strategies.paused if name in mine],
            "parameters": {name: strategies.parameters(name) for name in mine},
            "open_orders": len(open_orders),
            "unknown_orders": [o.order_id for o in open_orders if o.status is OrderStatus.UNKNOWN],
            **self._health(account),
        }


def _why_halted(engines: AccountEngines) -> str:
    gate = engines.risk.gate
    if gate.halted_by is HaltedBy.END and gate.closed_because != AT_THE_END:
        return f"{AT_THE_END}; before, it was halted: {gate.closed_because}"
    return gate.closed_because


def _held(engines: AccountEngines) -> Iterator[dict[str, Any]]:
    """The positions of one account that are not 0."""
    portfolio, book = engines.portfolio, engines.risk.protections.book
    for symbol in {**portfolio.account.positions, **portfolio.account.unpriced}:
        view = portfolio.view(symbol)
        if view.quantity:
            yield _texts(
                symbol=view.symbol,
                quantity=view.quantity,
                average_price=view.average_price,
                price=view.price,
                unrealized_pnl=view.unrealized_pnl if view.price is not None else None,
                realized_pnl=view.realized_pnl,
                currency=view.instrument.quote if view.instrument is not None else "",
                dust=view.is_dust,
                protections=[_protection(each, engines.execution) for each in book.of(view.symbol)],
                account_id=portfolio.account_id,
                user_id=portfolio.user_id,
            )


def _is_of(order: Order, arguments: Mapping[str, str]) -> bool:
    return arguments.get("strategy", "") in ("", order.strategy_id)


def _order(order: Order) -> dict[str, Any]:
    return _texts(
        order_id=order.order_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side.value,
        quantity=order.quantity,
        limit=order.limit,
        stop=order.stop,
        time_in_force=order.time_in_force.value,
        reduce_only=order.reduce_only,
        status=order.status.value,
        filled=order.filled,
        average_price=None if order.average_price is None else cut(order.average_price),
        reserved=order.reserved,
        reserved_currency=order.reserved_currency,
        reason=order.reason,
        venue_order_id=order.venue_order_id,
        account_id=order.account_id,
        user_id=order.user_id,
    )


def _bracket(bracket: Bracket) -> dict[str, Any]:
    opened = bracket.opened
    return _texts(
        bracket_id=opened.bracket_id,
        strategy_id=opened.strategy_id,
        symbol=opened.symbol,
        side=opened.side.value,
        quantity=opened.quantity,
        limit=opened.limit,
        expires=opened.expires or None,
        status=bracket.status.value,
        reason=bracket.reason,
        filled=bracket.filled,
        held=bracket.held,
        refusals=bracket.refusals,
        account_id=opened.account_id,
        user_id=opened.user_id,
    )


def _protection(protection: Protection, execution: ExecutionEngine) -> dict[str, Any]:
    order = None if protection.exit is None else execution.orders.get(protection.exit.order_id)
    (stop, trails), target = protection.stop(), protection.target()
    stop_percent, target_percent = protection.terms.stop_loss_percent, protection.terms.take_profit_percent
    if not protection.entered:  # a percentage is of the average price of the entry
        stop = None if stop_percent is not None else stop
        target = None if target_percent is not None else target
    return _texts(
        order_id=protection.protection_id,
        strategy_id=protection.strategy_id,
        quantity=protection.held,
        stop=None if stop is None else cut(stop),
        stop_percent=stop_percent,
        trails=trails,
        target=None if target is None else cut(target),
        target_percent=target_percent,
        status=protection.status.value,
        in_doubt=order.order_id if order is not None and order.status is OrderStatus.UNKNOWN else None,
    )


def _strategy(
    definition: StrategyDefinition, said: StateUpdated | None, *, open_orders: int, legs: list[dict[str, Any]]
) -> dict[str, Any]:
    return _texts(
        strategy_id=definition.strategy_id,
        name=definition.name,
        strategy_type=definition.strategy_type,
        role=None if definition.role is None else definition.role.value,
        status=definition.status.value,
        reason=definition.reason,
        created_by=definition.created_by,
        parameters=definition.parameters,
        open_orders=open_orders,
        legs=legs,
        state=None if said is None else {"ts": said.ts, "values": said.values, "legs": [*map(_said_leg, said.legs)]},
    )


def _leg(trip: RoundTrip) -> dict[str, Any]:
    """What a strategy holds in one symbol of one account."""
    names = ("symbol", "side", "held", "entry_price", "entry_ts", "fees", "pnl", "currency", "account_id", "user_id")
    leg = _trip(trip)
    return {name: leg[name] for name in names}


def _said_leg(leg: StateLeg) -> dict[str, Any]:
    return _texts(symbol=leg.symbol, quantity=leg.quantity, average_price=leg.average_price)


def _trip(trip: RoundTrip) -> dict[str, Any]:
    return _texts(
        strategy_id=trip.strategy_id,
        symbol=trip.symbol,
        side="long" if trip.side.sign > 0 else "short",
        quantity=trip.quantity,
        held=trip.held,
        entry_price=trip.entry_price,
        entry_ts=trip.entry_ts,
        fees=trip.fees,
        pnl=trip.pnl,
        currency=trip.currency,
        account_id=trip.account_id,
        user_id=trip.user_id,
    )


def _texts(**values: Any) -> dict[str, Any]:
    """The values, with decimals as text."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _text(inner) for name, inner in value.items()}
    return plain(value) if isinstance(value, Decimal) else value
