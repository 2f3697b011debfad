"""The proof of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from tickdeck.application.bus import ambient_bus
from tickdeck.application.kernel import Agenda, Kernel, money_context
from tickdeck.application.ports import TapeQuery
from tickdeck.application.proof import ProofKernel, ProvenStretch, RecallingKernel, RecordCheck, Verdict, verify
from tickdeck.application.redaction import is_secret
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.new_run import is_as_written
from tickdeck.bootstrap.recall import Stretch, recall, recorded, stretches_of
from tickdeck.bootstrap.record import market_of
from tickdeck.bootstrap.strategies import code_changes, code_of, strategies_as_recorded, with_kept_code
from tickdeck.errors import ConfigError, RunError
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.frame_chain import frame_faults, undivided_digest
from tickdeck.infrastructure.frame_segments import missing_market, out_of_reach
from tickdeck.infrastructure.frames import FOLDER
from tickdeck.infrastructure.runs import Manifest, RunEnd, read_end, read_manifest, settings_of
from tickdeck.infrastructure.tape.opening import AnyReader, open_reader, tape_path
from tickdeck.infrastructure.tape.tools import read_integrity

__all__ = ["examine", "verify_bus", "verify_run"]


def verify_run(folder: Path, *, digest: str | None = None) -> tuple[Verdict, list[str]]:
    """Execute the run's core again on its recorded inputs, and compare everything it derives. First, compare the record
    with its own digest, with how the run ended, and with ``digest`` (one that you noted elsewhere).

    A run that was resumed with other code has several stretches, each of which is executed from the state that the
    record before it leads to. The figures add up what was executed, to the first stretch that differs. Strategies and
    signals are executed from the copies in the run's folder, as far as there are any.

    If market data was dropped, only the stretches that began after that can be executed again. The others are left
    out, and the descriptions say so. After an orderly stop, the market data after the last event on the tape is
    executed too. So is that before a stretch of other code; but if the process was killed then, only as far as nothing
    follows from it: what followed may not have been durable, and the descriptions name the place.

    Returns the verdict, and descriptions of code that has changed since the run. Raises ``RunError`` if an input file
    has changed, if no stretch has its market data (the error says whether the tape agrees with its digest), or if
    ``digest`` is given and the tape has none.
    """
    manifest = read_manifest(folder)
    config = config_from_dict(settings_of(folder, manifest))
    with open_reader(tape_path(folder)) as tape:
        end = read_end(folder)
        record = examine(tape, end, digest)
        upto = end.end_of(record.last_seq) if end is not None and not record.faults else record.last_seq
        stretches = [stretch for stretch in stretches_of(tape) if _has_its_market(folder, stretch)]
        missing = missing_market(folder)
        if not stretches:
            raise RunError(f"run {manifest.run_id} cannot be executed again: {missing}; {_of_tape(record)}")
        asked: set[str] = set()
        last = _last_seq_of(record)
        proofs = [_prove(folder, config, manifest, tape, stretch, asked, last, upto) for stretch in stretches]
    if not any(map(is_secret, asked)) and not is_as_written(manifest):
        what = "manifest.json was changed: what it says of the run does not give the run's nonce"
        record = record._replace(faults=(*record.faults, what), complete=False)
    verdict = _summary(proofs, upto)
    record = _with_frames(record, folder)
    reached = stretches[0].first - 1 + verdict.events
    if verdict.identical and not record.faults and reached < upto:
        what = f"the market data ends at seq {reached}, the run went on to seq {upto}: the rest is missing"
        record = record._replace(faults=(what,), complete=False)
    verdict = _with_record(verdict, record._replace(last_seq=upto))
    notes = dict.fromkeys(change for _, _, changes in proofs for change in changes)
    for change in _changed_since(config, manifest, proofs[-1][0]):
        if change not in notes:
            notes[f"{change}; the copy in its folder was executed"] = None
    for stretch, proven, _ in proofs:
        if proven.lost_from is not None:
            what = f"what followed from the market data from seq {proven.lost_from:,} to {stretch.last:,}"
            notes[f"{what} was not durable when the process ended, and never happened"] = None
    if missing and stretches[0].first > 1:
        notes[f"the events up to seq {stretches[0].first - 1:,} were not executed again: {missing}"] = None
    return msgspec.structs.replace(verdict, other_code=verdict.other_code and not verdict.faults), list(notes)


def _changed_since(config: RunConfig, manifest: Manifest, last: Stretch) -> list[str]:
    """What has changed since the last stretch where the run found its code."""
    try:
        _, code = strategies_as_recorded(config, manifest)
    except ConfigError as error:
        return [str(error)]
    return code_changes(last.code or code_of(manifest), code, manifest)


def _has_its_market(folder: Path, stretch: Stretch) -> bool:
    """Whether the stretch can be executed again: what is missing was dropped before it began, so it was made without
    it, too."""
    return all(gone.place is None and gone.seq < stretch.first for gone in out_of_reach(folder / FOLDER))


def _prove(
    folder: Path,
    config: RunConfig,
    manifest: Manifest,
    tape: AnyReader,
    stretch: Stretch,
    asked: set[str],
    last_seq: int | None,
    upto: int,
) -> tuple[Stretch, Verdict, list[str]]:
    """Prove a stretch. Returns it with the verdict, and with what has changed since it was made. Adds the names of the
    strategies' parameters to ``asked``. ``last_seq`` is ``_last_seq_of`` the record. ``upto`` is the ``seq`` of the
    run's last event."""
    then = stretch.code or code_of(manifest)
    config = with_kept_code(config, manifest, folder, then)
    strategies, code = strategies_as_recorded(config, manifest)
    asked.update(name for _, strategy in strategies for name in strategy.parameters())
    last = last_seq if stretch.last is None else stretch.last
    check = RecordCheck(tape.read(TapeQuery(first_seq=stretch.first, last_seq=last)), past=tape)
    timers = Agenda()
    kernel = RecallingKernel(tape=check, agenda=timers, max_cascade=config.max_cascade)
    with ambient_bus(kernel):
        core = Core(config, manifest, strategies, kernel)
    market = market_of(config, manifest, folder) if manifest.market_is_elsewhere else None
    if stretch.resumed is not None:
        past = recorded(tape, stretch.first, market)
        with money_context(), ambient_bus(kernel):
            for _ in recall(past, kernel, core, timers, snapshots=stretch.resumed.snapshots):
                pass
    if market is None:  # on the tape, which has everything
        verdict = verify(kernel, check, iter(()), timers)
    else:
        verdict = verify(kernel, check, market, timers, upto=stretch.last or upto, lost_after=stretch.stopped_at)
    return stretch, verdict, code_changes(then, code, manifest)


