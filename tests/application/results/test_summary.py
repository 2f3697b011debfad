"""The figures of a run."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from copy_kit import Rig
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.results import RunObserver, Summary
from tickdeck.bootstrap import Run, start_run
from tickdeck.domain.values import plain
from tickdeck.infrastructure.config import config_from_dict


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_a_plain_number_keeps_its_value_without_exponent_or_trailing_zeros(number):
    text = plain(number)

    assert Decimal(text) == number
    assert "E" not in text
    assert "." not in text or text[-1] not in "0."


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E-8", "0.00000001"), ("1E+3", "1000"), ("0E-8", "0"), ("-0.00", "0"), ("61700.00", "61700"), ("-1.50", "-1.5")],
)
def test_plain_numbers(number, text):
    assert plain(Decimal(number)) == text


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = start_run(config_from_dict({"duration": "10"}), tmp_path)
    yield run
    run.close()


def test_a_run_that_has_not_begun_has_figures_too(run):
    summary = run.summary(0.0)

    assert (summary.status, summary.events, summary.ticks) == ("interrupted", 0, 0)
    assert (summary.events_per_s, summary.ticks_per_s) == (0.0, 0.0)
    assert summary.latency_us.p99 is None
    assert summary.pnl == 0


def test_counts_are_those_of_the_events_that_were_published(run):
    asyncio.run(run.simulation.run())

    summary = run.summary(2.0)
    published = run.kernel.statistics().published

    assert summary.status == "completed"
    assert summary.events == sum(published.values()) == run.kernel.seq
    assert summary.events_per_s == summary.events / 2
    assert summary.ticks == sum(published.get(f"market.{kind}", 0) for kind in ("trade", "tick", "book", "book_delta"))
    assert summary.fills == published["order.filled"] + published.get("order.partially_filled", 0) > 0
    assert summary.last_ts - summary.first_ts >= 9_900_000_000
    assert not summary.failed


def test_latencies_are_in_order_and_in_microseconds(run):
    run.simulation.latencies_ns.extend([3_000, 1_000, 2_000, 100_000, 4_000])

    latency = run.summary(1.0).latency_us

    assert (latency.p50, latency.p99, latency.max) == (3.0, 100.0, 100.0)


def test_json_ready_figures_contain_no_decimals_and_no_exponents(run):
    asyncio.run(run.simulation.run())

    figures = run.summary(1.0).to_dict()

    assert all(isinstance(figures[name], str) for name in ("cash", "equity", "pnl", "fees"))
    assert all(isinstance(quantity, str) for quantity in figures["position"].values())
    assert "E" not in figures["fees"]


def in_vain(summary: Summary, **counts: object) -> str | None:
    nothing = {"orders": 0, "fills": 0, "rejected": 0, "refused": 0, "rejected_because": {}, "refused_because": {}}
    return msgspec.structs.replace(summary, **(nothing | counts)).nothing_passed


def test_a_run_whose_orders_were_all_rejected_names_the_most_frequent_reason(run):
    summary = run.summary(0.0)
    reasons = {"insufficient balance": 200, "no liquidity": 41}

    told = in_vain(summary, orders=241, rejected=241, rejected_because=reasons)
    assert told == "nothing was traded: the venue rejected every order (241), most often because: insufficient balance"
    assert in_vain(summary, orders=241, rejected=240, rejected_because=reasons) is None
    assert in_vain(summary) is None


def test_a_run_whose_orders_were_all_refused_by_risk_says_so(run):
    told = in_vain(run.summary(0.0), refused=3, refused_because={"max_order_notional": 2, "instrument": 1})

    assert told == "nothing was traded: risk refused every order (3), most often because of: max_order_notional"


def test_copies_that_failed_are_counted_by_reason_without_figures():
    rig = Rig({"follower": "bob"}, {"follower": "carol", "symbols": ["ETHUSDT"]})
    observer = RunObserver(rig.kernel)

    for quantity in ("200", "300"):
        rig.tip("buy", quantity)

    assert observer.reasons.failed == {"insufficient balance": 2, "BTCUSDT is not copied; allowed": 2}
