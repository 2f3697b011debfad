"""What a strategy without code remembers of each symbol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tickdeck.application.strategies.condition_inputs import source_of
from tickdeck.domain.conditions import Condition, Evaluator, Source

__all__ = ["PATIENCE", "RuleState", "affected_symbols"]

PATIENCE = 60_000_000_000
"""ns until an order that was refused is tried again."""


class RuleState:
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
        self.expires = 0
        """When what is left of it is cancelled (ns UTC); 0: never."""
        self.withdrawn = ""
        """The entry order whose rest it cancelled."""
        self.failures = 0
        """Orders in a row that the venue ended unfilled."""

    def ordered(self, order_id: str, now: int) -> None:
        self.order_id = self.last_id = order_id
        self.order_until = now + PATIENCE

    def may_enter(self, day: int, most: int) -> bool:
        if day != self.day:
            self.day, self.entries = day, 0
        return not most or self.entries < most


def affected_symbols(conditions: Iterable[Condition], symbols: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The symbols of the strategy whose conditions an event may change, by the symbol of the event; under ``""``, for
    events of all others."""
    references = [reference for condition in conditions for reference in condition.references]
    everywhere = any(source_of(reference) is Source.ACCOUNT for reference in references)
    named = [reference.symbol for reference in references if reference.symbol]
    affected = {symbol: symbols if everywhere or symbol in named else (symbol,) for symbol in symbols}
    affected |= dict.fromkeys(named, symbols)
    affected[""] = symbols if everywhere else ()
    return {symbol: tuple(of) for symbol, of in affected.items()}
