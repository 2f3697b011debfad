"""The trade journal of a run or of a bus, kept in a SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tickdeck.application.ports import TapeQuery
from tickdeck.application.results import JOURNAL_EVENTS
from tickdeck.domain.events import DomainEvent
from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.infrastructure.exporting import TradeFile
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["trade_file"]


def trade_file(
    record: Path | str, path: Path | str, instrument: Callable[[str], Instrument] = instrument_for
) -> TradeFile:
    """Keep the trades of ``record``, a tape or the folder of a run, in the SQLite file ``path``. ``instrument(symbol)``
    gives the currencies of a symbol. Nothing is opened before ``catch_up`` or ``keep``."""
    record = Path(record)

    def read(seq: int) -> Iterator[DomainEvent]:
        with open_reader(tape_path(record)) as tape:
            upto = tape.last_seq  # so that what is written meanwhile is read in order the next time
            yield from tape.read(TapeQuery(types=JOURNAL_EVENTS, first_seq=seq + 1, last_seq=upto))

    return TradeFile(Path(path), instrument, read)
