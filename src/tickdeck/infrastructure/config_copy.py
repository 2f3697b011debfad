"""The tables ``[[copy]]`` of a configuration: who copies whom, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tickdeck.application.engines import CopySettings
from tickdeck.application.units import duration_ns, share_of
from tickdeck.domain.trading import CopyRule, CopySizing, terms_from_text
from tickdeck.domain.values import Money
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig

__all__ = ["CopyConfig", "check_copies"]

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
        if kind not in _KINDS or not who:
            raise ConfigError(
                f"leader is {self.leader!r}; give 'strategy:ID', 'account:NAME' or 'event:TYPE', as in "
                "'strategy:ema-cross'"
            )
        if self.exits not in ("copied", "own"):
            raise ConfigError(f"exits is {self.exits!r}; give 'copied' or 'own'")
        if self.attempts < 1:
            raise ConfigError(f"attempts is {self.attempts}; give a whole number of at least 1")
        if kind == "account" and who == self.follower:
            raise ConfigError(f"account {who} cannot follow itself; name another leader or follower")
        self.settings()  # refuses the rest

    @property
    def copy_name(self) -> str:
        return self.name or f"copy-{self.follower}"

    def settings(self) -> CopySettings:
        """For the engine. Raises ``ConfigError`` for a wrong value."""
        stops = {name: getattr(self, name) for name in ("stop_loss", "take_profit", "trailing")}
        try:
            protection = terms_from_text(stops) if any(stops.values()) else None
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return CopySettings(
            name=self.copy_name,
            rule=self._rule(),
            copies_exits=self.exits == "copied",
            protection=protection,
            timeout=duration_ns(self.timeout),
            attempts=self.attempts,
        )

    def _rule(self) -> CopyRule:
        size = dict(self.size) or {"multiple": Decimal(1)}
        distance = _number("stop_distance", size.pop("stop_distance", Decimal(0)))
        kinds = [kind for kind in size if kind in list(CopySizing)]
        if len(size) != 1 or not kinds or (distance and kinds != ["risk"]):
            raise ConfigError(
                "size needs one of fixed, multiple, share and risk, as in size = { multiple = 0.5 }; "
                "stop_distance goes with risk"
            )
        try:
            return CopyRule(
                sizing=CopySizing(kinds[0]),
                amount=_number(kinds[0], size[kinds[0]]),
                max_slippage=self.max_slippage,
                min_notional=self.min_notional,
                symbols=self.symbols,
                stop_distance=distance,
            )
        except ConfigError as error:
            raise ConfigError(str(error).removeprefix("CopyRule: ")) from None


def _number(name: str, value: object) -> Decimal:
    wrong = ConfigError(f"size.{name} is {value!r}; give a number, or a percentage such as '2%'")
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise wrong
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            return share_of(value)
        return Decimal(value)
    except (InvalidOperation, ConfigError):
        raise wrong from None


def check_copies(copies: Sequence[CopyConfig], accounts: Mapping[str, AccountConfig]) -> None:
    """Raise ``ConfigError`` for a follower that is no account, for two copies of one name, and for accounts that follow
    each other in a circle."""
    names: dict[str, None] = {}
    for copy in copies:
        if copy.follower not in accounts:
            raise ConfigError(f"copy: follower is {copy.follower!r}; describe it under [accounts.{copy.follower}]")
        kind, _, who = copy.leader.partition(":")
        if kind == "account" and who not in accounts:
            raise ConfigError(f"copy: leader is {copy.leader!r}; describe it under [accounts.{who}]")
        if copy.copy_name in names:
            raise ConfigError(f"copy: two are called {copy.copy_name!r}; give one of them another name")
        names[copy.copy_name] = None
    follows = [(copy.leader.removeprefix("account:"), copy.follower) for copy in copies if "account:" in copy.leader]
    for first, _ in follows:
        reached = {first: None}
        for _ in follows:
            reached |= {follower: None for leader, follower in follows if leader in reached}
        if any(leader in reached and follower == first for leader, follower in follows):
            raise ConfigError(f"copy: account {first} follows itself, through others; end the circle")
