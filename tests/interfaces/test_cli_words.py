"""Times, and short descriptions of events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tickdeck.application.proof import Effect
from tickdeck.application.units import clock_time, day, iso_time, span
from tickdeck.bootstrap import start_run
from tickdeck.domain.events import (
    ActionIntent,
    BalanceEvent,
    CandleEvent,
    DomainEvent,
    OrderAcceptedEvent,
    OrderBookDeltaEvent,
    OrderCancelledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    ProtectionDecidedEvent,
    ProtectionEndedEvent,
    ProtectionGuardedEvent,
    ProtectionSetEvent,
    ProtectionTerms,
    ProtectionYieldedEvent,
    RawEvent,
    RiskLimitBreachedEvent,
    RunResumed,
    RunStarted,
    SignalSnapshotEvent,
    StateLeg,
    StateUpdated,
    StrategyDecisionEvent,
    TickEvent,
    TradeEvent,
    TradingHalted,
    VenueBalanceReported,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.interfaces.cli.describing import describe_event
from tickdeck.interfaces.cli.live import Progress
from tickdeck.interfaces.cli.output import cut
from tickdeck.interfaces.cli.tables import chain, effect_lines
from tickdeck.interfaces.cli.times import parse_time

NOON = 1_723_118_400_000_000_000  # 2024-08-08T12:00:00Z


@given(st.integers(100_000_000_000_000_000, 4_000_000_000_000_000_000))
def test_a_printed_time_is_read_back_to_the_nanosecond(ts):
    assert parse_time(iso_time(ts)) == parse_time(str(ts)) == ts


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2024-08-08T12:00:00Z", 0),
        ("2024-08-08T12:00:00", 0),
        ("2024-08-08 12:00:00.5", 500_000_000),
        ("2024-08-08T12:00:00,000000001+00:00", 1),
        ("2024-08-08T14:00:00.25+02:00", 250_000_000),
        ("2024-08-08T12:00", 0),
        ("20240808T120000.25", 250_000_000),
        ("2024-08-08", -12 * 3_600_000_000_000),
    ],
)
def test_iso_8601_is_read_with_zone_and_fraction(text, offset):
    assert parse_time(text) == NOON + offset


def test_four_digits_are_a_year_and_eight_a_date():
    assert parse_time("2025") == parse_time("2025-01-01")
    assert parse_time("20240808") == parse_time("2024-08-08")


@pytest.mark.parametrize("text", ["202408", "1723161254", "1723161254000", "1723161254000000", "12345"])
def test_an_integer_that_is_not_a_time_in_nanoseconds_is_refused(text):
    with pytest.raises(ValueError, match="nanoseconds since 1970 have 19 digits"):
        parse_time(text)


@pytest.mark.parametrize("text", ["", "noon", "2024-13-01", "-5", "1.5", "2024-08-08T12:00:00.5 oClock"])
def test_an_invalid_time_is_refused_with_the_reason(text):
    with pytest.raises(ValueError, match="is not a time; give ISO 8601"):
        parse_time(text)


def test_nanoseconds_beyond_the_calendar_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="is not a time: nanoseconds since 1970 have at most 19 digits"):
        parse_time("9" * 20)


def test_days_and_times_of_day_are_utc():
    assert (day(NOON), clock_time(NOON + 1_999_999)) == ("2024-08-08", "12:00:00.001")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0.0 s"),
        (1_500_000_000, "1.5 s"),
        (244_000_000_000, "4 min 4 s"),
        (3_600_000_000_000, "1 h"),
        (90_061_000_000_000, "1 d 1 h"),
    ],
)
def test_durations_are_shown_in_two_units(ns, text):
    assert span(ns) == text


INTENT = ActionIntent(action="order", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal("0.0100"), order_id="a")
EXIT = ActionIntent(action="order", symbol="B", side=Side.SELL, quantity=Decimal(2), stop=Decimal(4), protects="p")
TERMS = ProtectionTerms(stop_loss_percent=Decimal(5), take_profit=Decimal(62_000))
PROTECTED = {"protection_id": "p", "symbol": "B", "strategy_id": "s"}
CANCEL = ActionIntent(action="cancel", symbol="", order_id="abc")
D = Decimal


class Grade(Enum):
    A = "a"


class Checked(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "words_test.checked"
    grade: Grade
    when: datetime
    tags: set[str]


CHECKED = "grade=a when=2024-08-08T00:00:00Z tags=x,y"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            TradeEvent(symbol="BTCUSDT", price=D("61700.00"), quantity=D("0.0100"), side=Side.SELL),
            "BTCUSDT sell 0.01 @ 61700",
        ),
        (
            TickEvent(symbol="B", bid_price=D(1), bid_quantity=D(2), ask_price=D(3), ask_quantity=D("1E-8")),
            "B 2 @ 1 / 0.00000001 @ 3",
        ),
        (OrderBookDeltaEvent(symbol="B", first_update_id=1, last_update_id=5), "B to update 5: 0 bids, 0 asks"),
        (
            CandleEvent(
                symbol="B", interval=1, open_ts=0, close_ts=1, open=D(2), high=D(3), low=D(1), close=D(2), volume=D(9)
            ),
            "B o 2 h 3 l 1 c 2 v 9",
        ),
        (SignalSnapshotEvent(symbol="B", values={"ema-3": 1.23456789}), "B ema-3 1.23457"),
        (
            StrategyDecisionEvent(strategy_id="s", intents=(INTENT, CANCEL), reason="so"),
            "s BTCUSDT buy 0.01 at market, cancel #abc: so",
        ),
        (
            RiskLimitBreachedEvent(strategy_id="s", limit="l", detail="too much", intent=INTENT),
            "s BTCUSDT buy 0.01 at market: too much",
        ),
        (
            VenueFillReported(
                order_id="a", symbol="B", side=Side.BUY, price=D(2), quantity=D(1), venue_trade_id="1", fee_currency="U"
            ),
            "#a B buy 1 @ 2 fee 0 U taker",
        ),
        (VenueOrderReported(order_id="a", symbol="B", status=OrderStatus.REJECTED, reason="no"), "#a B rejected: no"),
        (VenueBalanceReported(currency="U", total=D("0.0")), "U 0"),
        (BalanceEvent(currency="USDT", total=D("5.50"), free=D("5.50"), change=D(-1)), "USDT 5.5 (-1)"),
        (TradingHalted(reason="enough"), "enough"),
        (
            RunResumed(ts=NOON, since=NOON - 90 * 10**9),
            "1 min 30 s after the last input; the same code executed the record again",
        ),
        (
            RunResumed(how="folded", code={"a": "0" * 64}, strategies={"maker": "warmed up"}),
            "the state was restored from the record; maker was warmed up",
        ),
        (
            OrderAcceptedEvent(
                order_id="a", symbol="B", side=Side.BUY, quantity=D("0.10"), limit=D(2), filled=D(0), reserved=D(1)
            ),
            "#a B buy 0.1 @ 2",
        ),
        (
            OrderCancelledEvent(
                order_id="a", symbol="B", side=Side.SELL, quantity=D(3), filled=D(1), reason="by the strategy"
            ),
            "#a B sell 3 at market, 1 filled: by the strategy",
        ),
        (OrderRejectedEvent(order_id="a", symbol="B", reason="no money"), "#a B: no money"),
        (
            OrderSubmittedEvent(
                order_id="a", symbol="B", side=Side.SELL, quantity=D(3), stop=D("61760.00"), limit=D("61846.420")
            ),
            "#a B sell 3 stop 61,760, target 61,846.42 gtc",
        ),
        (ProtectionSetEvent(side=Side.BUY, terms=TERMS, **PROTECTED), "B of s #p: stop 5%, target 62,000"),
        (
            ProtectionSetEvent(
                side=Side.BUY, terms=ProtectionTerms(trailing=D(7)), quantity=D(2), price=D(9), **PROTECTED
            ),
            "B of s 2 @ 9: trailing 7",
        ),
        (
            ProtectionDecidedEvent(intent=EXIT, reason="protect", **PROTECTED),
            "B sell 2 stop 4: it waits at the venue",
        ),
        (ProtectionDecidedEvent(intent=CANCEL, reason="move", **PROTECTED), "B cancel #abc: another one replaces it"),
        (ProtectionGuardedEvent(reason="no stops", **PROTECTED), "B: the run itself watches the price: no stops"),
        (
            ProtectionYieldedEvent(intent=INTENT, **PROTECTED),
            "BTCUSDT buy 0.01 at market: it waits until the exit order has ended",
        ),
        (ProtectionEndedEvent(reason="closed", **PROTECTED), "B: the position is closed"),
        (
            StrategyDecisionEvent(
                strategy_id="s",
                intents=(
                    ActionIntent(action="protect", symbol="B", protection=TERMS),
                    ActionIntent(action="protect", order_id="abc"),
                ),
            ),
            "s protect B: stop 5%, target 62,000, unprotect #abc",
        ),
        (
            StateUpdated(owner="main", kind="portfolio", values={}, legs=(StateLeg(symbol="B", quantity=D("1.0")),)),
            "owner=main kind=portfolio legs=B 1",
        ),
        (RunStarted(strategies=("a", "b"), symbols=("B",), seed=1), "strategies=a,b symbols=B seed=1"),
        (RawEvent(raw_type="news.published", raw={"headline": "Moon", "symbol": "B"}), "B headline=Moon"),
        (RawEvent(raw_type="news.published", raw={"headline": "a\nb\x1b[31m☃"}), r"headline=a\nb\x1b[31m☃"),
        (OrderRejectedEvent(order_id="a", symbol="B", reason="no\r\nmoney"), r"#a B: no\r\nmoney"),
        (Checked(grade=Grade.A, when=datetime(2024, 8, 8, tzinfo=UTC), tags={"y", "x"}), CHECKED),
    ],
)
def test_events_are_described_by_their_main_fields(event, words):
    assert describe_event(event) == words


def test_a_line_that_is_too_long_is_cut_with_an_ellipsis():
    assert (cut("abcdef", 4), cut("abcd", 4), cut("abcdef", None)) == ("abc…", "abcd", "abcdef")


def halted(number: int) -> TradingHalted:
    return TradingHalted(reason="x", event_id=str(number), ts_ingress=NOON)


def test_a_long_chain_shows_its_ends_and_counts_the_rest():
    lines = chain([halted(number) for number in range(100)])

    assert lines[0] == "12:00:00.000  0 trading.halted x"
    assert lines[4].endswith("└ … 84 more between")
    assert lines[-1].endswith("└ 99 trading.halted x")
    assert len(lines) == 17
    assert [line.index("trading") for line in lines if "trading" in line] == sorted(
        line.index("trading") for line in lines if "trading" in line
    )


def test_effects_are_drawn_as_a_tree_in_order():
    tree = (Effect(halted(1), (Effect(halted(2), ()),)), Effect(halted(3), ()))

    whole = [line[14:] for line in effect_lines(tree, depth=5, below=1)]
    shallow = [line[14:] for line in effect_lines(tree, depth=1, below=0)]

    assert whole == ["  ├ 1 trading.halted x", "  │ └ 2 trading.halted x", "  └ 3 trading.halted x"]
    assert shallow == ["├ 1 trading.halted x", "│ … more below; --depth shows it", "└ 3 trading.halted x"]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("columns", "shown"), [(70, ["BTCUSDT - pos 0", "  +2  "]), (140, ["BTCUSDT", "SOLUSDT - pos 0  pnl"])]
)
def test_the_progress_line_fits_the_terminal(tmp_path, monkeypatch, columns, shown):
    monkeypatch.setenv("COLUMNS", str(columns))
    run = start_run(config_from_dict({"symbols": ["BTCUSDT", "ETHUSDT", "SOLUSDT"]}), tmp_path)
    terminal = Terminal()
    progress = Progress(run, terminal)

    progress(NOON)
    progress(NOON)  # too early for another
    progress.close()
    run.close()

    line = terminal.getvalue()
    assert line.count("\r\x1b[2K") == 2
    assert line.endswith("\r\x1b[2K")
    assert "2024-08-08 12:00:00" in line
    assert all(part in line for part in shown)
    assert len(line) - 2 * len("\r\x1b[2K") < columns


def test_without_a_terminal_there_is_no_progress_line(tmp_path):
    run = start_run(config_from_dict({}), tmp_path)
    stream = StringIO()
    progress = Progress(run, stream)

    progress(NOON)
    progress.close()
    run.close()

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--tape", "{long}"),
        ("run", "--config", "{long}"),
        ("run", "--config", "folder"),
        ("run", "--strategy", "{long}.py:S"),
        ("runs", "--data", "{long}"),
        ("verify", "{long}"),
        ("run", "--resume", "{long}"),
        ("tape", "check", "{long}"),
        ("run", "--tape", "folder"),
        ("run", "--tape", "a\nb"),
    ],
)
def test_an_unusable_path_gives_one_line(tickdeck, words):
    Path("folder").mkdir()

    result = tickdeck(*(word.format(long="n" * 300) for word in words), "--json")

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert json.loads(result.stdout)["exit_code"] == 2


def test_a_key_in_the_wrong_table_is_reported_with_its_right_table(tickdeck):
    Path("run.toml").write_text("[paper]\nseed = 3\n")

    result = tickdeck("run", "--config", "run.toml")

    assert "there is no key 'seed' in paper; it belongs at the top" in result.stderr


def test_a_narrow_terminal_shows_the_strategies_of_each_run_below_its_line(tickdeck, monkeypatch):
    tickdeck("run", "--for", "1", "--speed", "max")
    shown = StringIO()
    narrow = Console(file=shown, width=80)
    monkeypatch.setattr("tickdeck.interfaces.cli.commands.runs.console", lambda: narrow)

    tickdeck("runs")

    heading, run, strategies = shown.getvalue().splitlines()
    assert heading.split() == ["run", "status", "events", "trades", "pnl", "drawdown"]
    assert "completed" in run
    assert strategies == "  ema-cross(fast=12, slow=26, quantity=0.01) on BTCUSDT"


def test_no_line_of_a_table_in_a_pipe_ends_with_spaces(tickdeck):
    shown = tickdeck("run", "--for", "1", "--speed", "max").stdout + tickdeck("doctor").stdout + tickdeck("runs").stdout

    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_the_catalogue_for_people_has_no_markup(tickdeck):
    assert "``" not in tickdeck("events", "--catalogue").stdout
