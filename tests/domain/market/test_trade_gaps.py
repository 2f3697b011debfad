"""Gaps in the sequence of trades, compared with a naive set of missing ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.market import TradeGaps
from tickdeck.domain.market.trade_gaps import MAX_GAPS, MAX_PIECES, FilledGap


def test_a_gap_is_closed_by_its_last_missing_trade_in_any_order() -> None:
    gaps = TradeGaps()
    gaps.open(5, 8)

    assert [gaps.arrive(n) for n in (6, 5, 6, 4, 9)] == [None] * 5
    assert gaps.arrive(7) == FilledGap(5, 8)
    assert gaps.arrive(7) is None


def test_a_trade_that_was_not_missing_closes_nothing() -> None:
    assert TradeGaps().arrive(1) is None


def test_the_oldest_of_many_gaps_are_forgotten() -> None:
    gaps = TradeGaps()
    for n in range(MAX_GAPS + 1):
        gaps.open(10 * n, 10 * n + 1)

    assert gaps.arrive(0) is None
    assert gaps.arrive(10) == FilledGap(10, 11)


def test_a_gap_in_too_many_pieces_is_forgotten() -> None:
    gaps = TradeGaps()
    gaps.open(0, 10**12)
    for n in range(1, 2 * MAX_PIECES + 1, 2):
        assert gaps.arrive(n) is None
    assert not gaps._gaps


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6).flatmap(
        lambda sizes: st.tuples(st.just(sizes), st.permutations(range(sum(sizes) + 2 * len(sizes))))
    )
)
def test_each_gap_is_reported_closed_once(case: tuple[list[int], list[int]]) -> None:
    sizes, arrivals = case
    gaps, missing, start = TradeGaps(), {}, 0
    for size in sizes:
        gaps.open(start, start + size)
        missing[start, start + size] = set(range(start, start + size))
        start += size + 2

    for trade_id in arrivals:
        expected = None
        for gap, ids in missing.items():
            if trade_id in ids:
                ids.discard(trade_id)
                expected = None if ids else FilledGap(*gap)
        assert gaps.arrive(trade_id) == expected
