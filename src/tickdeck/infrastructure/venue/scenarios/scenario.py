"""The format of a scenario file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.faults import Faults, parse_duration

__all__ = ["CARDS", "TRIGGERS", "Check", "Scenario", "Step", "load_scenarios"]

CARDS = Path(__file__).parent / "cards.toml"
"""The acceptance cards that come with the venue."""

TRIGGERS = (
    "start",
    *("place", "cancel", "replace", "amend", "query", "fills", "account", "depth", "rules", "time", "subscribe"),
    *("placed", "filled", "cancelled", "read", "connect", "control"),
)
"""What a step may wait for: the start, a request of a kind before it is executed, a WebSocket that was opened
(``connect``), a message of a market stream's client (``control``), or what happened to an order."""


_LARGEST = Decimal(10) ** 15


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``do`` (an action of the admin address) with ``values``, ``after`` a delay, at the ``nth`` occurrence of
    ``on``.
    """

    do: str
    values: dict[str, Any] = {}
    on: str = "start"
    nth: int = 1
    after: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bound for a figure of the ledger, with the reason."""

    figure: str
    why: str
    equals: str | None = None
    at_most: str | None = None
    at_least: str | None = None

    def holds(self, value: Decimal) -> bool:
        """Whether the figure is within the bounds."""
        return (
            (self.equals is None or value == Decimal(self.equals))
            and (self.at_most is None or value <= Decimal(self.at_most))
            and (self.at_least is None or value >= Decimal(self.at_least))
        )


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario: its start, its steps, and what must be true at the end.

    ``book`` are offers of other traders as [symbol, side, price, quantity].
    """

    name: str
    title: str
    client: str = ""
    """What the client under test must do, in words."""
    symbols: tuple[str, ...] = ("BTCUSDT",)
    deposits: dict[str, str] = msgspec.field(default_factory=lambda: {"USDT": "100000", "BTC": "2"})
    book: tuple[tuple[str, str, str, str], ...] = ()
    faults: str = ""
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    scenario: tuple[Scenario, ...]


def load_scenarios(path: Path) -> dict[str, Scenario]:
    """The scenarios of a file by name. Raises ``ConfigError``, naming file and scenario."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_File).scenario
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name another scenario file") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    scenarios: dict[str, Scenario] = {}
    for scenario in found:
        where = f"{path}: scenario {scenario.name}"
        if scenario.name in scenarios:
            raise ConfigError(f"{where}: the name is used twice; give another")
        try:
            _check(scenario)
        except (ValueError, ArithmeticError, ConfigError) as error:
            raise ConfigError(f"{where}: {error}") from None
        scenarios[scenario.name] = scenario
    return scenarios


def _check(scenario: Scenario) -> None:
    Faults.parse(scenario.faults)
    if not scenario.symbols:
        raise ValueError("symbols is empty; give at least one")
    for asset, amount in scenario.deposits.items():
        _decimal(f"deposits.{asset}", amount)
    for symbol, side, price, quantity in scenario.book:
        if side not in ("BUY", "SELL"):
            raise ValueError(f"book: the side of {symbol} is {side!r}; give BUY or SELL")
        _decimal(f"book: the price of {symbol}", price)
        _decimal(f"book: the quantity of {symbol}", quantity)
    for step in scenario.steps:
        if step.nth < 1:
            raise ValueError(f"a step waits for {step.on} number {step.nth}; give 1 or more")
        if step.on not in TRIGGERS:
            raise ValueError(f"a step waits for {step.on!r}; give one of {', '.join(TRIGGERS)}")
        if step.after:
            parse_duration(step.after)
    for check in scenario.checks:
        for bound in (check.equals, check.at_most, check.at_least):
            if bound is not None:
                _decimal(f"the bound of {check.figure}", bound, negative=True)


def _decimal(what: str, text: str, *, negative: bool = False) -> None:
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or (value < 0 and not negative) or abs(value) > _LARGEST:
        raise ValueError(f"{what} is {text!r}; give a decimal")
