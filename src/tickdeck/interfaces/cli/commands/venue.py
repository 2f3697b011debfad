"""``tickdeck venue``."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import json_option
from tickdeck.interfaces.cli.output import print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.venue import RunningVenue

__all__ = ["venue"]


@click.command()
@click.option("--dialect", type=click.Choice(["binance"]), default="binance", show_default=True, help="The protocol.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="The port; 0 is any free one."
)
@click.option(
    "--symbols", default="", metavar="A,B", help="What is traded; default: the symbols of the tapes, or BTCUSDT."
)
@click.option(
    "--tape",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="F",
    help="Recorded market data that other traders play. May be repeated.",
)
@click.option(
    "--simulated/--no-simulated",
    default=None,
    help="Other traders invent a market for symbols without a tape; default: if there is no tape.",
)
@click.option("--speed", type=float, default=1.0, show_default=True, help="How fast the market is played.")
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the simulated market.")
@click.option("--faults", default="", metavar="SPEC", help='What goes wrong: "seed=7 drop_ack=0.02".')
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="F",
    help="Keep every change in this file, and come back with it after a crash.",
)
@click.option("--legacy-listen-key", is_flag=True, help="Serve the retired listen keys, for old clients.")
@json_option("The addresses as one JSON object")
def venue(
    dialect: str,
    host: str,
    port: int,
    symbols: str,
    tape: tuple[Path, ...],
    simulated: bool | None,
    speed: float,
    seed: int,
    faults: str,
    journal: Path | None,
    legacy_listen_key: bool,
    as_json: bool,
) -> int:
    """Run an exchange on localhost that speaks a real venue's protocol, with faults on demand. Ctrl-C ends it.

    Point any client at the address that it prints. The ground truth is at /admin/state. See docs/venue.md.

    \b
    Examples:
      tickdeck venue
      tickdeck venue --port 9000 --symbols BTCUSDT,ETHUSDT --journal venue.journal
      tickdeck venue --tape btcusdt.raw.gz --faults "seed=7 drop_ack=0.02 disconnect_every=30s"
    """
    del dialect
    chosen = [symbol for symbol in symbols.replace(" ", ",").split(",") if symbol]

    async def serve() -> None:
        from tickdeck.bootstrap.venue import open_venue

        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with open_venue(
            chosen,
            host=host,
            port=port,
            tapes=tape,
            simulated=simulated,
            speed=speed,
            seed=seed,
            faults=faults,
            journal=journal,
            legacy_listen_key=legacy_listen_key,
        ) as running:
            _show(running, as_json)
            await stop.wait()

    asyncio.run(serve())
    return DONE


def _show(running: RunningVenue, as_json: bool) -> None:
    symbols = list(running.exchange.engine.markets)
    if as_json:
        print_json(
            {
                "url": running.url,
                "ws_url": running.ws_url,
                "admin": f"{running.url}/admin",
                "key": running.key,
                "secret": running.secret,
                "symbols": symbols,
            }
        )
    else:
        click.echo(f"venue: {', '.join(symbols)}, in the protocol of Binance spot")
        click.echo(f"  REST {running.url}/api/v3")
        click.echo(f"  streams {running.ws_url}/ws   WebSocket API {running.ws_url}/ws-api/v3")
        click.echo(f"  API key {running.key}, secret {running.secret}   ground truth {running.url}/admin/state")
    sys.stdout.flush()
