"""Whatever happens at the paper venue, no money is lost or created, and equal seeds give equal reports."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from paper_kit import BUY, SELL, T0, D, Desk, cancel, order, tick, trade

from tickdeck.domain.events import (
    TickEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import Side, TimeInForce

prices = st.integers(9_500, 10_500).map(lambda n: str(D(n) / 100))
sizes = st.integers(1, 4_000).map(lambda n: str(D(n) / 1_000))
sides = st.sampled_from(list(Side))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), prices, sizes, sides),
        st.tuples(st.just("tick"), prices, sizes),
        st.tuples(st.just("order"), sides, sizes, st.none() | prices, st.sampled_from(list(TimeInForce))),
        st.tuples(st.just("cancel"), st.integers(0, 10)),
    ),
    max_size=40,
)


def play(desk: Desk, script: list[tuple[Any, ...]]) -> list[Any]:
    """Play a script of market events, orders and cancels, 7 ns apart."""
    ts, names = T0, 0
    for kind, *rest in script:
        ts += 7
        if kind == "trade":
            desk.market(trade(ts, *rest))
        elif kind == "tick":
            bid, quantity = rest
            desk.market(tick(ts, bid=bid, ask=str(D(bid) + 1), quantity=quantity))
        elif kind == "order":
            side, quantity, limit, tif = rest
            desk.run_to(ts)
            desk.venue.submit(order(str(names), side, quantity, limit, ts, tif))
            names += 1
        elif rest[0] < names:
            desk.run_to(ts)
            desk.venue.cancel(cancel(str(rest[0]), ts))
    return desk.settle()


@given(steps, st.sampled_from(["0", "150", "400", "100000"]), st.booleans())
def test_balances_follow_from_the_reported_fills(script: list[tuple[Any, ...]], cash: str, shorts: bool) -> None:
    desk = Desk(balances={"USDT": D(cash), "BTC": D(2)}, short_selling=shorts, jitter_ns=20)
    reports = play(desk, script)
    totals = {"USDT": D(cash), "BTC": D(2)}
    filled: dict[str, Decimal] = {}
    final: dict[str, str] = {}
    seen: dict[str, list[str]] = {}
    for r in reports:
        if isinstance(r, VenueFillReported):
            assert r.order_id not in final
            assert seen[r.order_id][0] == "accepted"
            totals["BTC"] += r.side.sign * r.quantity
            totals["USDT"] -= r.side.sign * r.price * r.quantity + r.fee
            filled[r.order_id] = filled.get(r.order_id, D(0)) + r.quantity
        else:
            assert isinstance(r, VenueOrderReported)
            assert r.filled == filled.get(r.order_id, D(0))
            if r.status.is_final:
                assert final.setdefault(r.order_id, r.status.value) == r.status.value
            seen.setdefault(r.order_id, []).append(r.status.value)
    account = desk.venue.account
    assert {name: account.total(name) for name in totals} == totals
    assert account.total("USDT") >= 0
    assert account.free("USDT") >= 0
    assert shorts or account.free("BTC") >= 0
    assert [r.ts_ingress for r in reports] == sorted(r.ts_ingress for r in reports)


@given(steps)
def test_equal_seeds_and_inputs_give_equal_reports(script: list[tuple[Any, ...]]) -> None:
    assert play(Desk(jitter_ns=50, seed=3), script) == play(Desk(jitter_ns=50, seed=3), script)


def test_another_seed_draws_other_latencies() -> None:
    script: list[tuple[Any, ...]] = [("tick", "100", "5"), ("order", BUY, "1", None, TimeInForce.GTC)]
    due = [play(Desk(jitter_ns=10**6, seed=seed), script)[-1].ts_ingress for seed in (1, 2)]
    assert due[0] != due[1]


def session_digest() -> str:
    """A digest of all reports of a session on the simulated market, orders and cancels included."""
    from itertools import islice

    from tickdeck.infrastructure.exchanges.simulated import simulated_market

    desk = Desk(jitter_ns=5_000_000, balances={"USDT": D(1_000_000), "BTC": D(5), "ETH": D(50)})
    desk.venue.start(T0)
    start = 10**15
    for n, event in enumerate(islice(simulated_market(["BTCUSDT", "ETHUSDT"], 5, start), 1_500)):
        desk.market(event)
        if n % 10 == 5 and isinstance(event, TickEvent):
            side, away = (BUY, D(-1)) if n % 20 == 5 else (SELL, D(1))
            limit = None if n % 3 else str((event.bid_price + away).quantize(D("0.01")))
            desk.venue.submit(order(str(n), side, "0.25", limit, event.ts_ingress, symbol=event.symbol))
            desk.venue.cancel(cancel(str(n - 50), event.ts_ingress, event.symbol))
    digest = hashlib.sha256()
    kinds: dict[str, int] = {}
    for report in desk.settle():
        digest.update(report.to_json())
        kinds[report.event_type] = kinds.get(report.event_type, 0) + 1
    assert kinds["venue.fill_reported"] > 20
    return digest.hexdigest()


def test_reports_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('paper_session', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['paper_session'] = module\n"
        "spec.loader.exec_module(module)\n"
        "print(module.session_digest())\n"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__))],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert digests == [session_digest()] * 2
