"""The report: trades from fills, the session from a record, and the page."""

from __future__ import annotations

import decimal
import re
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.accounts import Account, Rates, Valuation
from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    OrderFilledEvent,
    OrderRejectedEvent,
    RiskLimitBreachedEvent,
    RunStarted,
    RunStopped,
    TradeEvent,
    TradingHalted,
    VenueBalanceReported,
)
from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.reporting import collect, missing_extra, write_report
from tickdeck.infrastructure.reporting.curves import Curve
from tickdeck.infrastructure.runs import InputRecord, Manifest, StrategyRecord

D = Decimal
SECOND = 1_000_000_000
START = 1_723_161_600 * SECOND
BTC = Instrument(symbol="BTCUSDT", base="BTC", quote="USDT")
ETH = Instrument(symbol="ETHUSDT", base="ETH", quote="USDT")
INSTRUMENTS = {"BTCUSDT": BTC, "ETHUSDT": ETH}


class Tape:
    """Events as in a record: numbered, with times."""

    def __init__(self) -> None:
        self.events: list[DomainEvent] = []

    def add(self, kind: type, second: float, cause: str = "", **fields) -> None:
        number = len(self.events) + 1
        ts = START + int(second * SECOND)
        event_id = f"{number}-1" if cause else str(number)
        self.events.append(
            kind(seq=number, event_id=event_id, correlation_id="1", causation_id=cause, ts=ts, ts_ingress=ts, **fields)
        )

    def trade(self, second: float, price: str, symbol: str = "BTCUSDT") -> None:
        self.add(TradeEvent, second, symbol=symbol, price=D(price), quantity=D(1), side=Side.BUY, trade_id=0)

    def fill(self, second: float, side: Side, quantity: str, price: str, symbol: str = "BTCUSDT", **fee) -> None:
        self.add(
            OrderFilledEvent,
            second,
            cause="1",
            order_id=f"o{len(self.events)}",
            symbol=symbol,
            strategy_id="mine",
            side=side,
            price=D(price),
            quantity=D(quantity),
            filled=D(quantity),
            remaining=D(0),
            average_price=D(price),
            **fee,
        )


def begun() -> Tape:
    tape = Tape()
    tape.add(RunStarted, 0, symbols=("BTCUSDT",), strategies=("mine",))
    tape.add(VenueBalanceReported, 0, account_id="main", currency="USDT", total=D(1000))
    tape.trade(0, "100")
    return tape


def session_of(tape: Tape, *symbols: str):
    return collect(
        tape.events, symbols=symbols or ("BTCUSDT",), account_id="main", instrument=lambda symbol: INSTRUMENTS[symbol]
    )


def manifest(**changes) -> Manifest:
    fields = {
        "run_id": "20240809-000000-abcdef",
        "nonce": "n",
        "created_at": "2024-08-09T00:00:00+00:00",
        "tickdeck": "0.1.0",
        "code": "c" * 64,
        "python": "3.11",
        "machine": "x",
        "symbols": ("BTCUSDT",),
        "config": {"seed": 1, "paper": {"maker_fee": "0.001"}},
        "inputs": (
            InputRecord(path="/somewhere/secret-folder/btc.csv", format="trades", symbol=None, sha256="f" * 64),
        ),
        "strategies": (
            StrategyRecord(
                strategy_id="mine", spec="/home/me/<b>mine.py:Mine", parameters={"n": "<i>"}, sha256="e" * 64
            ),
        ),
    }
    return Manifest(**(fields | changes))


# -- trades -----------------------------------------------------------------------------------------------------


amounts = st.decimals("0.001", "5", places=3)
prices = st.decimals("1", "200", places=2)
fills = st.lists(
    st.tuples(st.sampled_from(list(Side)), amounts, prices, st.sampled_from(["", "USDT", "BTC"])), max_size=30
)


