"""Decoding raw frames of a venue to validated events, with the decoder of live runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder
from tickdeck.infrastructure.exchanges.binance.mappers.market import MESSAGES, Wrapped
from tickdeck.interfaces.bench.samples import SYMBOL, prints
from tickdeck.interfaces.bench.session import Figures, Session, rate

__all__ = ["frames", "messages"]

_KINDS = {"bookTicker": "bookTicker", "trade": "trade", "aggTrade": "aggTrade", "depth": "depth@100ms"}


def messages(kind: str, count: int) -> Iterator[bytes]:
    """Seeded messages of a combined stream, in Binance's spelling; ``kind`` is ``bookTicker``, ``trade``, ``aggTrade``
    or ``depth`` (four levels).
    """
    stream = f"{SYMBOL.lower()}@{_KINDS[kind]}"
    for p in prints(count):
        price, quantity = f"{p.price / 100:.8f}", f"{p.quantity / 100_000:.8f}"
        above = f"{(p.price + 1) / 100:.8f}"
        if kind == "bookTicker":
            data: dict[str, Any] = {
                "u": p.number, "s": SYMBOL, "b": price, "B": quantity, "a": above, "A": "0.40000000",
            }  # fmt: skip
        elif kind == "depth":
            data = {
                "e": "depthUpdate", "E": p.time, "s": SYMBOL, "U": p.number, "u": p.number,
                "b": [[price, quantity], [f"{(p.price - 5) / 100:.8f}", "0.00000000"]],
                "a": [[above, quantity], [f"{(p.price + 5) / 100:.8f}", "1.50000000"]],
            }  # fmt: skip
        else:
            number = {"t": p.number} if kind == "trade" else {"a": p.number, "f": p.number, "l": p.number}
            data = {"e": kind, "E": p.time, "s": SYMBOL, **number, "p": price, "q": quantity, "T": p.time}
            data |= {"m": p.buyer_is_maker, "M": True}
        yield msgspec.json.encode({"stream": stream, "data": data})


def frames(*, kind: str, count: int) -> Session:
    """Decode ``count`` frames. The ceiling decodes the same bytes with msgspec, with Decimals, into structs without
    checks."""
    received = [Frame(1_790_000_000_000_000_000 + n, data) for n, data in enumerate(messages(kind, count))]
    shape: Any = MESSAGES[kind]

    def run() -> Figures:
        decode = FrameDecoder().decode
        bare = msgspec.json.Decoder(Wrapped[shape]).decode

        def work() -> None:
            for frame in received:
                for _ in decode(frame):
                    pass

        def ceiling() -> None:
            for frame in received:
                bare(frame.data)

        return {"value": rate(count, work), "ceiling": rate(count, ceiling)}

    return run
