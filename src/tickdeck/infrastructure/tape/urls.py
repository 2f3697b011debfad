"""Parses the location of a store: ``memory://``, a path, ``sqlite:///path`` or ``jsonl:///path``."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.tape.opening import IN_A_RUN, form_of

__all__ = ["StorePlace", "store_place"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?(.*)", re.DOTALL)
"""At least two letters: one letter before a colon is a drive."""
_KNOWN = "give memory://, a path, sqlite:///absolute/path or jsonl:///absolute/path"


class StorePlace(NamedTuple):
    """The location of a store. ``form`` is ``memory``, or the format of a new tape at ``path``."""

    form: str
    path: Path


def store_place(call: str, url: Path | str, form: str | None = None) -> StorePlace:
    """Return the location that ``url`` names. ``form``: the format of a new tape at a plain path (``None``: SQLite).

    A URL contains an absolute path: ``sqlite:///var/house.db``. Raises ``ConfigError``, whose message begins with
    ``call``, if the scheme or the form is unknown, or if the tape at the path has another format than the URL says.
    """
    if form is not None and form not in IN_A_RUN:
        close = get_close_matches(str(form), IN_A_RUN, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the formats are {', '.join(IN_A_RUN)}"
        raise ConfigError(f"{call}: there is no tape format {form!r}; {hint}")
    given: object = os.fspath(url) if isinstance(url, os.PathLike) else url
    if not isinstance(given, str) or not given.strip() or "\0" in given or given == ":memory:":
        raise ConfigError(f"{call}: {url!r} is not the location of a store; {_KNOWN}")
    found = _SCHEME.fullmatch(url) if isinstance(url, str) else None
    if found is None or (not found[2] and found[1].lower() not in ("memory", "file", *IN_A_RUN)):
        return StorePlace(form or "sqlite", Path(url))
    scheme, rest = found[1].lower(), found[3]
    if scheme == "memory":
        if rest or form is not None:
            raise ConfigError(f"{call}: {url!r}: a store in memory has neither a name nor a format; give memory://")
        return StorePlace("memory", Path())
    if scheme not in IN_A_RUN:
        close = get_close_matches(scheme, ("memory", *IN_A_RUN), n=1)
        hint = f"did you mean {close[0]}://?" if close else f"this version has no extra for it; {_KNOWN}"
        raise ConfigError(f"{call}: there is no back end for {scheme}://; {hint}")
    if "?" in rest or "#" in rest:
        raise ConfigError(f"{call}: {url!r}: pass options to the call, and give a path with ? or # without a scheme")
    if not rest.startswith("/") or not rest.strip("/") or unquote(rest).endswith("/:memory:"):
        raise ConfigError(f"{call}: {url!r} has no absolute path; {_KNOWN}")
    if form not in (None, scheme):
        raise ConfigError(f"{call}: {url!r} is {scheme}, and tape_format is {form!r}; leave one of them out")
    path = Path("/" + unquote(rest).lstrip("/"))
    if path.exists() and form_of(path) != scheme:
        raise ConfigError(f"{call}: {path} is a tape in {form_of(path)}, not in {scheme}; give the path alone")
    return StorePlace(scheme, path)
