"""Loads a run's strategies from its configuration or manifest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from tickdeck.application.engines.signals import SignalFactory
from tickdeck.application.engines.strategies import strategy_ids
from tickdeck.application.strategies import Strategy
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig, SignalConfig, StrategyConfig
from tickdeck.infrastructure.runs import (
    Manifest,
    StrategyRecord,
    check_inputs,
    code_digest,
)
from tickdeck.infrastructure.runs.folder import PAPER, here
from tickdeck.infrastructure.strategies import (
    keep_source,
    kept_spec,
    load_signal_class,
    new_strategy,
    source_digest,
    strategy_name,
)

__all__ = [
    "Code",
    "by_absolute_path",
    "code_changes",
    "code_of",
    "keep_code",
    "load_strategies",
    "signal_factories",
    "signal_records",
    "strategies_as_recorded",
    "with_kept_code",
]


Code: TypeAlias = dict[str, str]
"""What determines a run's events besides its inputs: the digest of each part of the code, and the kind of machine."""
W = TypeVar("W", StrategyConfig, SignalConfig)


def by_absolute_path(wanted: W) -> W:
    """The spec with the absolute path of its file, so that it can be found when the run is verified or resumed from
    another folder."""
    place, _, name = wanted.spec.rpartition(":")
    if not place.endswith(".py"):
        return wanted
    return msgspec.structs.replace(wanted, spec=f"{Path(place).absolute()}:{name}")


def load_strategies(config: RunConfig) -> tuple[list[tuple[str, Strategy]], tuple[StrategyRecord, ...]]:
    if not config.strategies and config.exchange == PAPER:  # a live run without a strategy records market data
        raise ConfigError("there is no strategy; name one with --strategy")
    ids = strategy_ids([wanted.name or strategy_name(wanted.spec) for wanted in config.strategies])
    loaded: list[tuple[str, Strategy]] = []
    records: list[StrategyRecord] = []
    mistakes: list[str] = []
    for strategy_id, wanted in zip(ids, config.strategies, strict=True):
        try:
            strategy = new_strategy(wanted.spec, wanted.parameters, wanted.name)
        except ConfigError as error:
            mistakes += error.lines
            continue
        cls = type(strategy)
        loaded.append((strategy_id, strategy))
        parameters = msgspec.to_builtins(strategy.parameters())
        records.append(
            StrategyRecord(strategy_id=strategy_id, spec=wanted.spec, parameters=parameters, sha256=source_digest(cls))
        )
    if mistakes:
        raise ConfigError.of(mistakes)
    return loaded, tuple(records)


def signal_factories(config: RunConfig) -> dict[str, SignalFactory]:
    """The factories of the user's signals, by name. Raises ``ConfigError`` for a wrong class or parameter."""
    factories: dict[str, SignalFactory] = {}
    for name, wanted in config.signals.items():
        factories[name] = partial(load_signal_class(wanted.spec), **wanted.parameters)
        factories[name]()  # refuse a wrong parameter before the run begins
    return factories


def signal_records(config: RunConfig) -> tuple[StrategyRecord, ...]:
    """The user's signals, for the manifest."""
    return tuple(
        StrategyRecord(
            strategy_id=name,
            spec=wanted.spec,
            parameters=msgspec.to_builtins(wanted.parameters),
            sha256=source_digest(load_signal_class(wanted.spec)),
        )
        for name, wanted in config.signals.items()
    )


def strategies_as_recorded(config: RunConfig, manifest: Manifest) -> tuple[list[tuple[str, Strategy]], Code]:
    """New objects of the run's strategies, and the code that is here. Refuses changed input files."""
    check_inputs(manifest)
    strategies, records = load_strategies(config)
    python, machine = here()
    return strategies, _code(python, machine, code_digest(), records, signal_records(config))


def keep_code(folder: Path, config: RunConfig, strategies: list[tuple[str, Strategy]]) -> None:
    """Copy the sources of the run's strategies and signals into its folder, for the proof. Raises ``RunError``."""
    for wanted, (_, strategy) in zip(config.strategies, strategies, strict=True):
        keep_source(folder, wanted.spec, type(strategy))
    for signal in config.signals.values():
        keep_source(folder, signal.spec, load_signal_class(signal.spec))


def with_kept_code(config: RunConfig, manifest: Manifest, folder: Path, code: Mapping[str, str]) -> RunConfig:
    """``config`` with the copies of ``code`` in the run's folder, as far as there are any."""
    strategies = tuple(
        msgspec.structs.replace(
            wanted, spec=kept_spec(folder, wanted.spec, code.get(f"strategy {record.strategy_id}", ""))
        )
        for wanted, record in zip(config.strategies, manifest.strategies, strict=True)
    )
    signals = {
        name: msgspec.structs.replace(wanted, spec=kept_spec(folder, wanted.spec, code.get(f"signal {name}", "")))
        for name, wanted in config.signals.items()
    }
    return msgspec.structs.replace(config, strategies=strategies, signals=signals)


def code_of(manifest: Manifest) -> Code:
    """The code with which the run began."""
    return _code(manifest.python, manifest.machine, manifest.code, manifest.strategies, manifest.signals)


def code_changes(then: Mapping[str, str], now: Mapping[str, str], manifest: Manifest) -> list[str]:
    """What has changed in code and machine, in words."""
    changes = []
    if (then["python"], then["machine"]) != (now["python"], now["machine"]):
        changes.append(
            f"the run was made with Python {then['python']} on {then['machine']}, this is {now['python']} on "
            f"{now['machine']}"
        )
    if then["tickdeck"] != now["tickdeck"]:
        version = f" (version {manifest.tickdeck})" if then["tickdeck"] == manifest.code else ""
        changes.append(f"the run was made with other code of Tickdeck{version}")
    for kind, records in (("strategy", manifest.strategies), ("signal", manifest.signals)):
        for record in records:
            part = f"{kind} {record.strategy_id}"
            if then.get(part) != now.get(part):
                changes.append(f"the source of {kind} {record.spec!r} has changed since the run")
    return changes


def _code(
    python: str,
    machine: str,
    tickdeck: str,
    strategies: tuple[StrategyRecord, ...],
    signals: tuple[StrategyRecord, ...],
) -> Code:
    code = {"python": python, "machine": machine, "tickdeck": tickdeck}
    code |= {f"strategy {record.strategy_id}": record.sha256 for record in strategies}
    return code | {f"signal {record.strategy_id}": record.sha256 for record in signals}
