"""What becomes of a live run's old market data while it works."""

from __future__ import annotations

import re

import msgspec

from tickdeck.application.units import duration_ns
from tickdeck.errors import ConfigError

__all__ = ["ArchiveConfig"]

_WORDS = re.compile(r"\b(hour|day|week)s?\b")


class ArchiveConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy for recorded market data. Orders, fills and everything else on the tape are always kept.

    - ``market_data``: ``keep`` all of it, ``keep 7 days`` of it, or ``drop`` every segment that is complete.
    - ``to``: the folder to which segments that are not kept are moved, each run to a folder of its own. Without it they
      are deleted.

    Raises ``ConfigError`` for another policy, or for a folder that nothing goes to.
    """

    market_data: str = "keep"
    to: str | None = None

    def __post_init__(self) -> None:
        if self.keeps_all and self.to is not None:
            raise ConfigError(f"to is {self.to!r}, but all market data is kept; give market_data = 'keep 7 days'")
        if not self.keeps_all:
            self.kept  # noqa: B018 (it is read, so that a mistake is found now)

    @property
    def keeps_all(self) -> bool:
        return self.market_data == "keep"

    @property
    def kept(self) -> str | None:
        """How long market data is kept, as a duration such as ``7d``; ``None`` if it is not. Raises ``ConfigError``."""
        if self.market_data == "drop":
            return None
        policy, _, text = self.market_data.partition(" ")
        kept = _WORDS.sub(lambda match: match[1][0], text).replace(" ", "")
        try:
            if policy == "keep":
                duration_ns(kept)
                return kept
        except ConfigError:
            pass
        raise ConfigError(f"market_data is {self.market_data!r}; give 'keep', 'keep 7 days' or 'drop'")
