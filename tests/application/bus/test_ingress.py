"""The ingress: urgent lanes go first, and two inputs of one source never change their order."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import pytest
from application_kit import Ping, tick, trade
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.bus import Ingress
from tickdeck.application.bus.ingress import P0, P1, P2, P3, lane_of
from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    DomainEvent,
    OrderAcceptedEvent,
    Priority,
    RunStarted,
    TimerFired,
    VenueBalanceReported,
    VenueFillReported,
    VenueOrderReported,
    event_class,
)
from tickdeck.domain.values import OrderStatus, Side


def fill(source: str = "venue", n: int = 0) -> VenueFillReported:
    return VenueFillReported(
        order_id=f"{source}-{n}",
        symbol="BTCUSDT",
        side=Side.BUY,
        price=Decimal(1),
        quantity=Decimal(1),
        venue_trade_id="t",
        source=source,
    )


def report(source: str = "venue", n: int = 0) -> VenueOrderReported:
    return VenueOrderReported(order_id=f"{source}-{n}", symbol="BTCUSDT", status=OrderStatus.ACCEPTED, source=source)


def taken(ingress: Ingress) -> list[DomainEvent]:
    out = []
    while (event := ingress.take()) is not None:
        out.append(event)
    return out


@pytest.mark.parametrize(
    ("event", "lane"),
    [
        (fill(), P0),
        (report(), P1),
        (VenueBalanceReported(currency="USDT", total=Decimal(1)), P1),
        (CommandReceived(command="halt"), P1),
        (TimerFired(timer_id=1, name="t", due=1), P1),
        (RunStarted(), P1),
        (OrderAcceptedEvent(order_id="1", symbol="BTCUSDT"), P1),
        (trade("1"), P2),
        (tick("1", "2"), P2),
        (Ping(), P3),
    ],
)
def test_each_type_has_its_lane(event: DomainEvent, lane: int) -> None:
    assert lane_of(event) == lane


def test_a_candle_of_a_file_is_market_data() -> None:
    one = Decimal(1)
    candle = CandleEvent(
        symbol="BTCUSDT", interval=1, open_ts=0, close_ts=1, open=one, high=one, low=one, close=one, volume=one
    )
    assert lane_of(candle) == P2


def test_the_urgent_lane_goes_first_and_a_lane_in_its_own_order() -> None:
    ingress = Ingress()
    metric, market, order, late, first, second = (
        Ping(source="m"),
        trade("1"),
        report("v"),
        trade("2"),
        fill("a"),
        fill("b"),
    )
    for event in (metric, market, order, late, first, second):
        ingress.put(event)

    assert ingress.depths() == (2, 1, 2, 1)
    assert len(ingress) == 6
    assert taken(ingress) == [first, second, order, market, late, metric]
    assert ingress.depths() == (0, 0, 0, 0)
    assert ingress.take() is None


def test_a_fill_does_not_overtake_market_data_of_its_own_source() -> None:
    ingress = Ingress()
    market, own_fill, other_fill = trade("1", source="venue"), fill("venue"), fill("other")
    for event in (market, own_fill, other_fill):
        ingress.put(event)

    assert taken(ingress) == [other_fill, market, own_fill]


def test_a_source_gets_its_lane_back_when_its_slow_inputs_are_gone() -> None:
    ingress = Ingress()
    ingress.put(trade("1", source="venue"))
    ingress.take()
    ingress.put(trade("2", source="feed"))
    ingress.put(fill("venue"))

    assert isinstance(ingress.take(), VenueFillReported)


MAKERS = [
    lambda source, n: fill(source, n),
    lambda source, n: report(source, n),
    lambda source, n: trade("1", trade_id=n, source=source),
    lambda source, n: Ping(n=n, source=source),
]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")) | st.none(), max_size=60))
def test_no_input_overtakes_an_earlier_one_of_its_source(steps: list[tuple[int, str] | None]) -> None:
    """For any sequence of puts and takes (``None``): the inputs of each source come out in order, none is lost, and the
    oldest input of the most urgent lane comes first. The lane of an input is that of its type, or a slower one in which
    an input of its source is waiting.
    """
    ingress = Ingress()
    put: list[DomainEvent] = []
    out: list[DomainEvent] = []
    waiting: list[tuple[int, int, DomainEvent]] = []  # lane, number, event

    def take() -> None:
        event = ingress.take()
        if event is None:
            assert waiting == []
            return
        out.append(event)
        assert waiting.pop(waiting.index(min(waiting, key=lambda entry: entry[:2])))[2] is event

    for n, step in enumerate(steps):
        if step is None:
            take()
        else:
            event = MAKERS[step[0]](step[1], n)
            own = [lane for lane, _, e in waiting if e.source == event.source]
            waiting.append((max([lane_of(event), *own]), n, event))
            put.append(event)
            ingress.put(event)
    while len(ingress):
        take()

    for source in "abc":
        assert [e for e in out if e.source == source] == [e for e in put if e.source == source]
    assert len(out) == len(put)


class Alarm(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "ingress_test.alarm"
    priority: ClassVar[Priority] = Priority.P0


def test_your_own_class_declares_its_priority() -> None:
    ingress = Ingress()
    for event in (Ping(source="a"), trade("1", source="b"), Alarm(source="c")):
        ingress.put(event)

    assert [type(event) for event in taken(ingress)] == [Alarm, type(trade("1")), Ping]


@pytest.mark.parametrize(
    ("event_type", "priority"),
    [
        ("order.filled", P0),
        ("order.partially_filled", P0),
        ("risk.limit_breached", P0),
        ("trading.halted", P0),
        ("order.accepted", P1),
        ("position.closed", P1),
        ("balance.updated", P1),
        ("market.tick", P2),
        ("system.warning", P3),
    ],
)
def test_each_group_of_the_catalogue_has_its_priority(event_type: str, priority: Priority) -> None:
    cls = event_class(event_type)
    assert cls is not None
    assert cls.priority is priority


def test_events_of_one_stream_keep_their_order_whatever_their_sources() -> None:
    ingress = Ingress()
    slow = Slow(source="a")
    urgent = Urgent(source="b")
    ingress.put(slow)
    ingress.put(urgent)

    assert taken(ingress) == [slow, urgent]


class Slow(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "ingress_test.slow"

    @property
    def stream(self) -> str:
        return "one"


class Urgent(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "ingress_test.urgent"
    priority: ClassVar[Priority] = Priority.P0

    @property
    def stream(self) -> str:
        return "one"


def test_sources_without_waiting_inputs_take_no_memory() -> None:
    ingress = Ingress()
    for number in range(1_000):
        ingress.put(Ping(source=str(number)))
        ingress.take()

    assert ingress._waiting == {}
