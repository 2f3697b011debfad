"""Events that arrive too fast: each policy, its counts, and the refusal to lose an order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import ClassVar

import pytest
from application_kit import BTC, Ping, tick, trade
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tickdeck.application.bus import (
    Block,
    BufferHalted,
    Conflate,
    DropOldest,
    Halt,
    OverflowBuffer,
    OverflowPolicy,
    Throttle,
    check_lossy,
)
from tickdeck.application.bus.overflow import BufferFull, Throttler
from tickdeck.domain.events import (
    DomainEvent,
    GapDetected,
    MarketEvent,
    OrderEvent,
    RawEvent,
    TickEvent,
    TradeEvent,
    iter_event_classes,
)
from tickdeck.errors import ConfigError

ETH = "ETHUSDT"
POLICIES: list[OverflowPolicy] = [Block(), DropOldest(), Conflate("symbol"), Halt()]
LOSSY = [DropOldest(), Conflate(), Throttle(1)]


class AuctionEvent(MarketEvent, frozen=True, kw_only=True):
    """A user's own type of market data."""

    event_type: ClassVar[str] = "test.auction"


def prices(buffer: OverflowBuffer[TradeEvent]) -> list[str]:
    return [str(buffer.get().price) for _ in range(len(buffer))]


# -- the policies of a buffer, by example ----------------------------------------------------------------------------


def test_drop_oldest_drops_the_oldest_event_and_counts_it_by_type() -> None:
    buffer: OverflowBuffer[DomainEvent] = OverflowBuffer(2, DropOldest())
    first, second, third, fourth = tick("1", "2"), trade("2"), trade("3"), trade("4")

    lost = [buffer.put(event) for event in (first, second, third, fourth)]

    assert lost == [None, None, first, second]
    assert [buffer.get(), buffer.get()] == [third, fourth]
    assert buffer.statistics().dropped == {"market.tick": 1, "market.trade": 1}
    assert buffer.statistics().lost == 2


def test_conflate_keeps_the_newest_of_a_key_in_the_place_of_the_one_it_replaces() -> None:
    buffer: OverflowBuffer[TradeEvent] = OverflowBuffer(5, Conflate(key="symbol"))
    old = trade("1")
    buffer.put(old)
    buffer.put(trade("2", symbol=ETH))

    lost = buffer.put(trade("3"))

    assert lost == old
    assert prices(buffer) == ["3", "2"]
    assert buffer.statistics().conflated == {"market.trade": 1}


@pytest.mark.parametrize("key", ["symbol", lambda event: event.symbol])
def test_conflate_never_replaces_one_type_by_another(key: str | Callable[[MarketEvent], str]) -> None:
    buffer: OverflowBuffer[DomainEvent] = OverflowBuffer(5, Conflate(key))

    buffer.put(trade("1"))
    buffer.put(tick("1", "2"))

    assert len(buffer) == 2


def test_conflate_accepts_a_key_function_and_drops_the_oldest_of_too_many_keys() -> None:
    buffer: OverflowBuffer[TradeEvent] = OverflowBuffer(2, Conflate(key=lambda event: event.trade_id))

    for number in (1, 2, 2, 3):
        buffer.put(trade(str(number), trade_id=number))

    assert prices(buffer) == ["2", "3"]
    statistics = buffer.statistics()
    assert (statistics.conflated, statistics.dropped) == ({"market.trade": 1}, {"market.trade": 1})


def test_block_refuses_events_without_room_and_accepts_them_later() -> None:
    buffer: OverflowBuffer[TradeEvent] = OverflowBuffer(1, Block())
    buffer.put(trade("1"))

    with pytest.raises(BufferFull, match=r"market\.trade: 1 wait already"):
        buffer.put(trade("2"))
    buffer.get()
    buffer.put(trade("3"))

    assert prices(buffer) == ["3"]
    assert buffer.statistics().refused == {"market.trade": 1}


def test_halt_refuses_all_later_events_so_that_waiting_ones_have_no_gap() -> None:
    buffer: OverflowBuffer[Ping] = OverflowBuffer(1, Halt())
    buffer.put(Ping(n=1))
    with pytest.raises(BufferHalted):
        buffer.put(Ping(n=2))

    assert buffer.get() == Ping(n=1)
    with pytest.raises(BufferHalted, match="nothing more is taken"):
        buffer.put(Ping(n=3))

    assert len(buffer) == 0
    assert buffer.statistics().halted
    assert buffer.statistics().refused == {"test.ping": 2}


def test_a_buffer_finds_the_event_in_its_items() -> None:
    buffer: OverflowBuffer[tuple[TradeEvent, int]] = OverflowBuffer(1, DropOldest(), event_of=itemgetter(0))
    buffer.put((trade("1"), 7))

    assert buffer.put((trade("2"), 8)) == (trade("1"), 7)
    assert buffer.get() == (trade("2"), 8)
    assert buffer.statistics().dropped == {"market.trade": 1}


