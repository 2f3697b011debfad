"""A strategy without code: conditions say when it enters and exits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

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
from tickdeck.application.strategies.desk import PositionView
from tickdeck.application.strategies.inventory import own_position
from tickdeck.application.strategies.rule_distances import AtrDistance, offset_of, read_distances
from tickdeck.application.strategies.rule_state import PATIENCE, RuleState, affected_symbols
from tickdeck.application.strategies.rules_parameters import RulesParameters
from tickdeck.application.units import duration_ns, share_of
from tickdeck.application.wording import not_a_symbol
from tickdeck.domain.conditions import (
    FUNCTIONS,
    Condition,
    Evaluator,
    Reference,
    Source,
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
from tickdeck.domain.trading import Distance
from tickdeck.domain.values import ZERO, Price, Quantity, Side, plain
from tickdeck.errors import ConfigError

__all__ = ["Rules"]

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_LONGEST_PATIENCE = 3_600 * _SECOND
_TIME_OF_DAY = "time of day"  # the name of a timer
_LEAST_AMOUNT = {"stop_loss": Decimal("0.1"), "take_profit": Decimal("0.1"), "trailing": Decimal("0.0001")}
"""Of the price: what is less was meant as a percentage."""
_QUOTES = (TickEvent, OrderBookEvent, OrderBookDeltaEvent)


class Rules(RulesParameters):
    """Enters when ``enter`` holds and it has no position and no open order, and exits at market when ``exit`` holds.
    Never sells coins that it did not buy. See ``docs/triggers.md``.

    - ``symbol``: what it trades; empty: each symbol of the run by itself.
    - ``side``: ``buy``, or ``sell`` to sell short.
    - The size of an entry is one of: ``quantity`` (base); ``share`` of the equity; ``risk``, the share of the equity
      that the stop may lose.
    - ``stop_loss``, ``take_profit``, ``trailing``: where what it bought is closed, as in ``buy``: a percentage such as
      ``2%``, a price, or a multiple of an average true range such as ``2 atr(14, 1h)``, from the price at the decision.
    - ``order``: how it enters, at ``market`` or with a ``limit`` that is better than the price by ``offset`` (``0.1%``,
      or an amount in quote). What is not filled after ``expiry`` is cancelled; without it, it rests until it is filled.
    - ``cooldown``: how long it waits after an exit, such as ``10m``. ``trades_a_day``: how many entries a day (UTC) may
      have; 0: any number.
    - ``role``: ``entry``, ``exit`` or ``management``, for its events.
    """

    def __init__(self, **parameters: Any) -> None:
        # All attributes are set here, also those that only matter later: CPython has a fast place for at most 29 of
        # them, and fewer if many objects of the class were made before the names were known.
        self._rules: dict[str, RuleState] = {}
        """By symbol; empty before the start."""
        self._begun_as = self.symbol, self.side, self.role
        self._traded: dict[str, None] = {}
        """The symbols whose price is that of a trade or a candle."""
        self._candles = LastCandles()
        self._timer = 0, 0
        """The timer for a time of day: when it fires (ns UTC), and its id."""
        self._affected: dict[str, tuple[str, ...]] = {}
        self._uses = False, False
        """Whether the conditions use quotes or books, and the position."""
        self._times: list[int] = []
        self._distances: dict[str, AtrDistance] = {}
        self.conditions: dict[str, Condition] = {}
        """The conditions by their parameter."""
        self._cooldown = 0
        super().__init__(**parameters)

    def check_parameters(self) -> None:
        conditions = self._check()
        if self._rules and (self.symbol, self.side, self.role) != self._begun_as:
            raise ConfigError("symbol, side and role stay while it runs; delete the strategy, and create another")
        self._distances = read_distances(self._protection())
        self.conditions = conditions
        self._cooldown = duration_ns(self.cooldown, zero=True) if self.cooldown else 0
        if self._rules:  # they are changed while it runs
            self._use_conditions()

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
        """The values that its conditions and distances name."""
        named = [reference for condition in self.conditions.values() for reference in condition.references]
        return named + [distance.reference for distance in self._distances.values()]

    def without_value(self) -> list[str]:
        """The indicators and candles of its conditions that have no value now; with several symbols, of which one."""
        return [
            text + (f" of {symbol}" if len(self._rules) > 1 else "")
            for symbol in self._rules
            for text in without_value(self.references(), partial(self._value, symbol))
        ]

    def required_signals(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, map(signal_name, self.references()))))

    def required_events(self) -> tuple[type[DomainEvent], ...]:
        events = events_of(self.conditions.values())
        if TradeEvent not in events and CandleEvent not in events:  # such as `position == 0`: an entry needs a price
            events += tuple(kind for kind in INPUTS[Source.PRICE] if kind not in events)
        if PositionEvent not in events:
            events += (PositionEvent,)
        return (*events, RiskLimitBreachedEvent)

    # -- events ----------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        self._rules = {symbol: RuleState() for symbol in ((self.symbol,) if self.symbol else self.symbols)}
        self._begun_as = self.symbol, self.side, self.role
        self._traded = {}
        self._candles = LastCandles()
        self._timer = 0, 0
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
        self._affected = affected_symbols(conditions.values(), tuple(self._rules))
        self._candles.timeframes = timeframes_in(conditions.values())
        sources = [source_of(reference) for condition in conditions.values() for reference in condition.references]
        uses_quotes = Source.QUOTES in sources or Source.BOOK in sources
        self._uses = uses_quotes, PositionEvent in events_of(conditions.values())
        self._times = sorted({time for condition in conditions.values() for time in condition.times})

    def on_activated(self) -> None:
        if not self._rules:
            self.on_start()  # it was created while the run worked
        self._look_again()

    def on_updated(self) -> None:
        self._look_again()

    def _look_again(self) -> None:
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
                self._tell_once(
                    event.intent.symbol,
                    event.limit,
                    f"risk refused an order in {event.intent.symbol} ({event.limit}: {event.detail}); it is tried "
                    "again each minute while its condition holds",
                )
                self._wait(event.intent.symbol, PATIENCE)
            return
        symbol: str = getattr(event, "symbol", "")
        if isinstance(event, PositionEvent):
            self._look(symbol)
            if not self._uses[1]:
                return
        elif isinstance(event, _QUOTES):
            if symbol in self._traded and not self._uses[0]:
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
        if order.order_id == rule.withdrawn:
            return
        rule.failures += 1
        self._wait(order.symbol, min(PATIENCE << min(rule.failures - 1, 6), _LONGEST_PATIENCE))
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
        position = self._look(symbol)
        if working := self.open_orders(symbol):
            is_over = bool(rule.expires and now >= rule.expires)
            if rule.entry_id in working and (is_over or (holds.get("exit") and not position.is_flat)):
                self._withdraw(rule, "exit: it holds" if not is_over else f"not filled within {self.expiry}")
            return
        if rule.order_id and now < rule.order_until:
            return
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

    def _enter(self, symbol: str, rule: RuleState) -> None:
        price = self.price(symbol)
        if price is None or price <= 0:
            return
        limit = None
        if self.order == "limit":
            offset = offset_of(self.offset, price)
            limit = price = price - offset if self.side == Side.BUY else price + offset
            if limit <= 0:
                self._tell_once(
                    symbol, "offset", f"no entry in {symbol}: its limit would be {plain(limit)}; it is tried again"
                )
                return
        terms = self._closing(symbol, price)
        if terms is None:
            return
        quantity = self._size(price, terms.get("stop_loss"))
        if quantity <= 0:  # there is no equity
            return
        rule.entries += 1
        rule.entry_day = rule.day
        enter = self.buy if self.side == Side.BUY else self.sell
        rule.entry_id = order_id = enter(
            symbol,
            quantity,
            limit,
            terms.get("stop_loss"),
            terms.get("take_profit"),
            terms.get("trailing"),
            reason=self._reason("enter", symbol),
        )
        now = self.clock.now()
        rule.ordered(order_id, now)
        rule.expires = 0
        if self.expiry:
            delay = duration_ns(self.expiry)
            rule.expires = now + delay
            self.set_timer("look again", delay)

    def _closing(self, symbol: str, price: Price) -> dict[str, Distance] | None:
        """Where a position that is entered at ``price`` (quote) is closed. ``None`` while an average true range that it
        needs is unknown, 0, or more than the price."""
        terms: dict[str, Distance] = {}
        for name, text in self._protection().items():
            distance = self._distances.get(name)
            if distance is None:
                given: Distance = text if text.strip().endswith("%") else Decimal(text.strip())
                if isinstance(given, Decimal) and given < price * _LEAST_AMOUNT[name]:
                    kind = "amount" if name == "trailing" else "price"
                    self._tell_once(
                        symbol,
                        name,
                        f"no entry in {symbol}: its {name} is the {kind} {plain(given)}, at a price of "
                        f"{plain(price)}; a percentage is written as {plain(given)}%; it is tried again",
                    )
                    return None
                terms[name] = given
                continue
            value = self._value(symbol, distance.reference)
            if not value or value < 0:
                return None
            away = distance.multiple * value
            if name == "trailing":
                terms[name] = away
                continue
            at = price - away if (name == "stop_loss") is (self.side == Side.BUY) else price + away
            if at <= 0:
                self._tell_once(
                    symbol, name, f"no entry in {symbol}: its {name} would be {plain(at)}; it is tried again"
                )
                return None
            terms[name] = at
        return terms

    def _withdraw(self, rule: RuleState, reason: str) -> None:
        """Cancel what is left of the entry."""
        if rule.withdrawn != rule.entry_id:
            rule.withdrawn = rule.entry_id
            self.cancel(rule.entry_id, reason)

    def _size(self, price: Price, stop: Distance | None) -> Quantity:
        """The quantity of an entry at ``price`` with this stop."""
        if self.quantity:
            return self.quantity
        if self.share:
            return self.equity() * self.share / price
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

    def _tell_once(self, symbol: str, what: str, text: str) -> None:
        """Alert of the first time that ``what`` stops an order in ``symbol``: it may do so for days."""
        rule = self._rules.get(symbol)
        if rule is not None and what not in rule.told:
            rule.told[what] = None
            self.notify(f"{self.desk.strategy_id}: {text}, without another alert", "warning")

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
        now = self.clock.now()
        midnight = now - now % _DAY
        due = next((midnight + time for time in self._times if midnight + time > now), midnight + _DAY)
        due = due if self._times else 0
        before, timer_id = self._timer
        if due == before:
            return  # it is set already: a pause ends no timer
        if before > now:  # for a time that no condition names any more
            self.cancel_timer(timer_id)
        self._timer = (due, self.set_timer(_TIME_OF_DAY, due - now)) if due else (0, 0)

    # -- values ----------------------------------------------------------------------------------------------------

    def _held(self, symbol: str) -> PositionView:
        """The strategy's own position."""
        return own_position(self.position(symbol), self.desk.owned(symbol), long_only=self.side == Side.BUY)

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
