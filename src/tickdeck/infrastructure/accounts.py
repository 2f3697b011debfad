"""The accounts of a configuration: whose they are, where they are, and where their keys come from."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import msgspec

from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import ZERO, Money
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.paper import PaperConfig

__all__ = ["AccountConfig", "paper_account", "rooted_account"]


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[accounts.NAME]``. The key itself is never in a configuration.

    - ``exchange``: its name, such as ``binance``, or ``paper``. ``owner``: whose account it is, for people.
    - ``credentials``: where the key comes from: ``env:PREFIX``, ``file:PATH`` or ``keyring:SERVICE``. A paper account
      has none.
    - ``balances``: what a paper account begins with, by currency; default: as under ``[paper]``.
    - ``leverage``: makes a paper account a margin account, with the other terms of ``[paper]``; default: as there.
    - ``risk``: limits of this account instead of those under ``[risk]``; those that are not given stay as there.
    - ``url``: the address of a venue that speaks the protocol of the exchange. ``testnet``: the exchange's test net.
    - ``self_trade_prevention``: the mode of every order; an empty string leaves it to the exchange.
    """

    exchange: str
    credentials: str = ""
    owner: str = ""
    balances: dict[str, Money] = {}
    leverage: Decimal | None = None
    risk: RiskLimits | None = None
    url: str | None = None
    testnet: bool = False
    self_trade_prevention: str = "EXPIRE_MAKER"

    @property
    def is_paper(self) -> bool:
        return self.exchange == "paper"

    def __post_init__(self) -> None:
        if self.is_paper:
            if self.credentials or self.url is not None or self.testnet:
                raise ConfigError("a paper account has no credentials, url or testnet; omit them")
            PaperConfig(balances=self.balances, leverage=self.leverage, maintenance=ZERO)  # refuses wrong amounts
            return
        if self.balances:
            raise ConfigError("balances are those of a paper account; omit them, or give exchange = 'paper'")
        if self.leverage is not None:
            raise ConfigError("leverage is that of a paper account; omit it, or give exchange = 'paper'")
        kind, _, where = self.credentials.partition(":")
        if kind not in ("env", "file", "keyring") or not where:
            # The value is not shown: it may be the key itself.
            raise ConfigError("credentials must be 'env:PREFIX', 'file:PATH' or 'keyring:SERVICE'")
        if self.url is not None and not re.fullmatch(r"https?://[^\s/]+/?", self.url):
            raise ConfigError(f"url is {self.url!r}; give one such as http://localhost:8080")
        if self.url is not None and self.testnet:
            raise ConfigError("testnet is true, but there is a url; give one of them")


def paper_account(name: str, account: AccountConfig, paper: PaperConfig) -> PaperConfig:
    """The settings of an account: those of ``[paper]`` with what is its own. Only an account on paper may owe. Raises
    ``ConfigError`` if its leverage does not agree with them."""
    try:
        return msgspec.structs.replace(
            paper,
            account_id=name,
            user_id=account.owner,
            balances=account.balances or paper.balances,
            short_selling=paper.short_selling and account.is_paper,
            leverage=(account.leverage or paper.leverage) if account.is_paper else None,
        )
    except ConfigError as error:
        raise ConfigError(f"accounts.{name}: {str(error).removeprefix('paper venue: ')}") from None


def rooted_account(account: AccountConfig, folder: Path) -> AccountConfig:
    """``account`` with a relative path of its credentials resolved from ``folder``."""
    kind, _, where = account.credentials.partition(":")
    if kind != "file":
        return account
    return msgspec.structs.replace(account, credentials=f"file:{folder / Path(where).expanduser()}")
