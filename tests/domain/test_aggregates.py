"""Entities, values, and roots that record what happened."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.domain.aggregates import ValueObject
from tickdeck.domain.trading import Trade
from tickdeck.domain.values import Side


class Point(ValueObject, frozen=True, kw_only=True):
    x: int


def test_entities_are_equal_by_identity_and_values_by_their_fields() -> None:
    assert Trade("a", "1") == Trade("a", "1") != Trade("b", "1")
    assert hash(Trade("a", "1")) == hash(Trade("a", "1"))
    assert Trade("a", "USDT") != BalanceAggregate("a", "USDT")
    assert Point(x=1) == Point(x=1) != Point(x=2)


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Point(x=1).x = 2  # type: ignore[misc]


def test_raised_events_belong_to_the_version_only_once_they_are_saved() -> None:
    trade = Trade("a", "1").create(symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1), limit=None, order_id="o")
    trade.roll_back("too small")

    assert (trade.version, len(trade.get_domain_events())) == (0, 1)
    trade.clear_domain_events()
    assert (trade.version, trade.get_domain_events()) == (1, ())


def test_a_class_without_snapshots_says_so() -> None:
    assert Trade("a", "1").snapshot() is None
    with pytest.raises(NotImplementedError, match="Trade keeps no snapshots"):
        Trade("a", "1").restore(1, b"{}")
