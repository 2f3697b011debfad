"""The errors of Binance, and what each of them means for the request."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tickdeck.errors import (
    AuthenticationFailed,
    BadSignature,
    ClockSkew,
    DuplicateClientId,
    ExchangeError,
    FilterViolated,
    InsufficientFunds,
    InvalidSymbol,
    OutcomeUnknown,
    RateLimited,
    RequestRefused,
    SymbolHalted,
    UnknownOrder,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)

__all__ = ["TOO_MANY_ORDERS", "error_from"]

_BY_CODE: dict[int, type[RequestRefused]] = {
    -1002: AuthenticationFailed,
    -1021: ClockSkew,
    -1022: BadSignature,
    -1121: InvalidSymbol,
    -2013: UnknownOrder,
    -2014: AuthenticationFailed,
    -2015: AuthenticationFailed,
    -2026: UnknownOrder,
}
_BY_TEXT: tuple[tuple[str, type[RequestRefused]], ...] = (
    ("insufficient balance", InsufficientFunds),
    ("duplicate order", DuplicateClientId),
    ("immediately match and take", WouldTake),
    ("trigger immediately", WouldTrigger),
    ("relationship of the prices", WouldTrigger),
    ("market is closed", SymbolHalted),
    ("unknown order", UnknownOrder),
    ("order does not exist", UnknownOrder),
)
"""Codes -1013, -2010 and -2011 cover many reasons, which only the text tells apart."""

_UNKNOWN = (-1000, -1001, -1006, -1007)
TOO_MANY_ORDERS = -1015
"""Counted by account; all other limits count the requests of an address."""
_TOO_MANY = (-1003, TOO_MANY_ORDERS)
_DOWN = (-1016,)
_FILTER = re.compile(r"Filter failure: (\w+)")
_AMOUNT = re.compile(r"parameter '(quantity|price|newQty)'")  # -1100: too many decimals
_SECONDS = re.compile(r"[0-9]{1,6}")  # a ban lasts three days at most
_UNTIL = re.compile(r"until (\d{13})")
_A_MINUTE, _TWO_MINUTES = 60.0, 120.0  # a ban is never shorter


class _Body(msgspec.Struct):
    code: int
    msg: str = ""


def error_from(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, *, changes: bool = True, now_ms: int = 0
) -> ExchangeError:
    """The error for a response with HTTP ``status`` and ``body``.

    ``changes``: the request would change something at the venue. A failure of the venue then leaves its outcome
    unknown, while a query has simply failed. ``headers``: names in lower case. ``now_ms``: the venue's clock, for the
    end of a ban.
    """
    try:
        code, text = msgspec.structs.astuple(msgspec.json.decode(body, type=_Body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        code, text = 0, f"HTTP {status} without a message"
    message = f"binance: {text} ({code or status})"
    if status in (418, 429) or code in _TOO_MANY:
        banned = status == 418
        wait = _wait(text, headers or {}, now_ms) or (_TWO_MINUTES if banned else _A_MINUTE)
        return RateLimited(message, wait=wait, code=code, status=status, banned=banned)
    # Without a message of the venue, the answer may come from a proxy in between. 403 is the venue's firewall.
    if status >= 500 or code in _UNKNOWN or (changes and not code and status != 403):
        kind = OutcomeUnknown if changes else VenueUnavailable
        return kind(message, code=code, status=status)
    if code in _DOWN:
        return VenueUnavailable(message, code=code, status=status)
    found = _FILTER.search(text)
    if found is not None or code == -1111 or (code == -1100 and _AMOUNT.search(text)):
        return FilterViolated(message, code=code, status=status, filter=found[1] if found else "PRECISION")
    known = _BY_CODE.get(code)
    if known is None:
        lower = text.lower()
        known = next((kind for words, kind in _BY_TEXT if words in lower), RequestRefused)
    return known(message, code=code, status=status)


def _wait(text: str, headers: Mapping[str, str], now_ms: int) -> float:
    """Seconds until the venue accepts requests again; 0 if it does not say."""
    after = headers.get("retry-after", "")
    if _SECONDS.fullmatch(after):
        return float(after)
    until = _UNTIL.search(text)
    return max(0.0, (int(until[1]) - now_ms) / 1000) if until is not None and now_ms else 0.0
