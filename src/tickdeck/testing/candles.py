"""A strategy over a few closes, within the test's own process."""

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
    """What a strategy did: its ``decisions`` and ``fills`` in order, and the run's figures (``summary.equity``,
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
    """Run ``strategy(**parameters)`` on candles with these ``closes`` (quote), on the paper venue, and return what came
    of it. Nothing is left on disk.

    Each candle lasts ``interval``, opens at the close before it, reaches no further than its open and close, and has
    plenty of volume. A decision at one close is filled at the next open, so that one at the last close is not filled.
    ``settings`` are limits, the venue's costs and so on; by default those of a run without a configuration.
    A fault of the strategy pauses it, as in a run: look at ``summary.failures``. Not for use within an event loop.
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
            caught_up=lambda: False,  # no tape is kept, so no end of one is written down
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
