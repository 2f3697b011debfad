"""The state of the accounts of a run that no process runs, from its newest snapshot and its tape."""

from __future__ import annotations

from pathlib import Path

from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.ports import TapeQuery, TapeReader
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.core_snapshots import CoreSnapshotTaker, code_digest_of, digest_of_event
from tickdeck.bootstrap.core_state import StateOfRun, parts_of
from tickdeck.bootstrap.recall import stretches_of
from tickdeck.bootstrap.session import Session, paper_venue
from tickdeck.bootstrap.snapshots import SnapshotTaker
from tickdeck.bootstrap.strategies import code_of
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import CoreStates, Manifest, code_digest
from tickdeck.infrastructure.runs.folder import here
from tickdeck.infrastructure.tape.null import NullTape

__all__ = ["recorded_core"]

_OF_ACCOUNTS = ("accounts", "risk", "execution", "portfolio", "figures", "brackets")
_STATE = (
    "account.*",
    "balance.*",
    "bracket.*",
    "command.*",
    "order.*",
    "position.*",
    "protection.*",
    "risk.*",
    "run.*",
    "strategy.*",
    "timer.*",
    "trading.*",
    "venue.*",
)
"""The events that the state of a run is folded from."""


def recorded_core(folder: Path, manifest: Manifest, config: RunConfig, tape: TapeReader) -> Core:
    """The engines of the accounts as they are at the end of ``tape``. Strategies are not loaded, and market data is not
    read, so there are no prices. The kernel has the ``seq`` and the time of the last event."""
    core, after = _from_snapshot(folder, manifest, config, tape)
    for event in tape.read(TapeQuery(types=_STATE, first_seq=after + 1)):
        if after:
            for account in core.accounts:
                account.recall(event)
            core.brackets.recall(event)
        else:
            core.recall(event)
    for event in tape.read(TapeQuery(first_seq=tape.last_seq)):
        core.kernel.continue_from(event)
    return core


def _from_snapshot(folder: Path, manifest: Manifest, config: RunConfig, tape: TapeReader) -> tuple[Core, int]:
    """New engines with the state of the newest snapshot that fits, and its ``seq``: the record behind it is to be
    folded into them. Without one, they are as at the beginning of the run, and the ``seq`` is 0."""
    for seq, kept in CoreStates(folder).newest_first():
        if (
            not isinstance(kept, str)
            and kept.tape_seq <= tape.last_seq
            and _is_of_this_code(kept.code, manifest, tape)
            and digest_of_event(tape, kept.tape_seq) == kept.tape_event
        ):
            core, state = _prepared(manifest, config)
            try:
                state.restore_parts(kept.state, _OF_ACCOUNTS)
            except Exception:  # noqa: BLE001, S112 (one that does not fit may raise anything, and the record has it all)
                continue
            return core, seq
    return _prepared(manifest, config)[0], 0


def _is_of_this_code(digest: str, manifest: Manifest, tape: TapeReader) -> bool:
    """Whether the Tickdeck that took a snapshot is the one that is here. The code of strategies does not matter."""
    ours = (*here(), code_digest())
    own = code_of(manifest)
    if digest == code_digest_of(own):
        return (own["python"], own["machine"], own["tickdeck"]) == ours
    return any(
        digest == code_digest_of(code) and (code["python"], code["machine"], code["tickdeck"]) == ours
        for code in (stretch.code for stretch in stretches_of(tape)[1:])
    )


def _prepared(manifest: Manifest, config: RunConfig) -> tuple[Core, StateOfRun]:
    kernel, agenda = Kernel(tape=NullTape()), Agenda()
    core = Core(config, manifest, [], kernel)
    parts = parts_of(core)
    if not config.live:
        parts["venue"] = paper_venue(config, manifest, kernel, agenda)
    outside = (Session, Core, CoreSnapshotTaker, SnapshotTaker)
    return core, StateOfRun(kernel, agenda, core.strategies, parts, users=[], outside=outside)
