"""The configuration of a run, from a TOML file, command line options, or both."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from tickdeck.application.engines.strategies import why_no_owner
from tickdeck.application.signals import built_in_signal
from tickdeck.application.units import duration_ns
from tickdeck.domain.events import DIFFERENCES
from tickdeck.domain.market import Instrument, instrument_for, parse_timeframe
from tickdeck.domain.risk import DEFAULT_LIMITS, RiskLimits
from tickdeck.errors import ConfigError, format_value
from tickdeck.infrastructure.accounts import AccountConfig, rooted_account
from tickdeck.infrastructure.archive_policy import ArchiveConfig
from tickdeck.infrastructure.config_copy import CopyConfig, check_copies
from tickdeck.infrastructure.config_mistakes import find_mistakes, plain_values
from tickdeck.infrastructure.exchanges.paper import PaperConfig
from tickdeck.infrastructure.listening import listen_address
from tickdeck.infrastructure.readers import date_to_ns, read_exchange_info
from tickdeck.infrastructure.surroundings import WatchConfig
from tickdeck.infrastructure.triggers import TriggerConfig

__all__ = [
    "RunConfig",
    "SignalConfig",
    "StrategyConfig",
    "TapeConfig",
    "config_from_dict",
    "load_config",
    "require_strategy",
    "rooted",
]


def _check_types(config: msgspec.Struct) -> None:
    """Check the types of the fields. msgspec does so for a file, but not for an object that is created in Python.

    A list where a tuple is wanted and the like are converted. Raises ``ConfigError`` for the first wrong field.
    """
    for field in msgspec.structs.fields(config):
        value = getattr(config, field.name)
        try:
            typed = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            simple = value is None or isinstance(value, str | int | float | Decimal)
            what = format_value(value) if simple else f"a {type(value).__name__}"  # which may contain a secret
            wanted = type(config).__annotations__[field.name]
            raise ConfigError(f"{type(config).__name__}: {field.name} is {what}; give {wanted}") from None
        if type(typed) is not type(value):
            force_setattr(config, field.name, typed)


class StrategyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``spec``: a built-in name, ``package.module:Class`` or ``path/to/file.py:Class``; ``parameters`` by name.
    ``name``: its id in the run; by default the built-in name or that of the class. ``account``: which of the run's
    accounts it trades with; empty: the one that ``RunConfig.account`` names, or the only one."""

    spec: str
    name: str = ""
    parameters: dict[str, Any] = {}
    account: str = ""

    def __post_init__(self) -> None:
        _check_types(self)
        if self.name and (why := why_no_owner(self.name)):
            raise ConfigError(why)


class SignalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"spec": "class"}):
    """A user's signal: ``class`` is ``package.module:Class`` or ``path/to/file.py:Class``; ``parameters`` by name."""

    spec: str
    parameters: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _check_types(self)


class TapeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input file. ``format``, ``symbol`` and ``venue`` are detected if they are not given.

    ``interval`` is the duration of its candles (``1m``, ``1d``, ``1mo``), if the rows do not show it. ``earliest`` and
    ``latest`` (ISO 8601) bound the accepted times; defaults: 2009, and a day after the run's start.
    """

    path: str
    format: str | None = None
    symbol: str | None = None
    venue: str | None = None
    interval: str | None = None
    earliest: str | None = None
    latest: str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if self.interval is not None:
            parse_timeframe(self.interval)
        for name in ("earliest", "latest"):
            text = getattr(self, name)
            if text is not None:
                try:
                    date_to_ns(text)
                except ValueError as error:
                    raise ConfigError(f"{name}: {error}") from None


RULES = "rules"
"""The built-in strategy without code."""
DEFAULT_STRATEGY = StrategyConfig(spec="ema-cross")


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that determines a run's events, besides the code and the content of the input files.

    - ``strategies``: what trades; ``ema-cross``, unless one is named. ``symbols``: the symbols to use from the input
      files or to simulate; empty means all symbols of the files, or BTCUSDT.
    - ``triggers``: conditions that are watched, and what follows when one holds.
    - ``signals``: the user's signals by name; strategies read them by that name.
    - ``tapes``: input files, in order. Without any, a simulated market is generated from ``seed``.
    - ``exchange``: ``paper``, or the venue whose live market data the run receives; orders are filled on paper.
      ``exchange_url``: the address of that venue, such as ``http://localhost:8080``; ``testnet``: its test net.
    - ``live``: send the orders to that venue. ``account``: which of ``accounts`` trades; it may be omitted if only one
      is at the venue, or if every strategy names its own. An order that has waited longer than ``max_order_age`` since
      its decision is not sent. ``orders_at_end``: whether to ``cancel`` the open orders when the run ends, or to
      ``leave`` them; stops and targets of positions stay in any case.
      ``account_difference``: what follows if the venue's balance differs from ours and nothing explains it: ``adopt``
      the venue's figure, ``halt`` trading, or ``ask`` a person and go on.
    - ``duration``: seconds of the run's clock; ``None`` means to the end.
    - ``candles``: the interval of the run's candles (``250ms``, ``1s``, ``5m``, ``1h``, ``1mo``), made from trades or
      from the finer candles of a file. ``None``: candles of files as they are, and from trades those of 250 ms.
    - ``snapshots``: the time between market snapshots, which have ``snapshot_depth`` levels per side.
      ``stale_after``: how long a symbol may be silent before its feed counts as stale. ``heartbeat``: the time between
      heartbeats. All are durations such as ``30s``, on the run's clock; ``None`` switches each off.
    - ``backtest``: publish the progress and the results of the run as events.
    - ``risk``, ``paper``, ``instruments``: limits, the paper venue, and instruments by symbol that replace the
      built-in ones.
    - ``limits``: those of all accounts of the run together; ``None`` if there are none.
    - ``stated_limits``: which limits the file itself gave, so that real orders never rest on a default.
    - ``accounts``: accounts at exchanges and on paper, by name. A run with paper orders trades with those on paper.
    - ``copy``: accounts that copy the trades of a leader.
    - ``watch``: what a live run tolerates around it. No event of a run from files depends on it.
    - ``archive``: what becomes of a live run's old market data. No event depends on it.
    - ``max_cascade``: how many events one input may cause before trading is halted.
    - ``state_every``: how many events there are between two snapshots of the whole run, from which it is resumed; 0
      takes none. No event depends on it.
    - ``tape_format``: ``sqlite`` or ``jsonl``. No event depends on it.
    - ``log_events``: types of events (``market.candle``, ``signal.*``) that are logged besides those of orders,
      positions and risk. No event depends on it.
    - ``keep_trades``: keep the trade journal in ``trades.db`` in the run's folder. No event depends on it.
    - ``metrics``: the port, or host:port, at which metrics are served while the run works. No event depends on it.
    """

    strategies: tuple[StrategyConfig, ...] = (DEFAULT_STRATEGY,)
    triggers: tuple[TriggerConfig, ...] = ()
    signals: dict[str, SignalConfig] = {}
    symbols: tuple[str, ...] = ()
    tapes: tuple[TapeConfig, ...] = ()
    exchange: str = "paper"
    exchange_url: str | None = None
    testnet: bool = False
    live: bool = False
    account: str = ""
    max_order_age: str = "5s"
    orders_at_end: str = "cancel"
    account_difference: str = "halt"
    seed: int = 1
    duration: Decimal | None = None
    candles: str | None = None
    snapshots: str | None = None
    snapshot_depth: int = 10
    stale_after: str | None = None
    heartbeat: str | None = None
    backtest: bool = False
    risk: RiskLimits = DEFAULT_LIMITS
    limits: RiskLimits | None = None
    stated_limits: tuple[str, ...] | None = None
    paper: PaperConfig = PaperConfig()
    instruments: dict[str, Instrument] = {}
    accounts: dict[str, AccountConfig] = {}
    copy: tuple[CopyConfig, ...] = ()
    watch: WatchConfig = WatchConfig()
    archive: ArchiveConfig = ArchiveConfig()
    max_cascade: int = 10_000
    state_every: int = 100_000
    tape_format: str = "sqlite"
    log_events: tuple[str, ...] = ()
    keep_trades: bool = False
    metrics: int | str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if self.tape_format not in ("sqlite", "jsonl"):
            raise ConfigError(f"tape_format is {self.tape_format!r}; give 'sqlite' or 'jsonl'")
        if self.exchange == "paper" and (self.exchange_url is not None or self.testnet):
            raise ConfigError("exchange_url and testnet apply to a venue; name it with exchange = 'binance'")
        if self.exchange_url is not None and not re.fullmatch(r"https?://[^\s/]+/?", self.exchange_url):
            raise ConfigError(f"exchange_url is {self.exchange_url!r}; give one such as http://localhost:8080")
        for pattern in self.log_events:
            if not re.fullmatch(r"[a-z0-9_.*?\[\]!-]+", pattern):
                raise ConfigError(
                    f"log_events has {pattern!r}; give types of events such as 'market.candle' or 'signal.*'"
                )
        if self.metrics is not None:
            listen_address("metrics", self.metrics)
        if self.live and self.exchange == "paper":
            raise ConfigError("live sends orders to a venue; name it with exchange = 'binance'")
        if self.account and self.account not in self.accounts:
            raise ConfigError(f"account is {self.account!r}; describe it under [accounts.{self.account}]")
        check_copies(self.copy, self.accounts)
        if self.limits is not None and (one := self.limits.of_one_order):
            raise ConfigError(f"limits.{one} is about a single order; give it under [risk] or for an account")
        for strategy in self.strategies:
            if strategy.account and strategy.account not in self.accounts:
                raise ConfigError(
                    f"strategy {strategy.name or strategy.spec} has the account {strategy.account!r}; describe it "
                    f"under [accounts.{strategy.account}]"
                )
        if self.orders_at_end not in ("cancel", "leave"):
            raise ConfigError(f"orders_at_end is {self.orders_at_end!r}; give 'cancel' or 'leave'")
        if self.account_difference not in DIFFERENCES:
            given = f"account_difference is {self.account_difference!r}"
            raise ConfigError(f"{given}; give {', '.join(map(repr, DIFFERENCES[:-1]))} or {DIFFERENCES[-1]!r}")
        duration_ns(self.max_order_age)
        if self.exchange != "paper" and (self.tapes or self.backtest):
            raise ConfigError(
                f"exchange is {self.exchange!r}, whose market data is live; omit the files, or omit the exchange"
            )
        if self.duration is not None and not (self.duration.is_finite() and self.duration > 0):
            raise ConfigError(f"duration is {self.duration}; give seconds above 0, or omit it to run to the end")
        if not -(2**63) <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed}; give a whole number that fits into 64 bits")
        if self.max_cascade < 1:
            raise ConfigError(f"max_cascade is {self.max_cascade}; give a whole number of at least 1")
        if self.state_every < 0:
            raise ConfigError(f"state_every is {self.state_every}; give a whole number, or 0 for none")
        if self.snapshot_depth < 1:
            raise ConfigError(f"snapshot_depth is {self.snapshot_depth}; give a whole number of at least 1")
        if self.candles is not None:
            parse_timeframe(self.candles)
        for interval in (self.snapshots, self.stale_after, self.heartbeat):
            if interval is not None:
                duration_ns(interval)
        for symbol in (*self.symbols, *(tape.symbol for tape in self.tapes if tape.symbol is not None)):
            if not symbol or any(map(str.isspace, symbol)):
                raise ConfigError(f"{symbol!r} is not a symbol; give one such as BTCUSDT, without blanks")
        for table in (self.strategies, self.triggers):
            names = [one.name for one in table if one.name]
            for name in names:
                if names.count(name) > 1:
                    what = "strategies" if table is self.strategies else "triggers"
                    raise ConfigError(f"{what}: two are called {name!r}; rename one of them")
        for name in self.signals:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or built_in_signal(name) is not None:
                raise ConfigError(
                    f"signals.{name}: not a name for a signal of yours; use letters, digits, '-' and '_', and no "
                    "built-in name such as ema-12"
                )
        for symbol, instrument in self.instruments.items():
            if instrument.symbol != symbol:
                raise ConfigError(f"instruments.{symbol}: its symbol is {instrument.symbol}; the two must be the same")

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol: the configured one, else the built-in one, else one with the finest steps and no
        minimum.

        Raises ``ConfigError`` if the currencies are not evident from the symbol, and for an inverse contract.
        """
        configured = self.instruments.get(symbol)
        if configured is None:
            return instrument_for(symbol)
        if configured.inverse:
            raise ConfigError(
                f"{symbol} is an inverse contract: its profit is in {configured.base}, which Tickdeck does not"
                " support; use the spot or USD-M market"
            )
        return configured


def load_config(path: Path) -> RunConfig:
    """Read a TOML file. Paths in it are relative to its folder. Raises ``ConfigError`` with a line for each mistake,
    naming file and key."""
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name an existing file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    folder = path.resolve().parent
    try:
        file = data.get("instruments")
        if isinstance(file, str):
            data["instruments"] = msgspec.to_builtins(read_exchange_info(folder / file))
        config = config_from_dict(data)
    except ConfigError as error:
        raise ConfigError.of([f"{path}: {mistake}" for mistake in error.lines]) from None
    return rooted(config, folder)


def require_strategy(config: RunConfig) -> None:
    """Raise ``ConfigError`` if real orders are wanted, but nobody named the strategy that is to send them."""
    if config.live and any(strategy is DEFAULT_STRATEGY for strategy in config.strategies):
        raise ConfigError(
            "live: real orders need a strategy that you named yourself; give --strategy, or [[strategies]] in the "
            "configuration file"
        )


def rooted(config: RunConfig, folder: Path) -> RunConfig:
    """``config`` with relative paths of input files, strategies, credentials and the archive resolved from ``folder``,
    so that you can resume and verify the run from anywhere."""
    tapes = tuple(msgspec.structs.replace(tape, path=str(folder / tape.path)) for tape in config.tapes)
    strategies = tuple(
        # The default stays the same object, by which `require_strategy` recognises it.
        strategy
        if strategy is DEFAULT_STRATEGY
        else msgspec.structs.replace(strategy, spec=_rooted_spec(strategy.spec, folder))
        for strategy in config.strategies
    )
    signals = {
        name: msgspec.structs.replace(signal, spec=_rooted_spec(signal.spec, folder))
        for name, signal in config.signals.items()
    }
    accounts = {name: rooted_account(account, folder) for name, account in config.accounts.items()}
    archive = config.archive
    if archive.to is not None:
        archive = msgspec.structs.replace(archive, to=str(folder / archive.to))
    changed = {"tapes": tapes, "strategies": strategies, "signals": signals, "accounts": accounts, "archive": archive}
    return msgspec.structs.replace(config, **changed)


def _rooted_spec(spec: str, folder: Path) -> str:
    place, colon, name = spec.rpartition(":")
    return f"{folder / place}:{name}" if colon and place.endswith(".py") else spec


def config_from_dict(data: dict[str, Any]) -> RunConfig:
    """Build a configuration from the values of TOML or a manifest.

    Durations and shares may be written as ``10 ms`` and ``0.1%``. Raises one ``ConfigError`` for all mistakes; each
    names the key, its value and what is right.
    """
    if isinstance(data.get("risk"), dict):
        # A limit that is not given keeps its default: setting one limit must not switch off the others.
        limits = {name: None if value == "none" else value for name, value in data["risk"].items()}
        stated = data.get("stated_limits", sorted(limits))
        data = {**data, "risk": {**msgspec.to_builtins(DEFAULT_LIMITS), **limits}, "stated_limits": stated}
    if isinstance(data.get("accounts"), dict):
        data = {**data, "accounts": {name: _with_limits(one, data) for name, one in data["accounts"].items()}}
    for table in ("watch", "limits"):
        if isinstance(data.get(table), dict):
            given = {name: None if value == "none" else value for name, value in data[table].items()}
            data = {**data, table: given}
    if isinstance(data.get("strategies"), list):
        data = {**data, "strategies": [*map(_with_parameters, data["strategies"])]}
    data = plain_values(data, RunConfig)
    try:
        return msgspec.convert(data, RunConfig, strict=False)
    except (msgspec.ValidationError, ConfigError) as error:
        raise ConfigError.of(find_mistakes(data, RunConfig, _BELONGS) or [str(error)]) from None


def _with_parameters(strategy: Any) -> Any:
    """The table of a strategy without code: its parameters may be written beside ``spec``, where they read best."""
    if not isinstance(strategy, dict) or strategy.get("spec") != RULES:
        return strategy
    own = StrategyConfig.__struct_fields__
    beside = {name: value for name, value in strategy.items() if name not in own}
    given = strategy.get("parameters", {})
    if not beside or not isinstance(given, dict):
        return strategy
    return {name: value for name, value in strategy.items() if name in own} | {"parameters": {**given, **beside}}


def _with_limits(account: Any, data: dict[str, Any]) -> Any:
    """An account whose own limits are completed by those of the run."""
    own = account.get("risk") if isinstance(account, dict) else None
    if not isinstance(own, dict):
        return account
    limits = {name: None if value == "none" else value for name, value in own.items()}
    whole = data.get("risk")
    whole = whole if isinstance(whole, dict) else msgspec.to_builtins(DEFAULT_LIMITS)
    return {**account, "risk": {**whole, **limits}}


_TABLES: dict[str, type[msgspec.Struct]] = {
    "under [accounts.NAME]": AccountConfig,
    "under [archive]": ArchiveConfig,
    "under [[copy]]": CopyConfig,
    "under [instruments.SYMBOL]": Instrument,
    "under [limits]": RiskLimits,
    "under [paper]": PaperConfig,
    "under [risk]": RiskLimits,
    "under [watch]": WatchConfig,
    "under [[tapes]]": TapeConfig,
    "under [[triggers]]": TriggerConfig,
    "under [[strategies]]": StrategyConfig,
    "under [signals.NAME]": SignalConfig,
    "at the top, before the first table": RunConfig,
}
_BELONGS = {name: table for table, struct in _TABLES.items() for name in struct.__struct_fields__}
"""Where each key belongs in a file. If several kinds of tables have a key, the last one counts."""
