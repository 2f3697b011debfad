"""Which repetitions of the same thing a person is told of."""

from __future__ import annotations

__all__ = ["Repeats"]

_ANEW = 3_600_000_000_000  # ns


class Repeats:
    """Counts things of a kind: the first is told, then the 10th, the 100th, and so on. It begins anew after an hour
    without one."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, ...], tuple[int, int]] = {}  # how many, and the time (ns) of the last

    def count(self, kind: tuple[str, ...], now: int) -> int:
        """Count one more of ``kind`` at ``now`` (ns). Returns how many there were, or 0 if nobody is told of this."""
        number, last = self._counted.get(kind, (0, 0))
        number = number + 1 if now - last < _ANEW else 1
        self._counted[kind] = number, now
        return number if number == 10 ** (len(str(number)) - 1) else 0

    def forget(self, first: str) -> None:
        """Count the kinds that begin with ``first`` anew."""
        self._counted = {kind: counted for kind, counted in self._counted.items() if kind[0] != first}