def test_lossless_policies_accept_frames_that_are_not_events() -> None:
    buffer: OverflowBuffer[bytes] = OverflowBuffer(1, Halt())
    buffer.put(b"{}")

    with pytest.raises(BufferHalted, match="bytes"):
        buffer.put(b"{}")
    assert buffer.get() == b"{}"


def test_an_empty_buffer_raises() -> None:
    with pytest.raises(IndexError):
        OverflowBuffer(1, Block()).get()


# -- lossless ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [DropOldest(), Conflate("source")], ids=lambda policy: policy.name)
@pytest.mark.parametrize(
    "item", [Ping(), RawEvent(raw_type="market.unknown", raw={}), b"frame"], ids=lambda item: type(item).__name__
)
def test_a_lossy_buffer_accepts_only_market_data(policy: OverflowPolicy, item: object) -> None:
    buffer: OverflowBuffer[object] = OverflowBuffer(1, policy)

    with pytest.raises(ConfigError, match="not market data"):
        buffer.put(item)

    assert buffer.statistics().put == 0


@pytest.mark.parametrize("policy", LOSSY, ids=lambda policy: policy.name)
def test_a_lossy_policy_is_refused_for_every_type_that_is_not_market_data(policy: OverflowPolicy | Throttle) -> None:
    protected = [cls for cls in iter_event_classes() if not cls.is_market_data]
    assert {"order", "position", "balance", "risk", "trading", "venue", "run", "timer", "command", "system"} <= {
        cls.event_type.partition(".")[0] for cls in protected
    }

    for cls in protected:
        for topic in (cls, cls.event_type):
            with pytest.raises(ConfigError, match="not market data"):
                check_lossy(policy, topic)


@pytest.mark.parametrize("topic", ["*", "order.*", "*.filled", "m*", "market.*", "venue.*", "run.*", "timer.*", "*.o*"])
def test_a_wildcard_that_matches_more_than_market_data_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError, match=r"drop_oldest may lose events, but '.*' includes \S+.*only to market data"):
        check_lossy(DropOldest(), topic)


@pytest.mark.parametrize("topic", [DomainEvent, MarketEvent, OrderEvent, GapDetected])
def test_a_class_whose_subclasses_are_more_than_market_data_is_refused(topic: type[DomainEvent]) -> None:
    with pytest.raises(ConfigError, match=topic.__name__):
        check_lossy(Conflate(), topic)


@pytest.mark.parametrize("topic", ["market.nothing", "no.such.*", RawEvent])
def test_a_topic_that_matches_no_known_type_is_refused(topic: type[DomainEvent] | str) -> None:
    with pytest.raises(ConfigError, match="no known type of market data"):
        check_lossy(Throttle(1), topic)


@pytest.mark.parametrize("policy", LOSSY, ids=lambda policy: policy.name)
def test_lossy_policies_are_accepted_for_market_data(policy: OverflowPolicy | Throttle) -> None:
    check_lossy(policy, TradeEvent, TickEvent, "market.trade", "market.t*", "market.book*[!d]", AuctionEvent)


@pytest.mark.parametrize("policy", [Block(), Halt()], ids=lambda policy: policy.name)
def test_lossless_policies_are_accepted_for_every_topic(policy: OverflowPolicy) -> None:
    check_lossy(policy, "*", OrderEvent, "no.such")


