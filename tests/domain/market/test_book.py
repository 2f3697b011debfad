from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickdeck.domain.events import OrderBookDeltaEvent, OrderBookEvent
from tickdeck.domain.market import Crossed, Gap, OrderBook, Resynced
from tickdeck.domain.market import book as book_module
from tickdeck.domain.values import Level


def levels(*pairs: str) -> tuple[Level, ...]:
    """``levels("100 1", "99 2")``: price and quantity of each."""
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in (pair.split() for pair in pairs))


def delta(
    first: int,
    last: int,
    *,
    bids: tuple[Level, ...] = (),
    asks: tuple[Level, ...] = (),
    previous: int = 0,
) -> OrderBookDeltaEvent:
    return OrderBookDeltaEvent(
        symbol="BTCUSDT",
        first_update_id=first,
        last_update_id=last,
        previous_update_id=previous,
        bids=bids,
        asks=asks,
    )


def snapshot(last: int, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = ()) -> OrderBookEvent:
    return OrderBookEvent(symbol="BTCUSDT", last_update_id=last, bids=bids, asks=asks)


BIDS = levels("100 1", "99 2", "98 3")
ASKS = levels("101 1", "102 2", "103 3")


def usable_book(last: int = 10) -> OrderBook:
    book = OrderBook("BTCUSDT")
    assert book.apply_snapshot(snapshot(last, BIDS, ASKS)) == Resynced(last)
    return book


# -- the sequence rule --------------------------------------------------------------------------------------------


def test_a_new_book_is_empty_and_unusable() -> None:
    book = OrderBook("BTCUSDT")

    assert (book.symbol, book.last_update_id, book.usable) == ("BTCUSDT", 0, False)
    assert (book.best_bid(), book.best_ask(), book.bids(), book.asks()) == (None, None, [], [])
    assert not book.is_crossed()


def test_the_first_snapshot_drops_deltas_that_it_contains_and_applies_later_ones() -> None:
    book = OrderBook("BTCUSDT")
    assert book.apply_delta(delta(1, 4, bids=levels("97 9"))) is None
    assert book.apply_delta(delta(5, 8, bids=levels("100 5"))) is None
    assert book.apply_delta(delta(9, 9, asks=levels("101 0"))) is None

    change = book.apply_snapshot(snapshot(6, BIDS, ASKS))

    assert change == Resynced(9)
    assert (book.usable, book.last_update_id) == (True, 9)
    assert book.bids() == list(levels("100 5", "99 2", "98 3"))
    assert book.asks() == list(levels("102 2", "103 3"))


def test_a_snapshot_older_than_the_first_delta_that_waits_is_too_old() -> None:
    book = OrderBook("BTCUSDT")
    book.apply_delta(delta(8, 9, bids=levels("100 5")))

    assert book.apply_snapshot(snapshot(6, BIDS, ASKS)) is None
    assert not book.usable
    assert book.best_bid() is None

    assert book.apply_snapshot(snapshot(7, BIDS, ASKS)) == Resynced(9)
    assert book.best_bid() == (Decimal(100), Decimal(5))


def test_a_delta_that_begins_one_after_the_last_is_applied() -> None:
    book = usable_book(last=10)

    assert book.apply_delta(delta(11, 12, bids=levels("100 7"))) is None

    assert (book.last_update_id, book.best_bid()) == (12, (Decimal(100), Decimal(7)))


def test_a_delta_in_whose_middle_the_snapshot_was_taken_is_applied() -> None:
    book = usable_book(last=10)

    assert book.apply_delta(delta(8, 12, bids=levels("100 7"))) is None

    assert (book.usable, book.last_update_id) == (True, 12)


def test_a_delta_that_the_book_contains_already_is_ignored() -> None:
    book = usable_book(last=10)

    assert book.apply_delta(delta(9, 10, bids=levels("100 0"))) is None

    assert (book.last_update_id, book.best_bid()) == (10, (Decimal(100), Decimal(1)))


