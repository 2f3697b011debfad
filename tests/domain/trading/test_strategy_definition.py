"""The definition of a strategy: its life cycle as a state machine, and its fold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tickdeck.domain.trading import STRATEGY_TRANSITIONS, PausedStrategies, StrategyDefinition, StrategyStatus
from tickdeck.domain.values import StrategyRole
from tickdeck.errors import InvalidTransition


def test_it_says_what_a_strategy_is_and_who_created_it() -> None:
    definition = StrategyDefinition("dip-2", "dip", StrategyRole.EXIT)

    created = definition.create("Rules", "command", {"enter": "price > 1"})
    definition.activate("the run begins")
    definition.update({"enter": "price > 2", "exit": "price < 1"}, "better")

    assert (created.stream, created.name, created.role) == ("strategy/dip-2", "dip", "exit")
    assert definition.parameters == {"enter": "price > 2", "exit": "price < 1"}
    assert (definition.strategy_type, definition.created_by, definition.status) == ("Rules", "command", "active")


class Life(RuleBasedStateMachine):
    """Any sequence of requests: the table decides, and the state is the fold of the events."""

    def __init__(self) -> None:
        super().__init__()
        self.definition = StrategyDefinition("any", "any")

    def attempt(self, request: Callable[[], object], wanted: StrategyStatus) -> None:
        before = self.definition.status
        if wanted in STRATEGY_TRANSITIONS[before]:
            request()
            assert self.definition.status is wanted
        else:
            refused = f"strategy any is {before}; it cannot be(come {wanted}| updated)"
            with pytest.raises(InvalidTransition, match=refused):
                request()
            assert self.definition.status is before

    @rule()
    def create(self) -> None:
        self.attempt(lambda: self.definition.create("Any", "command", {"a": "1"}), StrategyStatus.CREATED)

    @rule()
    def activate(self) -> None:
        self.attempt(lambda: self.definition.activate("go"), StrategyStatus.ACTIVE)

    @rule()
    def pause(self) -> None:
        self.attempt(lambda: self.definition.pause("wait"), StrategyStatus.PAUSED)

    @rule(value=st.sampled_from("12"))
    def update(self, value: str) -> None:
        self.attempt(lambda: self.definition.update({"a": value}, ""), self.definition.status)

    @rule()
    def delete(self) -> None:
        self.attempt(lambda: self.definition.delete("bye"), StrategyStatus.DELETED)

    @invariant()
    def is_the_fold_of_its_events(self) -> None:
        events = self.definition.get_domain_events()
        folded = StrategyDefinition("any", "any").load(events)
        names = ("name", "role", "status", "strategy_type", "created_by", "parameters", "reason")
        assert [getattr(folded, name) for name in names] == [getattr(self.definition, name) for name in names]
        assert (self.definition.status is StrategyStatus.PAUSED) == ("any" in PausedStrategies.fold(events))


TestLife = Life.TestCase
