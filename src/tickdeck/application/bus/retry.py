"""How often to retry an async handler, and how long to wait."""

from __future__ import annotations

import msgspec

from tickdeck.errors import ConfigError

__all__ = ["Retry"]


class Retry(msgspec.Struct, frozen=True):
    """At most ``attempts`` calls for one event. The first pause is ``backoff`` seconds; each further one is twice as
    long, up to ``longest`` seconds. Raises ``ConfigError`` for values out of range."""

    attempts: int = 3
    backoff: float = 0.1
    longest: float = 30.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise ConfigError(f"retry: attempts is {self.attempts!r}; give a whole number of at least 1")
        for name, given in (("backoff", self.backoff), ("longest", self.longest)):
            seconds: object = given
            if not isinstance(seconds, float | int) or isinstance(seconds, bool):
                raise ConfigError(f"retry: {name} is {seconds!r}; give seconds, such as 0.5")
        if not 0 <= self.backoff <= self.longest:
            raise ConfigError(f"retry: backoff is {self.backoff!r}; give seconds from 0 to longest ({self.longest})")

    def pause(self, failed: int) -> float:
        """Seconds to wait after this number of failed attempts."""
        return float(min(self.backoff * 2 ** min(failed - 1, 60), self.longest))