def test_a_delta_that_begins_later_is_a_gap_that_empties_the_book() -> None:
    book = usable_book(last=10)

    assert book.apply_delta(delta(12, 13, bids=levels("100 7"))) == Gap(expected=11, received=12)

    assert not book.usable
    assert (book.best_bid(), book.best_ask(), book.last_update_id) == (None, None, 10)


def test_a_gap_is_reported_once_and_a_snapshot_with_later_deltas_ends_it() -> None:
    book = usable_book(last=10)
    assert book.apply_delta(delta(13, 14, bids=levels("100 7"))) == Gap(11, 13)
    assert book.apply_delta(delta(15, 16, asks=levels("101 8"))) is None

    assert book.apply_snapshot(snapshot(11, BIDS, ASKS)) is None  # the update between 11 and 13 is still missing
    assert book.apply_snapshot(snapshot(12, BIDS, ASKS)) == Resynced(16)

    assert (book.best_bid(), book.best_ask()) == ((Decimal(100), Decimal(7)), (Decimal(101), Decimal(8)))


def test_a_second_gap_while_waiting_discards_earlier_deltas() -> None:
    book = usable_book(last=10)
    book.apply_delta(delta(13, 14))
    book.apply_delta(delta(20, 21, bids=levels("100 9")))

    assert book.apply_snapshot(snapshot(12, BIDS, ASKS)) is None
    assert book.apply_snapshot(snapshot(19, BIDS, ASKS)) == Resynced(21)
    assert book.best_bid() == (Decimal(100), Decimal(9))


def test_a_repeated_delta_does_not_disturb_those_that_wait() -> None:
    book = OrderBook("BTCUSDT")
    for first, last in ((1, 2), (3, 4), (1, 2), (3, 4), (5, 6)):
        book.apply_delta(delta(first, last))

    assert book.apply_snapshot(snapshot(2, BIDS, ASKS)) == Resynced(6)


def test_a_snapshot_behind_a_usable_book_is_ignored() -> None:
    book = usable_book(last=10)
    book.apply_delta(delta(11, 12, bids=levels("100 7")))

    assert book.apply_snapshot(snapshot(11, levels("50 1"), levels("51 1"))) is None

    assert (book.last_update_id, book.best_bid()) == (12, (Decimal(100), Decimal(7)))


def test_a_snapshot_ahead_of_a_usable_book_refreshes_it() -> None:
    book = usable_book(last=10)

    assert book.apply_snapshot(snapshot(20, levels("50 1"), levels("51 1"))) is None

    assert (book.usable, book.last_update_id, book.bids()) == (True, 20, list(levels("50 1")))
    assert book.apply_delta(delta(11, 20)) is None
    assert book.apply_delta(delta(22, 23)) == Gap(21, 22)


def test_a_book_that_an_update_crossed_is_empty_until_a_later_snapshot() -> None:
    book = usable_book(10)
    assert book.apply_snapshot(snapshot(11, bids=levels("5 1"), asks=levels("6 1"))) is None

    assert book.apply_delta(delta(12, 12, bids=levels("6 1"))) is None
    assert book.empty_if_crossed() == Crossed(12)

    assert (book.usable, book.bids(), book.asks()) == (False, [], [])
    book.apply_snapshot(snapshot(13, bids=levels("7 1"), asks=levels("6 1")))
    assert book.empty_if_crossed() == Crossed(13)
    assert book.apply_snapshot(snapshot(14, bids=levels("5 1"), asks=levels("6 1"))) == Resynced(14)
    assert book.empty_if_crossed() is None


def test_waiting_deltas_are_bounded_and_the_oldest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MAX_WAITING", 3)
    book = OrderBook("BTCUSDT")
    for update in range(1, 6):
        book.apply_delta(delta(update, update))

    assert book.apply_snapshot(snapshot(1, BIDS, ASKS)) is None  # the delta 2 was dropped
    assert book.apply_snapshot(snapshot(2, BIDS, ASKS)) == Resynced(5)


# -- venues that link each delta to the one before (Binance futures) ------------------------------------------------


