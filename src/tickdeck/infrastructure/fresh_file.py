"""Creates a new file or folder: complete, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickdeck.errors import ConfigError, TickdeckError
from tickdeck.infrastructure.temporary_folder import temporary_folder

__all__ = ["fresh_file"]


@contextmanager
def fresh_file(path: Path, *, mend: str = "name another place with --out") -> Iterator[Path]:
    """Yields a path in a temporary folder next to ``path``, where you create a file or a folder. It is renamed to
    ``path`` when the block succeeds; otherwise nothing is left. ``mend`` tells the user what to do if that fails.

    Raises ``ConfigError`` if ``path`` exists or its folder cannot be written, ``TickdeckError`` if writing fails.
    """
    _refuse_existing(path, mend)
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(path.parent))
        except FileNotFoundError as error:
            if path.parent.is_dir():  # such as /proc, where nothing can be created
                raise ConfigError(f"{path}: the folder {path.parent} cannot be written; {mend}") from error
            raise ConfigError(f"{path}: there is no folder {path.parent}; create it, or {mend}") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be created: {error.strerror}; {mend}") from None
        try:
            yield folder / path.name
            _refuse_existing(path, mend)
            (folder / path.name).rename(path)
        except OSError as error:
            raise TickdeckError(
                f"{path}: cannot be written: {error.strerror or error}; check the disk's free space"
            ) from error


def _refuse_existing(path: Path, mend: str) -> None:
    try:
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path}: already exists and is not overwritten; {mend}")
    except OSError as error:  # a name that is too long
        raise ConfigError(f"{path}: cannot be created: {error.strerror}; {mend}") from None
