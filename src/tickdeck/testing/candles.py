"""Runs a strategy on candles with given closing prices, in the test's own process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

import tickdeck
from tickdeck.application.results import Summary
from tickdeck.application.strategies import Strategy
from tickdeck.application.units import duration_ns
from tickdeck.bootstrap import Run
from tickdeck.domain.events import OrderFilledEvent, OrderPartiallyFilledEvent, StrategyDecisionEvent
from tickdeck.infrastructure.config import RunConfig, TapeConfig
from tickdeck.infrastructure.runs import Manifest, input_records
from tickdeck.infrastructure.tape.null import NullTape

__all__ = ["CandleRun", "run_candles"]

_START = datetime(2024, 1, 1, tzinfo=UTC)


class CandleRun(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run: the ``decisions`` and ``fills`` in order, and the figures (``summary.equity``,
    ``summary.position``, ``summary.refused_because``). ``strategy`` is the object that ran, with its state."""

    strategy: Strategy
    decisions: tuple[StrategyDecisionEvent, ...]
    fills: tuple[OrderFilledEvent | OrderPartiallyFilledEvent, ...]
    summary: Summary


def run_candles(
    strategy: type[Strategy],
    closes: Sequence[Decimal | int | float | str],
    *,
    symbol: str = "BTCUSDT",
    interval: str = "1h",
    settings: RunConfig | None = None,
    **parameters: Any,
) -> CandleRun:
    """Run ``strategy(**parameters)`` on candles with these ``closes`` (quote) and the paper venue. Leaves nothing on
    disk.

    Each candle lasts ``interval`` and opens at the previous close. Its high and low are its open and close, and it has
    plenty of volume. A decision at one close is filled at the next open, so a decision at the last close is not filled.
    ``settings`` contains the limits, the venue's fees and so on; the default is that of a run without a configuration.
    An error in the strategy pauses it, as in a run; check ``summary.failures``. Do not call this within an event loop.
    """
    step = timedelta(microseconds=duration_ns(interval) // 1_000)
    lines = ["timestamp,open,high,low,close,volume"]
    opened = str(closes[0]) if closes else ""
    for n, close in enumerate(map(str, closes)):
        low, high = sorted((opened, close), key=Decimal)
        lines.append(f"{(_START + n * step).isoformat()},{opened},{high},{low},{close},1000000")
        opened = close
    with tempfile.TemporaryDirectory(prefix="tickdeck-test-") as name:
        path = Path(name) / "candles.csv"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        tapes = (TapeConfig(path=str(path), format="candles", symbol=symbol, interval=interval),)
        config = msgspec.structs.replace(settings or RunConfig(), tapes=tapes, symbols=(symbol,))
        manifest = Manifest(
            run_id="test",
            nonce="test",
            created_at=_START.isoformat(),
            tickdeck=tickdeck.__version__,
            code="",
            python="",
            machine="",
            symbols=(symbol,),
            config={},
            inputs=input_records(tapes),
        )
        subject = strategy(**parameters)
        decisions: list[StrategyDecisionEvent] = []
        fills: list[OrderFilledEvent | OrderPartiallyFilledEvent] = []
        run = Run(
            Path(name),
            manifest,
            config,
            [(strategy.__name__, subject)],
            NullTape(),
            cursors=None,
            caught_up=lambda: False,  # there is no tape, so there is no end to record
        )
        run.kernel.subscribe(StrategyDecisionEvent, decisions.append, priority=-100, component="test")
        run.kernel.subscribe(OrderFilledEvent, fills.append, priority=-100, component="test")
        run.kernel.subscribe(OrderPartiallyFilledEvent, fills.append, priority=-100, component="test")
        try:
            asyncio.run(run.simulation.run())
            summary = run.summary(0.0)
        finally:
            run.close()
    return CandleRun(strategy=subject, decisions=tuple(decisions), fills=tuple(fills), summary=summary)
