"""``tickdeck venue``."""

from __future__ import annotations

import asyncio
import signal
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import json_option
from tickdeck.interfaces.cli.output import console, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.venue import RunningVenue
    from tickdeck.infrastructure.venue.scenarios import Scenario, ScenarioPlayer

__all__ = ["venue"]


@click.command()
@click.option("--dialect", type=click.Choice(["binance"]), default="binance", show_default=True, help="The protocol.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="The port; 0 picks a free one."
)
@click.option(
    "--symbols", default="", metavar="A,B", help="The symbols to trade; default: those of the tapes, or BTCUSDT."
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
    help="Whether other traders simulate a market for symbols without a tape; default: only if there is no tape.",
)
@click.option(
    "--speed", type=float, default=1.0, show_default=True, help="The speed of the market, as a multiple of real time."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the simulated market.")
@click.option("--faults", default="", metavar="SPEC", help='Faults to inject: "seed=7 drop_ack=0.02".')
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="F",
    help="Store every change in this file, and restore the state from it at the start.",
)
@click.option("--legacy-listen-key", is_flag=True, help="Serve the retired listen keys, for old clients.")
@click.option(
    "--scenario",
    metavar="FILE:NAME",
    help="Play a scenario, and check the ledger at the end; cards:C01 is one of the acceptance cards.",
)
@click.option("--cards", is_flag=True, help="List the acceptance cards and exit.")
@json_option("The addresses as one JSON object (with --cards: one per card)")
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
    scenario: str | None,
    cards: bool,
    as_json: bool,
) -> int:
    """Run an exchange on localhost that speaks a real venue's protocol, with faults on demand. Ctrl-C ends it.

    Point any client at the address that it prints. The ground truth is at /admin/state. See docs/venue.md.

    \b
    Examples:
      tickdeck venue
      tickdeck venue --port 9000 --symbols BTCUSDT,ETHUSDT --journal venue.journal
      tickdeck venue --scenario cards:C01
      tickdeck venue --tape btcusdt.raw.gz --faults "seed=7 drop_ack=0.02 disconnect_every=30s"
    """
    del dialect
    if cards:
        return _list_cards(as_json)
    chosen = [symbol for symbol in symbols.replace(" ", ",").split(",") if symbol]

    async def serve() -> int:
        from tickdeck.bootstrap.venue import open_venue

        play = _find_scenario(scenario) if scenario is not None else None
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
            scenario=play,
        ) as running:
            _show(running, as_json)
            stopping = asyncio.ensure_future(stop.wait())
            ends: list[asyncio.Future[Any]] = [stopping, running.failed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if running.failed.done():
                running.failed.result()
            return _show_results(running.player, as_json) if running.player is not None else DONE

    return asyncio.run(serve())


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


def _find_scenario(spec: str) -> Scenario:
    """``FILE:NAME``, or ``FILE`` if it has only one scenario. ``cards`` stands for the acceptance cards."""
    from tickdeck.errors import ConfigError
    from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

    place, _, name = spec.rpartition(":") if ":" in spec else (spec, "", "")
    found = load_scenarios(CARDS if place == "cards" else Path(place))
    if not name and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        near = get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(found)}"
        raise ConfigError(f"{place}: there is no scenario {name!r}; {hint}")
    return found[name]


def _list_cards(as_json: bool) -> int:
    from rich.table import Table

    from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

    cards = load_scenarios(CARDS)
    if as_json:
        for card in cards.values():
            print_json({"name": card.name, "title": card.title, "client": card.client})
        return DONE
    table = Table("card", "what the venue does", "what the client does", box=None, pad_edge=False)
    for card in cards.values():
        table.add_row(card.name, card.title, card.client)
    console().print(table)
    return DONE


def _show_results(player: ScenarioPlayer, as_json: bool) -> int:
    """Print the checks as a table. The result is "no" if one fails, or if the scenario did not reach its end."""
    from rich.table import Table

    results = player.results()
    problems = [*player.problems, *([] if player.finished else ["not every step of the scenario was reached"])]
    if as_json:
        rows = [
            {"figure": r.check.figure, "value": str(r.value), "holds": r.holds, "why": r.check.why} for r in results
        ]
        print_json({"scenario": player.scenario.name, "checks": rows, "problems": problems})
    else:
        table = Table("", "figure", "value", "why", box=None, pad_edge=False, title=player.scenario.title)
        for result in results:
            table.add_row("ok" if result.holds else "NO", result.check.figure, str(result.value), result.check.why)
        console().print(table)
        for problem in problems:
            click.echo(problem)
    return DONE if all(result.holds for result in results) and not problems else NO
