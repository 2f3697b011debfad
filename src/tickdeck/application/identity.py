"""Ids that leave the run. They are derived from the run's nonce and an event's id, so the same decision always has
the same id."""

from __future__ import annotations

from hashlib import blake2s

__all__ = ["client_order_id"]


def client_order_id(nonce: str, event_id: str, index: int = 0) -> str:
    """The client order id of the ``index``-th order requested by event ``event_id`` in the run with ``nonce``.

    30 characters of ``[a-z0-9]``, which Binance, Bybit, Bitget and MEXC accept (the shortest limit is 32).
    """
    return "td" + blake2s(f"{nonce}/{event_id}/{index}".encode(), digest_size=14).hexdigest()
