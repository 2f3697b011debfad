"""``tickdeck doctor``."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickdeck.application.wording import counted
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import data_option, json_option
from tickdeck.interfaces.cli.output import console, print_lines

if TYPE_CHECKING:
    from tickdeck.infrastructure.config import RunConfig
    from tickdeck.infrastructure.doctor import Finding

__all__ = ["doctor"]


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="F",
    help="The settings file; default: the built-in settings.",
)
@click.option("--tape", multiple=True, metavar="F", help="Check this market data. May be repeated.")
@click.option("--strategy", multiple=True, metavar="SPEC", help="Check this strategy. May be repeated.")
@click.option("--exchange", metavar="NAME", help="Check this exchange and your accounts there: binance.")
@click.option("--url", metavar="URL", help="The address of a venue that speaks the exchange's protocol.")
@click.option("--testnet", is_flag=True, help="Check the exchange's test net.")
@data_option
@json_option("One JSON object per check: `check`, `ok`, `detail`,")
def doctor(
    config: Path | None,
    tape: tuple[str, ...],
    strategy: tuple[str, ...],
    exchange: str | None,
    url: str | None,
    testnet: bool,
    data: Path,
    as_json: bool,
) -> int:
    """Check the machine, the disk under DIR, and a configuration with its strategies and input files.

    Exits with 1 if something is not ok; each such line says how to fix it. In JSON, ok is null for remarks, and for
    checks that were not made. --tape and --strategy override the configuration, as in `run`.

    The network is used with --exchange only. It shows the offset of the clocks, the rate limits, where the keys of
    [accounts.NAME] come from, and what they may do. A key that may withdraw is a problem. Keys are never shown. The
    address is the one of the configuration, unless --url or --testnet gives another.

    \b
    Examples:
      tickdeck doctor
      tickdeck doctor --tape btcusdt.csv.gz --strategy mine.py:Breakout
      tickdeck doctor --config run.toml --data DATA --json
      tickdeck doctor --config run.toml --exchange binance
    """
    from tickdeck.infrastructure.doctor import machine_findings

    with contextlib.redirect_stdout(sys.stderr):  # what strategies print while they load is not a finding
        found = [*machine_findings(data), *_configuration(config, tape, strategy)]
        found += _venues(config, exchange, url, testnet)
    if as_json:
        print_lines(msgspec.json.encode(finding) for finding in found)
    else:
        _print(found)
    return NO if any(finding.ok is False for finding in found) else DONE


def _configuration(path: Path | None, tape: tuple[str, ...], strategy: tuple[str, ...]) -> Iterator[Finding]:
    """Check the file, its strategies and its inputs; if all are ok, build a run from them without starting it."""
    from tickdeck.errors import TickdeckError
    from tickdeck.infrastructure.doctor import Finding, settings_findings
    from tickdeck.interfaces.cli.run_config import build_config

    try:
        config = build_config(config=path, tape=tape, strategy=strategy)
    except TickdeckError as error:
        for mistake in getattr(error, "mistakes", ()) or (str(error),):
            yield Finding("configuration", False, mistake)
        return
    yield Finding("configuration", True, f"{path} loads" if path is not None else "none given: the built-in defaults")
    fine = True
    for finding in settings_findings(config):
        fine = fine and finding.ok is not False
        yield finding
    if fine:
        yield _rehearsal(config)


def _rehearsal(config: RunConfig) -> Finding:
    """Build a run in a temporary folder: this hashes the input files, reads the key of a live run, and creates engines
    and strategies. It uses no network."""
    from tickdeck.bootstrap import start_live_run, start_run
    from tickdeck.errors import TickdeckError
    from tickdeck.infrastructure.doctor import Finding
    from tickdeck.infrastructure.runs.folder import PAPER

    start = start_run if config.exchange == PAPER else start_live_run
    with tempfile.TemporaryDirectory(prefix="tickdeck-doctor-") as folder:
        try:
            run = start(config, Path(folder))
        except TickdeckError as error:
            return Finding("run", False, str(error))
        run.close()
    strategies = ", ".join(record.strategy_id for record in run.manifest.strategies)
    return Finding("run", True, f"can start: {strategies} on {', '.join(run.manifest.symbols)}")


def _venues(path: Path | None, exchange: str | None, url: str | None, testnet: bool) -> list[Finding]:
    """Where orders go, and the exchange over the network: at the address of the configuration, unless one is given."""
    import asyncio

    from tickdeck.errors import ConfigError, TickdeckError
    from tickdeck.infrastructure.accounts import AccountConfig
    from tickdeck.infrastructure.config import RunConfig, load_config
    from tickdeck.infrastructure.doctor import Finding, exchange_findings
    from tickdeck.infrastructure.exchanges.factory import ExchangeFactory

    try:
        config = load_config(path) if path is not None else RunConfig()
    except TickdeckError:
        config = RunConfig()  # the mistake is among the findings already
        found = []  # where its orders would go is not known
    else:
        found = [_orders_go(config)]
    if exchange is None and (url is not None or testnet):
        raise ConfigError("--url and --testnet are for an exchange; name it with --exchange")
    if exchange == "paper":
        return found
    if exchange is None:
        names = ", ".join(ExchangeFactory.makers)
        return [*found, Finding("exchanges", None, f"the network was not used; name one with --exchange ({names})")]
    if url is None and not testnet and config.exchange == exchange:
        url, testnet = config.exchange_url, config.testnet

    accounts = dict(config.accounts)
    if config.live and config.exchange == exchange and all(one.exchange != exchange for one in accounts.values()):
        accounts["main"] = AccountConfig(exchange=exchange, credentials=f"env:{exchange.upper()}")  # as the run does

    async def check(name: str) -> list[Finding]:
        return [finding async for finding in exchange_findings(name, accounts, url=url, testnet=testnet)]

    return [*found, *asyncio.run(check(exchange))]


def _orders_go(config: RunConfig) -> Finding:
    """The venue of the run's orders."""
    from tickdeck.infrastructure.doctor import Finding

    if not config.live:
        return Finding("venue paper", True, "simulated in this process; no order leaves it")
    where = config.exchange_url or (f"the test net of {config.exchange}" if config.testnet else config.exchange)
    return Finding(f"venue {config.exchange}", True, f"live = true: orders leave this process and are sent to {where}")


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2), pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    wrong = 0
    for finding in findings:
        wrong += finding.ok is False
        mark = {True: Text("ok", "green"), False: Text("NO", "bold red"), None: Text("-", "dim")}[finding.ok]
        table.add_row(mark, finding.check, Text(finding.detail, "bold" if finding.ok is False else ""))
    out = console()
    out.print(table)
    if wrong:
        out.print(f"\n{counted(wrong, 'problem')} to fix", style="bold red")
    else:
        out.print("\nready to run", style="bold green")
