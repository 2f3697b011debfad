"""Messages that were damaged on their way, or that a venue never should have sent."""

from __future__ import annotations

import random

__all__ = ["mutated"]


def mutated(message: bytes, rng: random.Random) -> bytes:
    """``message`` with one to five changes: bytes that are wrong, missing, repeated or foreign, or an early end."""
    data = bytearray(message)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(data) or 1)
        match rng.randrange(5):
            case 0 if data:
                data[place] = rng.randrange(256)
            case 1:
                del data[place : place + rng.randrange(1, 9)]
            case 2:
                data[place:place] = rng.choice(
                    [b"null", b"-1", b"1e999", b'"NaN"', b"[", b"{}", b"9" * 40, b'"', b"\x00", b"true", b"[[" * 9]
                )
            case 3:
                begin = rng.randrange(len(data) or 1)
                data[place:place] = data[begin : begin + rng.randrange(1, 30)]
            case _:
                del data[place:]
    return bytes(data).replace(b"\n", b" ")
