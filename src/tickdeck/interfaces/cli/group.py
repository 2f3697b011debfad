"""``tickdeck``: the commands by name. Each is imported only when it is used, so that ``--help`` is fast."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from tickdeck.errors import TickdeckError
from tickdeck.interfaces.cli.exits import exit_code, stdout_has_no_reader, terminable, wants_details
from tickdeck.interfaces.cli.output import mute

__all__ = ["COMMANDS", "main"]

_COMMANDS = "tickdeck.interfaces.cli.commands"
COMMANDS = {
    "run": (
        "tickdeck.interfaces.cli.commands.run:run",
        "Trade: market data in, orders and a portfolio out, all recorded.",
    ),
    "backtest": (
        "tickdeck.interfaces.cli.commands.backtest:backtest",
        "Run on recorded data at full speed, with a report.",
    ),
    "verify": (
        "tickdeck.interfaces.cli.commands.verify:verify",
        "Prove a run: execute it again and compare every event.",
    ),
    "events": (f"{_COMMANDS}.events:events", "List a run's events."),
    "trace": (f"{_COMMANDS}.trace:trace", "Show the causes and the effects of an event."),
    "book": (f"{_COMMANDS}.book:book", "Show the order book at a moment of a run."),
    "replay": (
        "tickdeck.interfaces.cli.commands.replay:replay",
        "Play back a run's events in real time, with key control.",
    ),
    "trades": (f"{_COMMANDS}.trades:trades", "List a run's trades, or their statistics."),
    "show": (f"{_COMMANDS}.show:show", "Show a run's orders, positions, balances, results or health."),
    "runs": (f"{_COMMANDS}.runs:runs", "List the runs."),
    "halt": (f"{_COMMANDS}.control.halt:halt", "Halt the trading of a run, from any terminal."),
    "resume": (f"{_COMMANDS}.control.resume:resume", "Let a run trade again after a halt."),
    "submit": (f"{_COMMANDS}.control.submit:submit", "Send an order of your own to the venue of a run."),
    "bracket": (
        f"{_COMMANDS}.control.bracket:bracket",
        "Send an order with its stop, its target and its time-out.",
    ),
    "amend": (f"{_COMMANDS}.control.amend:amend", "Change an open order of a run."),
    "protect": (f"{_COMMANDS}.control.protect:protect", "Set the stop and the target of a run's position."),
    "unprotect": (f"{_COMMANDS}.control.protect:unprotect", "Remove the stop and the target of a run's position."),
    "flatten": (f"{_COMMANDS}.control.flatten:flatten", "Cancel a run's orders and close its positions."),
    "close": (f"{_COMMANDS}.control.close:close", "Close a run's position in one symbol."),
    "cancel": (f"{_COMMANDS}.control.cancel:cancel", "Cancel a run's open orders."),
    "settle": (f"{_COMMANDS}.control.settle:settle", "End an order in doubt that the venue does not have."),
    "adopt": (f"{_COMMANDS}.control.adopt:adopt", "Take the venue's balance where it differs from a run's."),
    "trigger": (f"{_COMMANDS}.trigger:trigger", "Create, update, delete or list the triggers of a run."),
    "strategy": (f"{_COMMANDS}.control.strategy:strategy", "Pause, activate, update or delete a strategy of a run."),
    "import": (
        "tickdeck.interfaces.cli.commands.import_:import_",
        "Convert market data from other formats to a tape.",
    ),
    "record": (f"{_COMMANDS}.record:record", "Record an exchange's live market data."),
    "decode": (f"{_COMMANDS}.decode:decode", "Show what an exchange's messages mean."),
    "report": (
        "tickdeck.interfaces.cli.commands.report:report",
        "Write a run's report as a web page and a picture.",
    ),
    "whatif": (
        "tickdeck.interfaces.cli.commands.whatif:whatif",
        "Rerun a recorded session with other settings and compare.",
    ),
    "dead-letters": (
        "tickdeck.interfaces.cli.commands.dead_letters:dead_letters",
        "List the events whose handlers failed every attempt.",
    ),
    "export": (f"{_COMMANDS}.export:export", "Write a run's events as CSV, Parquet or JSON Lines."),
    "tape": (f"{_COMMANDS}.tape:tape", "Check, repair, convert or compact a tape."),
    "venue": (
        f"{_COMMANDS}.venue:venue",
        "Run an exchange on localhost for testing bots, with faults on demand.",
    ),
    "doctor": (f"{_COMMANDS}.doctor:doctor", "Check the machine, the disk and the configuration."),
    "new": (f"{_COMMANDS}.new:new", "Create a strategy project."),
    "bundle": (f"{_COMMANDS}.bundle:bundle", "Pack a run into one file that can be verified anywhere."),
    "bench": ("tickdeck.interfaces.bench.command:bench_command", "Measure Tickdeck's speed on this machine."),
}
"""Each command's location (``module:attribute``) and its line in ``tickdeck --help``."""


class CommandLine(click.Group):
    """Imports commands on demand, and ends the process by the rules of ``exits``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*args, **options)
        except BrokenPipeError:  # of `tickdeck --help` or `--version`
            _end_without_reader()
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with terminable():
                return super().invoke(ctx)
        except BrokenPipeError:
            _end_without_reader()
            return 0

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> NoReturn:
        """Run a command and end the process with its exit code."""
        words = list(sys.argv[1:] if args is None else args)
        details = wants_details(words)
        words = [word for word in words if word != "--debug"]  # so that it works anywhere in the command line
        options |= {"standalone_mode": False, "obj": details}
        command_main = super().main
        as_json = "--json" in words
        sys.exit(exit_code(lambda: command_main(words, *rest, **options), details=details, as_json=as_json))


def _end_without_reader() -> None:
    """The reader of stdout has seen enough, as in `tickdeck events last | head`: write nothing more."""
    if not stdout_has_no_reader():
        raise TickdeckError("stderr is a pipe without a reader; redirect the messages") from None
    mute(sys.stdout)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from tickdeck.infrastructure.version import full_version

        click.echo(f"tickdeck {full_version()}")
        ctx.exit()


@click.group(cls=CommandLine, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors (also TICKDECK_DEBUG=1).")
@click.pass_context
def main(ctx: click.Context) -> None:
    """The event backbone of a trading system: every change is one event, in one order, on one tape.

    \b
    Examples:
      tickdeck run --for 20
      tickdeck verify last
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
