"""The base class of strategies."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from tickdeck.application.arguments import check_whole
from tickdeck.application.clock import RunClock
from tickdeck.application.log import bound_logger
from tickdeck.application.parameters import Parametrised
from tickdeck.application.strategies.desk import PositionView, StrategyDesk
from tickdeck.application.wording import not_a_symbol
from tickdeck.domain.events import (
    ActionIntent,
    CandleEvent,
    DomainEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    ProtectionTerms,
    SignalSnapshotEvent,
    StateLeg,
    TickEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.trading import Distance, terms_of, why_terms_fail
from tickdeck.domain.values import BUY, SELL, ZERO, Level, Price, Quantity, Side, StrategyRole, TimeInForce
from tickdeck.errors import ConfigError, format_value

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["Strategy"]


class Strategy(Parametrised):
    """Subclass it, annotate your parameters with defaults, and override the methods you need::

            class EmaCross(Strategy):
                fast: int = 12

                def on_trade(self, trade: TradeEvent) -> None: ...

    Methods are plain functions: no ``async``, no I/O, no wall clock, no global ``random``. Use ``self.clock.now()`` (ns
    UTC) for time and ``self.rng``, seeded by the run, for random numbers. Keep all state in ``self``. These rules make
    it possible to prove a run.
    """

    kind: ClassVar[str] = "strategy"
    hears: ClassVar[tuple[type[DomainEvent], ...]] = ()
    """Event classes that ``on_event`` receives: your own, or any other."""
    role: ClassVar[StrategyRole] = StrategyRole.ENTRY
    """The purpose of the strategy: ``entry``, ``exit`` or ``management``. The strategy's events contain it; it
    restricts nothing."""
    _desk: StrategyDesk | None = None
    _log: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        try:
            cls.role = StrategyRole(cls.role)
        except ValueError:
            raise ConfigError(
                f"strategy {cls.__name__}: role is {format_value(cls.role)}; give one of {', '.join(StrategyRole)}"
            ) from None
        if (cls.snapshot is Strategy.snapshot) is not (cls.restore is Strategy.restore):
            raise ConfigError(f"strategy {cls.__name__}: override both snapshot() and restore(), or neither")

    def required_signals(self) -> tuple[str, ...]:
        """Names of the signals that this strategy will use, such as ``ema-12`` or ``ema-12@1h``. Called once, before
        the start."""
        return ()

    def required_candles(self) -> tuple[str, ...]:
        """The timeframes of the candles that this strategy receives, such as ``("15m", "4h")``. Called once, before the
        start. By default, it receives the run's own candles (``--candles``, or those of the file).

        Candles are built from trades or from finer candles. In ``on_candle``, ``candle.interval`` (ns) distinguishes
        them. A signal without a timeframe (``rsi-14``) uses the first one; ``rsi-14@4h`` names another.
        """
        return ()

    def required_events(self) -> tuple[type[DomainEvent], ...]:
        """The event classes that ``on_event`` receives. Called once, before the start. By default: ``hears``."""
        return self.hears

    # -- events -----------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """The run begins."""

    def on_activated(self) -> None:
        """The strategy is active: called after ``on_start`` and after each pause. It missed the events and timers of
        the pause."""

    def on_updated(self) -> None:
        """A command changed parameters of the strategy, and its other attributes are what ``check_parameters`` made of
        them. Not called during a pause: ``on_activated`` follows it."""

    def on_stop(self) -> None:
        """The run has ended. Orders are refused from here on."""

    def on_trade(self, trade: TradeEvent) -> None:
        """A public trade."""

    def on_tick(self, tick: TickEvent) -> None:
        """The best bid or ask changed."""

    def on_book(self, book: OrderBookEvent | OrderBookDeltaEvent) -> None:
        """An order book snapshot or delta arrived."""

    def on_candle(self, candle: CandleEvent) -> None:
        """A candle closed."""

    def on_signal(self, signal: SignalSnapshotEvent) -> None:
        """The signals were recomputed."""

    def on_order(self, order: OrderEvent) -> None:
        """Something happened to one of this strategy's orders, fills included."""

    def on_fill(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent) -> None:
        """One of this strategy's orders was filled, completely or in part."""

    def on_position(self, position: PositionEvent) -> None:
        """A position of the account changed."""

    def on_timer(self, timer: TimerFired) -> None:
        """A timer of this strategy fired."""

    def on_event(self, event: DomainEvent) -> None:
        """An event of one of the classes in ``hears``."""

    # -- continuing with other code ---------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Return the state of the strategy, as JSON values: text, finite numbers, booleans, ``None``, lists, and dicts
        with text keys.

        Override this and ``restore`` if the strategy has state that would take long to build again. If the code of a
        run changes between a stop and ``run --resume``, the new object gets the newest snapshot, and then the events
        that followed. Without these methods, it gets all events of the run. Called between two events; only the
        attributes of ``self`` can be used, and must not change.
        """
        raise NotImplementedError

    def restore(self, state: Any) -> None:
        """Take over a state that ``snapshot`` returned, perhaps in an older version of the class, instead of
        ``on_start`` and all events until then. If this raises, the strategy gets all events of the run."""
        raise NotImplementedError

    # -- actions ----------------------------------------------------------------------------------------------

    def buy(
        self,
        symbol: str,
        quantity: Quantity,
        limit: Price | None = None,
        stop_loss: Distance | None = None,
        take_profit: Distance | None = None,
        trailing: Distance | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        reason: str = "",
    ) -> str:
        """Request a buy order: ``quantity`` in base, ``limit`` in quote (``None`` means at market). Returns the order
        id immediately.

        ``stop_loss`` and ``take_profit`` are the prices (quote) at which what it fills is closed, or their distances
        from the average price of its fills, as text: ``"2%"``. ``trailing`` is the distance at which a stop follows the
        best price: in quote, or ``"2%"`` of that price. They hold for exactly what is filled, and end when it is
        closed; ``protect`` changes them.
        """
        protection = self._terms(BUY, limit, stop_loss, take_profit, trailing)
        return self._order(BUY, symbol, quantity, limit, protection, time_in_force, reason)

    def sell(
        self,
        symbol: str,
        quantity: Quantity,
        limit: Price | None = None,
        stop_loss: Distance | None = None,
        take_profit: Distance | None = None,
        trailing: Distance | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        reason: str = "",
    ) -> str:
        """Request a sell order. See ``buy``; ``stop_loss``, ``take_profit`` and ``trailing`` are for the short position
        that it opens. If it closes a protected position instead, it waits until the orders that protect it are
        cancelled, and loses what they closed meanwhile."""
        protection = self._terms(SELL, limit, stop_loss, take_profit, trailing)
        return self._order(SELL, symbol, quantity, limit, protection, time_in_force, reason)

    def bracket(
        self,
        side: Side,
        symbol: str,
        quantity: Quantity,
        limit: Price | None = None,
        stop_loss: Distance | None = None,
        take_profit: Distance | None = None,
        trailing: Distance | None = None,
        *,
        expires: int = 0,
        reason: str = "",
    ) -> str:
        """Request a bracket order: ``buy`` or ``sell`` with a stop or a target, which is followed to its end. What is
        not filled after ``expires`` ns is cancelled; 0 is never. If the venue refuses again and again to protect what
        is held, it is closed at market. Returns the id of the entry order immediately, which is that of the bracket.

        Each step is a ``bracket.changed``; a strategy that has the class in ``hears`` gets those of all brackets.
        """
        side = Side(side)
        protection = self._terms(side, limit, stop_loss, take_profit, trailing, "bracket")
        if protection is None:
            raise ConfigError("bracket: give stop_loss, take_profit, trailing or several of them")
        check_whole("bracket", "expires", expires)
        intent = self._intent(side, symbol, quantity, limit, protection, TimeInForce.GTC)
        return self.desk.bracket(intent, expires, reason)

    def protect(
        self,
        symbol_or_order_id: str,
        stop_loss: Distance | None = None,
        take_profit: Distance | None = None,
        trailing: Distance | None = None,
        reason: str = "",
    ) -> None:
        """Set or move the stop and the target of running positions: of the one that an order opened, or of all that
        this strategy has in a symbol. What you leave out stays as it is.

        A position in the symbol that is not protected yet is protected from now on; percentages count from the current
        price.
        """
        terms = self._terms(None, None, stop_loss, take_profit, trailing)
        if terms is None:
            raise ConfigError("protect: nothing to set; give stop_loss, take_profit, trailing or several of them")
        self.desk.decide((self._protect(symbol_or_order_id, terms),), reason)

    def unprotect(self, symbol_or_order_id: str, reason: str = "") -> None:
        """Cancel the stops and targets of a position, or of all that this strategy has in a symbol. The positions
        stay."""
        self.desk.decide((self._protect(symbol_or_order_id, None),), reason)

    def amend(
        self, order_id: str, quantity: Quantity | None = None, limit: Price | None = None, reason: str = ""
    ) -> None:
        """Request a change of one of this strategy's limit orders: to ``quantity`` in total (base, including what is
        filled), to ``limit`` (quote), or both. What you leave out stays the same.

        The answer is ``order.amended`` or ``order.amend_rejected``. As at most venues, a new limit or a larger quantity
        moves the order to the back of the queue at its price; a smaller quantity at the same limit keeps its place.

        Some venues cannot do all of this: Binance can only reduce the quantity. They answer with
        ``order.amend_rejected``, whose reason begins with ``NotSupported``. Cancel the order, then, and place another.
        """
        for name, value in (("quantity", quantity), ("limit", limit)):
            if value is not None:
                _check_amount(name, value)
        if quantity is None and limit is None:
            raise ConfigError("amend: nothing to change; give a quantity, a limit or both")
        quantity = ZERO if quantity is None else quantity
        intent = ActionIntent(
            action="amend", symbol="", order_id=_text("order_id", order_id), quantity=quantity, limit=limit
        )
        self.desk.decide((intent,), reason)

    def cancel(self, order_id: str, reason: str = "") -> None:
        """Request the cancellation of one of this strategy's orders."""
        intent = ActionIntent(action="cancel", symbol="", order_id=_text("order_id", order_id))
        self.desk.decide((intent,), reason)

    def update_state(self, values: Mapping[str, Any], legs: tuple[StateLeg, ...] = ()) -> None:
        """Publish ``state.updated``, the state of this strategy for display. ``values`` are text, numbers or booleans
        by name; ``legs`` are its positions by symbol."""
        self.desk.update_state({_text("name", name): _plain(name, value) for name, value in values.items()}, legs)

    def notify(self, text: str, severity: str = "info", recipients: tuple[str, ...] = ()) -> None:
        """Publish ``notification.alert``. ``severity`` is ``info``, ``warning`` or ``critical``; ``recipients`` are
        names known to the run's notifiers."""
        self.desk.notify(_text("text", text), severity, tuple(recipients))

    def publish(self, event: DomainEvent) -> None:
        """Publish an event of a class of your own. Raises ``ConfigError`` for a class of Tickdeck's catalogue: those
        have their own methods, such as ``buy`` and ``notify``."""
        self.desk.publish(event)

    def _order(
        self,
        side: Side,
        symbol: str,
        quantity: Quantity,
        limit: Price | None,
        protection: ProtectionTerms | None,
        time_in_force: TimeInForce,
        reason: str,
    ) -> str:
        return self.desk.decide((self._intent(side, symbol, quantity, limit, protection, time_in_force),), reason)[0]

    def _intent(
        self,
        side: Side,
        symbol: str,
        quantity: Quantity,
        limit: Price | None,
        protection: ProtectionTerms | None,
        time_in_force: TimeInForce,
    ) -> ActionIntent:
        _check_amount("quantity", quantity)
        if limit is not None:
            _check_amount("limit", limit)
        return ActionIntent(
            action="order",
            symbol=_text("symbol", symbol),
            side=side,
            quantity=quantity,
            limit=limit,
            time_in_force=time_in_force if type(time_in_force) is TimeInForce else TimeInForce(time_in_force),
            protection=protection,
        )

    def _terms(
        self,
        side: Side | None,
        limit: Price | None,
        stop_loss: Distance | None,
        take_profit: Distance | None,
        trailing: Distance | None,
        what: str = "",
    ) -> ProtectionTerms | None:
        if stop_loss is None and take_profit is None and trailing is None:
            return None
        try:
            terms = terms_of(stop_loss, take_profit, trailing)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if terms is not None and side is not None and (why := why_terms_fail(terms, side, limit)):
            raise ConfigError(f"{what or side.value}: {why}")
        return terms

    def _protect(self, symbol_or_order_id: str, terms: ProtectionTerms | None) -> ActionIntent:
        name = _text("symbol_or_order_id", symbol_or_order_id)
        if name in self.desk.symbols:
            return ActionIntent(action="protect", symbol=name, protection=terms)
        return ActionIntent(action="protect", order_id=name, protection=terms)

    # -- state ------------------------------------------------------------------------------------------------
    # Methods that take a symbol raise ``ConfigError`` if it is not one of the run's: a misspelled one would look like a
    # symbol without a position.

    def _known(self, symbol: str) -> str:
        symbols = self.desk.symbols
        if symbol not in symbols:
            raise ConfigError(f"strategy {self.desk.strategy_id}: {not_a_symbol(_text('symbol', symbol), symbols)}")
        return symbol

    @property
    def is_running(self) -> bool:
        """Whether the strategy is part of a run."""
        return self._desk is not None

    @property
    def has_snapshots(self) -> bool:
        """Whether its class overrides ``snapshot`` and ``restore``."""
        return type(self).snapshot is not Strategy.snapshot

    @property
    def desk(self) -> StrategyDesk:
        """What the run gives to the strategy. Raises ``ConfigError`` outside of a run."""
        if self._desk is None:
            raise ConfigError(
                f"strategy {type(self).__name__} is not running; only a run gives it a market, a clock and orders"
            )
        return self._desk

    @property
    def log(self) -> BoundLogger:
        """A logger with fields: ``self.log.info("crossed", symbol=trade.symbol)``. Each line carries the strategy's
        id and the event being handled. Log lines are not part of the record and are not proven."""
        log: BoundLogger | None = self._log
        if log is None:
            self._log = log = bound_logger("tickdeck.strategy", strategy=self.desk.strategy_id)
        return log

    @property
    def clock(self) -> RunClock:
        """The run's clock: ``now()`` in ns UTC."""
        return self.desk.clock

    @property
    def rng(self) -> random.Random:
        """A random number generator, seeded by the run's seed and the strategy's id."""
        return self.desk.rng

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the run."""
        return self.desk.symbols

    def signal(self, name: str, symbol: str) -> float | None:
        """The newest value of a signal named in ``required_signals``; ``None`` while it warms up."""
        return self.desk.signal(_text("signal", name), self._known(symbol))

    def position(self, symbol: str) -> PositionView:
        """The account's position in a symbol, with quantity 0 if there is none."""
        return self.desk.position(self._known(symbol))

    def equity(self) -> Decimal:
        """What the account is worth in its quote currency: cash and positions, at the newest prices. Several strategies
        of a run share it."""
        return self.desk.equity()

    def price(self, symbol: str) -> Price | None:
        """The price of the last trade, else the middle of the best bid and ask, else ``None``."""
        return self.desk.price(self._known(symbol))

    def best_bid(self, symbol: str) -> Level | None:
        """The best bid as (price in quote, quantity in base), from the newest tick or else from the book; ``None``
        if there is none."""
        return self.desk.best(self._known(symbol))[0]

    def best_ask(self, symbol: str) -> Level | None:
        """The best ask. See ``best_bid``."""
        return self.desk.best(self._known(symbol))[1]

    def open_orders(self, symbol: str | None = None) -> tuple[str, ...]:
        """Ids of this strategy's open orders, oldest first, without those that protect a position (``stop_loss``)."""
        return self.desk.open_orders(None if symbol is None else self._known(symbol))

    def set_timer(self, name: str, delay: int) -> int:
        """Call ``on_timer`` with ``name`` after ``delay`` ns of the run's clock. Returns an id for ``cancel_timer``."""
        check_whole("set_timer", "delay", delay)
        return self.desk.set_timer(name, delay)

    def cancel_timer(self, timer_id: int) -> None:
        """Cancel a timer by the id that ``set_timer`` returned. One that has fired or was cancelled changes nothing."""
        self.desk.cancel_timer(timer_id)


def _text(name: str, value: object) -> str:
    """Check a text field of an intent. It is written to the tape, so it must have the type that is read back."""
    if type(value) is not str:
        raise ConfigError(f"{name} is {format_value(value)}; give text")
    return value


def _check_amount(name: str, value: object) -> None:
    """Check a quantity or a limit."""
    if type(value) is not Decimal or not value.is_finite() or value <= 0:
        raise ConfigError(f"{name} is {format_value(value)}; give a decimal.Decimal above 0")


def _plain(name: str, value: object) -> str:
    """A value as text that is the same in every run. An object of another type could show its address."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if type(value) not in (str, int, float, bool):
        raise ConfigError(f"{name} is {value!r}; give text, a number or a boolean")
    return str(value)
