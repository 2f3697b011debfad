"""Takes snapshots of a whole run while it runs, and finds the one from which it can be resumed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.application.clock import WallClock
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import Tape, TapeQuery, TapeReader
from tickdeck.application.state import ForeignHandlerError, StateError
from tickdeck.bootstrap.core_state import StateOfRun
from tickdeck.domain.events import DomainEvent, encode_payload
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.runs import CoreState, CoreStates

__all__ = ["CoreSnapshotTaker", "forget_states", "usable_states"]

log = logging.getLogger("tickdeck.run")

_SHARE = 20
"""Taking snapshots may take one part of so many of the time."""


class CoreSnapshotTaker:
    """Call ``look()`` between two inputs. It takes a snapshot after each ``every`` events, or later if that would take
    too much time on ``clock``, and writes it when the tape has everything that it reflects on disk. ``code`` is the
    code that runs. ``place()``: where the market data is, as JSON values. A run whose state cannot be written is logged
    once, and gets no snapshots."""

    def __init__(
        self,
        folder: Path,
        kernel: Kernel,
        tape: Tape,
        state: StateOfRun,
        *,
        code: Mapping[str, str],
        place: Callable[[], Any],
        every: int,
        clock: WallClock,
    ) -> None:
        self._kernel, self._tape, self._state = kernel, tape, state
        self._states = CoreStates(folder)
        self._code = code_digest_of(code)
        self._place = place
        self._every = every
        self._clock = clock
        self._next = kernel.seq + every
        self._not_before: int | None = None
        self._waiting: tuple[int, int, dict[str, Any]] | None = None
        self._impossible = self._foreign = False

    def restored(self) -> None:
        """The kernel continues elsewhere than at its beginning."""
        self._next = self._kernel.seq + self._every

    def look(self) -> None:
        """Take a snapshot if it is time, and write one that has become durable."""
        if self._waiting is not None and self._tape.durable_seq >= self._waiting[1]:
            self._write()
        if self._kernel.seq < self._next or self._waiting is not None:
            return
        began = self._clock.monotonic_ns()
        if self._not_before is None or began >= self._not_before:
            self.take()
            now = self._clock.monotonic_ns()
            self._not_before = now + _SHARE * (now - began)

    def take(self) -> None:
        """Take a snapshot now, if the run is between two inputs."""
        kernel = self._kernel
        if self._impossible or not kernel.inputs or not kernel.is_at_rest:
            return
        self._next = kernel.seq + self._every
        try:
            state = {"place": self._place(), **self._state.write()}
        except ForeignHandlerError as error:
            if not self._foreign:
                log.info("this run has no snapshots: %s, and gets all events when the run is resumed", error)
            self._foreign = True
            return
        except StateError as error:
            self._impossible = True
            log.log(
                logging.WARNING if kernel.seq >= self._every else logging.INFO,  # a short run is resumed fast anyway
                "this run has no snapshots, so resuming it takes the longer, the longer it ran: %s; keep it in a plain "
                "value, list or dict", error,
            )  # fmt: skip
            return
        self._waiting = (kernel.seq, self._tape.last_seq, state)

    def finish(self) -> None:
        """Take a last snapshot, and write it and one that waits. Call it before the tape is closed."""
        try:
            self._write_when_durable()
            self.take()
            self._write_when_durable()
        except TapeError:  # closing the tape reports it
            return

    def _write_when_durable(self) -> None:
        if self._waiting is not None:
            self._tape.wait_durable(self._waiting[1])
            self._write()

    def _write(self) -> None:
        assert self._waiting is not None
        (seq, tape_seq, state), self._waiting = self._waiting, None
        event = digest_of_event(self._tape, tape_seq)
        try:
            self._states.write(CoreState(seq=seq, tape_seq=tape_seq, tape_event=event, code=self._code, state=state))
        except RunError as error:  # the run does not need it
            log.warning("%s", error)


def usable_states(
    folder: Path, tape: TapeReader, *, first: int, code: Mapping[str, str]
) -> Iterator[tuple[int, CoreState | str]]:
    """The snapshots of a run that fit its ``tape`` and ``code``, the newest first, or why one does not. ``first``: the
    ``seq`` of the first event that this code made. Those that are ahead of the tape, or of another one, are removed."""
    states = CoreStates(folder)
    wanted = code_digest_of(code)
    for seq, state in states.newest_first():
        if isinstance(state, str):
            yield seq, state
        elif state.tape_seq > tape.last_seq or digest_of_event(tape, state.tape_seq) != state.tape_event:
            states.forget(seq)
            yield seq, "the tape has not what it reflects"
        elif seq >= first and state.code == wanted:
            yield seq, state


def forget_states(folder: Path) -> None:
    """Remove the snapshots of a run."""
    states = CoreStates(folder)
    for seq, _ in states.newest_first():
        states.forget(seq)


def code_digest_of(code: Mapping[str, str]) -> str:
    """One digest for all parts of the code."""
    return hashlib.sha256(msgspec.json.encode(dict(sorted(code.items())))).hexdigest()


def digest_of_event(tape: TapeReader | Tape, seq: int) -> str:
    """Identifies the event at ``seq`` and, by its ids and times, its history; empty if there is none."""
    event: DomainEvent | None = next(iter(tape.read(TapeQuery(first_seq=seq, last_seq=seq))), None) if seq else None
    return hashlib.sha256(encode_payload(event)).hexdigest() if event is not None else ""