def test_an_unknown_key_field_is_refused_immediately() -> None:
    with pytest.raises(ConfigError, match=r"conflate by 'prise', but market\.trade has no such field"):
        check_lossy(Conflate(key="prise"), TradeEvent)
    with pytest.raises(ConfigError, match=r"throttle by 'prise': market\.trade has no such field"):
        Throttler(Throttle(1, key="prise")).admit(trade("1"), 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conflate(key=""),
        lambda: Conflate(key=3),
        lambda: Throttle(0),
        lambda: Throttle(1.5),
        lambda: Throttle(True),
        lambda: Throttle(5, key=None),
        lambda: OverflowBuffer(0, Block()),
        lambda: OverflowBuffer(1.0, Block()),
        lambda: OverflowBuffer(1, Throttle(5)),
        lambda: OverflowBuffer(1, Conflate),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()

    assert "\n" not in str(caught.value)


def test_a_key_function_that_raises_leaves_the_buffer_as_it_was() -> None:
    buffer: OverflowBuffer[TradeEvent] = OverflowBuffer(1, Conflate(key=lambda event: [event.symbol]))

    with pytest.raises(TypeError, match="unhashable"):
        buffer.put(trade("1"))

    assert (len(buffer), buffer.statistics().put) == (0, 0)


# -- any order of calls, against lists -------------------------------------------------------------------------------


class BufferMachine(RuleBasedStateMachine):
    """A buffer compared with a simple model of its policy: both must return and drop the same items."""

    @initialize(policy=st.sampled_from(POLICIES), capacity=st.integers(1, 4))
    def start(self, policy: OverflowPolicy, capacity: int) -> None:
        self.policy, self.capacity = policy, capacity
        self.buffer: OverflowBuffer[DomainEvent] = OverflowBuffer(capacity, policy)
        self.waiting: list[DomainEvent] = []
        self.dropped: Counter[str] = Counter()
        self.conflated: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.taken = self.given = self.most = self.number = 0
        self.halted = False

    @rule(symbol=st.sampled_from([BTC, ETH, "X", "Y", "Z"]), kind=st.sampled_from([trade, tick]))
    def put(self, symbol: str, kind: Callable[..., DomainEvent]) -> None:
        self.number += 1
        event = kind("1", "2", symbol=symbol, ts=self.number)
        lost = None
        if isinstance(self.policy, Conflate):
            same = [e for e in self.waiting if type(e) is type(event) and e.symbol == symbol]
            if same:
                lost = same[0]
                self.waiting[self.waiting.index(lost)] = event
                self.conflated[lost.event_type] += 1
            elif len(self.waiting) == self.capacity:
                lost = self._drop()
        elif self.halted or len(self.waiting) == self.capacity:
            if isinstance(self.policy, DropOldest):
                lost = self._drop()
            else:
                self.refused[event.event_type] += 1
                self.halted = isinstance(self.policy, Halt)
                with pytest.raises(BufferHalted if self.halted else BufferFull):
                    self.buffer.put(event)
                return
        if event not in self.waiting:
            self.waiting.append(event)
        self.taken += 1
        self.most = max(self.most, len(self.waiting))
        assert self.buffer.put(event) is lost

    def _drop(self) -> DomainEvent:
        lost = self.waiting.pop(0)
        self.dropped[lost.event_type] += 1
        return lost

    @precondition(lambda self: self.waiting)
    @rule()
    def get(self) -> None:
        self.given += 1
        assert self.buffer.get() is self.waiting.pop(0)

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        statistics = self.buffer.statistics()
        assert len(self.buffer) == statistics.waiting == len(self.waiting) <= self.capacity
        assert (statistics.put, statistics.got, statistics.high_water) == (self.taken, self.given, self.most)
        assert statistics.dropped == self.dropped
        assert statistics.conflated == self.conflated
        assert statistics.refused == self.refused
        assert statistics.halted == self.halted
        assert statistics.put == statistics.got + statistics.waiting + statistics.lost


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(stateful_step_count=40)


# -- the throttle -----------------------------------------------------------------------------------------------------


def test_a_throttle_passes_the_first_of_each_interval_and_counts_the_others() -> None:
    throttler = Throttler(Throttle(interval=10))

    passed = [now for now in (5, 6, 14, 15, 16, 24, 40) if throttler.admit(trade("1"), now)]

    assert passed == [5, 15, 40]
    statistics = throttler.statistics()
    assert (statistics.passed, statistics.suppressed) == (3, {"market.trade": 4})


def test_a_throttle_refuses_everything_but_market_data() -> None:
    with pytest.raises(ConfigError, match="not market data"):
        Throttler(Throttle(interval=10, key="n")).admit(Ping(), 0)


@given(
    interval=st.integers(1, 20),
    events=st.lists(st.tuples(st.integers(0, 15), st.sampled_from([BTC, ETH]), st.sampled_from([trade, tick]))),
)
def test_a_throttle_passes_an_event_exactly_where_none_of_its_key_passed_within_the_interval(
    interval: int, events: list[tuple[int, str, Callable[..., DomainEvent]]]
) -> None:
    throttler = Throttler(Throttle(interval=interval))
    passed: dict[tuple[object, str], int] = {}
    now = suppressed = 0

    for later, symbol, kind in events:
        now += later
        last = passed.get((kind, symbol))
        expected = last is None or now - last >= interval
        assert throttler.admit(kind("1", "2", symbol=symbol), now) is expected
        if expected:
            passed[kind, symbol] = now
        else:
            suppressed += 1

    statistics = throttler.statistics()
    assert statistics.passed == len(events) - suppressed
    assert sum(statistics.suppressed.values()) == suppressed


def test_a_throttle_forgets_keys_whose_interval_is_over() -> None:
    throttler = Throttler(Throttle(interval=10, key="trade_id"))

    for number in range(1_000):
        throttler.admit(trade("1", trade_id=number), number)

    assert len(throttler._recent) == len(throttler._order) == 10
