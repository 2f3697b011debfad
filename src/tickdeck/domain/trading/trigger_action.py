"""What follows when a trigger fires: the part after ``then``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches

from tickdeck.domain.aggregates import ValueObject
from tickdeck.errors import ConfigError, format_value

__all__ = ["NOTIFY", "Action", "parse_action"]

NOTIFY = "notify"
_LONGEST = 500
_AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_USAGE = {
    NOTIFY: "notify [TEXT]",
    "halt": "halt",
    "flatten": "flatten [SYMBOL]",
    "close": "close SYMBOL",
    "cancel": "cancel [SYMBOL]",
    "pause": "pause STRATEGY",
    "activate": "activate STRATEGY",
    "buy": "buy SYMBOL QUANTITY [at PRICE]",
    "sell": "sell SYMBOL QUANTITY [at PRICE]",
}
_STRATEGIES = {"pause": "strategy-pause", "activate": "strategy-activate"}


class Action(ValueObject, frozen=True, kw_only=True):
    """A command to the run with its ``arguments``, as a person could give it. ``command`` is ``notify`` for a message,
    whose argument ``text`` may be empty."""

    command: str
    arguments: dict[str, str] = {}

    @property
    def symbol(self) -> str:
        """The symbol that it names; empty if there is none."""
        return self.arguments.get("symbol", "")

    @property
    def strategy_id(self) -> str:
        """The strategy that it names; empty if there is none."""
        return self.arguments.get("strategy_id", "")


def parse_action(text: str) -> Action:
    """Read ``halt``, ``close BTCUSDT``, ``buy BTCUSDT 0.01 at 60000`` and the like. Raises ``ConfigError``."""
    if len(text) > _LONGEST:
        raise ConfigError(f"the action has {len(text)} characters; at most {_LONGEST} are read")
    name, *given = text.split()[:1] or [""]
    given = text.split()[1:]
    if name not in _USAGE:
        close = get_close_matches(name.lower(), _USAGE, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"give one of: {', '.join(_USAGE.values())}"
        raise ConfigError(f"there is no action {format_value(name)}; {hint}")
    if name == NOTIFY:
        return Action(command=NOTIFY, arguments={"text": " ".join(given)} if given else {})
    if name in ("buy", "sell"):
        return _order(text, name, given)
    fewest, most = _USAGE[name].count(" ") - _USAGE[name].count("["), _USAGE[name].count(" ")
    if not fewest <= len(given) <= most:
        raise _misused(text, name)
    if name in _STRATEGIES:
        return Action(command=_STRATEGIES[name], arguments={"strategy_id": given[0]})
    return Action(command=name, arguments={"symbol": given[0]} if given else {})


def _order(text: str, side: str, given: Sequence[str]) -> Action:
    if len(given) not in (2, 4) or (len(given) == 4 and given[2] != "at"):
        raise _misused(text, side)
    symbol, quantity = given[:2]
    arguments = {"side": side, "symbol": symbol, "quantity": quantity}
    if len(given) == 4:
        arguments["limit"] = given[3]
    for name in ("quantity", "limit"):
        amount = arguments.get(name, "1")
        if not _AMOUNT.fullmatch(amount) or not Decimal(amount):
            raise ConfigError(f"action {format_value(text)}: {name} is {amount!r}; give a decimal number above 0")
    return Action(command="submit", arguments=arguments)


def _misused(text: str, name: str) -> ConfigError:
    return ConfigError(f"action {format_value(text)}: write it as {_USAGE[name]}")