def _summary(proofs: list[tuple[Stretch, Verdict, list[str]]], last_seq: int) -> Verdict:
    """The verdict on a whole run. A stretch that differs with its own code counts more than one with other code."""
    differing = [each for each in proofs if not each[1].identical]
    reported = min(differing, key=lambda each: bool(each[2]), default=proofs[-1])
    _, verdict, changes = reported
    executed = [proven for _, proven, _ in proofs[: proofs.index(reported) + 1]]
    stretches = tuple(
        ProvenStretch(
            first_seq=each.first,
            last_seq=each.last if each.last is not None else last_seq,
            identical=proven.identical,
            changes=tuple(changed),
        )
        for each, proven, changed in proofs
    )
    other_code = bool(differing) and bool(changes)
    return msgspec.structs.replace(
        verdict,
        inputs=sum(proven.inputs for proven in executed),
        events=sum(proven.events for proven in executed),
        decisions=sum(proven.decisions for proven in executed),
        orders=sum(proven.orders for proven in executed),
        stretches=stretches,
        other_code=other_code,
    )


def _of_tape(record: Examined) -> str:
    """What can still be said of a record that cannot be executed."""
    if record.faults:
        return f"and its tape was changed: {record.faults[0]}"
    return f"its tape agrees with its digest, up to seq {record.last_seq:,}: {record.digest}"


