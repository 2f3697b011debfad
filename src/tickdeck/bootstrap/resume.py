"""Continues a run: executes it again up to the end of its tape, or restores its state from there, and goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from tickdeck.application.bus import describe_error
from tickdeck.application.clock import LiveClock, WallClock
from tickdeck.application.engines import StrategySnapshot, restore_snapshot
from tickdeck.application.kernel import NEVER
from tickdeck.application.ports import TapeQuery
from tickdeck.application.proof import RecordCheck
from tickdeck.application.redaction import REDACTED
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap import live, run
from tickdeck.bootstrap.core_snapshots import usable_states
from tickdeck.bootstrap.feeds import live_feed
from tickdeck.bootstrap.live import LiveRun
from tickdeck.bootstrap.live_account import live_accounts
from tickdeck.bootstrap.proof import examine
from tickdeck.bootstrap.recall import PastToRecall, began_at, stretches_of
from tickdeck.bootstrap.run import Run
from tickdeck.bootstrap.session import RESERVED
from tickdeck.bootstrap.strategies import (
    Code,
    code_changes,
    code_of,
    keep_code,
    load_strategies,
    strategies_as_recorded,
)
from tickdeck.domain.events import DomainEvent, RunResumed, RunStarted
from tickdeck.errors import RunError
from tickdeck.infrastructure.clock import SteadyClock
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.frame_chain import chain_at_end
from tickdeck.infrastructure.frame_segments import missing_market, out_of_reach
from tickdeck.infrastructure.frames import FOLDER
from tickdeck.infrastructure.runs import (
    Manifest,
    RunEnd,
    StrategyStates,
    read_end,
    read_manifest,
    settings_of,
)
from tickdeck.infrastructure.runs.secrets import SECRETS
from tickdeck.infrastructure.tape.opening import AnyTape, is_tape, open_reader, open_tape, tape_path

__all__ = ["resume_run"]

Strategies: TypeAlias = list[tuple[str, Strategy]]


def resume_run(folder: Path, *, wall: WallClock | None = None, clock: LiveClock | None = None) -> Run | LiveRun:
    """The run in ``folder``, ready to be continued. ``wall`` paces a run on recorded data, ``clock`` is that of a live
    run.

    If the code is the same, the run is executed again from its newest snapshot that fits, and compared with its tape.
    Without one, this begins at its start, or where its code last changed. If the code has changed, or market data was
    dropped, the state is restored from the tape, and ``run.resumed`` begins a new stretch. Then the run continues; a
    live run with what its venue sends from now on.

    Raises ``RunError`` if the inputs or symbols have changed since the run, if its tape is missing, if it is a live run
    that is complete, and if market data that it needs is in an archive that is out of reach.
    """
    folder = folder.absolute()  # a strategy may change the working directory
    manifest = read_manifest(folder)
    settings = settings_of(folder, manifest)
    if REDACTED.encode() in msgspec.json.encode([settings["strategies"], settings.get("signals")]):
        raise RunError(
            f"run {manifest.run_id} has secret parameters, and {SECRETS} in its folder is gone: restore the file, "
            "or start a new run"
        )
    config = config_from_dict(settings)
    strategies, code = strategies_as_recorded(config, manifest)
    end = read_end(folder)
    if manifest.is_live and end is not None and end.completed:
        raise RunError(f"run {manifest.run_id} is complete: its duration was reached; start a new run")
    if any(gone.place is not None for gone in out_of_reach(folder / FOLDER)):
        raise RunError(f"run {manifest.run_id} cannot be resumed: {missing_market(folder)}; move it back there")
    _refuse_missing_tape(folder, manifest)
    linger_ms = live.LINGER_MS if manifest.is_live else run.LINGER_MS
    tape = open_tape(tape_path(folder, config.tape_format), config.tape_format, linger_ms=linger_ms)
    try:
        refuse_changed = partial(_refuse_changed, folder, manifest, end)
        refuse_changed(tape.last_seq)  # what costs little comes first
        _refuse_other_symbols(folder, manifest, tape)
        if manifest.is_live and tape.last_seq:
            _refuse_lost_frames(folder, manifest, end)
        StrategyStates(folder).forget_after(tape.last_seq)
        keep_code(folder, config, strategies)
        past, changes = _past_to_recall(folder, config, manifest, tape, code, end)
        begin = partial(_prepared, folder, manifest, config, tape, wall=wall, clock=clock)
        session: Run | LiveRun | None = None
        unused: list[str] = []
        if past is None or past.resumed is None:
            session = _from_snapshot(
                folder,
                tape,
                past,
                code,
                begin,
                refuse_changed,
                market_is_elsewhere=manifest.market_is_elsewhere,
                unused=unused,
            )
        if session is None:
            refuse_changed(1)
            session = begin(strategies, past=past, code=code)
            session.resumed = _in_words(past, changes)
        session.resumed = "; ".join((*unused, session.resumed or ""))
    except BaseException:
        tape.close()
        raise
    return session


def _refuse_changed(folder: Path, manifest: Manifest, end: RunEnd | None, first_seq: int) -> None:
    """Raise ``RunError`` if the record was changed since it was written, as far as it is needed: from ``first_seq``
    on. What is before the snapshot of a run is left to ``verify``."""
    with open_reader(tape_path(folder)) as reader:
        faults = examine(reader, end, first_seq=max(first_seq, 1)).faults
    if faults:
        raise RunError(
            f"run {manifest.run_id} cannot be resumed, because its record was changed: {faults[0]}; "
            "restore it from a copy"
        )


def _refuse_missing_tape(folder: Path, manifest: Manifest) -> None:
    """Raise ``RunError`` if the run's tape is gone, which every run has from its beginning. Opening it would create an
    empty one."""
    if not is_tape(tape_path(folder)):
        raise RunError(
            f"run {manifest.run_id} cannot be resumed: its tape is missing; restore {folder} from a copy, or start "
            "another run"
        )


def _refuse_other_symbols(folder: Path, manifest: Manifest, tape: AnyTape) -> None:
    """Raise ``RunError`` if the manifest has other symbols than the run began with. A snapshot has the state of those,
    and so has everything on the tape."""
    started = next(iter(tape.read(TapeQuery(types=(RunStarted.event_type,), limit=1))), None)
    if not isinstance(started, RunStarted) or started.symbols in ((), manifest.symbols):
        return
    raise RunError(
        f"run {manifest.run_id} cannot be resumed: {folder / 'manifest.json'} has the symbols "
        f"{', '.join(manifest.symbols)}, but the run began with {', '.join(started.symbols)}; restore the file, or "
        "start a new run"
    )


def _refuse_lost_frames(folder: Path, manifest: Manifest, end: RunEnd | None) -> None:
    """Raise ``RunError`` if the recorded market data is gone that the run had when it ended last."""
    frames = folder / FOLDER
    if not frames.is_dir():
        lost = f"the folder {FOLDER} with its market data is missing"
    else:
        mark = end.frames_mark if end is not None else None
        if mark is None or not mark.frames or chain_at_end(frames).frames:
            return  # what is left may be enough
        lost = f"none of the {mark.frames:,} messages of its market data is in {FOLDER}"
    raise RunError(f"run {manifest.run_id} cannot be resumed: {lost}; restore {frames} from a copy")


def _prepared(
    folder: Path,
    manifest: Manifest,
    config: RunConfig,
    tape: AnyTape,
    strategies: Strategies | None,
    *,
    past: PastToRecall | None = None,
    after: int = 0,
    code: Code,
    wall: WallClock | None,
    clock: LiveClock | None,
) -> Run | LiveRun:
    """The run, ready to execute what its tape has after ``past`` or after the event ``after``. New strategies are
    loaded for ``None``."""
    first = past.upto if past is not None else after + 1
    to_compare = tape.read(TapeQuery(first_seq=first)) if first != NEVER else iter(())
    on_tape = not manifest.market_is_elsewhere
    from_outside = _is_from_outside if on_tape else _is_not_reserved
    check = RecordCheck(to_compare, then=tape, after=min(after, tape.last_seq), from_outside=from_outside)
    if strategies is None:
        strategies = load_strategies(config)[0]
    if manifest.is_live:
        steady = SteadyClock(clock)
        return live.LiveRun(
            folder,
            manifest,
            config,
            strategies,
            tape,
            feed=live_feed(config, manifest.symbols, steady),
            clock=steady,
            record=check,
            accounts=live_accounts(config, steady)[1] if config.live else {},
            past=past,
            began=began_at(tape) if after else None,
            code=code,
        )
    return run.Run(
        folder,
        manifest,
        config,
        strategies,
        check,
        cursors=tape.cursors,
        caught_up=lambda: check.next is None,
        wall=wall,
        past=past,
        code=code,
    )


def _from_snapshot(
    folder: Path,
    tape: AnyTape,
    past: PastToRecall | None,
    code: Code,
    begin: Callable[..., Run | LiveRun],
    refuse_changed: Callable[[int], None],
    *,
    market_is_elsewhere: bool,
    unused: list[str],
) -> Run | LiveRun | None:
    """The run as its newest snapshot has it that can be used; ``None`` if there is none. ``refuse_changed(seq)`` is
    called for the record behind it. ``unused`` collects the snapshots that cannot be used, and why."""
    behind = tape.cursors.lowest()
    for seq, state in usable_states(folder, tape, first=past.upto if past is not None else 1, code=code):
        if isinstance(state, str):
            unused.append(f"the snapshot at seq {seq} is not used: {state}")
            continue
        if market_is_elsewhere and behind is not None and behind < seq:
            # What an async handler still has to receive is executed again, because the tape has no market data.
            unused.append(f"the snapshot at seq {seq} is not used: an async handler is only at seq {behind}")
            continue
        refuse_changed(state.tape_seq)
        session = begin(None, after=seq, code=code)
        try:
            session.restore(state.state)
        except Exception as error:  # noqa: BLE001 (a snapshot that does not fit may raise anything)
            why = f"{type(error).__name__}: {describe_error(error)}"
            unused.append(f"the snapshot at seq {seq} is not used: {why}")
            session.abandon()
            continue
        session.resumed = f"the code is the same: the run continues from its snapshot at seq {seq}"
        if tape.last_seq > seq:
            session.resumed += ", and the record behind it is executed again and compared"
        return session
    return None


def _past_to_recall(
    folder: Path, config: RunConfig, manifest: Manifest, tape: AnyTape, code: Code, end: RunEnd | None
) -> tuple[PastToRecall | None, list[str]]:
    """What is restored from the record (``None``: nothing) because other code made it or because market data was
    dropped, without which it cannot be executed again; and what has changed."""
    began, last = began_at(tape), stretches_of(tape)[-1]
    if began is None:
        return None, []
    changes = code_changes(last.code or code_of(manifest), code, manifest)
    if dropped := missing_market(folder, only_dropped=True):
        changes.append(dropped)
    if changes:
        ways, snapshots, failures = _restorable(config, StrategyStates(folder).newest())
        stopped_at = end.in_order_at(tape.last_seq) if end is not None else 0
        resumed = RunResumed(how="folded", code=code, strategies=ways, snapshots=snapshots, stopped_at=stopped_at)
        return PastToRecall(tape, NEVER, began, resumed, snapshots), changes + failures
    if last.resumed is None:
        return None, []
    return PastToRecall(tape, last.first, began, None, last.resumed.snapshots), []


def _restorable(config: RunConfig, states: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """How each strategy comes back, the snapshots that their new code can restore, and why it cannot restore others.
    They are tried with objects that are not used any more."""
    ways, snapshots, failures = {}, {}, []
    for strategy_id, strategy in load_strategies(config)[0]:
        ways[strategy_id] = "warmed up"
        if strategy_id in states and strategy.has_snapshots:
            try:
                restore_snapshot(strategy, msgspec.json.decode(states[strategy_id], type=StrategySnapshot))
            except Exception as error:  # noqa: BLE001 (this calls the strategy's own code)
                why = f"{type(error).__name__}: {describe_error(error)}"
                failures.append(f"{strategy_id} cannot restore its snapshot ({why})")
            else:
                ways[strategy_id], snapshots[strategy_id] = "restored", states[strategy_id]
    return ways, snapshots, failures


def _in_words(past: PastToRecall | None, changes: list[str]) -> str:
    if past is None:
        return "the code is the same, so the record is executed again and compared"
    if past.resumed is None:
        return f"the code is that of the events from seq {past.upto} on, which are executed again and compared"
    ways = ", ".join(f"{strategy_id} is {way}" for strategy_id, way in past.resumed.strategies.items())
    return (
        f"{'; '.join(changes)}. The state is restored from the record ({ways or 'no strategies'}), and a new stretch "
        "of the proof begins"
    )


def _is_not_reserved(event: DomainEvent) -> bool:
    """An input that a run whose market data is not on the tape does not produce again."""
    return event.source not in RESERVED


def _is_from_outside(event: DomainEvent) -> bool:
    """The same for a run on the simulated market, which produces its market data again."""
    return _is_not_reserved(event) and not event.is_market_data