def test_linked_deltas_may_skip_ids() -> None:
    book = OrderBook("BTCUSDT")
    book.apply_delta(delta(100, 150, previous=90))
    book.apply_delta(delta(170, 200, previous=150, bids=levels("100 7")))

    assert book.apply_snapshot(snapshot(180, BIDS, ASKS)) == Resynced(200)
    assert book.apply_delta(delta(230, 240, previous=200, bids=levels("100 8"))) is None

    assert (book.last_update_id, book.best_bid()) == (240, (Decimal(100), Decimal(8)))


def test_a_snapshot_taken_exactly_at_the_end_of_a_linked_delta_joins_the_next() -> None:
    book = OrderBook("BTCUSDT")
    book.apply_delta(delta(100, 150, previous=90))

    assert book.apply_snapshot(snapshot(150, BIDS, ASKS)) == Resynced(150)
    assert book.apply_delta(delta(170, 200, previous=150)) is None
    assert book.usable


def test_a_repeated_linked_delta_does_not_disturb_those_that_wait() -> None:
    book = OrderBook("BTCUSDT")
    for first, last, previous in ((100, 150, 90), (170, 200, 150), (170, 200, 150)):
        book.apply_delta(delta(first, last, previous=previous))

    assert book.apply_snapshot(snapshot(120, BIDS, ASKS)) == Resynced(200)


def test_a_linked_delta_with_another_predecessor_is_a_gap() -> None:
    book = usable_book(last=150)
    assert book.apply_delta(delta(160, 200, previous=140)) is None  # the snapshot lies in its middle

    assert book.apply_delta(delta(230, 240, previous=220)) == Gap(expected=200, received=220)
    assert not book.usable


def test_a_linked_delta_after_the_first_must_follow_exactly() -> None:
    book = usable_book(last=150)
    book.apply_delta(delta(160, 200, previous=150))

    assert book.apply_delta(delta(190, 240, previous=180)) == Gap(expected=200, received=180)


# -- levels -------------------------------------------------------------------------------------------------------


def test_levels_come_best_first_and_as_deep_as_asked() -> None:
    book = usable_book()

    assert book.bids(2) == list(levels("100 1", "99 2"))
    assert book.asks(2) == list(levels("101 1", "102 2"))
    assert (book.bids(0), book.asks(0)) == ([], [])
    assert book.bids(99) == list(BIDS)


def test_quantity_zero_deletes_and_an_unknown_price_is_ignored() -> None:
    book = usable_book()

    book.apply_delta(delta(11, 11, bids=levels("100 0", "42 0"), asks=levels("101.5 4", "101 0.000")))

    assert book.best_bid() == (Decimal(99), Decimal(2))
    assert book.best_ask() == (Decimal("101.5"), Decimal(4))


def test_prices_that_differ_in_trailing_zeros_are_one_level() -> None:
    book = usable_book()

    book.apply_delta(delta(11, 11, bids=levels("100.00 5")))
    assert book.bids(2) == list(levels("100 5", "99 2"))

    book.apply_delta(delta(12, 12, bids=levels("100.0 0")))
    assert book.best_bid() == (Decimal(99), Decimal(2))


@pytest.mark.parametrize(("bid", "crossed"), [("100.5 1", False), ("101 1", True), ("101.5 1", True)])
def test_a_bid_at_or_above_the_best_ask_crosses(bid: str, crossed: bool) -> None:
    book = usable_book()

    book.apply_delta(delta(11, 11, bids=levels(bid)))

    assert book.is_crossed() is crossed


def test_a_book_with_one_empty_side_is_not_crossed() -> None:
    book = OrderBook("BTCUSDT")
    book.apply_snapshot(snapshot(1, bids=BIDS))

    assert not book.is_crossed()
    assert book.best_ask() is None


prices = st.integers(1, 40).map(lambda tick: Decimal(tick) / 4)
quantities = st.integers(0, 5).map(Decimal)
changes = st.lists(st.tuples(prices, quantities), max_size=12).map(tuple)


