"""What a kernel restores from a record without executing it: each engine's state, by folding or by handling again."""

from __future__ import annotations

import pytest
from application_kit import BTC, START, D, MemoryTape, instrument

from tickdeck.application.engines import InstrumentEngine
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.proof import RecallingKernel
from tickdeck.domain.events import VenueInstrumentReported


def recorded(*statuses: str) -> MemoryTape:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    InstrumentEngine(kernel, instrument)
    for status in statuses:
        kernel.feed(
            VenueInstrumentReported(
                symbol=BTC, base="BTC", quote="USDT", status=status, raw_status="X", tick_size=D("0.5"),
                lot_size=D("0.01"), ts=START, ts_ingress=START, source="venue",
            )
        )  # fmt: skip
    return tape


@pytest.mark.parametrize(("statuses", "closed"), [(("trading", "halt"), True), (("halt", "trading"), False)])
def test_the_halt_and_the_steps_of_an_instrument_are_those_on_record(statuses: tuple[str, ...], closed: bool) -> None:
    past = recorded(*statuses)
    tape, agenda = MemoryTape(), Agenda()
    kernel = RecallingKernel(tape=tape, agenda=agenda)
    instruments = InstrumentEngine(kernel, instrument)

    inputs = list(kernel.recall(iter(past.events), lambda event: None, agenda=agenda))

    assert [event.event_type for event in inputs] == ["venue.instrument_reported"] * 2
    assert bool(instruments.why_closed(BTC)) is closed
    assert instruments.instrument(BTC).tick_size == D("0.5")
    assert tape.events == []  # its alerts are on the record
