"""The complete state of a run's core as plain values, to compare two of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from folding import exposure_of, state_of

from tickdeck.application.engines import CopyEngine, MarketDataEngine, RiskEngine, RunRisk
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.bootstrap.account_engines import AccountEngines
from tickdeck.bootstrap.core import Core

__all__ = ["state_of_core"]


def state_of_core(core: Core, kernel: Kernel, agenda: Agenda) -> dict[str, Any]:
    """What the next event may depend on, by engine."""
    strategies = core.strategies
    return {
        "kernel": (kernel.seq, kernel.inputs, kernel.clock.now(), kernel.halted),
        "timers": sorted(kernel._timers._pending),
        "due": sorted((due, rank) for due, rank, number in agenda._heap if number in agenda._actions),
        "markets": _markets(core.market_data),
        "instruments": (core.instruments._reported, core.instruments._closed),
        "signals": {
            (symbol, name): _attributes(signal)
            for symbol, signals in core.signals._symbols.items()
            for name, signal in signals.items()
        },
        "brackets": {name: _attributes(bracket) for name, bracket in core.brackets.brackets.items()},
        "copies": [_copies(engine) for engine in core.copies],
        **{f"{part} of {account.account_id}": state for account in core.accounts for part, state in _account(account)},
        "limits of the run": _limits(core.run_risk) if core.run_risk is not None else None,
        "paused": list(strategies.paused),
        "profits": {
            key: (
                [_attributes(trips) for trips in book.all()],
                list(book.trips),
                list(book._shares._held.items()),
                book._cost,
            )
            for key, book in core.profits.trades._books.items()
        },
        "triggers": _attributes(core.triggers.triggers),
        "watched": {name: (str(one.condition), one.evaluator.sides) for name, one in core.triggers._watched.items()},
        "timers of triggers": core.triggers._timers,
        "candles of triggers": core.triggers._values.candles.last,
        "strategies": {name: _attributes(strategy) for name, strategy in strategies.strategies.items()},
        "chance": {name: strategy.rng.getstate() for name, strategy in strategies.strategies.items()},
    }


def _copies(engine: CopyEngine) -> dict[str, Any]:
    parts = ("saga_id", "status", "wanted", "filled", "attempts", "is_over", "timer_id", "_filled", "_fees")
    ledger, wishes = engine.ledger, engine._wishes
    symbols = dict.fromkeys(copy.trade.symbol for copy in ledger.copies.values())
    return {
        "copies": {name: [getattr(copy, part) for part in parts] for name, copy in ledger.copies.items()},
        "trades": {name: (copy.trade.trade_id, copy.trade.status) for name, copy in ledger.copies.items()},
        "orders": {order_id: copy.saga_id for order_id, copy in ledger.orders.items()},
        "waiting": ledger._waiting,
        "held": {symbol: ledger.held(symbol) for symbol in symbols},
        "seen": list(wishes._seen),
        "leads": wishes._leads,
        "later": wishes._later,
    }


def _account(engines: AccountEngines) -> Iterable[tuple[str, Any]]:
    execution, portfolio, risk = engines.execution, engines.portfolio, engines.risk
    return {
        "orders": {order_id: state_of(order) for order_id, order in execution.orders.items()},
        "execution": (
            list(execution._open),
            execution._retries,
            execution._refusals,
            execution._doubts,
            execution.submitted,
        ),
        "account": state_of(portfolio.account),
        "money": (portfolio.valuation.deposits, portfolio.valuation.fees, portfolio.equity(), portfolio.pnl()),
        "balances": portfolio._reported,
        "exposure": exposure_of(risk.exposure),
        "limits": (*_limits(risk), risk.typical and risk.typical.recent, risk._flatten._waiting),
        "protections": {protection_id: state_of(p) for protection_id, p in risk.protections.book.protections.items()},
        "owners": {symbol: (o.unowned, o._held) for symbol, o in risk.protections.book._owners.items()},
        "watching": bool(risk.protections._prices._watching),
        "halt": (risk.gate.closed_because, risk.gate.halted_by),
    }.items()


def _limits(risk: RiskEngine | RunRisk) -> tuple[Any, ...]:
    return (
        risk.rate and risk.rate.sent,
        risk.losses.daily_loss and risk.losses.daily_loss.start_equity,
        risk.losses.drawdown and risk.losses.drawdown.peak,
        getattr(risk, "halted_because", None),
    )


def _markets(engine: MarketDataEngine) -> dict[str, Any]:
    return {
        symbol: {
            "price": market.last_price,
            "tick": market.tick,
            "usable": market.book.usable,
            "bids": list(market.book.bids(1_000)),
            "asks": list(market.book.asks(1_000)),
            "gap": market.book_gap,
            "trades": (market.next_trade_id, market.repeated, market.candle_end),
            "candles": [_attributes(builder) for builder in (*market.builders, *market.resamplers)],
        }
        for symbol, market in engine.markets.items()
    }


def _attributes(thing: Any) -> Any:
    """The attributes of an object and of the objects in it."""
    if isinstance(thing, list | tuple):
        return [_attributes(each) for each in thing]
    if isinstance(thing, dict):
        return {key: _attributes(value) for key, value in thing.items()}
    names = [*getattr(thing, "__dict__", ()), *(slot for cls in type(thing).__mro__ for slot in _slots(cls))]
    if not names or not type(thing).__module__.startswith("tickdeck"):
        return thing if type(thing).__eq__ is not object.__eq__ else repr(type(thing))
    return {name: _attributes(getattr(thing, name)) for name in names if name != "_desk" and hasattr(thing, name)}


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
