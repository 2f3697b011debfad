"""Names that leave the run: made of the run's nonce and an event's id, so that the same decision always has the same
name.
"""

from __future__ import annotations

from hashlib import blake2s

__all__ = ["client_order_id"]


def client_order_id(nonce: str, event_id: str, index: int = 0) -> str:
    """The client order id of the ``index``-th order that the event ``event_id`` of the run with ``nonce`` asks for.

    30 characters of ``[a-z0-9]``: within what Binance, Bybit, Bitget and MEXC take (the shortest limit is 32).
    """
    return "td" + blake2s(f"{nonce}/{event_id}/{index}".encode(), digest_size=14).hexdigest()
