"""A venue that runs in this process, for tests and for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from tickdeck.domain.events import MarketEvent
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.dialects.binance.limits import Limits, RateLimits
from tickdeck.infrastructure.venue.dialects.binance.signing import check_public_key
from tickdeck.infrastructure.venue.dialects.binance.venue import BinanceVenue
from tickdeck.infrastructure.venue.exchange import Exchange
from tickdeck.infrastructure.venue.faults import Faults
from tickdeck.infrastructure.venue.journal import Journal
from tickdeck.infrastructure.venue.markets import default_deposits, market_of
from tickdeck.infrastructure.venue.matching import Market
from tickdeck.infrastructure.venue.scenarios import Scenario, ScenarioPlayer
from tickdeck.infrastructure.venue.snapshots import Snapshots
from tickdeck.infrastructure.venue.traders import Traders

if TYPE_CHECKING:
    from tickdeck.infrastructure.venue.dialects.binance.server import BinanceServer
    from tickdeck.infrastructure.venue.dialects.binance.sockets import ServerSettings

__all__ = ["DEFAULT_ACCOUNT", "RunningVenue", "running_venue"]

_BATCH = 200

DEFAULT_ACCOUNT = Account(name="demo", key="demo-key", secret="demo-secret", can_trade=True)  # noqa: S106 (not a secret)
"""The account of a venue if none is given."""


class RunningVenue:
    """Where the venue listens, and its parts."""

    def __init__(self, server: BinanceServer, accounts: Sequence[Account]) -> None:
        self.server = server
        self.venue: BinanceVenue = server.venue
        self.exchange: Exchange = server.venue.exchange
        self.traders: Traders = server.traders
        self.faults: Faults = server.venue.faults
        self.accounts = tuple(accounts)
        self.player: ScenarioPlayer | None = None
        """The scenario that is being played."""

    @property
    def url(self) -> str:
        """``http://host:port``: REST is under ``/api``, the admin address under ``/admin``."""
        return f"http://{self.server.host}:{self.server.port}"

    @property
    def ws_url(self) -> str:
        """``ws://host:port``: streams are under ``/ws`` and ``/stream``, the WebSocket API at ``/ws-api/v3``."""
        return f"ws://{self.server.host}:{self.server.port}"

    @property
    def failed(self) -> asyncio.Future[None]:
        """Done with a ``TickdeckError`` if the venue cannot continue, because its journal cannot be written."""
        assert self.server.failed is not None
        return self.server.failed

    @property
    def key(self) -> str:
        """The API key of the first account."""
        return self.accounts[0].key

    @property
    def secret(self) -> str:
        """The API secret of the first account."""
        return self.accounts[0].secret


@contextlib.asynccontextmanager
async def running_venue(
    symbols: Sequence[str] = ("BTCUSDT",),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    accounts: Sequence[Account] = (DEFAULT_ACCOUNT,),
    deposits: dict[str, Decimal] | None = None,
    markets: Sequence[Market] | None = None,
    faults: str | Faults = "",
    events: Iterable[MarketEvent] = (),
    speed: float = 1.0,
    journal: Path | None = None,
    snapshot_every: int = 100_000,
    rates: RateLimits | None = None,
    settings: ServerSettings | None = None,
    legacy_listen_key: bool = False,
    scenario: Scenario | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> AsyncIterator[RunningVenue]:
    """A venue that serves on ``port`` (0: any free one) until the block ends.

    ``events`` is market data that other traders play, ``speed`` times as fast as it was recorded. Each new account gets
    ``deposits`` (by asset; default: some of each). With ``journal`` (a file) the venue is restored to its previous
    state. Every ``snapshot_every`` commands it writes a snapshot next to the journal, from which the next start
    continues.

    A ``scenario`` has its own symbols, deposits, faults and book, and is played from the start.

    Raises ``ConfigError`` for a port that is in use, an unknown fault, or a missing package.
    """
    from tickdeck.infrastructure.venue.dialects.binance.server import BinanceServer

    if scenario is not None:
        symbols, faults = scenario.symbols, scenario.faults or faults
        deposits = {asset: Decimal(amount) for asset, amount in scenario.deposits.items()}
    chosen = list(markets) if markets is not None else [market_of(symbol) for symbol in symbols]
    log = Journal(journal) if journal is not None else None
    try:
        exchange = Exchange(chosen, log)
        if log is not None:
            Snapshots(exchange, log, every=snapshot_every).restore()
        found = faults if isinstance(faults, Faults) else Faults.parse(faults)
        venue = BinanceVenue(exchange, clock, limits=Limits(rates), faults=found, legacy_listen_key=legacy_listen_key)
        _open_accounts(exchange, accounts, deposits if deposits is not None else default_deposits(chosen), clock())
        traders = Traders(exchange, clock())
        server = BinanceServer(venue, traders, settings)
        await server.start(host, port)
        playing = asyncio.get_running_loop().create_task(_play(server, events, speed))
        try:
            running = RunningVenue(server, accounts)
            if scenario is not None:
                running.player = server.play(scenario)
            yield running
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing
            await server.stop()
    finally:
        if log is not None:
            log.close()


def _open_accounts(exchange: Exchange, accounts: Sequence[Account], deposits: dict[str, Decimal], now: int) -> None:
    for account in accounts:
        check_public_key(account)
        before = exchange.accounts.get(account.name)
        if before is None:
            exchange.open_account(account, now, **deposits)
        elif before != account:
            exchange.open_account(account, now)


async def _play(server: BinanceServer, events: Iterable[MarketEvent], speed: float) -> None:
    """Play market data at its own pace, ``speed`` times as fast."""
    traders, venue = server.traders, server.venue
    loop = asyncio.get_running_loop()
    began, first = loop.time(), 0
    try:
        for count, event in enumerate(events):
            first = first or event.ts_ingress
            wait = (event.ts_ingress - first) / 1e9 / speed - (loop.time() - began)
            if wait > 0.001:
                await asyncio.sleep(wait)
            elif count % _BATCH == 0:
                await asyncio.sleep(0)  # requests are answered while a burst is played
            traders.play(event, venue.now())
    except TickdeckError as error:  # the tape cannot be read any further, or the journal cannot be written
        server.fail(error)
