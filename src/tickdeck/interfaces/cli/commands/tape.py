"""``tickdeck tape``: maintenance of tapes, of runs and others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickdeck.application.wording import counted
from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import data_option, import_option, json_option
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.runs import RunBackup
    from tickdeck.infrastructure.tape.tools import Problem, TapeBackup

__all__ = ["find_tape", "tape"]

_place_argument = click.argument("place", metavar="RUN|PATH")


@click.group(invoke_without_command=True)
@click.pass_context
def tape(ctx: click.Context) -> None:
    """Check, back up, repair, convert or compact a tape: that of a run, or one by its path (a .db file, a folder of
    JSON Lines).

    Each command accepts --json; see its --help.

    \b
    Examples:
      tickdeck tape check last
      tickdeck tape backup maker backups/maker-monday
      tickdeck tape convert last --to jsonl --out session
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def find_tape(data: Path, place: str) -> Path:
    """The tape that the argument names. Raises ``RunError`` if there is none."""
    from tickdeck.infrastructure.runs import find_run
    from tickdeck.infrastructure.tape.jsonl import is_jsonl_tape
    from tickdeck.infrastructure.tape.opening import tape_path

    path = Path(place)
    if path.is_file() or is_jsonl_tape(path):
        return path
    found = tape_path(find_run(data, place))
    if not found.exists():
        raise RunError(f"run {found.parent.name} has no tape any more; restore {found.parent} from a copy")
    return found


@tape.command()
@_place_argument
@import_option
@data_option
@json_option("The checks and their findings as one JSON object")
def check(place: str, data: Path, as_json: bool) -> int:
    """Read a whole tape and report problems. Exits with 1 if there are any. Changes nothing.

    Checks the checksums (JSON Lines) or SQLite's own integrity check, that every event can be decoded, the order of
    seq, that cascades are complete, stream versions, snapshots and indexes. Of a live run, it reads the recorded
    market data too.

    \b
    Examples:
      tickdeck tape check last
      tickdeck tape check session.db --json
    """
    from tickdeck.infrastructure.frame_segments import described, read_gone
    from tickdeck.infrastructure.frames import FOLDER
    from tickdeck.infrastructure.runs import check_market_data
    from tickdeck.infrastructure.tape.tools import check_tape

    path = find_tape(data, place)
    report = check_tape(path)
    check_market_data(path.absolute().parent, report)
    gone = read_gone(path.absolute().parent / FOLDER)
    report.gone = described(gone) if gone else ""
    if as_json:
        print_json(report)
    else:
        click.echo(f"{report.tape}: {'sound' if report.ok else 'not sound'}")
        for line in report.checked:
            click.echo(f"  checked: {line}")
        if report.gone:
            click.echo(f"  not checked: {report.gone}")
        _print_problems(report.problems)
        if report.found > len(report.problems):
            click.echo(f"  and {report.found - len(report.problems):,} more")
        if any(problem.repairable for problem in report.problems):
            note(f"`tickdeck tape repair {place}` fixes the problems marked 'can be fixed'")
    return DONE if report.ok else NO


