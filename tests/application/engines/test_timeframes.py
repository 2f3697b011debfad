"""Candles of several timeframes in one run: who receives which, and when."""

from __future__ import annotations

from decimal import Decimal

import pytest
from application_kit import BTC, START, Core, trade

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CandleEvent, CommandReceived, SignalSnapshotEvent, SystemWarning
from tickdeck.errors import ConfigError

D = Decimal
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
assert START % (4 * MINUTE) == 0


class Listener(Strategy):
    timeframes: str = ""

    def required_candles(self) -> tuple[str, ...]:
        return tuple(self.timeframes.split())

    def on_start(self) -> None:
        self.heard: list[tuple[int, int, Decimal]] = []
        self.known: list[int] = []

    def on_candle(self, candle: CandleEvent) -> None:
        self.heard.append((candle.interval // MINUTE, (candle.open_ts - START) // MINUTE, candle.close))
        self.known.append(self.clock.now() - candle.close_ts)


def candle(minute: int, price: str, *, minutes: int = 1) -> CandleEvent:
    open_ts, close_ts = START + minute * MINUTE, START + (minute + minutes) * MINUTE
    return CandleEvent(
        symbol=BTC, interval=close_ts - open_ts, open_ts=open_ts, close_ts=close_ts,
        open=D(price), high=D(price), low=D(price), close=D(price), volume=D(1),
        ts=close_ts, ts_ingress=close_ts, source="file",
    )  # fmt: skip


def run(listener: Listener, *events: CandleEvent, base: int | None = None) -> list[tuple[int, int, Decimal]]:
    Core({"l": listener}, candles=base).start().feed(*events)
    assert all(late >= 0 for late in listener.known)  # never before its end
    return listener.heard


MINUTES = [candle(n, str(100 + n)) for n in range(8)]


@pytest.mark.parametrize("timeframes", ["2m 4m", "4m 2m"])
def test_of_candles_that_end_at_once_the_shortest_comes_first(timeframes: str) -> None:
    assert [interval for interval, _, _ in run(Listener(timeframes=timeframes), *MINUTES)] == [2, 2, 4, 2, 2, 4]


def test_a_strategy_receives_only_the_timeframes_that_it_names() -> None:
    assert run(Listener(timeframes="2m 4m"), *MINUTES) == [
        (2, 0, 101),
        (2, 2, 103),
        (4, 0, 103),
        (2, 4, 105),
        (2, 6, 107),
        (4, 4, 107),
    ]


def test_a_strategy_can_receive_the_files_timeframe_and_a_coarser_one() -> None:
    heard = run(Listener(timeframes="1m 4m"), *MINUTES)

    assert [h for h in heard if h[0] == 1] == [(1, n, 100 + n) for n in range(8)]
    assert [h for h in heard if h[0] == 4] == [(4, 0, 103), (4, 4, 107)]


def test_a_strategy_without_timeframes_receives_only_the_files_candles() -> None:
    plain, coarse = Listener(), Listener(timeframes="4m")
    Core({"plain": plain, "coarse": coarse}).start().feed(*MINUTES)

    assert {h[0] for h in plain.heard} == {1}
    assert {h[0] for h in coarse.heard} == {4}


def test_the_runs_own_interval_makes_coarser_candles_of_the_files() -> None:
    assert run(Listener(), *MINUTES, base=4 * MINUTE) == [(4, 0, 103), (4, 4, 107)]


def test_a_coarser_part_of_the_file_is_passed_on_unchanged() -> None:
    events = [*MINUTES[:2], candle(4, "110", minutes=4), candle(8, "111", minutes=4)]

    assert run(Listener(), *events, base=4 * MINUTE) == [(4, 4, 110), (4, 0, 101), (4, 8, 111)]


def test_timeframes_are_made_from_trades_too() -> None:
    listener = Listener(timeframes="1m 2m")
    trades = [trade(str(100 + n), ts=START + n * 30 * SECOND) for n in range(9)]
    Core({"l": listener}).start().feed(*trades)

    assert listener.heard == [(1, 0, 101), (1, 1, 103), (2, 0, 103), (1, 2, 105), (1, 3, 107), (2, 2, 107)]


def test_no_candles_are_made_from_trades_if_the_input_has_candles() -> None:
    listener = Listener(timeframes="1m")
    core = Core({"l": listener}).start().feed(candle(0, "100"))
    core.feed(trade("300", ts=START + MINUTE + 1), trade("300", ts=START + 2 * MINUTE + 1), candle(2, "102"))

    assert listener.heard == [(1, 0, 100), (1, 2, 102)]


class Signals(Listener):
    def required_signals(self) -> tuple[str, ...]:
        return ("sma-1", "sma-1@4m", "vwap-3")

    def on_candle(self, candle: CandleEvent) -> None:
        super().on_candle(candle)
        self.values = (self.signal("sma-1", BTC), self.signal("sma-1@4m", BTC), self.signal("vwap-3", BTC))


def test_a_signal_uses_its_own_timeframe_or_the_first_of_its_strategy() -> None:
    strategy = Signals(timeframes="2m 4m")
    run(strategy, *MINUTES[:6])

    assert strategy.values == (105.0, 103.0, None)


def test_signals_of_several_timeframes_are_published_with_their_own_candle() -> None:
    core = Core({"s": Signals(timeframes="2m 4m")}).start().feed(*MINUTES[:4])

    shown = [event.values for event in core.tape.events if isinstance(event, SignalSnapshotEvent)]
    assert shown == [{"sma-1@2m": 101.0}, {"sma-1@2m": 103.0}, {"sma-1@4m": 103.0}]


@pytest.mark.parametrize(("named", "message"), [("1y", "'1y' is not an interval"), ("0m", "'0m' is not an interval")])
def test_an_invalid_timeframe_is_refused_with_the_strategys_name(named: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"strategy Listener: required_candles\(\): {message}"):
        Core({"l": Listener(timeframes=named)})


def test_text_instead_of_a_tuple_is_refused() -> None:
    class Text(Strategy):
        def required_candles(self) -> tuple[str, ...]:
            return "1h"  # type: ignore[return-value]

    with pytest.raises(ConfigError, match=r"gives '1h'; give a tuple of intervals, such as \('1h',\)"):
        Core({"t": Text()})


def test_timeframes_are_fixed_when_the_run_begins() -> None:
    listener = Listener(timeframes="2m")
    core = Core({"l": listener}).start()
    arguments = {"strategy_id": "l", "timeframes": "4m"}
    core.feed(CommandReceived(command="strategy-update", arguments=arguments, source="me"))

    (warning,) = [event for event in core.tape.events if isinstance(event, SystemWarning)]
    assert "required_candles() now returns different timeframes" in warning.message
    core.feed(*MINUTES)
    assert {h[0] for h in listener.heard} == {2}
