"""Checks of a configuration: it loads, its strategies load, its input files exist and have a known format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from tickdeck.application.engines.strategies import strategy_ids
from tickdeck.application.redaction import REDACTED, is_secret
from tickdeck.application.strategies import Rules
from tickdeck.domain.values import Side
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.config import RULES, RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.doctor.findings import Finding
from tickdeck.infrastructure.runs import input_records, open_inputs, symbols_of
from tickdeck.infrastructure.runs.folder import PAPER
from tickdeck.infrastructure.strategies import new_strategy, strategy_name

__all__ = ["settings_findings"]


def settings_findings(config: RunConfig) -> Iterator[Finding]:
    """Check each strategy and each input file."""
    ids = strategy_ids([wanted.name or strategy_name(wanted.spec) for wanted in config.strategies])
    for strategy_id, wanted in zip(ids, config.strategies, strict=True):
        yield _strategy(strategy_id, wanted, config.symbols)
        if wanted.spec == RULES and wanted.parameters.get("side") == Side.SELL and not _may_sell_short(config, wanted):
            yield Finding(
                f"strategy {strategy_id}",
                None,
                f'side is "sell", but this run sells only coins that the account holds{_HOW_SHORT[config.live]}',
            )
    for trigger in config.triggers:
        try:
            trigger.as_wish().check_meaning()
        except TickdeckError as error:
            yield Finding(f"trigger {trigger.name}", False, str(error))
    for tape in config.tapes:
        yield _input(tape, config)
    if config.exchange != PAPER:
        orders = "sent there" if config.live else "filled on paper"
        yield Finding("input", True, f"live market data of {config.exchange}; orders are {orders}")
    elif not config.tapes:
        yield Finding("input", True, f"none: a simulated market made from seed {config.seed}")


_HOW_SHORT = {False: "; to sell short, set short_selling = true or leverage under [paper]", True: ""}


def _may_sell_short(config: RunConfig, strategy: StrategyConfig) -> bool:
    account = config.accounts.get(strategy.account or config.account)
    has_margin = config.paper.margin is not None or (account is not None and account.leverage is not None)
    return not config.live and (config.paper.short_selling or has_margin)


def _strategy(strategy_id: str, wanted: StrategyConfig, symbols: tuple[str, ...]) -> Finding:
    check = f"strategy {strategy_id}"
    try:
        strategy = new_strategy(wanted.spec, wanted.parameters, wanted.name)
        if isinstance(strategy, Rules):
            strategy.check_meaning(symbols)
    except TickdeckError as error:
        return Finding(check, False, str(error))
    parameters = ", ".join(
        f"{name}={REDACTED if is_secret(name) else value}" for name, value in strategy.parameters().items()
    )
    return Finding(check, True, f"{wanted.spec}: {parameters or 'no parameters'}")


def _input(tape: TapeConfig, config: RunConfig) -> Finding:
    """Check one input: hash it and decode its first event."""
    check = f"input {Path(tape.path).name}"
    alone = replace(config, tapes=(tape,), symbols=())
    try:
        records = input_records(alone.tapes)
        symbols = symbols_of(alone, records)
        first = next(open_inputs(alone, records), None)
    except TickdeckError as error:
        return Finding(check, False, str(error))
    if first is None:
        return Finding(check, False, f"{tape.path}: it contains no market data; name another file")
    return Finding(check, True, f"{tape.path}: {records[0].format} of {', '.join(symbols)}")
