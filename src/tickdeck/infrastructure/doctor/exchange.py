"""Checks of an exchange and its accounts over the network: whether it is reachable, the clocks, the limits, and the
rights of each key.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping

import msgspec

from tickdeck.errors import ConfigError, ExchangeError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.credentials import load_credentials
from tickdeck.infrastructure.doctor.findings import Finding
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey
from tickdeck.infrastructure.exchanges.factory import ExchangeFactory, endpoints_of
from tickdeck.infrastructure.resilience import RateLimiter, WeightLimit

__all__ = ["exchange_findings"]

_MS = 1_000_000  # ns in a millisecond
_LARGEST_OFFSET = 1_000  # ms; beyond it requests fail until the offset has been measured


async def exchange_findings(
    exchange: str,
    accounts: Mapping[str, AccountConfig],
    *,
    url: str | None = None,
    testnet: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Finding]:
    """Check ``exchange``, and those of ``accounts`` that are at it. ``url`` and ``testnet`` override the addresses of
    the accounts. No finding contains a key or a secret.
    """
    if exchange not in ExchangeFactory.makers:
        known = ", ".join(ExchangeFactory.makers)
        yield Finding(f"venue {exchange}", False, f"there is no exchange of this name; name one of {known}")
        return
    public = BinanceExchange(HmacKey("", ""), endpoints=endpoints_of(url, testnet))
    try:
        async for finding in _venue(exchange, public):
            yield finding
    finally:
        await public.close()
    mine = {name: account for name, account in accounts.items() if account.exchange == exchange}
    if not mine:
        yield Finding("accounts", None, f"none at {exchange}; add [accounts.NAME] to the configuration to check a key")
    for name, account in mine.items():
        if url is not None or testnet:
            account = msgspec.structs.replace(account, url=url, testnet=testnet)
        async for finding in _account(name, account, environment):
            yield finding


async def _venue(name: str, exchange: BinanceExchange) -> AsyncIterator[Finding]:
    began = time.monotonic()
    try:
        listed = await exchange.instruments()
    except ExchangeError as error:
        yield Finding(f"venue {name}", False, f"{error}; check the address and the network")
        return
    took = (time.monotonic() - began) * 1000
    trading = sum(instrument.status == "trading" for instrument in listed)
    yield Finding(f"venue {name}", True, f"answered in {took:.0f} ms; {trading} of {len(listed)} symbols are traded")
    try:
        offset = await exchange.clock_offset() / _MS
    except ExchangeError as error:
        yield Finding(f"clock of {name}", False, str(error))
        return
    direction = "ahead of" if offset > 0 else "behind"
    difference = f"the venue's clock is {abs(offset):,.0f} ms {direction} ours; requests are corrected by that"
    if abs(offset) > _LARGEST_OFFSET:
        yield Finding(f"clock of {name}", False, f"{difference}; synchronise this machine's clock (NTP)")
    else:
        yield Finding(f"clock of {name}", True, difference)
    yield Finding(f"limits of {name}", True, _limits(exchange.limits))


def _limits(limits: RateLimiter) -> str:
    def words(limit: WeightLimit) -> str:
        used = limits.used(limit.name, limit.seconds)
        return f"{limit.limit:,} {limit.name} per {_interval(limit.seconds)} ({used:,} used)"

    return ", ".join(map(words, limits.limits))


def _interval(seconds: int) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % length == 0:
            return unit if seconds == length else f"{seconds // length} {unit}s"
    return f"{seconds} s"


async def _account(name: str, account: AccountConfig, environment: Mapping[str, str]) -> AsyncIterator[Finding]:
    """The source of the credentials, then the key itself."""
    check = f"credentials {name}"
    try:
        load_credentials(account.credentials, name, environment=environment)
        exchange = ExchangeFactory.create_exchange(name, account, environment=environment)
    except ConfigError as error:
        yield Finding(check, False, str(error))
        return
    kind, _, where = account.credentials.partition(":")
    place = {"env": f"environment, {where}_API_KEY", "file": f"{where}, readable by its owner only"}
    owner = f" of {account.owner}" if account.owner else ""
    yield Finding(check, True, f"account{owner}: {place.get(kind, f'keyring, {where}')}")
    assert isinstance(exchange, BinanceExchange)
    try:
        yield await _key(name, exchange)
    except ExchangeError as error:
        yield Finding(f"key {name}", False, str(error))
    finally:
        await exchange.close()


async def _key(name: str, exchange: BinanceExchange) -> Finding:
    rights = await exchange.key_rights()
    named = {"read": rights.may_read, "trade": rights.may_trade, "WITHDRAW": rights.may_withdraw}
    words = [what for what, allowed in named.items() if allowed]
    may = f"may {', '.join(words[:-1])}{' and ' if words[1:] else ''}{words[-1]}" if words else "may do nothing"
    address = {True: "; only from certain addresses", False: "; from any address", None: ""}[rights.address_bound]
    if rights.may_withdraw:
        return Finding(f"key {name}", False, f"{may}{address}; use a key without the right to withdraw")
    if not rights.may_trade:
        return Finding(f"key {name}", True, f"{may}, not trade or withdraw{address}; orders will be refused")
    return Finding(f"key {name}", True, f"{may}, not withdraw{address}")