@given(fills)
def test_the_trades_add_up_to_the_whole_pnl(made):
    tape = begun()
    account = Account("main", "USDT")
    for second, (side, quantity, price, currency) in enumerate(made, 1):
        fee = quantity * D("0.001") if currency == "BTC" else D("0.07")
        tape.fill(second, side, str(quantity), str(price), fee=fee, fee_currency=currency)
        account.apply_fill(tape.events[-1], BTC)
    tape.trade(len(made) + 1, "123.45")

    session = session_of(tape)

    made_of = D(0)
    for trade in session.trades:
        made_of = EXACT.add(made_of, trade.pnl)
    assert abs(made_of - session.pnl) < D("1E-12")
    assert session.pnl == Valuation(account, Rates(), instrument_for).equity({"BTCUSDT": D("123.45")}.get)
    assert session.fees == account.fees()


# -- the session ------------------------------------------------------------------------------------------------


def test_a_session_without_fills_stays_at_what_was_paid_in():
    tape = begun()
    tape.trade(5, "90")
    tape.add(RunStopped, 5, reason="end of market data")

    session = session_of(tape)

    assert (session.completed, session.reason, session.halted) == (True, "end of market data", None)
    assert (session.trades, session.fills, session.pnl, session.equity) == ((), (), 0, 1000)
    assert session.performance.trades == 0
    assert set(session.drawdowns()) == {0.0}


def test_equity_follows_the_price_and_drawdown_the_peak():
    tape = begun()
    tape.fill(0.5, Side.BUY, "2", "100")
    tape.trade(1, "150")
    tape.trade(2, "150")
    tape.trade(2.5, "100")

    session = session_of(tape)

    assert [seconds(ts) for ts, _ in changes(session.equity_curve)] == [0, 1, 2.5]
    assert [value for _, value in changes(session.equity_curve)] == [1000, 1100, 1000]
    assert [(seconds(ts), price) for ts, price in changes(session.price_curves["BTCUSDT"])] == [
        (0, 100),
        (1, 150),
        (2.5, 100),
    ]
    assert session.drawdowns()[-1] == pytest.approx(1000 / 1100 - 1)
    assert min(session.drawdowns()) == pytest.approx(-session.max_drawdown)
    assert session.positions == {"BTCUSDT": D(2)}
    assert not session.completed


def test_several_symbols_have_their_own_prices_and_trades():
    tape = begun()
    tape.trade(1, "10", symbol="ETHUSDT")
    tape.fill(2, Side.BUY, "1", "100")
    tape.fill(2, Side.BUY, "1", "10", symbol="ETHUSDT")
    tape.trade(3, "12", symbol="ETHUSDT")
    tape.add(TradingHalted, 3, cause="1", reason="daily loss")

    session = session_of(tape, "BTCUSDT", "ETHUSDT")

    assert [curve[-1][1] for curve in session.price_curves.values()] == [D(100), D(12)]
    assert {trade.symbol: trade.pnl for trade in session.trades} == {"BTCUSDT": 0, "ETHUSDT": 2}
    assert session.halted == "daily loss"


def changes(curve):
    """The points of a curve at which its value changes."""
    return [point for n, point in enumerate(curve) if not n or curve[n - 1][1] != point[1]]


def seconds(ts: int) -> float:
    return (ts - START) / 1e9


def test_the_curves_of_a_long_session_are_evenly_spaced_and_no_longer_than_a_chart_can_show():
    tape = begun()
    tape.fill(1, Side.BUY, "1", "100")
    for hour in range(1, 9_000):
        tape.trade(hour * 3600, str(100 + hour % 7))

    session = session_of(tape)

    for curve in (session.equity_curve, session.price_curves["BTCUSDT"]):
        times = [ts for ts, _ in curve]
        assert 1_000 < len(times) <= 3 * 1_024 + 2
        assert times == sorted(times)
        assert max(b - a for a, b in pairwise(times)) <= (times[-1] - times[0]) / 256


