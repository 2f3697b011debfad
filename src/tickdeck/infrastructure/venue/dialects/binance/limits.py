"""Rate limits as on the real venue: request weight per address, unfilled orders per account, 429 and bans."""

from __future__ import annotations

from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError

__all__ = ["Limits", "RateLimits"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_DAY = 86_400 * _SECOND
_BAN_NS = 2 * _MINUTE
_LONGEST_BAN_NS = 3 * _DAY
_SETTLES_NS = 300_000_000
"""A fill lowers the count of unfilled orders after this delay."""


class RateLimits:
    """The limits that ``exchangeInfo`` announces. All of them may be changed while the venue runs."""

    def __init__(self, weight: int = 6_000, orders_10s: int = 100, orders_day: int = 200_000) -> None:
        self.weight = weight
        self.orders_10s = orders_10s
        self.orders_day = orders_day

    def as_json(self) -> list[dict[str, object]]:
        """``rateLimits`` of ``exchangeInfo``."""
        return [
            _row("REQUEST_WEIGHT", "MINUTE", 1, self.weight),
            _row("ORDERS", "SECOND", 10, self.orders_10s),
            _row("ORDERS", "DAY", 1, self.orders_day),
            _row("RAW_REQUESTS", "MINUTE", 5, 61_000),
        ]


def _row(kind: str, interval: str, number: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


class _Address:
    __slots__ = ("ban_ns", "banned_until", "limited_until", "used", "window")

    def __init__(self) -> None:
        self.window = -1
        self.used = 0
        self.limited_until = 0  # when the wait of the last 429 ends
        self.banned_until = 0
        self.ban_ns = 0


class _Orders:
    __slots__ = ("day", "in_10s", "in_day", "lower", "ten")

    def __init__(self) -> None:
        self.ten = self.day = -1
        self.in_10s = self.in_day = 0
        self.lower: list[tuple[int, int]] = []  # (when, by how much)


class Limits:
    """How much of the limits each address and account has used. Times are ns UTC."""

    def __init__(self, rates: RateLimits | None = None) -> None:
        self.rates = rates or RateLimits()
        self._addresses: dict[str, _Address] = {}
        self._orders: dict[str, _Orders] = {}

    # -- weight ---------------------------------------------------------------------------------------------------

    def charge(self, address: str, weight: int, now: int) -> None:
        """Count a request. Raises ``ApiError``: 429 beyond the limit, and 418 for an address that goes on sending."""
        used = self._address(address, now)
        if now < used.banned_until:
            used.ban_ns = min(used.ban_ns * 2, _LONGEST_BAN_NS)
            used.banned_until = now + used.ban_ns
            raise self._banned(used, now)
        if now < used.limited_until:
            used.ban_ns = min(max(used.ban_ns * 2, _BAN_NS), _LONGEST_BAN_NS)
            used.banned_until = now + used.ban_ns
            raise self._banned(used, now)
        used.used += weight
        if used.used > self.rates.weight:
            used.limited_until = (now // _MINUTE + 1) * _MINUTE
            raise self.too_many(used.limited_until - now)

    def too_many(self, wait_ns: int) -> ApiError:
        """The answer to a request beyond the limit. ``wait_ns`` is how long the client must wait."""
        return ApiError(
            -1003,
            f"Too much request weight used; current limit is {self.rates.weight} request weight per 1 MINUTE. Please"
            " use WebSocket Streams for live updates to avoid polling the API.",
            429,
            retry_after_s=max(1, -(-wait_ns // _SECOND)),
        )

    def give_back(self, address: str, weight: int, now: int) -> None:
        """Take back the weight of a placement or cancel that succeeded."""
        used = self._address(address, now)
        used.used = max(0, used.used - weight)

    def used(self, address: str, now: int) -> int:
        """The weight that the address has used in this minute."""
        return self._address(address, now).used

    def ban(self, address: str, duration_ns: int, now: int) -> None:
        """Ban an address from now on."""
        used = self._address(address, now)
        used.ban_ns = duration_ns
        used.banned_until = now + duration_ns

    def limit(self, address: str, duration_ns: int, now: int) -> None:
        """Behave as after a 429: an address that sends a request within ``duration_ns`` is banned."""
        self._address(address, now).limited_until = now + duration_ns

    def clear(self) -> None:
        """Forget all weight, bans and counts."""
        self._addresses.clear()
        self._orders.clear()

    def _banned(self, used: _Address, now: int) -> ApiError:
        until_ms = used.banned_until // 1_000_000
        return ApiError(
            -1003,
            f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live"
            " updates to avoid bans.",
            418,
            retry_after_s=max(1, -(-(used.banned_until - now) // _SECOND)),
        )

    def _address(self, address: str, now: int) -> _Address:
        used = self._addresses.get(address)
        if used is None:
            used = self._addresses[address] = _Address()
        window = now // _MINUTE
        if used.window != window:
            used.window, used.used = window, 0
        if used.ban_ns and now > used.banned_until + used.ban_ns:
            used.ban_ns = 0
        return used

    # -- unfilled orders ------------------------------------------------------------------------------------------

    def check_orders(self, account: str, now: int, orders: int = 1) -> None:
        """Raises ``ApiError`` with 429 and -1015 if the account may not place so many orders now."""
        count, rates = self._count(account, now), self.rates
        for used, limit, interval, end in (
            (count.in_10s, rates.orders_10s, "10 SECOND", (count.ten + 1) * 10 * _SECOND),
            (count.in_day, rates.orders_day, "1 DAY", (count.day + 1) * _DAY),
        ):
            if used + orders > limit:
                raise ApiError(
                    -1015,
                    f"Too many new orders; current limit is {limit} orders per {interval}.",
                    429,
                    retry_after_s=max(1, -(-(end - now) // _SECOND)),
                )

    def add_order(self, account: str, now: int) -> None:
        """Count an order that the venue accepted."""
        count = self._count(account, now)
        count.in_10s += 1
        count.in_day += 1

    def filled(self, account: str, by: int, now: int) -> None:
        """An order had its first fill: a moment later, the count falls by ``by`` (1 for a taker, 5 for a maker)."""
        self._count(account, now).lower.append((now + _SETTLES_NS, by))

    def order_counts(self, account: str, now: int) -> tuple[int, int]:
        """The number of unfilled orders in the current 10 seconds and on this day."""
        count = self._count(account, now)
        return count.in_10s, count.in_day

    def _count(self, account: str, now: int) -> _Orders:
        count = self._orders.get(account)
        if count is None:
            count = self._orders[account] = _Orders()
        while count.lower and count.lower[0][0] <= now:
            by = count.lower.pop(0)[1]
            count.in_10s = max(0, count.in_10s - by)
            count.in_day = max(0, count.in_day - by)
        if count.ten != (ten := now // (10 * _SECOND)):
            count.ten, count.in_10s = ten, 0
        if count.day != (day := now // _DAY):
            count.day, count.in_day = day, 0
        return count
