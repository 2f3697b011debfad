"""The parameters of a request, read with the venue's own errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError, bad_param, missing

__all__ = ["Params"]

_DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_INTEGER = r"^[0-9]{1,20}$"
_CLIENT_ID = r"^[a-zA-Z0-9-_]{1,36}$"
_CLIENT_ID_RE = re.compile(r"[a-zA-Z0-9_-]{1,36}")
_DECIMALS = 8
_LARGEST = 2**63 - 1


class Params:
    """Parameters by name, as text. ``names`` are those that were sent under another name, such as
    ``{"price": "abovePrice"}``."""

    def __init__(self, values: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
        self.values = values
        self._names = names or {}

    def sent_as(self, name: str) -> str:
        """The name under which a parameter was sent."""
        return self._names.get(name, name)

    def text(self, name: str) -> str:
        """A mandatory text."""
        name = self.sent_as(name)
        value = self.values.get(name)
        if not value:
            raise missing(name)
        return value

    def get(self, name: str, default: str = "") -> str:
        """A text that may be absent. Raises ``ApiError`` if it is there and empty."""
        name = self.sent_as(name)
        value = self.values.get(name)
        if value is None:
            return default
        if not value:
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
        return value

    def integer(self, name: str) -> int | None:
        """An integer that may be absent."""
        value = self.get(name)
        if not value:
            return None
        if not re.fullmatch(_INTEGER, value, re.ASCII):
            raise bad_param(self.sent_as(name), _INTEGER)
        if int(value) > _LARGEST:
            raise ApiError(-1108, f"Parameter '{self.sent_as(name)}' overflowed.")
        return int(value)

    def time(self, name: str) -> int | None:
        """A time that may be absent, sent in ms or us: ns UTC."""
        value = self.integer(name)
        return None if value is None else value * (1_000_000 if value < 10**14 else 1_000)

    def limit(self, default: int, most: int) -> int:
        """``limit``, cut to ``most``."""
        value = self.integer("limit")
        if value == 0:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return default if value is None else min(value, most)

    def decimal(self, name: str, decimals: int = _DECIMALS) -> Decimal | None:
        """A decimal that may be absent."""
        value = self.get(name)
        if not value:
            return None
        if not re.fullmatch(_DECIMAL, value, re.ASCII):
            raise bad_param(self.sent_as(name), _DECIMAL)
        whole, _, fraction = value.partition(".")
        if len(fraction.rstrip("0")) > decimals:
            raise ApiError(-1111, f"Parameter '{self.sent_as(name)}' has too much precision.")
        return Decimal(f"{whole}.{fraction.rstrip('0')}" if fraction else whole)

    def client_id(self, name: str) -> str:
        """A client order id that may be absent."""
        value = self.get(name)
        if value and not _CLIENT_ID_RE.fullmatch(value):
            raise bad_param(self.sent_as(name), _CLIENT_ID)
        return value

    def forbid(self, *names: str) -> None:
        """Raises ``ApiError`` if one of the parameters was sent."""
        for name in map(self.sent_as, names):
            if name in self.values:
                raise ApiError(-1106, f"Parameter '{name}' sent when not required.")