def verify_bus(tape: Path, wiring: Callable[[Kernel], object], *, digest: str | None = None) -> Verdict:
    """Prove the tape of a bus. Compares it with its digest, and with ``digest``. Then subscribes the program's handlers
    with ``wiring(bus)``, feeds the recorded inputs, and compares everything the handlers publish.

    Async handlers and other edges are not called, because what they published is on the tape. ``wiring`` must subscribe
    what the program had subscribed, and nothing external may influence what a handler publishes. ``wiring`` runs once
    for the whole tape, even if the program was started several times, so a handler's memory must not depend on
    restarts.
    """
    with open_reader(tape) as reader:
        record = examine(reader, None, digest)
        check = RecordCheck(reader.read(TapeQuery(last_seq=_last_seq_of(record))), past=reader)
        timers = Agenda()
        kernel = ProofKernel(tape=check, agenda=timers)
        wiring(kernel)
        verdict = verify(kernel, check, iter(()), timers)
    return _with_record(verdict, record)


class Examined(NamedTuple):
    """What a check of a record found without executing it."""

    faults: tuple[str, ...]
    complete: bool
    last_seq: int
    digest: str | None


def examine(tape: AnyReader, end: RunEnd | None = None, digest: str | None = None, *, first_seq: int = 1) -> Examined:
    """Compare a record with its digest and with how the run ended. ``first_seq``: the events long before it are not
    read (see ``read_integrity``). Raises ``RunError`` if ``digest`` is given and the tape has none."""
    found = read_integrity(tape, then=end.last_seq if end is not None else None, first_seq=first_seq)
    faults = [f"{where}: {what}" for where, what in found.problems]
    if end is not None:
        if found.last_seq < end.last_seq:
            faults.append(
                f"the record ends at seq {found.last_seq}, the run went on to seq {end.last_seq}: the rest is missing"
            )
        elif found.digest_then != end.digest and end.last_seq >= first_seq:
            faults.append(f"the events up to seq {end.last_seq} differ from those with which the run ended")
    if digest is not None:
        if found.digest is None:
            raise RunError(
                "the tape has no digest, because an older version of Tickdeck started it; omit --digest, or compare a "
                "copy made with `tickdeck tape convert`"
            )
        if digest.lower() != found.digest:
            faults.append(f"the record's digest is {found.digest}, not {digest}")
    complete = end is not None and end.completed and found.last_seq == end.last_seq and not faults
    return Examined(tuple(faults), complete, found.last_seq, found.digest)


def _last_seq_of(record: Examined) -> int | None:
    """Up to where a record is executed again, since a running run may have added to it after it was examined. ``None``
    means all of it: what is behind the first fault is compared too."""
    return None if record.faults else record.last_seq


def _with_frames(record: Examined, folder: Path) -> Examined:
    """What was found of the record, with what is found of a live run's frames."""
    frames = folder / FOLDER
    if not frames.is_dir():
        return record
    end = read_end(folder)
    faults = frame_faults(frames, end.frames_mark if end is not None else None, exact=end is not None and end.completed)
    if end is not None and end.frames is not None and end.frames_mark is None and not missing_market(folder):
        # An older version wrote the end, perhaps without saying up to where its digest goes.
        count = None if end.completed else end.frame_count  # nothing may follow the end of a complete run
        known = end.frame_count is not None or record.last_seq == end.last_seq
        if known and undivided_digest(frames, count) != end.frames:
            faults.append("the frames are not those with which the run ended")
    if not faults:
        return record
    return record._replace(faults=(*record.faults, *faults), complete=False)


def _with_record(verdict: Verdict, record: Examined) -> Verdict:
    faults, complete, last_seq, digest = record
    return msgspec.structs.replace(
        verdict,
        identical=verdict.identical and not faults,
        faults=faults,
        complete=complete,
        last_seq=last_seq,
        digest=digest,
    )
