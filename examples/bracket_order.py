"""Enter with bracket orders, of a strategy and of the operator, and tell what became of each.

    python examples/bracket_order.py

A run trades on the simulated market. Its strategy buys below the market with a stop, a target and a time-out; what is
not filled by then is cancelled, and what is filled stays protected. One more bracket comes as a command, as from
`tickdeck bracket`. At the end, the run is proven.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tickdeck import Strategy
from tickdeck.bootstrap import start_run, verify_run
from tickdeck.domain.events import BracketChangedEvent, CommandReceived, TimerFired
from tickdeck.domain.values import Side
from tickdeck.infrastructure.config import RunConfig, StrategyConfig

SECOND = 1_000_000_000


class Ladder(Strategy):
    """Every second, tries to buy a little below the market, for at most half a second."""

    quantity: Decimal = Decimal("0.01")

    def on_start(self) -> None:
        self.set_timer("again", SECOND)

    def on_timer(self, timer: TimerFired) -> None:
        symbol = self.symbols[0]
        price = self.price(symbol)
        if price is not None:
            self.bracket(
                Side.BUY,
                symbol,
                self.quantity,
                limit=price - 1,
                stop_loss="0.05%",
                take_profit="0.03%",
                expires=SECOND // 2,
                reason="a step of the ladder",
            )
        self.set_timer("again", SECOND)


async def main(folder: Path) -> None:
    config = RunConfig(
        strategies=(StrategyConfig(spec=f"{__file__}:Ladder"),), symbols=("BTCUSDT",), duration=Decimal(20), seed=7
    )
    run = start_run(config, folder)

    order = {"side": "buy", "symbol": "BTCUSDT", "quantity": "0.02", "entry": "market", "stop_loss": "0.02%"}

    async def follow(event: BracketChangedEvent) -> None:
        if order:  # once, after the first bracket of the strategy has begun
            run.kernel.publish(CommandReceived(command="bracket", arguments=dict(order), source="example"))
            order.clear()

    run.kernel.subscribe(BracketChangedEvent, follow)
    await run.drive(20)  # times real time
    await run.kernel.drain()
    run.close()
    brackets = run.core.brackets.brackets.values()
    lines = Counter(f"{one.opened.strategy_id}: {one.status}: {one.reason}".removesuffix(": ") for one in brackets)
    for line, count in sorted(lines.items()):
        print(f"{count:3}  {line}")
    print(f"the proof of the run: {'identical' if verify_run(run.folder)[0].identical else 'different'}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
