"""The catalogue of events: one line per type."""

from __future__ import annotations

from typing import ClassVar

from application_kit import Ping

from tickdeck.application.catalogue import catalogue
from tickdeck.domain.events import DomainEvent, event_types


class Undocumented(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.undocumented"


def test_every_registered_type_is_there_once_with_class_group_and_line() -> None:
    entries = {entry.event_type: entry for entry in catalogue()}

    assert sorted(entries) == event_types()
    halted = entries["trading.halted"]
    assert (halted.event_class, halted.group) == ("TradingHalted", "risk")
    assert halted.line.startswith("No new orders are sent from now on. Emitted by ")
    assert "\n" not in halted.line


def test_users_types_come_last_with_their_module_and_an_empty_line_without_docstring() -> None:
    entries = catalogue()
    ours = [entry.event_type for entry in entries if entry.group in ("market", "system")]
    mine = {entry.event_type: entry for entry in entries}

    assert mine[Ping.event_type].group == Ping.__module__
    assert mine["test.undocumented"].line == ""
    order = [entry.event_type for entry in entries]
    assert order.index(Ping.event_type) > max(map(order.index, ours))
