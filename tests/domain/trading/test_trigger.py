"""The life of a trigger, step by step and as a state machine, and the actions that may follow."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickdeck.domain.events import TriggerEvaluated, TriggerEvent, TriggerFired
from tickdeck.domain.trading import TRIGGER_TRANSITIONS, Trigger, TriggerSettings, TriggerStatus, parse_action
from tickdeck.errors import ConfigError, InvalidTransition

LEVEL = TriggerSettings(when="price > 100", then="halt")
EACH = TriggerSettings(when="price > 100", then="notify", once=False, every=10)


def created(settings: TriggerSettings = LEVEL) -> Trigger:
    trigger = Trigger("level")
    trigger.create(settings, "command")
    return trigger


def test_it_fires_once() -> None:
    trigger = created()
    assert trigger.holds is None

    assert isinstance(trigger.observe(False, {}, 1), TriggerEvaluated)
    fired = trigger.observe(True, {"price": "101"}, 2)

    assert isinstance(fired, TriggerFired)
    assert (fired.when, fired.then, fired.number, fired.values) == ("price > 100", "halt", 1, {"price": "101"})
    assert trigger.status is TriggerStatus.FIRED
    with pytest.raises(InvalidTransition, match="trigger level is fired; only an active one is evaluated"):
        trigger.observe(False, {}, 3)


def test_it_fires_each_time_that_the_condition_begins_to_hold() -> None:
    trigger = created(EACH)

    steps = [trigger.observe(holds, {}, now) for holds, now in [(True, 1), (True, 2), (False, 3), (True, 20)]]

    assert [type(step) for step in steps] == [TriggerFired, type(None), TriggerEvaluated, TriggerFired]
    assert trigger.fired == 2
    assert trigger.is_active


def test_it_waits_between_two_firings() -> None:
    trigger = created(EACH)

    steps = [
        trigger.observe(holds, {}, now) for holds, now in [(True, 1), (False, 2), (True, 10), (False, 10), (True, 11)]
    ]

    assert [isinstance(step, TriggerFired) for step in steps] == [True, False, False, False, True]


def test_an_update_begins_anew() -> None:
    trigger = created()
    trigger.observe(True, {}, 1)

    trigger.update(EACH, "more often")

    assert (trigger.status, trigger.holds, trigger.fired) == (TriggerStatus.ACTIVE, None, 0)
    assert trigger.created_by == "command"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"when": "price > ", "then": "halt"}, "column 9"),
        ({"when": "price > 1", "then": "hlt"}, "there is no action 'hlt'; did you mean 'halt'?"),
        ({"when": "price > 1", "then": "halt", "every": 5}, "every is the least time between two firings"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("?", r"\?")):
        TriggerSettings(**settings)  # type: ignore[arg-type]


def test_a_mistake_in_the_condition_has_its_column() -> None:
    with pytest.raises(ConfigError, match="when: condition 'price >', column 8: "):
        TriggerSettings(when="price >", then="halt")


# -- actions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "command", "arguments"),
    [
        ("notify", "notify", {}),
        ("notify the level is broken", "notify", {"text": "the level is broken"}),
        ("halt", "halt", {}),
        ("flatten", "flatten", {}),
        ("flatten BTCUSDT", "flatten", {"symbol": "BTCUSDT"}),
        ("close BTC-PERP", "close", {"symbol": "BTC-PERP"}),
        ("pause ema-cross-2", "strategy-pause", {"strategy_id": "ema-cross-2"}),
        ("activate dip", "strategy-activate", {"strategy_id": "dip"}),
        ("buy BTCUSDT 0.01", "submit", {"side": "buy", "symbol": "BTCUSDT", "quantity": "0.01"}),
        ("sell B 1 at 2.5", "submit", {"side": "sell", "symbol": "B", "quantity": "1", "limit": "2.5"}),
    ],
)
def test_an_action_is_a_command(text: str, command: str, arguments: dict[str, str]) -> None:
    action = parse_action(text)

    assert (action.command, action.arguments) == (command, arguments)
    assert action.symbol == arguments.get("symbol", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no action ''; give one of: notify"),
        ("Halt", "did you mean 'halt'"),
        ("halt now", "action 'halt now': write it as halt"),
        ("close", "action 'close': write it as close SYMBOL"),
        ("buy BTCUSDT", r"write it as buy SYMBOL QUANTITY \[at PRICE\]"),
        ("buy BTCUSDT 1 2 3", r"write it as buy SYMBOL QUANTITY \[at PRICE\]"),
        ("buy BTCUSDT -1", "quantity is '-1'; give a decimal number above 0"),
        ("buy BTCUSDT 0", "quantity is '0'"),
        ("buy BTCUSDT 1e5", "quantity is '1e5'"),
        ("buy BTCUSDT 1 at x", "limit is 'x'"),
        ("notify " + "x" * 600, "the action has 607 characters; at most 500 are read"),
    ],
)
def test_a_mistake_in_an_action_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_action(text)


# -- any life -----------------------------------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """Any sequence of requests. The state is the fold of the events, and follows the table."""

    def __init__(self) -> None:
        super().__init__()
        self.trigger = Trigger("any")
        self.now = 0
        self.before = TriggerStatus.NEW

    def attempt(self, request: object, *, wanted: TriggerStatus) -> None:
        """Make the request; it succeeds if and only if the table has the step."""
        self.before = self.trigger.status
        known = len(self.trigger.get_domain_events())
        if wanted in TRIGGER_TRANSITIONS[self.before]:
            request()  # type: ignore[operator]
        else:
            with pytest.raises(InvalidTransition):
                request()  # type: ignore[operator]
            assert len(self.trigger.get_domain_events()) == known

    @precondition(lambda self: self.trigger.status is TriggerStatus.NEW)
    @rule(settings=st.sampled_from([LEVEL, EACH]))
    def create(self, settings: TriggerSettings) -> None:
        self.attempt(lambda: self.trigger.create(settings, "command"), wanted=TriggerStatus.ACTIVE)

    @precondition(lambda self: self.trigger.status is not TriggerStatus.NEW)
    @rule(settings=st.sampled_from([LEVEL, EACH]))
    def update(self, settings: TriggerSettings) -> None:
        self.attempt(lambda: self.trigger.update(settings, ""), wanted=TriggerStatus.ACTIVE)

    @precondition(lambda self: self.trigger.is_active)
    @rule(holds=st.booleans(), later=st.integers(0, 20))
    def observe(self, holds: bool, later: int) -> None:
        self.now += later
        held, fired, last = self.trigger.holds, self.trigger.fired, self.trigger.fired_ts
        event = self.trigger.observe(holds, {}, self.now)
        assert (event is None) is (held is holds)
        if isinstance(event, TriggerFired):
            assert holds
            assert not held
            assert not fired or self.now - last >= EACH.every
        self.before = TriggerStatus.ACTIVE

    @rule()
    def expire(self) -> None:
        self.attempt(self.trigger.expire, wanted=TriggerStatus.EXPIRED)

    @rule()
    def delete(self) -> None:
        self.attempt(lambda: self.trigger.delete(""), wanted=TriggerStatus.DELETED)

    @invariant()
    def follows_the_table(self) -> None:
        status = self.trigger.status
        assert status is self.before or status in TRIGGER_TRANSITIONS[self.before]

    @invariant()
    def is_the_fold_of_its_events(self) -> None:
        events = self.trigger.get_domain_events()
        folded = Trigger("any").load(events)
        names = ("status", "settings", "created_by", "holds", "fired", "fired_ts")
        assert [getattr(folded, name) for name in names] == [getattr(self.trigger, name) for name in names]
        assert all(isinstance(event, TriggerEvent) and event.stream == "trigger/any" for event in events)


TestLife = Life.TestCase