@tape.command(short_help="Remove what a killed writer left unfinished.")
@_place_argument
@click.option("--dry-run", is_flag=True, help="Show what would be fixed, without changing anything.")
@data_option
@json_option("What was fixed and what remains as one JSON object")
def repair(place: str, dry_run: bool, data: Path, as_json: bool) -> int:
    """Cut off what a killed writer did not commit, and rebuild indexes. Committed events are never touched.

    Exits with 1 if damage remains that only a backup can fix.

    \b
    Examples:
      tickdeck tape repair last --dry-run
      tickdeck tape repair session
    """
    from tickdeck.infrastructure.tape.tools import repair_tape

    report = repair_tape(find_tape(data, place), dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        for problem in report.done:
            click.echo(f"{'would fix' if dry_run else 'fixed'}: {problem.where}: {problem.what}")
        if not report.done:
            click.echo(f"{report.tape}: there is nothing to fix")
        _print_problems(report.problems)
        if report.problems:
            note("the remaining damage is in committed data; restore the tape from a copy")
    return DONE if report.ok else NO


def _print_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        click.echo(f"  {'can be fixed' if problem.repairable else 'damaged'}: {problem.where}: {problem.what}")


@tape.command(short_help="Copy a run or a tape, also while it is being written.")
@_place_argument
@click.argument("dest", type=click.Path(path_type=Path))
@data_option
@json_option("The copy as one JSON object")
def backup(place: str, dest: Path, data: Path, as_json: bool) -> int:
    """Copy a run's folder, or a tape given by its path, to DEST, while a process may be writing it. Check the copy.

    The copy of a run has its tape, its recorded market data and everything else in its folder; it can be verified and
    resumed. The copy of a tape is a tape. DEST appears complete or not at all, and is never overwritten.

    \b
    Examples:
      tickdeck tape backup maker backups/maker-monday
      tickdeck tape backup bus.db backups/bus.db
    """
    from tickdeck.infrastructure.runs import backup_run
    from tickdeck.infrastructure.runs.folder import MANIFEST
    from tickdeck.infrastructure.tape.tools import backup_tape

    path = find_tape(data, place)
    if (path.absolute().parent / MANIFEST).is_file():
        run = backup_run(path.absolute().parent, dest)
        done: RunBackup | TapeBackup = run
        more = f", {counted(run.frames, 'frame')}" if run.frames else ""
    else:
        done, more = backup_tape(path, dest), ""
    if as_json:
        print_json(done)
    else:
        digest = f"; its digest is {done.digest}" if done.digest is not None else ""
        events = f"{counted(done.events, 'event')} on the tape, up to seq {done.last_seq:,}"
        click.echo(f"{done.out}: {events}{more}, {done.bytes:,} bytes")
        click.echo(f"the copy was read again and is sound{digest}")
    return DONE


@tape.command(short_help="Copy a tape to the other format.")
@_place_argument
@click.option("--to", "form", type=click.Choice(("sqlite", "jsonl")), required=True, help="The form of the copy.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="TAPE", help="The copy: X.db, or a new folder."
)
@data_option
@json_option("The copy as one JSON object")
def convert(place: str, form: str, out: Path, data: Path, as_json: bool) -> int:
    """Copy a tape to the other format, with identical events, and compare the two.

    The copy appears complete or not at all. Existing files are never overwritten.

    \b
    Examples:
      tickdeck tape convert last --to jsonl --out session
      tickdeck tape convert session --to sqlite --out session.db
    """
    from tickdeck.infrastructure.tape.tools import convert_tape

    done = convert_tape(find_tape(data, place), out, form)
    if as_json:
        print_json(done)
    else:
        click.echo(
            f"{done.out}: equal to {done.tape}: {counted(done.events, 'event')} up to seq {done.last_seq:,}, "
            f"{counted(done.snapshots, 'snapshot')}"
        )
    return DONE


@tape.command(short_help="Make a tape smaller.")
@_place_argument
@data_option
@json_option("The sizes before and after as one JSON object")
def compact(place: str, data: Path, as_json: bool) -> int:
    """Make a tape smaller: SQLite frees its unused pages; short segments and commits of JSON Lines are merged.

    The events do not change. No process may be writing to the tape; others may read it.

    \b
    Examples:
      tickdeck tape compact last
    """
    from tickdeck.infrastructure.tape.tools import compact_tape

    done = compact_tape(find_tape(data, place))
    if as_json:
        print_json(done)
    else:
        segments = f", segments: {done.segments_before:,} -> {done.segments_after:,}" if done.segments_before else ""
        click.echo(f"{done.tape}: bytes: {done.bytes_before:,} -> {done.bytes_after:,}{segments}")
    return DONE