@given(start=changes, updates=st.lists(st.tuples(changes, changes), max_size=12))
def test_levels_equal_those_of_a_plain_dict(
    start: tuple[Level, ...], updates: list[tuple[tuple[Level, ...], tuple[Level, ...]]]
) -> None:
    book = OrderBook("BTCUSDT")
    book.apply_snapshot(snapshot(0, bids=start, asks=start))
    bids, asks = dict(start), dict(start)

    for number, (bid_changes, ask_changes) in enumerate(updates, 1):
        book.apply_delta(delta(number, number, bids=bid_changes, asks=ask_changes))
        bids.update(bid_changes)
        asks.update(ask_changes)

    expected_bids = sorted(((p, q) for p, q in bids.items() if q), reverse=True)
    expected_asks = sorted((p, q) for p, q in asks.items() if q)
    assert (book.bids(), book.asks()) == (expected_bids, expected_asks)
    assert book.best_bid() == (expected_bids[0] if expected_bids else None)
    assert book.best_ask() == (expected_asks[0] if expected_asks else None)


# -- against a venue that loses, repeats and delays messages ---------------------------------------------------------


class FeedOfAVenue(RuleBasedStateMachine):
    """A venue with a correct book at every update id. The feed in between drops and repeats deltas, and snapshots are
    fetched late. Whatever happens, a usable book equals the book of the venue at the same id.
    """

    linked = False

    def __init__(self) -> None:
        super().__init__()
        self.book = OrderBook("BTCUSDT")
        self.truth: dict[Decimal, Decimal] = {}
        self.update = 1
        self.history: list[tuple[int, dict[Decimal, Decimal]]] = [(1, {})]
        self.sent: list[OrderBookDeltaEvent] = []

    def venue_delta(self, changed: tuple[Level, ...], ids: int) -> OrderBookDeltaEvent:
        previous = self.update
        first = previous + 1 + (ids if self.linked else 0)  # ids of other symbols lie between
        self.update = first + ids
        self.truth.update(changed)
        self.truth = {price: quantity for price, quantity in self.truth.items() if quantity}
        self.history.append((self.update, dict(self.truth)))
        made = delta(first, self.update, bids=changed, previous=previous if self.linked else 0)
        self.sent.append(made)
        return made

    @rule(changed=changes, ids=st.integers(0, 3))
    def next_delta_arrives(self, changed: tuple[Level, ...], ids: int) -> None:
        previous, was_usable, last = self.update, self.book.usable, self.book.last_update_id

        change = self.book.apply_delta(self.venue_delta(changed, ids))

        assert isinstance(change, Gap) == (was_usable and last != previous)
        assert self.book.usable == (was_usable and last == previous)

    @rule(changed=changes, ids=st.integers(0, 3))
    def next_delta_is_lost(self, changed: tuple[Level, ...], ids: int) -> None:
        self.venue_delta(changed, ids)

    @precondition(lambda self: self.sent)
    @rule(back=st.integers(1, 5))
    def an_old_delta_is_repeated(self, back: int) -> None:
        old = self.sent[-min(back, len(self.sent))]
        if old.last_update_id <= self.book.last_update_id:
            before = (self.book.usable, self.book.bids())
            assert self.book.apply_delta(old) is None
            assert (self.book.usable, self.book.bids()) == before

    @rule(back=st.integers(0, 4))
    def a_snapshot_arrives(self, back: int) -> None:
        update, levels_then = self.history[-1 - min(back, len(self.history) - 1)]
        was_usable = self.book.usable
        ordered = tuple(sorted(levels_then.items(), reverse=True))
        change = self.book.apply_snapshot(snapshot(update, bids=ordered))
        assert isinstance(change, Resynced) == (self.book.usable and not was_usable)
        if back == 0:
            assert self.book.usable
            assert self.book.last_update_id == self.update

    @invariant()
    def a_usable_book_is_the_venues(self) -> None:
        if self.book.usable:
            truth = dict(self.history)[self.book.last_update_id]
            assert self.book.bids() == sorted(truth.items(), reverse=True)
        else:
            assert self.book.bids() == []


class LinkedFeedOfAVenue(FeedOfAVenue):
    linked = True


TestFeedOfAVenue = pytest.mark.long(FeedOfAVenue.TestCase)
TestLinkedFeedOfAVenue = pytest.mark.long(LinkedFeedOfAVenue.TestCase)
