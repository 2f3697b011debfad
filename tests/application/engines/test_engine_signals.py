"""The signal engine: named indicators, fed by candles, trades and books."""

from __future__ import annotations

import pytest
from application_kit import BTC, SECOND, START, Core, D, trade

from tickdeck.domain.events import OrderBookDeltaEvent, OrderBookEvent, SignalSnapshotEvent
from tickdeck.errors import ConfigError


def snapshots(core: Core) -> list[dict[str, float]]:
    return [e.values for e in core.tape.events if isinstance(e, SignalSnapshotEvent)]


def book(last: int, bid: str, ask: str) -> OrderBookEvent:
    return OrderBookEvent(
        symbol=BTC, last_update_id=last, bids=((D(99), D(bid)),), asks=((D(101), D(ask)),), ts_ingress=START
    )


@pytest.mark.parametrize(
    "name", ["ema", "ema-0", "ema-", "ema-1.5", "ema-012", "EMA-12", "macd-12", "ema-12 ", "", "rsi--3", "vwap-x"]
)
def test_an_unknown_signal_is_refused_before_the_start_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=r"signal .* is not known; there are ema-N, sma-N, rsi-N"):
        Core(signals=(name,))


def test_a_signal_that_was_not_requested_at_the_start_cannot_be_read() -> None:
    core = Core(signals=("ema-2",))
    with pytest.raises(
        ConfigError, match=r"'ema-3' is not computed in this run; name it in the strategy's required_signals"
    ):
        core.signals.value("ema-3", BTC)


def test_averages_use_the_closes_of_candles_and_are_absent_during_warm_up() -> None:
    core = Core(signals=("sma-2", "ema-3", "rsi-2"), candles=SECOND)

    core.trades("10", "20", "30", "50")  # closes 10, 20, 30
    assert core.signals.value("sma-2", BTC) == 25
    assert core.signals.value("ema-3", BTC) == pytest.approx(10 + 0.5 * 10 + 0.5 * (30 - 15))
    assert core.signals.value("rsi-2", BTC) == 100
    assert snapshots(core) == [
        {"sma-2": 15.0},
        {"sma-2": 25.0, "ema-3": 22.5, "rsi-2": 100.0},
    ]
    assert core.signals.value("sma-2", "ETHUSDT") is None


def test_a_vwap_uses_trades() -> None:
    core = Core(signals=("vwap-2",), candles=SECOND)
    core.feed(trade("10", "1"), trade("20", "3"))

    assert core.signals.value("vwap-2", BTC) == 17.5
    core.feed(trade("30", "3", ts=START + SECOND))
    assert snapshots(core) == [{"vwap-2": 25.0}]


def test_the_imbalance_uses_the_local_book_and_is_absent_while_the_book_is_unusable() -> None:
    core = Core(signals=("imbalance-1",))

    core.feed(book(1, "3", "1"))
    assert core.signals.value("imbalance-1", BTC) == 0.5
    core.feed(
        OrderBookDeltaEvent(symbol=BTC, first_update_id=2, last_update_id=2, bids=((D(99), D(1)),), ts_ingress=START)
    )
    assert core.signals.value("imbalance-1", BTC) == 0.0
    core.feed(OrderBookDeltaEvent(symbol=BTC, first_update_id=9, last_update_id=9, ts_ingress=START))
    assert core.signals.value("imbalance-1", BTC) is None
    core.feed(book(9, "1", "3"))
    assert core.signals.value("imbalance-1", BTC) == -0.5


def test_the_engine_receives_only_what_its_signals_need() -> None:
    def heard(*signals: str) -> list[str]:
        core = Core(signals=signals)
        return [s.name for s in core.kernel.statistics().handlers if s.component.partition(":")[0] == "signals"]

    assert heard() == []
    assert heard("ema-2", "ema-2") == ["ema-2.on_candle", "SignalEngine.publish_snapshot"]
    assert heard("vwap-2") == ["vwap-2.on_trade", "SignalEngine.publish_snapshot"]
    assert heard("imbalance-2") == ["imbalance-2.on_book", "imbalance-2.on_book", "SignalEngine.publish_snapshot"]


def test_the_signals_are_up_to_date_for_every_receiver_of_a_candle() -> None:
    core = Core(signals=("sma-1",), candles=SECOND)
    seen: list[float | None] = []
    core.kernel.subscribe("market.candle", lambda e: seen.append(core.signals.value("sma-1", BTC)))

    core.trades("10", "20", "30")

    assert seen == [10, 20]
