"""Mutated frames never stop Binance's feed."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

import pytest
from binance_feed_kit import T0, S, Venue, delta, exchange_info, rest_trade, snapshot, trade, wrapped
from many_examples import MANY
from mutating import mutated

from tickdeck.domain.events import (
    DomainEvent,
    TradeEvent,
)
from tickdeck.errors import InvalidSymbol
from tickdeck.infrastructure.exchanges.binance.market_data import (
    Fetch,
)


def _fuzz(shared: Path, frames: int) -> None:
    """Mutated frames give events or warnings, and the feed goes on with the next good one."""
    rng = random.Random(7)
    folder = shared / "exchanges" / "binance"
    messages = [trade(3), delta(5, 6)]
    for name in ("rec_other_streams_NKNUSDT", "rec_depth_stream_LRCBTC"):
        lines = (folder / f"{name}.jsonl").read_text().splitlines()[:20]
        messages += [json.dumps(json.loads(line)["msg"], separators=(",", ":")).encode() for line in lines]
    bodies = [snapshot(100), exchange_info(), json.dumps([rest_trade(n) for n in range(1, 9)]).encode()]
    venue = Venue(instruments_every=S)
    for n in range(frames):
        venue.hear(mutated(rng.choice(messages), rng))
        if n % 50 == 0:
            for fetch in (action for action in venue.protocol.actions() if isinstance(action, Fetch)):
                with contextlib.suppress(InvalidSymbol):
                    venue.protocol.fetched(fetch.number, venue.now, mutated(rng.choice(bodies), rng))
            venue.pass_time(S // 10)
            for event in venue.events():
                assert isinstance(event, DomainEvent)
        if n % 1_000 == 0:
            venue.frames.clear()
    venue.pass_time(20 * S)
    venue.events()

    fresh = wrapped(
        "ethusdt@trade", e="trade", s="ETHUSDT", t=1, p="1", q="1", T=T0 // 10**6, m=False, new_field={"a": [1]}
    )
    venue.hear(fresh)
    events = venue.events()
    assert [event.symbol for event in events if isinstance(event, TradeEvent)] == ["ETHUSDT"]
    assert venue.decoder.faults


def test_mutated_frames_never_stop_the_feed(shared: Path) -> None:
    _fuzz(shared, 3_000)


@pytest.mark.slow
def test_very_many_mutated_frames_never_stop_the_feed(shared: Path) -> None:
    _fuzz(shared, 10 * MANY)
