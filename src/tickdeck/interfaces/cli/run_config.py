"""Builds the configuration of a run from the options of ``run`` and ``backtest``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tickdeck.application.engines.strategies import strategy_ids
from tickdeck.application.redaction import REDACTED, is_secret
from tickdeck.bootstrap.feeds import FEEDS
from tickdeck.errors import ConfigError, InputError, format_value
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig, load_config, require_strategy, rooted
from tickdeck.infrastructure.readers import InputFile, peek_symbols, read_exchange_info
from tickdeck.infrastructure.strategies import load_strategy_class, strategy_name

__all__ = ["build_config", "with_parameters"]


def build_config(
    *,
    config: Path | None = None,
    tape: tuple[str, ...] = (),
    exchange: str | None = None,
    exchange_url: str | None = None,
    testnet: bool | None = None,
    live_orders: bool | None = None,
    strategy: tuple[str, ...] = (),
    param: tuple[str, ...] = (),
    symbol: tuple[str, ...] = (),
    instruments: Path | None = None,
    venue: str | None = None,
    limits_currency: str | None = None,
    seed: int | None = None,
    duration: Decimal | None = None,
    candles: str | None = None,
    interval: str | None = None,
    earliest: str | None = None,
    latest: str | None = None,
    tape_format: str | None = None,
    backtest: bool = False,
) -> RunConfig:
    """The settings of the configuration file, or the defaults, overridden by the options that were given.

    Relative paths in options start at the current folder. Raises ``ConfigError`` if a setting is invalid.
    """
    settings = _load(config, exchange, strategy) if config is not None else RunConfig()
    changes: dict[str, Any] = {
        "tapes": tuple(TapeConfig(path=path) for path in tape),
        "exchange": exchange,
        "exchange_url": exchange_url,
        "testnet": testnet,
        "live": live_orders,
        "strategies": tuple(StrategyConfig(spec=spec) for spec in strategy),
        "symbols": tuple(dict.fromkeys(symbol)),
        "seed": seed,
        "duration": duration,
        "candles": candles,
        "tape_format": tape_format,
        "backtest": backtest or None,
        # A backtest runs as fast as its record is executed again, so it is seldom worth a twentieth of its time.
        "state_every": 0 if backtest and settings.state_every == RunConfig().state_every else None,
    }
    if instruments is not None:  # a table of the file says more than the venue
        changes["instruments"] = read_exchange_info(instruments) | settings.instruments
    settings = replace(settings, **{name: value for name, value in changes.items() if value not in (None, ())})
    if limits_currency is not None:
        settings = replace(
            settings,
            risk=replace(settings.risk, currency=limits_currency),
            stated_limits=(*(settings.stated_limits or ()), "currency"),
        )
    require_strategy(settings)
    settings = rooted(settings, Path.cwd())
    of_files = {"venue": venue, "interval": interval, "earliest": earliest, "latest": latest}
    given = {name: value for name, value in of_files.items() if value is not None}
    if given and not settings.tapes:
        raise ConfigError(f"--{next(iter(given))} applies to files; name the file with --tape")
    if given:
        settings = replace(settings, tapes=tuple(replace(file, **given) for file in settings.tapes))
    return replace(
        settings,
        tapes=tuple(_with_symbol(file, settings.symbols) for file in settings.tapes),
        strategies=with_parameters(settings.strategies, param),
    )


def _load(path: Path, exchange: str | None, strategy: tuple[str, ...]) -> RunConfig:
    """The configuration of the file. Names that are not known are reported together with its other mistakes.
    ``exchange`` and ``strategy`` are the options, which replace those of the file."""
    mistakes: list[str] = []
    settings = None
    try:
        settings = load_config(path)
    except ConfigError as error:
        mistakes += error.lines
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        data = {}  # which is the mistake
    known = ("paper", *FEEDS)
    named = data.get("exchange", "paper") if exchange is None else exchange
    if isinstance(named, str) and named not in known:
        mistakes.append(f"{path}: exchange is {format_value(named)}; give one of {', '.join(known)}")
    if settings is not None and not mistakes:
        return settings  # whoever loads the strategies finds all mistakes in them
    listed = data.get("strategies", ()) if not strategy else ()
    for wanted in listed if isinstance(listed, list) else ():
        spec = wanted.get("spec") if isinstance(wanted, dict) else None
        if isinstance(spec, str) and ":" not in spec:
            try:
                load_strategy_class(spec)
            except ConfigError as error:
                mistakes.append(f"{path}: {error}")
    raise ConfigError.of(mistakes)


def _with_symbol(file: TapeConfig, symbols: tuple[str, ...]) -> TapeConfig:
    """If a file does not name its symbol, assume the symbol that was asked for."""
    if file.symbol is not None or len(symbols) != 1 or not Path(file.path).is_file() or file.path.endswith(".db"):
        return file
    try:
        found = peek_symbols(InputFile(Path(file.path), file.format, None, file.venue))
    except InputError:
        found = []
    return file if found else replace(file, symbol=symbols[0])


def with_parameters(strategies: tuple[StrategyConfig, ...], words: Iterable[str]) -> tuple[StrategyConfig, ...]:
    """``name=value`` applies to the only strategy, ``strategy_id.name=value`` to the strategy with that id."""
    ids = strategy_ids([wanted.name or strategy_name(wanted.spec) for wanted in strategies])
    parameters = {strategy_id: dict(wanted.parameters) for strategy_id, wanted in zip(ids, strategies, strict=True)}
    given: set[tuple[str, str]] = set()
    for word in words:
        name, equals, value = word.partition("=")
        owner, dot, short = name.rpartition(".")
        shown = f"{name}={REDACTED}" if is_secret(name) else word
        if not equals or not (short if dot else name):
            raise ConfigError(f"--param {shown!r}: write it as name=value")
        if not dot and len(ids) > 1:
            raise ConfigError(f"--param {shown!r}: there are several strategies; name one, as in {ids[0]}.{shown}")
        owner = owner if dot else ids[0]
        if owner not in parameters:
            raise ConfigError(f"--param {shown!r}: this run has no strategy {owner!r}; it has {', '.join(ids)}")
        if (owner, short) in given:
            raise ConfigError(f"--param {shown!r}: {short} is given twice; leave one out")
        given.add((owner, short))
        parameters[owner][short] = value
    return tuple(
        replace(wanted, parameters=parameters[strategy_id]) for strategy_id, wanted in zip(ids, strategies, strict=True)
    )
