"""The trigger engine: watches conditions, and has commands follow when they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial

import msgspec

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.candle_plan import CandlePlan
from tickdeck.application.engines.condition_values import ConditionValues
from tickdeck.application.engines.signals import SignalEngine
from tickdeck.application.engines.strategies import check_id
from tickdeck.application.engines.trigger_inputs import TOPICS, TriggerInputs
from tickdeck.application.engines.trigger_refusals import TriggerRefusals
from tickdeck.application.engines.trigger_values import WatchedTrigger
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.application.strategies import describe_values, source_of, timeframes_in, without_value
from tickdeck.application.units import duration_ns, iso_time, moment_ns
from tickdeck.application.wording import not_a_symbol
from tickdeck.domain.conditions import FUNCTIONS, Reference, Source, check_condition, parse_condition, signal_name
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    RiskLimitBreachedEvent,
    RunStarted,
    SystemWarning,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TriggerCreated,
    TriggerDeleted,
    TriggerEvaluated,
    TriggerEvent,
    TriggerExpired,
    TriggerFired,
    TriggerSet,
    TriggerUpdated,
)
from tickdeck.domain.trading import NOTIFY, Trigger, TriggerSettings, parse_action
from tickdeck.errors import ConfigError

__all__ = ["TriggerEngine", "TriggerWish"]

_OWNER = "engine/trigger"  # owner of its timers; no strategy can have this name
_TIME_OF_DAY = "time of day"  # the name of a timer; the others are ids of triggers, which have no blanks
_DAY = 86_400_000_000_000
_FLAGS = {"true": True, "false": False}


class TriggerWish(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger as a person asks for it. ``every`` is a duration, ``expires`` a time or a duration from now on; both
    may be empty."""

    name: str
    when: str
    then: str
    once: bool = True
    every: str = ""
    expires: str = ""
    account: str = ""

    def settings(self, now: int) -> TriggerSettings:
        """What it means at ``now`` (ns UTC). Raises ``ConfigError`` for all mistakes."""
        times = {"every": 0, "expires": 0}
        mistakes: list[str] = []
        try:
            times["every"] = duration_ns(self.every, zero=True) if self.every else 0
        except ConfigError as error:
            mistakes.append(f"every: {error}")
        try:
            times["expires"] = moment_ns(self.expires, now) if self.expires else 0
        except ConfigError as error:
            mistakes.append(f"expires: {error}")
        try:
            settings = TriggerSettings(when=self.when, then=self.then, once=self.once, account=self.account, **times)
        except ConfigError as error:
            raise ConfigError.of([*error.lines, *mistakes]) from None
        if mistakes:
            raise ConfigError.of(mistakes)
        return settings

    def check_meaning(self) -> None:
        """Raise ``ConfigError`` if the condition can be read, but holds always or never. A record is not checked."""
        try:
            check_condition(self.when)
        except ConfigError as error:
            raise ConfigError(f"when: {error}") from None