def test_a_momentary_spike_is_in_the_curves_of_a_long_session():
    tape = begun()
    tape.fill(1, Side.BUY, "1", "100")
    for hour in range(1, 9_000):
        tape.trade(hour * 3600, "100")
        if hour == 5_000:
            tape.trade(hour * 3600 + 1, "500")
            tape.trade(hour * 3600 + 2, "10")
            tape.trade(hour * 3600 + 3, "100")

    session = session_of(tape)

    prices = [price for _, price in session.price_curves["BTCUSDT"]]
    equity = [value for _, value in session.equity_curve]
    assert (max(prices), min(prices)) == (500, 10)
    assert (max(equity), min(equity)) == (1_400, 910)
    assert min(session.drawdowns()) == pytest.approx(-session.max_drawdown) == pytest.approx(910 / 1_400 - 1)


def test_the_equity_begins_with_the_deposits_however_late_they_are_reported():
    tape = Tape()
    tape.add(RunStarted, 0, strategies=("mine",), symbols=("BTCUSDT",), seed=1)
    tape.add(VenueBalanceReported, 4, account_id="main", currency="BTC", total=D(0))
    tape.add(VenueBalanceReported, 5, account_id="main", currency="USDT", total=D(1000))
    tape.trade(10, "90")

    assert {value for _, value in session_of(tape).equity_curve} == {1000}


def test_every_fill_is_a_point_of_its_price_curve():
    tape = begun()
    for second in range(1, 4_000):
        tape.trade(second, "100")
        if second % 2:
            tape.fill(second + 0.5, Side.BUY if second % 4 == 1 else Side.SELL, "0.1", "101")

    session = session_of(tape)

    points = set(session.price_curves["BTCUSDT"])
    assert {(fill.ts, fill.price) for fill in session.fills} <= points


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(-50, 50)), min_size=1, max_size=300))
def test_a_curve_keeps_lowest_highest_and_last_of_each_interval(steps):
    curve, ts, points = Curve(7), 7, []
    for step, value in steps:
        ts += step
        points.append((ts, D(value)))
        curve.add(ts, D(value))

    kept = list(curve.points())

    assert [t for t, _ in kept] == sorted(t for t, _ in kept)
    assert set(kept) <= set(points)
    assert kept[-1] == points[-1]
    assert (min(v for _, v in kept), max(v for _, v in kept)) == (min(v for _, v in points), max(v for _, v in points))
    groups = {}
    for t, value in points:
        groups.setdefault(curve.end_of_interval(t), []).append(value)
    assert len(groups) <= 1_024
    for end, values in groups.items():
        of_group = [value for t, value in kept if curve.end_of_interval(t) == end]
        assert (min(of_group), max(of_group)) == (min(values), max(values))


# -- the page ---------------------------------------------------------------------------------------------------


@pytest.fixture
def traded() -> Tape:
    tape = begun()
    tape.fill(1, Side.BUY, "1", "100", fee=D("0.1"))
    tape.trade(2, "110")
    tape.fill(3, Side.SELL, "1", "110", fee=D("0.1"))
    tape.add(RunStopped, 4, reason="end of market data")
    return tape


def test_the_report_is_one_page_that_loads_nothing_and_a_picture(traded, tmp_path: Path):
    written = write_report(manifest(), traded.events, tmp_path / "new" / "folder")

    page = Path(written.html).read_text()
    assert Path(written.png).read_bytes().startswith(b"\x89PNG")
    assert re.findall(r"https?://|src=\"(?!data:)|href=|@import|url\(", page) == []
    assert "+9.80" in page
    assert "2024-08-09 00:00:01.000" in page
    assert "f" * 64 in page
    assert "maker 0.1 %" in page
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["report.html", "report.png"]


