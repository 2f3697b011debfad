"""What is wrong with a new command that can be carried out, but cannot mean what it says."""

from __future__ import annotations

from collections.abc import Mapping

from tickdeck.application.bus import describe_error
from tickdeck.application.engines.strategies import StrategyEngine, opposed
from tickdeck.application.engines.triggers import TriggerWish
from tickdeck.application.parameters import named
from tickdeck.application.strategies import Rules
from tickdeck.domain.conditions import parse_condition
from tickdeck.errors import ConfigError

__all__ = ["why_meaningless"]


def why_meaningless(engine: StrategyEngine, command: str, arguments: Mapping[str, str]) -> str:
    """Why ``command`` is refused before it is recorded; empty if it is not.

    These are conditions that hold always or never, one price as the stop of several symbols, and strategies whose
    opposite sides leave a stop nothing to close. A command that is recorded is carried out without this: an older
    version may have taken it, and a proof executes it again. What cannot be carried out at all is left to the engines.
    """
    try:
        if command in ("trigger-create", "trigger-update"):
            _check_condition(arguments.get("when", ""))
        elif command == "strategy-create":
            _check_new(engine, arguments)
        elif command == "strategy-update":
            _check_changed(engine, arguments)
    except ConfigError as error:
        return f"{command}: {describe_error(error)}"
    return ""


def _check_condition(when: str) -> None:
    try:
        parse_condition(when)
    except ConfigError:
        return
    TriggerWish(name="", when=when, then="").check_meaning()


def _check_new(engine: StrategyEngine, arguments: Mapping[str, str]) -> None:
    strategy_id, account = arguments.get("strategy_id", ""), arguments.get("account", "")
    if strategy_id in engine.definitions:
        return
    parameters = {name: value for name, value in arguments.items() if name not in ("strategy_id", "account")}
    try:
        rules, account_id = Rules(**parameters), engine.account_of_new(account)
    except ConfigError:
        return
    rules.check_meaning(engine.symbols)
    _check_sides(engine, strategy_id, rules, account_id)


def _check_changed(engine: StrategyEngine, arguments: Mapping[str, str]) -> None:
    strategy_id = arguments.get("strategy_id", "")
    strategy = engine.strategies.get(strategy_id)
    if not isinstance(strategy, Rules):
        return
    wanted = {name: value for name, value in arguments.items() if name != "strategy_id"}
    try:
        changed = Rules(**strategy.parameters() | wanted)
    except ConfigError:
        return
    try:
        changed.check_meaning(engine.symbols)
        _check_sides(engine, strategy_id, changed, engine.portfolio_of(strategy_id).account_id)
    except ConfigError as error:
        raise named(error, Rules, strategy_id) from None


def _check_sides(engine: StrategyEngine, strategy_id: str, rules: Rules, account_id: str) -> None:
    """Raise ``ConfigError`` if a strategy that joins or changes cannot trade next to the others."""
    mistakes = opposed(
        {**engine.strategies, strategy_id: rules},
        lambda one: account_id if one == strategy_id else engine.portfolio_of(one).account_id,
        engine.symbols,
    )
    if mistakes:
        raise ConfigError.of(mistakes)
