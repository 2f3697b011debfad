"""A configuration: does it load, do its strategies, are its input files there and of a known format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tickdeck.application.engines.strategies import strategy_ids
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.doctor.findings import Finding
from tickdeck.infrastructure.readers import InputFile, detect_format, open_input, peek_symbols
from tickdeck.infrastructure.redaction import REDACTED, is_secret
from tickdeck.infrastructure.strategy_loader import load_strategy_class, strategy_name

__all__ = ["settings_findings"]


def settings_findings(config: RunConfig) -> Iterator[Finding]:
    """Each strategy and each input file as it is looked at."""
    ids = strategy_ids([strategy_name(wanted.spec) for wanted in config.strategies])
    for strategy_id, wanted in zip(ids, config.strategies, strict=True):
        yield _strategy(strategy_id, wanted)
    for tape in config.tapes:
        yield _input(tape, config)
    if not config.tapes:
        yield Finding("input", True, f"none: a simulated market made from seed {config.seed}")


def _strategy(strategy_id: str, wanted: StrategyConfig) -> Finding:
    check = f"strategy {strategy_id}"
    try:
        strategy = load_strategy_class(wanted.spec)(**wanted.parameters)
    except TickdeckError as error:
        return Finding(check, False, str(error))
    parameters = ", ".join(
        f"{name}={REDACTED if is_secret(name) else value}" for name, value in strategy.parameters().items()
    )
    return Finding(check, True, f"{wanted.spec}: {parameters or 'no parameters'}")


def _input(tape: TapeConfig, config: RunConfig) -> Finding:
    """Of a file of another format its first event; a tape of Tickdeck's own is opened when the whole is tried."""
    path = Path(tape.path)
    check = f"input {path.name}"
    if path.is_dir() or (path.is_file() and path.suffix == ".db"):
        return Finding(check, True, f"{path} is there: a tape of Tickdeck")
    try:
        name = tape.format or detect_format(path)
        symbols = peek_symbols(InputFile(path, name, tape.symbol, tape.venue))
        next(open_input(InputFile(path, name, tape.symbol, tape.venue)), None)
    except TickdeckError as error:
        return Finding(check, False, str(error))
    wanted = [symbol for symbol in config.symbols if symbol not in symbols]
    if wanted and len(wanted) == len(config.symbols):
        found = f"{path} ({name}) has {', '.join(symbols)} and not {', '.join(wanted)}"
        return Finding(check, False, f"{found}; mend the key symbols")
    return Finding(check, True, f"{path}: {name} of {', '.join(symbols)}")
