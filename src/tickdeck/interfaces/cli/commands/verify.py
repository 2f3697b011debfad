"""``tickdeck verify``."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tickdeck.application.wording import counted
from tickdeck.interfaces.cli.exits import DONE, NO, OTHER_CODE, details_wanted
from tickdeck.interfaces.cli.options import (
    data_option,
    import_option,
    json_option,
    recorded_place,
    recorded_run,
    run_argument,
)
from tickdeck.interfaces.cli.output import console, event_fields, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tickdeck.application.proof import Divergence, Verdict
    from tickdeck.domain.events import DomainEvent

__all__ = ["verify"]


def _well_formed(context: click.Context, option: click.Parameter, digest: str | None) -> str | None:
    if digest is not None and re.fullmatch("[0-9a-fA-F]{64}", digest) is None:
        raise click.BadParameter(f"{digest!r} is not a digest; give the 64 hex digits that `verify` printed")
    return digest


@click.command()
@run_argument
@click.option(
    "--wiring",
    metavar="MODULE:FUNCTION",
    help="For the tape of a bus: your function that subscribes the handlers; it is called with the bus.",
)
@click.option(
    "--digest", metavar="D", callback=_well_formed, help="A digest that you noted earlier; the record must match it."
)
@import_option
@data_option
@json_option("The verdict as one JSON object")
def verify(run: str, wiring: str | None, digest: str | None, data: Path, as_json: bool) -> int:
    """Run the strategies of RUN again on the recorded inputs, and compare every resulting event byte for byte.

    The record itself is compared with its digest and with the point where the run ended. Exits with 0 if everything is
    identical, and with 1 if not; then it shows the first difference with its chain of causes. It exits with 4 if the
    code of Tickdeck or of a strategy has changed and decides differently: that says nothing about the record, and only
    the original code can prove it. A run that was killed can be identical up to its end, but it is not complete.

    RUN is a run's id, a path to its folder, `last`, or a file from `tickdeck bundle`. Verifying executes the
    strategies' code, so only accept bundles from people you trust.

    To prove the tape of a bus, give its path and the function that subscribes your handlers.

    \b
    Examples:
      tickdeck verify last
      tickdeck verify house.db --wiring house:subscribe
      tickdeck verify 20240808-120000-3f2a --json
      tickdeck verify strange.zip
    """
    bundle = Path(run)
    if wiring is not None:
        return _verify_bus(bundle, wiring, digest, as_json)
    from tickdeck.infrastructure.runs.folder import MANIFEST

    if bundle.suffix != ".zip" or bundle.is_dir():
        place = recorded_place(data, run)
        if place.is_dir() and (place / MANIFEST).is_file():
            return _verify(place, digest, (), as_json)
        raise click.UsageError(
            "this is a tape without a run; name the function that subscribes its handlers with --wiring"
        )
    from tickdeck.infrastructure.bundles import unpacked

    with unpacked(bundle) as found:
        return _verify(recorded_run(data, str(found.folder)), digest, found.notes, as_json)


def _verify_bus(tape: Path, wiring: str, digest: str | None, as_json: bool) -> int:
    """Prove the tape of a bus and print the verdict."""
    from tickdeck.bootstrap import verify_bus
    from tickdeck.infrastructure.strategies import load_function
    from tickdeck.interfaces.cli.faults import FaultLines, fault_lines

    with (
        fault_lines(FaultLines(sys.stderr) if details_wanted() else logging.NullHandler()),
        contextlib.redirect_stdout(sys.stderr),
    ):
        verdict = verify_bus(tape, load_function(wiring), digest=digest)
    causes = _causes(tape, verdict.divergence) if verdict.divergence is not None else []
    if as_json:
        print_json(_json(tape.name, verdict, causes, ()))
    else:
        _print(tape.name, verdict, causes, (), "its program was stopped or killed there, or is still running")
    return DONE if verdict.identical else NO


def _verify(folder: Path, digest: str | None, noted: Sequence[str], as_json: bool) -> int:
    """Prove the run in ``folder`` and print the verdict. ``noted`` lists additional remarks."""
    from tickdeck.bootstrap import verify_run
    from tickdeck.interfaces.cli.faults import FaultLines, fault_lines

    # What failed in the run fails again, and was reported then.
    quiet = logging.NullHandler()
    told = FaultLines(sys.stderr) if details_wanted() else quiet
    with (
        fault_lines(told),
        contextlib.redirect_stdout(sys.stderr),
    ):  # what strategies print is not part of the verdict
        verdict, changes = verify_run(folder, digest=digest)
    notes = [*noted, *changes]
    causes = _causes(folder, verdict.divergence) if verdict.divergence is not None else []
    if as_json:
        print_json(_json(folder.name, verdict, causes, notes))
    else:
        _print(folder.name, verdict, causes, notes, _why_open(folder, verdict))
    if verdict.other_code:
        return OTHER_CODE
    return DONE if verdict.identical else NO


def _causes(folder: Path, divergence: Divergence) -> list[DomainEvent]:
    """The causes of the difference, the direct cause first, as far as they are recorded."""
    from tickdeck.bootstrap import trace_of
    from tickdeck.errors import RunError

    def around(event_id: str) -> list[DomainEvent]:
        try:
            found = trace_of(folder, event_id)
        except RunError:
            return []  # the record does not have it
        return [found.event, *found.causes]

    sides = (divergence.recorded, divergence.executed)
    return next((around(event.causation_id) for event in sides if event is not None and event.causation_id), [])


def _json(run: str, verdict: Verdict, causes: Sequence[DomainEvent], notes: Sequence[str]) -> dict[str, Any]:
    divergence = verdict.divergence
    first = None
    if divergence is not None:
        first = {
            "seq": divergence.seq,
            "recorded": event_fields(divergence.recorded) if divergence.recorded is not None else None,
            "executed": event_fields(divergence.executed) if divergence.executed is not None else None,
            "causes": [event_fields(cause) for cause in causes],
        }
    return {
        "run": run,
        "identical": verdict.identical,
        "other_code": verdict.other_code,
        "inputs": verdict.inputs,
        "events": verdict.events,
        "decisions": verdict.decisions,
        "orders": verdict.orders,
        "first_divergence": first,
        "faults": list(verdict.faults),
        "stretches": [msgspec.to_builtins(stretch) for stretch in verdict.stretches],
        "complete": verdict.complete,
        "last_seq": verdict.last_seq,
        "digest": verdict.digest,
        "notes": list(notes),
    }


def _why_open(folder: Path, verdict: Verdict) -> str:
    """Why the record of a run that is not complete ends where it does."""
    from tickdeck.errors import RunError
    from tickdeck.infrastructure.runs import read_end
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path

    writer = writer_of(tape_path(folder))
    if writer is not None:
        return f"the run is still running, in process {writer}"
    try:
        end = read_end(folder)
    except RunError:
        end = None  # a damaged file says nothing
    if end is not None and max(end.last_seq, end.reached) == verdict.last_seq:
        return "the run was stopped there"
    return "the run was killed there, or was copied while it ran"


def _print(run: str, verdict: Verdict, causes: Sequence[DomainEvent], notes: Sequence[str], why_open: str) -> None:
    """``why_open``: why the record ends where it does, if it is not complete."""
    from tickdeck.interfaces.cli.tables import chain

    out = console()
    figures = ((verdict.inputs, "input"), (verdict.events, "event"), (verdict.decisions, "decision"))
    numbers = ", ".join(counted(number, what) for number, what in (*figures, (verdict.orders, "order")))
    if verdict.identical:
        first = verdict.stretches[0].first_seq if verdict.stretches else 1
        where = f" from seq {first:,} on" if first > 1 else ""
        out.print(f"run {run} is identical{where}: {numbers} executed again", style="bold green", soft_wrap=True)
    elif verdict.divergence is None:
        out.print(f"run {run} is NOT identical: its record was changed", style="bold red", soft_wrap=True)
        out.print(f"{numbers} executed again, equal to the record as it is now\n")
    else:
        what, style = "is NOT identical", "bold red"
        if verdict.other_code:
            what, style = "was made with OTHER CODE, which decides differently", "bold yellow"
        out.print(
            f"run {run} {what}: the first difference is at seq {verdict.divergence.seq:,}", style=style, soft_wrap=True
        )
        out.print(f"{numbers} until then\n")
        out.print(_side_by_side(verdict.divergence))
        if causes:
            out.print("\ncauses, from the first input on:", style="bold")
            for line in chain(causes[::-1]):
                out.print(line, no_wrap=True, overflow="ellipsis")
    if len(verdict.stretches) > 1:
        out.print("\nother code continued the run:")
        for number, stretch in enumerate(verdict.stretches, 1):
            what = "identical" if stretch.identical else "OTHER CODE" if stretch.changes else "NOT identical"
            out.print(f"  stretch {number}, seq {stretch.first_seq:,} to {stretch.last_seq:,}: {what}", soft_wrap=True)
    for fault in verdict.faults:
        out.print(f"changed: {fault}", soft_wrap=True)
    if verdict.identical and not verdict.complete:
        out.print(f"it is not complete: the record ends at seq {verdict.last_seq:,}, as {why_open}", soft_wrap=True)
    out.print(
        f"digest  {verdict.digest or 'none: the tape was started by an older version of Tickdeck'}", soft_wrap=True
    )
    for text in notes:
        out.print(f"note: {text}", soft_wrap=True)


def _side_by_side(divergence: Divergence) -> Any:
    """For one event with two contents, the fields that differ; for two different events, a description of each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("", "on the tape", "executed again"):
        table.add_column(title, overflow="fold")
    recorded, executed = divergence.recorded, divergence.executed
    if recorded is not None and executed is not None and recorded.event_id == executed.event_id:
        sides = [dict(_leaves(event_fields(event))) for event in (recorded, executed)]
        always: tuple[str, ...] = ("event_id", "event_type")
    else:
        sides = [_outline(recorded), _outline(executed)]
        always = ()
    for name in sides[0] | sides[1]:
        values = [side.get(name, "") for side in sides]
        if name in always or values[0] != values[1]:
            table.add_row(name, *(Text(str(value)) for value in values))
    return table


def _outline(event: DomainEvent | None) -> dict[str, object]:
    from tickdeck.application.bus import type_name
    from tickdeck.interfaces.cli.describing import describe_event

    if event is None:
        return {"event_id": "nothing"}
    return {"event_id": event.event_id, "event_type": type_name(event), "about": describe_event(event)}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """The innermost values, keyed by their path, such as ``intents.0.quantity``."""
    if isinstance(value, dict | list | tuple):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
