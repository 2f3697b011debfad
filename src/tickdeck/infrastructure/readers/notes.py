"""What a reader skipped, and warnings about the file."""

from __future__ import annotations

__all__ = ["ReadNotes"]


class ReadNotes:
    """Filled while a file is read. ``skipped`` counts what was skipped, by kind. ``warnings`` are sentences."""

    def __init__(self) -> None:
        self.skipped: dict[str, int] = {}
        self.warnings: list[str] = []

    def skip(self, kind: str) -> None:
        """Count one line, row or message of ``kind``."""
        self.skipped[kind] = self.skipped.get(kind, 0) + 1

    def warn(self, sentence: str) -> None:
        """Keep ``sentence``, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def lines(self, name: str) -> list[str]:
        """All notes as lines for people. ``name`` is the name of the file."""
        passed = [f"{name}: skipped {number:,} x {kind}" for kind, number in self.skipped.items()]
        return [f"{name}: {sentence}" for sentence in self.warnings] + passed