class TriggerEngine:
    """Evaluates each trigger at the events that can change its condition. Without triggers it receives none of them.

    What follows when a trigger fires is a command, which the engines carry out as if a person had sent it; its cause is
    ``trigger.fired``. The commands ``trigger-create`` and ``trigger-update`` have the arguments ``trigger_id``,
    ``when``, ``then``, ``once`` (``true`` or ``false``), ``every`` and ``expires``; ``trigger-delete`` has
    ``trigger_id``. A command that cannot be carried out changes nothing and causes a ``system.warning``; if it follows
    a trigger, there is an alert.
    """

    component = "trigger"
    hears = (
        RunStarted,
        CommandReceived,
        TriggerFired,
        TimerFired,
        SystemWarning,
        RiskLimitBreachedEvent,
        *TOPICS,
    )
    publishes = (
        TriggerCreated,
        TriggerUpdated,
        TriggerEvaluated,
        TriggerFired,
        TriggerExpired,
        TriggerDeleted,
        CommandReceived,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        kernel: Kernel,
        values: ConditionValues,
        signals: SignalEngine,
        *,
        symbols: tuple[str, ...],
        candles: CandlePlan,
        strategies: Callable[[], Iterable[str]],
        accounts: tuple[str, ...] = (),
        wishes: Iterable[TriggerWish] = (),
    ) -> None:
        """``wishes``: the triggers of the configuration. ``strategies()``: the ids of the run's strategies.
        ``accounts``: the run's accounts, if it has several."""
        self._kernel = kernel
        self._values = values
        self._signals = signals
        self._symbols = symbols
        self._candles = candles
        self._strategies = strategies
        self._accounts = accounts
        self._wishes = tuple(wishes)
        self.triggers: dict[str, Trigger] = {}
        """The triggers by their id, without the deleted ones."""
        self._watched: dict[str, WatchedTrigger] = {}  # the active ones
        self._inputs = TriggerInputs(kernel, values, symbols, self.component, self._look)
        self._timers: dict[str, tuple[int, int]] = {}  # (timer id, due) by name
        self._commands: dict[str, Callable[[str, CommandReceived], None]] = {
            "trigger-create": self._create,
            "trigger-update": self._update,
            "trigger-delete": self._delete,
        }
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        kernel.subscribe(RunStarted, self.on_started, **own)
        kernel.subscribe(CommandReceived, self.on_command, **own)
        kernel.subscribe(TriggerFired, self.on_fired, **own)
        kernel.subscribe(
            TimerFired,
            self.on_timer,
            where=lambda timer: timer.owner == _OWNER,
            priority=PRIORITY[self.component],
            component=self.component,
        )
        self._refusals = TriggerRefusals(kernel, _OWNER, self.component)

    # -- life --------------------------------------------------------------------------------------------------------

    def check_wishes(self) -> None:
        """Raise ``ConfigError`` for the triggers of the configuration that this run cannot have."""
        mistakes: list[str] = []
        for wish in self._wishes:
            try:
                self._check(wish.settings(0))
            except ConfigError as error:
                mistakes += [f"trigger {wish.name}: {mistake}" for mistake in error.lines]
        if mistakes:
            raise ConfigError.of(mistakes)

    def on_started(self, started: RunStarted) -> None:
        for wish in self._wishes:
            trigger = self.triggers[wish.name] = Trigger(wish.name, in_run=True)
            settings = wish.settings(started.ts_ingress)
            self._kernel.publish(trigger.create(settings, "configuration"))
            if settings.expires and settings.expires <= started.ts_ingress:
                self._kernel.publish(trigger.expire())
        self._follow()
        self._look(list(self._watched.values()))

    def on_command(self, command: CommandReceived) -> None:
        carry_out = self._commands.get(command.command)
        if carry_out is None:
            return
        try:
            carry_out(command.arguments.get("trigger_id", ""), command)
        except ConfigError as error:
            self._warn(f"{command.command}: {error}")

    def on_fired(self, fired: TriggerFired) -> None:
        """Have the action follow."""
        self._refusals.on_fired(fired)
        action = parse_action(fired.then)
        values = ", ".join(f"{name} = {value}" for name, value in fired.values.items())
        what = f"trigger {fired.trigger_id}: {fired.when} ({values})"
        arguments = dict(action.arguments)
        if fired.account and not action.strategy_id:
            arguments["account"] = fired.account
        if action.command == NOTIFY:
            self._kernel.publish(NotificationAlert(text=action.arguments.get("text") or what, source=_OWNER))
        else:
            self._kernel.publish(
                CommandReceived(command=action.command, arguments=arguments, reason=what, source=_OWNER)
            )

    def on_timer(self, timer: TimerFired) -> None:
        self._timers.pop(timer.name, None)
        if timer.name == _TIME_OF_DAY:
            self._set_time_of_day()
            several = [watched for watched in self._watched.values() if watched.times]
            self._look(several)
            for watched in several:
                watched.look_again()
        elif timer.name in self._watched:
            self._kernel.publish(self.triggers[timer.name].expire())
            self._follow()

    def _create(self, trigger_id: str, command: CommandReceived) -> None:
        check_id(trigger_id)
        if trigger_id in self.triggers:
            raise ConfigError(f"there is a trigger {trigger_id!r} already; update or delete it")
        settings = self._settings(command, None)
        trigger = self.triggers[trigger_id] = Trigger(trigger_id, in_run=True)
        self._kernel.publish(trigger.create(settings, "command"))
        self._restart(trigger_id)

    def _update(self, trigger_id: str, command: CommandReceived) -> None:
        trigger = self._known(trigger_id)
        settings = self._settings(command, trigger.settings)
        self._kernel.publish(trigger.update(settings, command.reason or "asked for by a command"))
        self._refusals.on_changed(trigger_id)
        self._restart(trigger_id)

    def _delete(self, trigger_id: str, command: CommandReceived) -> None:
        trigger = self._known(trigger_id)
        self._kernel.publish(trigger.delete(command.reason or "asked for by a command"))
        del self.triggers[trigger_id]
        self._refusals.on_changed(trigger_id)
        self._watched.pop(trigger_id, None)
        self._follow()

    def _restart(self, trigger_id: str) -> None:
        self._watched.pop(trigger_id, None)
        self._follow()
        self._look([self._watched[trigger_id]])

    def _known(self, trigger_id: str) -> Trigger:
        if trigger_id not in self.triggers:
            there_is = ", ".join(self.triggers) or "none"
            raise ConfigError(f"this run has no trigger {trigger_id!r}; it has: {there_is}")
        return self.triggers[trigger_id]

    def _settings(self, command: CommandReceived, before: TriggerSettings | None) -> TriggerSettings:
        """The settings that a command asks for; what it leaves out is as ``before``."""
        given = {name: value for name, value in command.arguments.items() if name != "trigger_id"}
        known = ("when", "then", "once", "every", "expires", "account")
        for name in given:
            if name not in known:
                raise ConfigError(f"there is no argument {name!r}; give {', '.join(known)}")
        once = given.get("once", "true" if before is None or before.once else "false")
        if once not in _FLAGS:
            raise ConfigError(f"once is {once!r}; give true or false")
        missing = [name for name in ("when", "then") if before is None and not given.get(name)]
        if missing:
            raise ConfigError(f"there is no {' and no '.join(missing)}; give it")
        wish = TriggerWish(
            name="",
            when=given.get("when") or (before.when if before is not None else ""),
            then=given.get("then") or (before.then if before is not None else ""),
            once=_FLAGS[once],
            every=given.get("every", ""),
            expires=given.get("expires", ""),
            account=given.get("account") or (before.account if before is not None else ""),
        )
        settings = wish.settings(self._kernel.clock.now())
        if before is not None:
            kept = {name: getattr(before, name) for name in ("every", "expires") if name not in given}
            kept = kept if not settings.once else kept | {"every": 0}
            settings = msgspec.structs.replace(settings, **kept)
        if settings.expires and settings.expires <= self._kernel.clock.now():
            when = repr(given["expires"]) if "expires" in given else iso_time(settings.expires)
            raise ConfigError(f"expires is {when}, which is over; give a later time")
        self._check(settings)
        return settings

    def _check(self, settings: TriggerSettings) -> None:
        """Raise ``ConfigError`` for all that this run does not have."""
        condition, action = parse_condition(settings.when), parse_action(settings.then)
        mistakes: list[str] = []
        if not condition.references:
            mistakes.append(f"when: {condition}: nothing in it ever changes; name a value such as price")
        for reference in condition.references:
            mistakes += [f"when: {mistake}" for mistake in self._why_unknown(reference)]
        try:
            self._candles.check(timeframes_in((condition,)))
        except ConfigError as error:
            mistakes.append(f"when: {error}")
        if action.symbol and action.symbol not in self._symbols:
            mistakes.append(f"then: {not_a_symbol(action.symbol, self._symbols)}")
        if action.strategy_id:
            mistakes += [f"then: {mistake}" for mistake in self._why_no_strategy(action.strategy_id)]
        if settings.account and settings.account not in self._accounts:
            there_is = ", ".join(self._accounts) or "one without a name"
            mistakes.append(f"account: this run has no account {settings.account!r}; it has: {there_is}")
        if action.command == "submit" and self._accounts and not settings.account:
            mistakes.append(f"then: the run has several accounts; give account, one of {', '.join(self._accounts)}")
        if mistakes:
            raise ConfigError.of(mistakes)

    def _why_unknown(self, reference: Reference) -> list[str]:
        """Why this run does not have the value of ``reference``."""
        found: list[str] = []
        if FUNCTIONS[reference.function].of == "strategy":
            found += [f"{reference}: {mistake}" for mistake in self._why_no_strategy(reference.of)]
            if not found and not self._values.knows_profits:
                found.append(f"this run does not follow {reference}; name it in the configuration before it starts")
        symbol = reference.symbol
        if symbol and symbol not in self._symbols:
            found.append(f"{reference}: {not_a_symbol(symbol, self._symbols)}")
        if not symbol and len(self._symbols) > 1 and source_of(reference) not in (Source.ACCOUNT, Source.TIME):
            found.append(f"{reference}: this run has several symbols; name one, as in price({self._symbols[0]})")
        try:
            self._signals.check(filter(None, (signal_name(reference),)))
        except ConfigError:
            found.append(f"this run does not compute {reference}; name it in the configuration before it starts")
        return found

    def _why_no_strategy(self, strategy_id: str) -> list[str]:
        known = tuple(self._strategies())
        if strategy_id in known:
            return []
        return [f"this run has no strategy {strategy_id!r}; it has: {', '.join(known) or 'none'}"]

    def _warn(self, message: str) -> None:
        self._kernel.publish(SystemWarning(component=self.component, message=message))

    # -- evaluation --------------------------------------------------------------------------------------------------

    def _look(self, several: list[WatchedTrigger]) -> None:
        """Evaluate triggers in this order, and let those fire that do."""
        before = len(self._watched)
        for watched in several:
            self._look_at(watched)
        if len(self._watched) < before:  # once for all: a thousand may fire at the same event
            self._inputs.watch(self._watched.values())

    def _look_at(self, watched: WatchedTrigger) -> None:
        holds = self._evaluate(watched)
        trigger = self.triggers[watched.trigger_id]
        if holds is None or holds is trigger.holds:
            return
        values = describe_values(watched.condition, self._values_of(watched))
        event = trigger.observe(holds, values, self._kernel.clock.now())
        if event is not None:
            self._kernel.publish(event)
        if not trigger.is_active:
            del self._watched[watched.trigger_id]
            self._set_timer(watched.trigger_id, 0)
            if watched.times:
                self._set_time_of_day()

    def _evaluate(self, watched: WatchedTrigger) -> bool | None:
        holds = watched.evaluator.evaluate(self._values_of(watched))
        if not watched.evaluator.is_settled:
            watched.look_again()
        return holds

    def _values_of(self, watched: WatchedTrigger) -> Callable[[Reference], Decimal | None]:
        return partial(self._values.value, watched.symbol, account=watched.account)

    def without_value(self) -> dict[str, list[str]]:
        """The indicators and candles that have no value now, by active trigger."""
        return {
            name: without_value(watched.references, self._values_of(watched)) for name, watched in self._watched.items()
        }

    # -- what it receives --------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Receive what the active triggers need, and set their timers."""
        self._watch()
        for name in [name for name in self._timers if name not in self._watched and name != _TIME_OF_DAY]:
            self._kernel.cancel_timer(self._timers.pop(name)[0])
        for trigger_id in self._watched:
            settings = self.triggers[trigger_id].settings
            assert settings is not None
            self._set_timer(trigger_id, settings.expires)
        self._set_time_of_day()

    def _watch(self) -> None:
        for trigger_id, trigger in self.triggers.items():
            if not trigger.is_active:
                self._watched.pop(trigger_id, None)
            elif trigger_id not in self._watched and trigger.settings is not None:
                self._watched[trigger_id] = WatchedTrigger(trigger_id, trigger.settings, self._symbols[0])
        self._inputs.watch(self._watched.values())

    def _set_time_of_day(self) -> None:
        """Wake up at the next time of day that a condition names."""
        times = sorted({time for watched in self._watched.values() for time in watched.times})
        now = self._kernel.clock.now()
        _, before = self._timers.get(_TIME_OF_DAY, (0, 0))
        if times and 0 < before <= now:
            return  # a timer of the same time came first; this one is about to fire, and sets the next
        midnight = now - now % _DAY
        due = next((midnight + time for time in times if midnight + time > now), midnight + _DAY)
        self._set_timer(_TIME_OF_DAY, due if times else 0)

    def _set_timer(self, name: str, due: int) -> None:
        """Have the only timer of that name fire at ``due`` (ns UTC; 0: never)."""
        timer_id, before = self._timers.get(name, (0, 0))
        if due == before:
            return
        if before:
            self._kernel.cancel_timer(timer_id)
            del self._timers[name]
        if due:
            self._timers[name] = (self._kernel.set_timer(due, name, _OWNER), due)

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing. Conditions are evaluated for their
        crossings; whether a trigger fired is what the record says."""
        self._refusals.recall(event)
        if isinstance(event, TriggerEvent):
            self._recall_trigger(event)
        elif isinstance(event, TimerSet) and event.owner == _OWNER:
            self._timers[event.name] = (event.timer_id, event.due)
        elif isinstance(event, TimerCancelled | TimerFired):
            self._timers = {name: timer for name, timer in self._timers.items() if timer[0] != event.timer_id}
        elif self._watched:
            for topic in TOPICS:
                if isinstance(event, topic):
                    for watched in self._inputs.changed_by(topic, event):
                        self._evaluate(watched)

    def _recall_trigger(self, event: TriggerEvent) -> None:
        trigger = self.triggers.setdefault(event.trigger_id, Trigger(event.trigger_id, in_run=True))
        trigger.apply(event)
        if isinstance(event, TriggerDeleted):
            del self.triggers[event.trigger_id]
        if isinstance(event, TriggerDeleted | TriggerUpdated):
            self._watched.pop(event.trigger_id, None)
        if not isinstance(event, TriggerEvaluated):
            self._watch()
        watched = self._watched.get(event.trigger_id)
        if isinstance(event, TriggerSet) and watched is not None:
            self._evaluate(watched)
