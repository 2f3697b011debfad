"""A recorded session and its manifest, for reports."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    RunStarted,
    TradeEvent,
    VenueBalanceReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import Side
from tickdeck.infrastructure.reporting import collect
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
