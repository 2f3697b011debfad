"""Making a file or folder that was not there before: whole, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickdeck.errors import ConfigError, TickdeckError
from tickdeck.infrastructure.workshop import workshop

__all__ = ["fresh_file"]


@contextmanager
def fresh_file(path: Path, *, mend: str = "name another place with --out") -> Iterator[Path]:
    """Gives a path in a folder of its own next to ``path``, for a file or a folder to be made there. It becomes
    ``path`` when the block ends well; otherwise nothing is left behind. ``mend`` says what to do where it cannot be
    had.

    Raises ``ConfigError`` where ``path`` exists or its folder cannot be written, ``TickdeckError`` where writing fails.
    """
    _refuse_existing(path, mend)
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(workshop(path.parent))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be made: {error.strerror}; {mend}") from None
        try:
            yield folder / path.name
            _refuse_existing(path, mend)
            (folder / path.name).rename(path)
        except OSError as error:
            raise TickdeckError(
                f"{path}: cannot be written: {error.strerror or error}; look at the disk's space"
            ) from error


def _refuse_existing(path: Path, mend: str) -> None:
    try:
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path}: exists already, and nothing is overwritten; {mend}")
    except OSError as error:  # a name that is too long
        raise ConfigError(f"{path}: cannot be made: {error.strerror}; {mend}") from None
