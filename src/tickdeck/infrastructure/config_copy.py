"""The tables ``[[copy]]`` of a configuration: who copies whom, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tickdeck.application.engines import CopySettings
from tickdeck.application.engines.strategies import why_no_owner
from tickdeck.application.units import duration_ns, share_of
from tickdeck.domain.trading import CopyRule, CopySizing, terms_from_text
from tickdeck.domain.values import Money
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig

__all__ = ["CopyConfig", "check_copies"]

_MOST_ATTEMPTS = 100
_KINDS = ("strategy", "account", "event")


class CopyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[copy]]``: one account follows one leader.

    - ``leader``: ``strategy:ID``, ``account:NAME`` or ``event:TYPE``. ``follower``: the account that copies.
      ``name``: the id of the copies, by default ``copy-`` and the follower.
    - ``size``: one of ``fixed`` (quote), ``multiple`` (of the leader's quantity), ``share`` (of the follower's equity)
      and ``risk`` (the share of it that is lost at the leader's stop, or at ``stop_distance`` from the price);
      by default as much as the leader.
    - ``max_slippage``: a fraction of the leader's price. ``min_notional``: in quote. ``symbols``: empty means all.
    - ``exits``: ``copied``, or ``own``: only what enlarges the leader's position is copied. ``stop_loss``,
      ``take_profit``, ``trailing``: of each copy that opens a position, as in an order of a strategy.
    - ``timeout``: after which an order is cancelled. ``attempts``: how many orders a copy may have.
    """

    leader: str
    follower: str
    name: str = ""
    size: dict[str, Any] = {}
    max_slippage: Decimal = Decimal("0.005")
    min_notional: Money = Decimal(0)
    symbols: tuple[str, ...] = ()
    exits: str = "copied"
    stop_loss: str = ""
    take_profit: str = ""
    trailing: str = ""
    timeout: str = "10s"
    attempts: int = 3

    def __post_init__(self) -> None:
        kind, _, who = self.leader.partition(":")
        mistakes = []
        if kind not in _KINDS or not who:
            mistakes.append(
                f"leader is {self.leader!r}; give 'strategy:ID', 'account:NAME' or 'event:TYPE', as in "
                "'strategy:ema-cross'"
            )
        if kind == "account" and who == self.follower:
            mistakes.append(f"account {who} cannot follow itself; name another leader or follower")
        if self.exits not in ("copied", "own"):
            mistakes.append(f"exits is {self.exits!r}; give 'copied' or 'own'")
        if not 1 <= self.attempts <= _MOST_ATTEMPTS:
            mistakes.append(f"attempts is {self.attempts}; give a whole number from 1 to {_MOST_ATTEMPTS}")
        if self.name and (why := why_no_owner(self.name)):
            mistakes.append(why)
        try:
            self.settings()
        except ConfigError as error:
            mistakes += error.lines
        if mistakes:
            raise ConfigError.of(mistakes)

    @property
    def copy_name(self) -> str:
        return self.name or f"copy-{self.follower}"

    def settings(self) -> CopySettings:
        """For the engine. Raises ``ConfigError`` for all wrong values."""
        mistakes: list[str] = []
        stops = {name: text for name in ("stop_loss", "take_profit", "trailing") if (text := getattr(self, name))}
        for name, text in stops.items():
            try:
                terms_from_text({name: text})
            except ValueError as error:
                mistakes.append(str(error))
        timeout = 0
        try:
            timeout = duration_ns(self.timeout)
        except ConfigError as error:
            mistakes.append(f"timeout: {error}")
        rule = CopyRule()
        try:
            rule = self._rule()
        except ConfigError as error:
            mistakes += error.lines
        if mistakes:
            raise ConfigError.of(mistakes)
        return CopySettings(
            name=self.copy_name,
            rule=rule,
            copies_exits=self.exits == "copied",
            protection=terms_from_text(stops) if stops else None,
            timeout=timeout,
            attempts=self.attempts,
        )

    def _rule(self) -> CopyRule:
        mistakes: list[str] = []
        size = dict(self.size) or {"multiple": Decimal(1)}
        numbers: dict[str, Decimal] = {}
        for name, value in size.items():
            try:
                numbers[name] = _number(name, value)
                if name == "fixed" and isinstance(value, str) and value.strip().endswith("%"):
                    mistakes.append(f"size.fixed is {value!r}; give an amount in quote, or share = {value!r}")
            except ConfigError as error:
                mistakes.append(str(error))
        kinds = [kind for kind in CopySizing if kind in size]
        unknown = size.keys() - {*kinds, "stop_distance"}
        if len(kinds) != 1 or unknown or ("stop_distance" in size and kinds != ["risk"]):
            mistakes.append(
                "size needs one of fixed, multiple, share and risk, as in size = { multiple = 0.5 }; "
                "stop_distance goes with risk"
            )
        sizing = kinds[0] if not mistakes else CopySizing.MULTIPLE
        try:
            rule = CopyRule(
                sizing=sizing,
                amount=Decimal(1) if mistakes else numbers[sizing],
                max_slippage=self.max_slippage,
                min_notional=self.min_notional,
                symbols=self.symbols,
                stop_distance=numbers.get("stop_distance", Decimal(0)) if not mistakes else Decimal(0),
            )
        except ConfigError as error:
            mistakes += [line.removeprefix("CopyRule: ") for line in error.lines]
        if mistakes:
            raise ConfigError.of(mistakes)
        return rule


def _number(name: str, value: object) -> Decimal:
    wrong = ConfigError(f"size.{name} is {value!r}; give a number, or a percentage such as '2%'")
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise wrong
    try:
        number = share_of(value) if isinstance(value, str) and value.strip().endswith("%") else Decimal(value)
    except (InvalidOperation, ConfigError):
        raise wrong from None
    if not number.is_finite():
        raise wrong
    return number


def check_copies(copies: Sequence[CopyConfig], accounts: Mapping[str, AccountConfig]) -> None:
    """Raise ``ConfigError`` for all followers that are no account, copies with the name of another one, and accounts
    that follow each other in a circle."""
    names: dict[str, None] = {}
    mistakes: list[str] = []
    for copy in copies:
        if copy.follower not in accounts:
            mistakes.append(f"copy: follower is {copy.follower!r}; describe it under [accounts.{copy.follower}]")
        kind, _, who = copy.leader.partition(":")
        if kind == "account" and who not in accounts:
            mistakes.append(f"copy: leader is {copy.leader!r}; describe it under [accounts.{who}]")
        if copy.copy_name in names:
            mistakes.append(f"copy: two are called {copy.copy_name!r}; give one of them another name")
        names[copy.copy_name] = None
    follows = [(copy.leader.removeprefix("account:"), copy.follower) for copy in copies if "account:" in copy.leader]
    for first in dict.fromkeys(leader for leader, _ in follows):
        reached = {first: None}
        for _ in follows:
            reached |= {follower: None for leader, follower in follows if leader in reached}
        if any(leader in reached and follower == first for leader, follower in follows):
            mistakes.append(f"copy: account {first} follows itself, through others; end the circle")
            break
    if mistakes:
        raise ConfigError.of(mistakes)
