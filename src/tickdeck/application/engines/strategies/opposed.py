"""Strategies without code whose stops could not be kept, because others hold the other side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from tickdeck.application.strategies import Rules, Strategy

__all__ = ["opposed"]


def opposed(strategies: Mapping[str, Strategy], account_of: Callable[[str], str], symbols: Sequence[str]) -> list[str]:
    """A line for each pair of ``rules`` that trades a symbol of one account on both sides, where one has a stop or a
    target. An exit order only reduces the position of the account, which may be flat while both hold something.
    ``account_of(strategy_id)`` is the id of an account; ``symbols`` are those of the run."""
    rules = [(strategy_id, one) for strategy_id, one in strategies.items() if isinstance(one, Rules)]
    lines = []
    for (first, one), (second, other) in combinations(rules, 2):
        shared = [symbol for symbol in symbols if one.symbol in ("", symbol) and other.symbol in ("", symbol)]
        has_stop = any(rule.stop_loss or rule.take_profit or rule.trailing for rule in (one, other))
        if shared and has_stop and one.side != other.side and account_of(first) == account_of(second):
            lines.append(
                f"strategies {first} and {second} trade {shared[0]} of one account on opposite sides, so its position "
                "may be flat, and a stop or a target could close nothing; give them different accounts, or neither a "
                "stop_loss, nor a take_profit or trailing"
            )
    return lines
