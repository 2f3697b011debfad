"""The accounts of a run: which there are, whose they are, and which strategy trades with which."""

from __future__ import annotations

from typing import NamedTuple

from tickdeck.domain.risk import RiskLimits
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import paper_account
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig

__all__ = ["RunAccount", "account_of", "names_of_accounts", "run_accounts"]


class RunAccount(NamedTuple):
    """One account of a run. ``paper`` has its name, its owner and, on paper, its first balances. ``limits`` are those
    of its orders."""

    paper: PaperConfig
    limits: RiskLimits

    @property
    def account_id(self) -> str:
        return self.paper.account_id


def run_accounts(config: RunConfig) -> tuple[RunAccount, ...]:
    """The accounts that a run of ``config`` trades with, at least one. The first is that of ``RunConfig.account``, or
    else the first that the configuration names."""
    names = names_of_accounts(config)
    if not names:
        return (RunAccount(config.paper, config.risk),)
    accounts = []
    for name in names:
        entry = config.accounts[name]
        paper = paper_account(name, entry, config.paper)
        accounts.append(RunAccount(paper, config.risk if entry.risk is None else entry.risk))
    return tuple(accounts)


def names_of_accounts(config: RunConfig) -> tuple[str, ...]:
    """The names under ``[accounts]`` that the run trades with: on paper all paper accounts, otherwise those that are
    chosen by name. Empty if the run has one account without a table of its own, or a live run chose none."""
    chosen = [config.account] if config.account else []
    if config.live:
        named = [strategy.account for strategy in config.strategies if strategy.account]
        for copy in config.copy:
            named += [copy.leader.removeprefix("account:")] if copy.leader.startswith("account:") else []
            named.append(copy.follower)
        return tuple(dict.fromkeys([*chosen, *named]))
    on_paper = [name for name, entry in config.accounts.items() if entry.is_paper]
    if not on_paper:
        return ()
    return tuple(dict.fromkeys([*(name for name in chosen if name in on_paper), *on_paper]))


def account_of(config: RunConfig, strategy: StrategyConfig) -> str:
    """The account that ``strategy`` trades with. Raises ``ConfigError`` if there are several and none is chosen, or if
    the run does not trade with it."""
    names = [account.account_id for account in run_accounts(config)]
    wanted = strategy.account or config.account
    called = strategy.name or strategy.spec
    if len(names) == 1 and not strategy.account:
        return names[0]
    if not wanted:
        raise ConfigError(f"strategy {called}: the run has several accounts; give account = one of {', '.join(names)}")
    if wanted not in names:
        raise ConfigError(
            f"strategy {called}: account {wanted} is not on paper, and the run does not trade at an exchange; "
            f"give one of {', '.join(names)}, or live = true"
        )
    return wanted