def test_the_report_has_the_same_bytes_whenever_it_is_made(traded, tmp_path: Path):
    one = write_report(manifest(), traded.events, tmp_path / "one")
    two = write_report(manifest(), traded.events, tmp_path / "two")
    again = write_report(manifest(), traded.events, tmp_path / "two")

    assert Path(one.html).read_bytes() == Path(two.html).read_bytes() == Path(again.html).read_bytes()
    assert Path(one.png).read_bytes() == Path(two.png).read_bytes()


def test_the_report_does_not_depend_on_the_decimal_context_of_its_caller(traded, tmp_path: Path):
    one = write_report(manifest(), traded.events, tmp_path / "one")
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP, capitals=0)):
        session = session_of(traded)
        other = write_report(manifest(), traded.events, tmp_path / "other")

    assert Path(one.html).read_bytes() == Path(other.html).read_bytes()
    assert Path(one.png).read_bytes() == Path(other.png).read_bytes()
    assert session == session_of(traded)


def test_the_page_shows_names_as_text_and_neither_folders_nor_secrets(traded, tmp_path: Path):
    settings = {"seed": 1, "venue": {"api_key": "S3CRET"}}
    page = Path(write_report(manifest(config={"seed": 1}), traded.events, tmp_path).html).read_text()

    from tickdeck.infrastructure.reporting.page import page as render

    rendered = render(session_of(traded), manifest(config=settings), (), b"")
    assert "<b>mine" not in page
    assert "&lt;i&gt;" in page
    assert "/home/me" not in page
    assert "secret-folder" not in page
    assert "S3CRET" not in rendered


def test_a_run_without_fills_and_with_a_halt_says_so(tmp_path: Path):
    tape = begun()
    tape.add(TradingHalted, 3, cause="1", reason="daily loss")

    page = Path(write_report(manifest(inputs=()), tape.events, tmp_path).html).read_text()

    assert "no order was filled" in page
    assert "Trading was halted: daily loss" in page
    assert "not completed" in page
    assert "simulated market, made from the seed 1" in page


def test_the_page_says_why_orders_were_refused_and_rejected(tmp_path: Path):
    tape = begun()
    intent = ActionIntent(action="order", symbol="BTCUSDT", side=Side.BUY, quantity=D(1))
    for second, limit in enumerate(("max_order_notional", "currency", "max_order_notional")):
        tape.add(RiskLimitBreachedEvent, 3 + second, cause="1", strategy_id="s", limit=limit, detail="", intent=intent)
    tape.add(OrderRejectedEvent, 9, cause="1", order_id="o", symbol="BTCUSDT", reason="not enough USDT: 1 of 2")

    page = Path(write_report(manifest(), tape.events, tmp_path).html).read_text()

    assert '<td>refused by risk: max_order_notional</td><td class="n">2</td>' in page
    assert '<td>refused by risk: currency</td><td class="n">1</td>' in page
    assert '<td>rejected by the venue: not enough USDT</td><td class="n">1</td>' in page


def test_symbols_without_room_are_not_drawn(tmp_path: Path):
    symbols = tuple(f"S{n}USDT" for n in range(14))
    tape = begun()

    written = write_report(manifest(symbols=symbols), tape.events, tmp_path)

    assert Path(written.png).stat().st_size > 10_000


def test_a_place_that_cannot_be_written_is_reported_in_one_line(traded, tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="name another folder"):
        write_report(manifest(), traded.events, tmp_path / "file")


def test_missing_packages_are_named_with_the_install_command(traded, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tickdeck.infrastructure.reporting.report.find_spec", lambda name: None)

    assert missing_extra() == ("jinja2", "matplotlib")
    with pytest.raises(ConfigError, match=r"pip install 'tickdeck\[report\]'"):
        write_report(manifest(), traded.events, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_packages_are_loaded_only_for_a_report():
    code = (
        "import sys, tickdeck.infrastructure.reporting\n"
        "print([name for name in ('jinja2', 'matplotlib') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert shown == "[]\n"
