"""The errors of the dialect: codes and texts as the real venue gives them."""

from __future__ import annotations

from tickdeck.infrastructure.venue.matching import OrderRefused, Refusal

__all__ = ["ApiError", "bad_param", "missing", "refused"]


class ApiError(Exception):
    """A request is answered with ``status`` and ``{"code", "msg"}``. ``data`` belongs to half-done requests."""

    def __init__(
        self, code: int, text: str, status: int = 400, *, data: object = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
        self.data = data
        self.retry_after_s = retry_after_s


_FILTERS = (
    Refusal.PRICE_FILTER,
    Refusal.LOT_SIZE,
    Refusal.NOTIONAL,
    Refusal.MAX_NUM_ORDERS,
    Refusal.MAX_NUM_ALGO_ORDERS,
    Refusal.MAX_NUM_ORDER_LISTS,
)
_TEXTS = {
    Refusal.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Refusal.MARKET_CLOSED: (-1013, "Market is closed."),
    Refusal.INSUFFICIENT_BALANCE: (-2010, "Account has insufficient balance for requested action."),
    Refusal.DUPLICATE_CLIENT_ID: (-2010, "Duplicate order sent."),
    Refusal.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Refusal.WOULD_TRIGGER: (-2010, "Order would trigger immediately."),
    Refusal.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Refusal.PRICE_RELATION: (-2010, "The relationship of the prices for the orders is not correct."),
    Refusal.NO_LIQUIDITY: (-2010, "Order book liquidity is less than LOT_SIZE filter minimum quantity."),
    Refusal.BAD_AMEND: (-2038, "The requested action would change no state; rejecting."),
}


def refused(error: OrderRefused) -> ApiError:
    """The engine's refusal in the venue's words."""
    if error.reason in _FILTERS:
        return ApiError(-1013, f"Filter failure: {error.reason.value}")
    return ApiError(*_TEXTS[error.reason])


def missing(name: str) -> ApiError:
    """A mandatory parameter was not sent, or cannot be read."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def bad_param(name: str, legal: str) -> ApiError:
    """A parameter has characters that it must not have."""
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
