"""The account that a live run trades with, and what must be settled before it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import Exchange
from tickdeck.bootstrap.run_accounts import names_of_accounts
from tickdeck.domain.risk import DEFAULT_LIMITS
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, require_strategy
from tickdeck.infrastructure.exchanges.factory import ExchangeFactory
from tickdeck.infrastructure.resilience import BreakerTransition

__all__ = ["LiveAccount", "live_accounts"]

_REQUIRED = ("max_order_notional", "max_position_notional", "max_daily_loss")


class LiveAccount(NamedTuple):
    """``exchange`` is not connected yet. Each of ``hear_breakers`` is called when one of its circuit breakers changes
    its state."""

    exchange: Exchange
    hear_breakers: list[Callable[[BreakerTransition], object]]


def live_accounts(config: RunConfig, clock: LiveClock) -> tuple[RunConfig, dict[str, LiveAccount]]:
    """The configuration with the name and the owner of the account, if there is only one, and the accounts that the run
    trades with, by name.

    Raises ``ConfigError`` if the configuration names no strategy or does not state the required limits of ``[risk]``,
    or if the account or its key cannot be found.
    """
    require_strategy(config)
    stated = config.stated_limits
    if stated is None:  # a program's
        stated = () if config.risk == DEFAULT_LIMITS else _REQUIRED
    missing = [name for name in _REQUIRED if name not in stated or getattr(config.risk, name) is None]
    if missing:
        raise ConfigError(
            f"live: real orders need limits that you wrote yourself; give {', '.join(missing)} under [risk] in the "
            "configuration file"
        )
    names = names_of_accounts(config)
    if len(names) < 2:
        name, entry = _account(replace(config, account=names[0] if names else ""))
        paper = replace(config.paper, account_id=name, user_id=entry.owner, short_selling=False, leverage=None)
        return replace(config, paper=paper), {name: _opened(name, entry, clock)}
    return config, {name: _opened(name, _checked(config, name, config.accounts[name]), clock) for name in names}


def _opened(name: str, entry: AccountConfig, clock: LiveClock) -> LiveAccount:
    hear_breakers: list[Callable[[BreakerTransition], object]] = []

    def on_transition(transition: BreakerTransition) -> None:
        for hear in hear_breakers:
            hear(transition)

    exchange = ExchangeFactory.create_exchange(name, entry, clock=clock, on_transition=on_transition)
    return LiveAccount(exchange, hear_breakers)


def _account(config: RunConfig) -> tuple[str, AccountConfig]:
    """The account by its name, or the only one at the exchange. Without any, its key is in the environment."""
    found = {name: entry for name, entry in config.accounts.items() if entry.exchange == config.exchange}
    if config.account:
        found = {config.account: config.accounts[config.account]}
    if len(found) > 1:
        names = ", ".join(found)
        raise ConfigError(f"live: there are several accounts at {config.exchange}; give account = one of {names}")
    if not found:
        credentials = f"env:{config.exchange.upper()}"
        entry = AccountConfig(exchange=config.exchange, credentials=credentials)
        found = {"main": entry}
    ((name, entry),) = found.items()
    return name, _checked(config, name, entry)


def _checked(config: RunConfig, name: str, entry: AccountConfig) -> AccountConfig:
    """The account with its address. Raises ``ConfigError`` if it is not where the run is."""
    if entry.is_paper:
        raise ConfigError(
            f"live: account {name} is on paper, and a run with real orders has no paper accounts; give its strategies "
            f"and copies a run of their own without live, on the same market data: exchange = {config.exchange!r}"
        )
    if entry.exchange != config.exchange:
        raise ConfigError(f"live: account {name} is at {entry.exchange}, but the run is at {config.exchange}")
    if entry.url is None and not entry.testnet:
        return replace(entry, url=config.exchange_url, testnet=config.testnet)
    if (entry.url, entry.testnet) != (config.exchange_url, config.testnet):
        raise ConfigError(
            f"live: account {name} has a different address from the market data; give both the same url and testnet"
        )
    return entry
