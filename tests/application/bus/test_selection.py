"""A part of a complete record equals the part that the indexes of a tape find."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tickdeck.application.bus import select, takes_market_data
from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, OrderEvent, RawEvent, RunStarted, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.tape import SqliteTape


def made(number: int) -> DomainEvent:
    symbol = ("BTCUSDT", "ETHUSDT")[number % 2]
    if number % 5 == 0:
        event: DomainEvent = OrderAcceptedEvent(order_id=f"o{number % 3}", symbol=symbol)
    elif number % 7 == 0:
        event = RunStarted()
    elif number % 11 == 0:
        event = RawEvent(raw_type="gossip.heard", raw={"symbol": symbol})
    else:
        event = TradeEvent(symbol=symbol, price=Decimal(1), quantity=Decimal(1), side=Side.BUY)
    stamps = {"seq": number, "event_id": str(number), "correlation_id": str(number), "ts_ingress": 100 + number // 3}
    if isinstance(event, RawEvent):
        return replace(event, raw=event.raw | stamps, **stamps)
    return replace(event, **stamps)


RECORD = [made(number) for number in range(1, 80)]


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteTape]:
    with SqliteTape(Path(tmp_path_factory.mktemp("tape")) / "tape.db") as tape:
        for event in RECORD:
            tape.append([event])
        tape.wait_durable(tape.last_seq)
        yield tape


queries = st.builds(
    TapeQuery,
    first_seq=st.integers(0, 85),
    last_seq=st.none() | st.integers(0, 85),
    first_ts=st.none() | st.integers(98, 130),
    last_ts=st.none() | st.integers(98, 130),
    types=st.lists(
        st.sampled_from(["order.*", "market.trade", "*", "gossip.*", "run.started", "nothing"]), max_size=2
    ).map(tuple),
    symbol=st.none() | st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"]),
    correlation_id=st.none() | st.sampled_from(["5", "8", "999"]),
    stream=st.none() | st.sampled_from(["order/main/o1", "order/main/nobody"]),
    limit=st.none() | st.integers(1, 10),
)


@given(query=queries)
def test_a_selection_equals_the_tapes_answer(tape, query):
    assert [event.seq for event in select(iter(RECORD), query)] == [event.seq for event in tape.read(query)]


@pytest.mark.parametrize(
    ("types", "takes"),
    [
        ((), True),
        (("*",), True),
        (("market.*",), True),
        (("order.*", "market.tick"), True),
        (("order.*", "run.started"), False),
        (("market.gap_detected", "market.book_resynced"), False),
        (("nothing",), False),
    ],
)
def test_queries_for_market_data_need_the_input_files(types, takes):
    assert takes_market_data(types) is takes


def test_nothing_is_read_beyond_the_last_time():
    def record() -> Iterator[DomainEvent]:
        yield from RECORD[:10]
        pytest.fail("it was read on")

    assert [event.seq for event in select(record(), TapeQuery(last_ts=101))] == [1, 2, 3, 4, 5]


def test_a_single_type_instead_of_a_tuple_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"types is 'order\.\*', a single type; give a tuple"):
        TapeQuery(types="order.*")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"types is OrderEvent, a single type; give a tuple: \(OrderEvent,\)"):
        TapeQuery(types=OrderEvent)  # type: ignore[arg-type]


def test_classes_stand_for_the_types_of_their_family() -> None:
    query = TapeQuery(types=(OrderEvent, TradeEvent, "news.*"))

    assert "order.filled" in query.patterns
    assert "order.submitted" in query.patterns
    assert query.patterns[-2:] == ("market.trade", "news.*")
    assert TapeQuery(types=(DomainEvent,)).patterns == ("*",)
    with pytest.raises(ConfigError, match="give dotted types such as"):
        TapeQuery(types=(int,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"first_ts": datetime(2026, 1, 1, tzinfo=UTC)}, "first_ts is datetime.*give nanoseconds since 1970"),
        ({"last_ts": 1.5}, "last_ts is 1.5; give nanoseconds"),
        ({"first_seq": None}, "first_seq is None; give a whole number"),
        ({"last_seq": "7"}, "last_seq is '7'; give a whole number"),
        ({"limit": -1}, "limit is -1; give 0 or more"),
        ({"limit": True}, "limit is True; give a whole number"),
    ],
)
def test_bounds_that_are_not_whole_numbers_are_refused(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TapeQuery(**wanted)  # type: ignore[arg-type]
