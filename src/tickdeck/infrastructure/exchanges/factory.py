"""Exchanges by name, from an entry of the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import msgspec

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import Exchange, ExchangeCapabilities
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.credentials import Credentials, load_credentials
from tickdeck.infrastructure.exchanges.binance.profile import BINANCE_SPOT
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import (
    MAINNET,
    TESTNET,
    Ed25519Key,
    Endpoints,
    HmacKey,
    SigningKey,
    endpoints_at,
)
from tickdeck.infrastructure.resilience import BreakerTransition

__all__ = ["ExchangeFactory", "endpoints_of"]


Make: TypeAlias = Callable[..., Exchange]


def endpoints_of(url: str | None, testnet: bool) -> Endpoints:
    """The addresses of Binance: ``url``, the test net, or the venue itself. Raises ``ConfigError``."""
    if url is not None:
        return endpoints_at(url)
    return TESTNET if testnet else MAINNET


def _binance(
    account: str,
    config: AccountConfig,
    credentials: Credentials,
    clock: LiveClock | None,
    on_transition: Callable[[BreakerTransition], None],
) -> Exchange:
    endpoints = endpoints_of(config.url, config.testnet)
    key: SigningKey
    if credentials.secret.lstrip().startswith("-----BEGIN"):
        key = Ed25519Key(credentials.api_key, credentials.secret.encode())
    else:
        key = HmacKey(credentials.api_key, credentials.secret)
    return BinanceExchange(
        key,
        endpoints=endpoints,
        account_id=account,
        clock=clock,
        self_trade_prevention=config.self_trade_prevention or None,
        on_transition=on_transition,
    )


class ExchangeFactory:
    """``ExchangeFactory.create_exchange("main", {"exchange": "binance", "credentials": "env:BINANCE"})``."""

    makers: ClassVar[dict[str, Make]] = {"binance": _binance}
    """By name; a program may add its own."""
    capabilities: ClassVar[dict[str, ExchangeCapabilities]] = {"binance": BINANCE_SPOT.capabilities}
    """What they can do, by name. A run on an exchange that is missing here sends no stop orders."""

    @classmethod
    def create_exchange(
        cls,
        account: str,
        entry: AccountConfig | Mapping[str, Any],
        *,
        clock: LiveClock | None = None,
        environment: Mapping[str, str] = os.environ,
        on_transition: Callable[[BreakerTransition], None] = lambda transition: None,
    ) -> Exchange:
        """The exchange of ``[accounts.ACCOUNT]``, not yet connected. ``on_transition`` is called when a circuit breaker
        changes its state. Raises ``ConfigError`` if the entry or its credentials are wrong; the message shows neither
        key nor secret."""
        if not isinstance(entry, AccountConfig):
            try:
                entry = msgspec.convert(dict(entry), AccountConfig)
            except (msgspec.ValidationError, ConfigError) as error:
                raise ConfigError(f"accounts.{account}: {error}") from None
        make = cls.makers.get(entry.exchange)
        if make is None:
            raise ConfigError(
                f"accounts.{account}: exchange is {entry.exchange!r}; give one of {', '.join(cls.makers)}"
            )
        credentials = load_credentials(entry.credentials, account, environment=environment)
        return make(account, entry, credentials, clock, on_transition)
