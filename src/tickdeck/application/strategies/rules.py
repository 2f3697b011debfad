"""A strategy without code: conditions say when it enters and exits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial

from tickdeck.application.strategies.condition_inputs import (
    INPUTS,
    LastCandles,
    describe_values,
    events_of,
    profit_percent,
    source_of,
    timeframes_in,
    without_value,
)
from tickdeck.application.strategies.inventory import Inventory
from tickdeck.application.strategies.strategy import PositionView, Strategy
from tickdeck.application.units import duration_ns, share_of
from tickdeck.application.wording import not_a_symbol
from tickdeck.domain.conditions import (
    FUNCTIONS,
    Condition,
    Evaluator,
    Reference,
    Source,
    parse_condition,
    signal_name,
)
from tickdeck.domain.events import (
    CandleEvent,
    DomainEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    RiskLimitBreachedEvent,
    TickEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.trading import Distance, terms_from_text, why_terms_fail
from tickdeck.domain.values import ZERO, Price, Quantity, Side
from tickdeck.errors import ConfigError

__all__ = ["Rules"]

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_PATIENCE = 60 * _SECOND  # ns until an order that was refused is tried again
_LONGEST_PATIENCE = 3_600 * _SECOND
_TIME_OF_DAY = "time of day"  # the name of a timer
_QUOTES = (TickEvent, OrderBookEvent, OrderBookDeltaEvent)


class Rules(Strategy):
    """Enters at market when ``enter`` holds and it has no position and no open order, and exits at market when ``exit``
    holds. Never sells coins that it did not buy. See ``docs/triggers.md``.

    - ``symbol``: what it trades; empty: each symbol of the run by itself.
    - ``side``: ``buy``, or ``sell`` to sell short.
    - The size of an entry is one of: ``quantity`` (base); ``share`` of the equity; ``risk``, the share of the equity
      that the stop may lose.
    - ``stop_loss``, ``take_profit``, ``trailing``: where what it bought is closed, as in ``buy``: a percentage such as
      ``2%``, or a price.
    - ``cooldown``: how long it waits after an exit, such as ``10m``. ``trades_a_day``: how many entries a day (UTC) may
      have; 0: any number.
    """

    symbol: str = ""
    enter: str = ""
    exit: str = ""
    side: str = "buy"
    quantity: Decimal = ZERO
    share: Decimal = ZERO
    risk: Decimal = ZERO
    stop_loss: str = ""
    take_profit: str = ""
    trailing: str = ""
    cooldown: str = ""
    trades_a_day: int = 0

    def check_parameters(self) -> None:
        conditions = self._check()
        if hasattr(self, "_rules") and (self.symbol, self.side) != self._traded_as:
            raise ConfigError("symbol and side stay while it runs; delete the strategy, and create another")
        self.conditions = conditions
        """The conditions by their parameter."""
        self._cooldown = duration_ns(self.cooldown, zero=True) if self.cooldown else 0
        if hasattr(self, "_rules"):  # they are changed while it runs
            self._use_conditions()

    def _check_besides(self, wrong: frozenset[str]) -> None:
        self._check(wrong)

    def _check(self, wrong: frozenset[str] = frozenset()) -> dict[str, Condition]:
        """The conditions. Raises ``ConfigError`` for all mistakes besides the parameters ``wrong``."""
        mistakes = []
        conditions: dict[str, Condition] = {}
        for name in ("enter", "exit"):
            text = getattr(self, name)
            try:
                if text:
                    conditions[name] = parse_condition(text)
                elif name == "enter" and name not in wrong:
                    mistakes.append("enter is missing; give the condition for an entry")
            except ConfigError as error:
                mistakes.append(f"{name}: {error}")
        mistakes += self._mistakes(wrong)
        if mistakes:
            raise ConfigError.of(mistakes)
        return conditions

    def _protection(self) -> dict[str, str]:
        """What it says about the exit, by name."""
        return {name: text for name in ("stop_loss", "take_profit", "trailing") if (text := getattr(self, name))}

    def _mistakes(self, wrong: frozenset[str]) -> list[str]:
        """What is wrong besides the conditions and ``wrong``."""
        found = []
        if self.side not in list(Side):
            found.append(f"side is {self.side!r}; give 'buy' or 'sell'")
        sizes = [name for name in ("quantity", "share", "risk") if getattr(self, name) != ZERO]
        if len(sizes) > 1 or not (sizes or wrong & {"quantity", "share", "risk"}):
            given = " and ".join(sizes) or "none of them"
            found.append(f"the size of an entry is one of quantity, share and risk; {given} is given")
        found += [
            f"{name} is {getattr(self, name)}; give a number above 0" for name in sizes if getattr(self, name) < 0
        ]
        if self.risk and not self.stop_loss and "stop_loss" not in wrong:
            found.append("risk is the share of the equity that the stop may lose; give stop_loss, too")
        closing = self._protection()
        alone = [why for name, text in closing.items() if (why := self._why_protection_fails({name: text}))]
        together = self._why_protection_fails(closing) if closing and not alone else ""
        found += alone or ([together] if together else [])
        if self.trades_a_day < 0:
            found.append(f"trades_a_day is {self.trades_a_day}; give a whole number from 0")
        if self.cooldown:
            try:
                duration_ns(self.cooldown, zero=True)
            except ConfigError as error:
                found.append(f"cooldown: {error}")
        return found

    def _why_protection_fails(self, given: dict[str, str]) -> str:
        try:
            terms = terms_from_text(given)
        except ValueError as error:
            return str(error)
        return why_terms_fail(terms, Side(self.side)) if self.side in list(Side) else ""

    # -- what it needs ---------------------------------------------------------------------------------------------

    def check_names(self, symbols: Sequence[str], strategies: Sequence[str]) -> None:
        """Raise ``ConfigError`` if it names a symbol or a strategy that is not one of the run's."""
        references = self.references()
        named = dict.fromkeys((self.symbol, *(reference.symbol for reference in references)))
        mistakes = [not_a_symbol(symbol, symbols) for symbol in named if symbol and symbol not in symbols]
        mistakes += [
            f"{reference}: this run has no strategy {reference.of!r}; it has: {', '.join(strategies)}; "
            "`strategy` is this one"
            for reference in dict.fromkeys(references)
            if FUNCTIONS[reference.function].of == "strategy" and reference.of not in ("strategy", *strategies)
        ]
        if mistakes:
            raise ConfigError.of(mistakes)

    def references(self) -> list[Reference]:
        """The values that its conditions name."""
        return [reference for condition in self.conditions.values() for reference in condition.references]

    def without_value(self) -> list[str]:
        """The indicators and candles of its conditions that have no value now; with several symbols, of which one."""
        rules = getattr(self, "_rules", {})
        return [
            text + (f" of {symbol}" if len(rules) > 1 else "")
            for symbol in rules
            for text in without_value(self.references(), partial(self._value, symbol))
        ]

    def required_signals(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, map(signal_name, self.references()))))

    def required_events(self) -> tuple[type[DomainEvent], ...]:
        events = events_of(self.conditions.values())
        if TradeEvent not in events and CandleEvent not in events:  # such as `position == 0`: an entry needs a price
            events += tuple(kind for kind in INPUTS[Source.PRICE] if kind not in events)
        self._uses_positions = PositionEvent in events
        if not self._uses_positions:
            events += (PositionEvent,)
        return (*events, RiskLimitBreachedEvent)

    # -- events ----------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        self._rules = {symbol: _Rule() for symbol in ((self.symbol,) if self.symbol else self.symbols)}
        self._traded_as = self.symbol, self.side
        self._inventory = Inventory(long_only=self.side == Side.BUY)
        for symbol in self._rules:
            self._inventory.begin(self.position(symbol), self.desk.traded(symbol))
        self._traded: dict[str, None] = {}  # symbols whose price is that of a trade or a candle
        self._candles = LastCandles()
        self._use_conditions()

    def _use_conditions(self) -> None:
        """Evaluate the conditions from now on. Those that are the same go on."""
        conditions = self.conditions
        for rule in self._rules.values():
            rule.evaluators = {
                name: before
                if (before := rule.evaluators.get(name)) is not None and before.condition == condition
                else Evaluator(condition)
                for name, condition in conditions.items()
            }
        self._affected = _affected(conditions.values(), tuple(self._rules))
        self._candles.timeframes = timeframes_in(conditions.values())
        sources = [source_of(reference) for condition in conditions.values() for reference in condition.references]
        self._uses_quotes = Source.QUOTES in sources or Source.BOOK in sources
        self._times = sorted({time for condition in conditions.values() for time in condition.times})

    def on_activated(self) -> None:
        if not hasattr(self, "_rules"):
            self.on_start()  # it was created while the run worked
        self._set_timer()
        for symbol in self._rules:
            self._decide(symbol)

    def on_timer(self, timer: TimerFired) -> None:
        if timer.name == _TIME_OF_DAY:
            self._set_timer()
        for symbol in self._rules:
            self._decide(symbol)

    def on_event(self, event: DomainEvent) -> None:
        if isinstance(event, RiskLimitBreachedEvent):
            if event.strategy_id == self.desk.strategy_id:
                self._answered(event.intent.symbol, event.intent.order_id)
                self._not_entered(event.intent.symbol, event.intent.order_id)
                self._tell_once(event.intent.symbol, event.limit, event.detail)
                self._wait(event.intent.symbol, _PATIENCE)
            return
        symbol: str = getattr(event, "symbol", "")
        if isinstance(event, PositionEvent):
            self._look(symbol)
            if not self._uses_positions:
                return
        elif isinstance(event, _QUOTES):
            if symbol in self._traded and not self._uses_quotes:
                return
        elif isinstance(event, CandleEvent):
            self._traded[symbol] = None
            self._candles.take(event)
        elif isinstance(event, TradeEvent):
            self._traded[symbol] = None
        for affected in self._affected.get(symbol, self._affected[""]):
            self._decide(affected)

    def on_order(self, order: OrderEvent) -> None:
        self._answered(order.symbol, order.order_id)
        rule = self._rules.get(order.symbol)
        is_over = order.status is not None and order.status.is_final
        if rule is None or order.order_id != rule.last_id or not is_over or order.filled:
            return
        self._not_entered(order.symbol, order.order_id)
        rule.failures += 1
        self._wait(order.symbol, min(_PATIENCE << min(rule.failures - 1, 6), _LONGEST_PATIENCE))
        if rule.failures == 1:
            why = getattr(order, "reason", "")
            self.notify(
                f"{self.desk.strategy_id}: an order in {order.symbol} ended unfilled: {order.status}"
                f"{f' ({why})' if why else ''}; it is tried again after 1, 2, 4 minutes and so on, at most an hour "
                "apart, while its condition holds, without another alert",
                "warning",
            )

    def on_fill(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent) -> None:
        rule = self._rules.get(fill.symbol)
        if rule is None:
            return
        rule.failures = 0
        is_flat = self._held(fill.symbol).is_flat
        if is_flat and fill.side != self.side:
            rule.order_id = ""  # it may have waited for the stop that closed the position
            self._wait(fill.symbol, self._cooldown)
        rule.holds = not is_flat

    # -- decisions -------------------------------------------------------------------------------------------------

    def _decide(self, symbol: str) -> None:
        rule = self._rules[symbol]
        values = partial(self._value, symbol)
        holds = {name: evaluator.evaluate(values) for name, evaluator in rule.evaluators.items()}
        now = self.clock.now()
        if now < rule.not_before or (rule.order_id and now < rule.order_until) or self.open_orders(symbol):
            return
        position = self._look(symbol)
        if now < rule.not_before:
            return
        if position.is_flat:
            if holds["enter"] and rule.may_enter(now // _DAY, self.trades_a_day):
                self._enter(symbol, rule)
        elif holds.get("exit"):
            close = self.sell if position.quantity > 0 else self.buy
            rule.ordered(close(symbol, abs(position.quantity), reason=self._reason("exit", symbol)), now)

    def _look(self, symbol: str) -> PositionView:
        """What the strategy holds now. The cooldown begins if others closed it."""
        position = self._held(symbol)
        rule = self._rules.get(symbol)
        if rule is not None:
            if rule.holds and position.is_flat:  # the venue liquidated it, or an operator flattened it
                self._wait(symbol, self._cooldown)
            rule.holds = not position.is_flat
        return position

    def _enter(self, symbol: str, rule: _Rule) -> None:
        price = self.price(symbol)
        if price is None or price <= 0:
            return
        quantity = self._size(price)
        if quantity <= 0:  # there is no equity
            return
        rule.entries += 1
        rule.entry_day = rule.day
        rule.entry_id = order_id = (self.buy if self.side == Side.BUY else self.sell)(
            symbol,
            quantity,
            stop_loss=_distance(self.stop_loss),
            take_profit=_distance(self.take_profit),
            trailing=_distance(self.trailing),
            reason=self._reason("enter", symbol),
        )
        rule.ordered(order_id, self.clock.now())

    def _size(self, price: Price) -> Quantity:
        """The quantity of an entry at ``price``."""
        if self.quantity:
            return self.quantity
        if self.share:
            return self.equity() * self.share / price
        stop = _distance(self.stop_loss)
        distance = abs(price - stop) if isinstance(stop, Decimal) else price * share_of(self.stop_loss)
        return self.equity() * self.risk / distance if distance else ZERO

    def _answered(self, symbol: str, order_id: str) -> None:
        """The run knows the order, or has refused it."""
        rule = self._rules.get(symbol)
        if rule is not None and rule.order_id == order_id:
            rule.order_id = ""

    def _not_entered(self, symbol: str, order_id: str) -> None:
        """Nothing was filled of the order: if it is an entry, it does not count."""
        rule = self._rules.get(symbol)
        if rule is not None and rule.entry_id == order_id:
            rule.entry_id = ""
            rule.entries -= rule.entry_day == rule.day

    def _tell_once(self, symbol: str, limit: str, detail: str) -> None:
        """Alert of the first order in ``symbol`` that ``limit`` refused: it may be tried again for days."""
        rule = self._rules.get(symbol)
        if rule is not None and limit not in rule.told:
            rule.told[limit] = None
            self.notify(
                f"{self.desk.strategy_id}: risk refused an order in {symbol} ({limit}: {detail}); it is tried again "
                "each minute while its condition holds, without another alert",
                "warning",
            )

    def _reason(self, name: str, symbol: str) -> str:
        """The condition that holds, with the values that it used."""
        condition = self.conditions[name]
        values = describe_values(condition, partial(self._value, symbol))
        return f"{name}: {condition} ({', '.join(f'{one} = {value}' for one, value in values.items())})"

    def _wait(self, symbol: str, ns: int) -> None:
        """Decide nothing in ``symbol`` for ``ns``, then look again."""
        rule = self._rules.get(symbol)
        if rule is not None and ns:
            rule.not_before = max(rule.not_before, self.clock.now() + ns)
            self.set_timer("look again", ns)

    def _set_timer(self) -> None:
        """Wake up at the next time of day that a condition names."""
        if self._times:
            now = self.clock.now()
            midnight = now - now % _DAY
            due = next((midnight + time for time in self._times if midnight + time > now), midnight + _DAY)
            self.set_timer(_TIME_OF_DAY, due - now)

    # -- values ----------------------------------------------------------------------------------------------------

    def _held(self, symbol: str) -> PositionView:
        """What the strategy bought itself."""
        return self._inventory.view(self.position(symbol), self.desk.traded(symbol))

    def _value(self, symbol: str, reference: Reference) -> Decimal | None:
        symbol = reference.symbol or symbol
        name = signal_name(reference)
        if name:
            value = self.signal(name, symbol)
            return None if value is None else Decimal(repr(value))
        match reference.function:
            case "price":
                return self.price(symbol)
            case "bid" | "ask":
                level = self.best_bid(symbol) if reference.function == "bid" else self.best_ask(symbol)
                return None if level is None else level[0]
            case "position":
                position = self._held(symbol)
                return ZERO if position.is_flat else position.quantity
            case "profit_pct":
                return profit_percent(self._held(symbol))
            case "pnl":
                return self.desk.profit(self._whose(reference))
            case "pnl_pct":
                return self.desk.profit_percent(self._whose(reference))
            case "equity":
                return self.desk.known_equity()
            case "time":
                return Decimal(self.clock.now() % _DAY)
        return self._candles.value(symbol, reference)

    def _whose(self, reference: Reference) -> str:
        return self.desk.strategy_id if reference.of == "strategy" else reference.of


class _Rule:
    """The state of one symbol."""

    def __init__(self) -> None:
        self.evaluators: dict[str, Evaluator] = {}
        self.not_before = 0
        """It decides nothing before this time (ns UTC)."""
        self.order_id = ""
        """Its order that the run does not know yet: it was just decided, or waits until the order of a stop has ended.
        """
        self.last_id = ""
        """The last order that it decided."""
        self.holds = False
        """It had a position after its last fill."""
        self.order_until = 0
        """It is waited for until then (ns UTC)."""
        self.told: dict[str, None] = {}
        """The limits whose refusal was told."""
        self.day = 0
        self.entries = 0
        """Entries of ``day`` (days since 1970, UTC)."""
        self.entry_id = ""
        self.entry_day = 0
        """The last entry order, and its day."""
        self.failures = 0
        """Orders in a row that the venue ended unfilled."""

    def ordered(self, order_id: str, now: int) -> None:
        self.order_id = self.last_id = order_id
        self.order_until = now + _PATIENCE

    def may_enter(self, day: int, most: int) -> bool:
        if day != self.day:
            self.day, self.entries = day, 0
        return not most or self.entries < most


def _affected(conditions: Iterable[Condition], symbols: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The symbols of the strategy whose conditions an event may change, by the symbol of the event; under ``""``, for
    events of all others."""
    references = [reference for condition in conditions for reference in condition.references]
    everywhere = any(source_of(reference) is Source.ACCOUNT for reference in references)
    named = [reference.symbol for reference in references if reference.symbol]
    affected = {symbol: symbols if everywhere or symbol in named else (symbol,) for symbol in symbols}
    affected |= dict.fromkeys(named, symbols)
    affected[""] = symbols if everywhere else ()
    return {symbol: tuple(of) for symbol, of in affected.items()}


def _distance(text: str) -> Distance | None:
    """A percentage as text, a price as a decimal, ``None`` if there is none."""
    return None if not text else text if text.strip().endswith("%") else Decimal(text)
