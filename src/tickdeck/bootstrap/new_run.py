"""Prepares a new run: its strategies, its manifest, its folder and its tape."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import msgspec

from tickdeck.application.engines import opposed
from tickdeck.application.strategies import Rules, Strategy
from tickdeck.bootstrap.limits_currency import in_quote_currency
from tickdeck.bootstrap.run_accounts import account_of
from tickdeck.bootstrap.strategies import by_absolute_path, keep_code, load_strategies, signal_records
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import (
    InputRecord,
    Manifest,
    StrategyRecord,
    code_digest,
    create_run,
    discard_run,
    input_records,
    symbols_of,
    without_secrets,
)
from tickdeck.infrastructure.runs.folder import PAPER, here
from tickdeck.infrastructure.tape.opening import AnyTape, open_tape, tape_path
from tickdeck.infrastructure.version import full_version

__all__ = ["NewRun", "is_as_written", "prepare"]


class NewRun(NamedTuple):
    """A run that does not exist on disk yet."""

    config: RunConfig
    manifest: Manifest
    strategies: list[tuple[str, Strategy]]

    @contextlib.contextmanager
    def created(self, data_dir: Path, *, linger_ms: float) -> Iterator[tuple[Path, Manifest, AnyTape]]:
        """The run's folder under ``data_dir``, its manifest without secrets, and its open tape. If the block raises,
        the folder is removed again."""
        manifest, secrets = without_secrets(self.manifest)
        form = self.config.tape_format
        folder = create_run(data_dir, manifest, secrets, form)
        tape = open_tape(tape_path(folder, form), form, linger_ms=linger_ms)
        try:
            keep_code(folder, self.config, self.strategies)
            yield folder, manifest, tape
        except BaseException:  # for example an unknown signal: the run never began
            tape.close()
            discard_run(folder)
            raise


def prepare(config: RunConfig, *, whatif_of: str | None = None, name: str = "") -> NewRun:
    """Load what ``config`` names, and describe it. Raises ``ConfigError`` or ``InputError`` if something is wrong."""
    config = msgspec.structs.replace(
        config,
        strategies=tuple(map(by_absolute_path, config.strategies)),
        signals={name: by_absolute_path(signal) for name, signal in config.signals.items()},
    )
    signals = signal_records(config)
    strategies, records = load_strategies(config)
    inputs = input_records(config.tapes)
    symbols = symbols_of(config, inputs) or ("BTCUSDT",)
    wishes = {strategy_id: wish for (strategy_id, _), wish in zip(strategies, config.strategies, strict=True)}
    if whatif_of is None:  # an older version may have taken what a recorded run has
        mistakes = opposed(dict(strategies), lambda one: account_of(config, wishes[one]), symbols)
        if mistakes := mistakes or _meaningless(config, strategies, symbols):
            raise ConfigError.of(mistakes)
    configured = {symbol: config.instrument(symbol) for symbol in symbols if symbol in config.instruments}
    config = msgspec.structs.replace(config, instruments=configured)  # a venue's file has thousands
    for symbol in symbols:
        config.instrument(symbol)  # refuses what is not certain
    config = in_quote_currency(config, symbols)
    python, machine = here()
    code = code_digest()
    settings = msgspec.to_builtins(config)
    now = datetime.fromtimestamp(time.time(), UTC)
    # Two live runs of one configuration are different runs: with equal order ids, the venue would confuse them.
    is_live = config.exchange != PAPER
    nonce = token_hex(8) if is_live else _nonce(settings, inputs, (*records, *signals), symbols, code)
    manifest = Manifest(
        run_id=name or f"{now:%Y%m%d-%H%M%S}-{token_hex(3)}",
        nonce=nonce,
        created_at=now.isoformat(),
        tickdeck=full_version(),
        code=code,
        python=python,
        machine=machine,
        symbols=symbols,
        config=settings,
        inputs=inputs,
        strategies=records,
        signals=signals,
        whatif_of=whatif_of,
    )
    return NewRun(config, manifest, strategies)


def _meaningless(config: RunConfig, strategies: Sequence[tuple[str, Strategy]], symbols: Sequence[str]) -> list[str]:
    """What strategies without code and triggers ask for that can be read, but cannot mean what it says."""
    found: list[str] = []
    for strategy_id, strategy in strategies:
        if isinstance(strategy, Rules):
            try:
                strategy.check_meaning(symbols)
            except ConfigError as error:
                found += [f"strategy {strategy_id}: {mistake}" for mistake in error.lines]
    for trigger in config.triggers:
        try:
            trigger.as_wish().check_meaning()
        except ConfigError as error:
            found += [f"trigger {trigger.name}: {mistake}" for mistake in error.lines]
    return found


def is_as_written(manifest: Manifest) -> bool:
    """Whether the manifest still says what it said when its run began. A run on files or on the simulated market
    derives its nonce from what the manifest says, and the ids on the tape depend on the nonce.

    True as well if this is not known: for a live run, whose nonce is random, for a run of other code, which may have
    derived it otherwise, and for a run with signals of the user's, which may have secret parameters. The manifest does
    not show those. The caller leaves out runs whose strategies have some.
    """
    if manifest.is_live or manifest.signals or manifest.code != code_digest():
        return True
    made = _nonce(manifest.config, manifest.inputs, manifest.strategies, manifest.symbols, manifest.code)
    return made == manifest.nonce


def _nonce(
    settings: dict[str, Any],
    inputs: tuple[InputRecord, ...],
    strategies: tuple[StrategyRecord, ...],
    symbols: tuple[str, ...],
    code: str,
) -> str:
    """The nonce, derived from everything that determines the run's events, but not from the location of its files, so
    that two equal runs are identical to the byte."""
    elsewhere = (
        "tapes",
        "strategies",
        "signals",
        "state_every",
        "tape_format",
        "log_events",
        "metrics",
        "accounts",
        "stated_limits",
        "watch",
    )
    accounts = [(name, entry) for name, entry in settings["accounts"].items() if entry["exchange"] == PAPER]
    traders = [strategy["account"] for strategy in settings["strategies"]]
    what = {name: value for name, value in settings.items() if name not in elsewhere}
    asked = [(tape["venue"], tape["interval"]) for tape in settings["tapes"]]
    read = [(record.format, record.symbol, *how, record.sha256) for record, how in zip(inputs, asked, strict=True)]
    loaded = [(record.strategy_id, record.parameters, record.sha256) for record in strategies]
    told = [what, accounts, traders, read, loaded, symbols, code]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]
