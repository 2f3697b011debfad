"""What users write: a strategy hears what happens and says what it wants done."""

from __future__ import annotations

import inspect
import random
from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, get_origin, get_type_hints

import msgspec

from tickdeck.application.clock import RunClock
from tickdeck.application.log import bound_logger
from tickdeck.application.wording import in_words
from tickdeck.domain.events import (
    ActionIntent,
    CandleEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    SignalSnapshotEvent,
    StateLeg,
    TickEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.values import ZERO, Level, Price, Quantity, Side, TimeInForce
from tickdeck.errors import ConfigError, format_value

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["PositionView", "Strategy", "StrategyDesk"]


class PositionView(msgspec.Struct, frozen=True):
    """A position as a strategy sees it: ``quantity`` in base (negative: short), ``average_price`` and PnL in quote."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal


class StrategyDesk(Protocol):
    """What a running strategy is given to work with: by the strategy engine in a run, by a twin in tests."""

    strategy_id: str
    symbols: tuple[str, ...]
    clock: RunClock
    rng: random.Random

    def decide(self, intents: tuple[ActionIntent, ...], reason: str) -> tuple[str, ...]: ...
    def signal(self, name: str, symbol: str) -> float | None: ...
    def position(self, symbol: str) -> PositionView: ...
    def price(self, symbol: str) -> Price | None: ...
    def best(self, symbol: str) -> tuple[Level | None, Level | None]: ...
    def open_orders(self, symbol: str | None) -> tuple[str, ...]: ...
    def set_timer(self, name: str, delay: int) -> int: ...
    def cancel_timer(self, timer_id: int) -> None: ...
    def update_state(self, values: dict[str, str], legs: tuple[StateLeg, ...]) -> None: ...
    def notify(self, text: str, severity: str, recipients: tuple[str, ...]) -> None: ...


class Strategy:
    """Subclass it, annotate your parameters with defaults, override the methods you need::

        class EmaCross(Strategy):
            fast: int = 12

            def on_trade(self, trade: TradeEvent) -> None: ...

    Methods are plain: no ``async``, no I/O, no wall clock, no global ``random``; time is ``self.clock.now()`` (ns
    UTC) and chance is ``self.rng``, seeded by the run. All state belongs in ``self``. That is what lets a run be
    proven.
    """

    _parameters: ClassVar[dict[str, Any]] = {}
    _desk: StrategyDesk | None = None

    def __init__(self, **parameters: Any) -> None:
        """Raises ``ConfigError`` for a parameter that the class does not have, or a value of the wrong type."""
        for name in self._parameters:
            setattr(self, name, deepcopy(getattr(type(self), name)))  # a list must not be shared by two runs
        self.set_parameters(parameters)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(Strategy):
            method = getattr(cls, name)
            if name.startswith("on_") and (inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)):
                raise ConfigError(f"strategy {cls.__name__}: {name} is async; a strategy's methods are plain functions")
        try:
            hints = get_type_hints(cls)
        except NameError as error:
            raise ConfigError(
                f"strategy {cls.__name__}: {error}; import what its parameters are annotated with"
            ) from None
        cls._parameters = {
            name: hint
            for name, hint in hints.items()
            if not name.startswith("_") and hasattr(cls, name) and ClassVar not in (hint, get_origin(hint))
        }

    def parameters(self) -> dict[str, Any]:
        """The parameters and their values."""
        return {name: getattr(self, name) for name in self._parameters}

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Change some parameters, all of those given or none.

        Raises ``ConfigError`` for one that the class does not have, a value of the wrong type, and for what
        ``check_parameters`` refuses.
        """
        hints = self._parameters
        values: dict[str, Any] = {}
        for name, value in parameters.items():
            if name not in hints:
                known = ", ".join(sorted(hints)) or "none"
                raise ConfigError(f"strategy {type(self).__name__} has no parameter {name!r}; it has: {known}")
            try:
                values[name] = _converted(value, hints[name])
            except (TypeError, ValueError) as error:
                wanted = in_words(str(error))
                raise ConfigError(
                    f"strategy {type(self).__name__}: parameter {name}={format_value(value)}: {wanted}"
                ) from None
        before = {name: getattr(self, name) for name in values}
        for name, value in values.items():
            setattr(self, name, value)
        try:
            self.check_parameters()
        except ConfigError as error:
            for name, value in before.items():
                setattr(self, name, value)
            raise ConfigError(f"strategy {type(self).__name__}: {error}") from None

    def check_parameters(self) -> None:
        """Raise ``ConfigError`` where the parameters' values make no sense: called when they are set, at first and
        later.
        """

    def required_signals(self) -> tuple[str, ...]:
        """Names of the signals that ``signal`` will be asked for, such as ``ema-12``; asked once, before the start."""
        return ()

    # -- what it hears ----------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """The run begins."""

    def on_activated(self) -> None:
        """It hears from here on: after ``on_start``, and after each pause. What happened in a pause, it has missed, its
        timers too.
        """

    def on_stop(self) -> None:
        """The run has come to its end; orders are refused from here on."""

    def on_trade(self, trade: TradeEvent) -> None:
        """A public trade."""

    def on_tick(self, tick: TickEvent) -> None:
        """A new best bid and ask."""

    def on_book(self, book: OrderBookEvent | OrderBookDeltaEvent) -> None:
        """A snapshot or a delta of the order book."""

    def on_candle(self, candle: CandleEvent) -> None:
        """A candle closed."""

    def on_signal(self, signal: SignalSnapshotEvent) -> None:
        """The signals were computed anew."""

    def on_order(self, order: OrderEvent) -> None:
        """Anything about one of this strategy's orders, fills included."""

    def on_fill(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent) -> None:
        """One of this strategy's orders was executed, wholly or in part."""

    def on_position(self, position: PositionEvent) -> None:
        """A position of the account changed."""

    def on_timer(self, timer: TimerFired) -> None:
        """A timer of this strategy came due."""

    # -- what it says -----------------------------------------------------------------------------------------

    def buy(
        self,
        symbol: str,
        quantity: Quantity,
        limit: Price | None = None,
        stop_loss: Price | None = None,
        take_profit: Price | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        reason: str = "",
    ) -> str:
        """Ask for a buy order: ``quantity`` in base, ``limit`` in quote (``None``: at market). Returns its order id.

        ``stop_loss`` and ``take_profit`` are refused with a ``ConfigError`` in this version, rather than silently
        ignored.
        """
        return self._order(Side.BUY, symbol, quantity, limit, stop_loss, take_profit, time_in_force, reason)

    def sell(
        self,
        symbol: str,
        quantity: Quantity,
        limit: Price | None = None,
        stop_loss: Price | None = None,
        take_profit: Price | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        reason: str = "",
    ) -> str:
        """Ask for a sell order; as ``buy``."""
        return self._order(Side.SELL, symbol, quantity, limit, stop_loss, take_profit, time_in_force, reason)

    def amend(
        self, order_id: str, quantity: Quantity | None = None, limit: Price | None = None, reason: str = ""
    ) -> None:
        """Ask to change a limit order of this strategy to ``quantity`` in all (base, with what is filled of it already)
        and ``limit`` (quote); what is left out stays.

        ``order.amended`` or ``order.amend_rejected`` tells what came of it. As at most venues a new limit or a larger
        quantity puts the order at the back of the queue at its price; less at the same limit leaves it where it is.
        """
        for name, value in (("quantity", quantity), ("limit", limit)):
            if value is not None:
                _check_amount(name, value)
        if quantity is None and limit is None:
            raise ConfigError("amend: there is nothing to change; give a quantity, a limit or both")
        quantity = ZERO if quantity is None else quantity
        intent = ActionIntent(
            action="amend", symbol="", order_id=_text("order_id", order_id), quantity=quantity, limit=limit
        )
        self.desk.decide((intent,), reason)

    def cancel(self, order_id: str, reason: str = "") -> None:
        """Ask to cancel an order of this strategy."""
        intent = ActionIntent(action="cancel", symbol="", order_id=_text("order_id", order_id))
        self.desk.decide((intent,), reason)

    def update_state(self, values: Mapping[str, Any], legs: tuple[StateLeg, ...] = ()) -> None:
        """Publish ``state.updated``: what this strategy is in, for whoever watches. ``values`` are text, numbers or
        booleans by name, ``legs`` the parts by symbol.
        """
        self.desk.update_state({_text("name", name): _plain(name, value) for name, value in values.items()}, legs)

    def notify(self, text: str, severity: str = "info", recipients: tuple[str, ...] = ()) -> None:
        """Publish ``notification.alert``: ``severity`` is ``info``, ``warning`` or ``critical``, ``recipients`` are
        names that the run's edges know.
        """
        self.desk.notify(_text("text", text), severity, tuple(recipients))

    def _order(
        self,
        side: Side,
        symbol: str,
        quantity: Quantity,
        limit: Price | None,
        stop_loss: Price | None,
        take_profit: Price | None,
        time_in_force: TimeInForce,
        reason: str,
    ) -> str:
        if stop_loss is not None or take_profit is not None:
            raise ConfigError(
                "stop_loss and take_profit are not built yet; place the exit order yourself from on_fill or on_trade"
            )
        _check_amount("quantity", quantity)
        if limit is not None:
            _check_amount("limit", limit)
        intent = ActionIntent(
            action="order",
            symbol=_text("symbol", symbol),
            side=side,
            quantity=quantity,
            limit=limit,
            time_in_force=TimeInForce(time_in_force),
        )
        return self.desk.decide((intent,), reason)[0]

    # -- what it knows ----------------------------------------------------------------------------------------

    @property
    def desk(self) -> StrategyDesk:
        if self._desk is None:
            raise ConfigError(
                f"strategy {type(self).__name__} is not running; a run gives it its market, clock and orders"
            )
        return self._desk

    @cached_property
    def log(self) -> BoundLogger:
        """A logger with fields: ``self.log.info("crossed", symbol=trade.symbol)``. Its lines carry this strategy's id
        and the event that is being handled. They are no part of the run's record, and not proven.
        """
        return bound_logger("tickdeck.strategy", strategy=self.desk.strategy_id)

    @property
    def clock(self) -> RunClock:
        """The run's clock: ``now()`` in ns UTC."""
        return self.desk.clock

    @property
    def rng(self) -> random.Random:
        """Chance, seeded by the run's seed and the strategy's id."""
        return self.desk.rng

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the run."""
        return self.desk.symbols

    def signal(self, name: str, symbol: str) -> float | None:
        """The newest value of a signal named in ``required_signals``; ``None`` while it warms up."""
        return self.desk.signal(name, symbol)

    def position(self, symbol: str) -> PositionView:
        """The account's position in a symbol; of quantity 0 where there is none."""
        return self.desk.position(symbol)

    def price(self, symbol: str) -> Price | None:
        """The last trade's price, else the middle of the best bid and ask; ``None`` before either."""
        return self.desk.price(symbol)

    def best_bid(self, symbol: str) -> Level | None:
        """The best bid as (price in quote, quantity in base), from the newest tick, else from the book; ``None`` where
        there is none.
        """
        return self.desk.best(symbol)[0]

    def best_ask(self, symbol: str) -> Level | None:
        """The best ask; as ``best_bid``."""
        return self.desk.best(symbol)[1]

    def open_orders(self, symbol: str | None = None) -> tuple[str, ...]:
        """Ids of this strategy's orders that are not at their end, oldest first."""
        return self.desk.open_orders(symbol)

    def set_timer(self, name: str, delay: int) -> int:
        """Have ``on_timer`` called with ``name`` in ``delay`` ns of the run's clock. Returns an id for
        ``cancel_timer``.
        """
        return self.desk.set_timer(name, delay)

    def cancel_timer(self, timer_id: int) -> None:
        self.desk.cancel_timer(timer_id)


def _text(name: str, value: object) -> str:
    """A field of an intent: it goes on the tape, and must be of the type that is read back."""
    if type(value) is not str:
        raise ConfigError(f"{name} is {format_value(value)}; give text")
    return value


def _check_amount(name: str, value: object) -> None:
    """A quantity or a limit must be a number that an order can have."""
    if type(value) is not Decimal or not value.is_finite() or value <= 0:
        raise ConfigError(f"{name} is {format_value(value)}; give a decimal.Decimal above 0")


def _plain(name: str, value: object) -> str:
    """A value as text that is the same in every run: an object of another kind might tell its address."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if type(value) not in (str, int, float, bool):
        raise ConfigError(f"{name} is {value!r}; give text, a number or a boolean")
    return str(value)


def _converted(value: Any, hint: Any) -> Any:
    """A parameter's value as its annotation wants it; text, as from a command line, is read. Raises ``ValueError``."""
    converted = msgspec.convert(value, hint, strict=False)
    if isinstance(converted, Decimal) and (isinstance(value, float) or not converted.is_finite()):
        raise ValueError("give a finite decimal, as text or as a Decimal (a float is not exact)")
    return converted
