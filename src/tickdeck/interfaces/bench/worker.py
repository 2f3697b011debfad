"""One measurement in its own process: setup, then one repetition for each line on stdin.

    python -m tickdeck.interfaces.bench.worker MODULE:FUNCTION PARAMETERS

``MODULE`` is a module's name or the path of a ``.py`` file. ``FUNCTION`` takes the ``PARAMETERS`` (a JSON object) and
returns a ``Session``. The worker writes an empty JSON object after setup, then an object of figures for each
repetition.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from tickdeck.interfaces.bench.session import Session

__all__ = ["main", "open_session"]


def open_session(target: str, parameters: dict[str, Any]) -> Session:
    """Import what ``target`` names and set it up."""
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location("tickdeck_bench_peers", place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where annotations are looked up
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    make: Callable[..., Session] = getattr(module, name)
    return make(**parameters)


def main() -> None:
    # Libraries may print: that goes to stderr, and our answers go to the original stdout.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    session = open_session(sys.argv[1], msgspec.json.decode(sys.argv[2]))
    figures: dict[str, float] = {}
    while True:
        answers.write(msgspec.json.encode(figures) + b"\n")
        answers.flush()
        if not sys.stdin.readline():
            break
        figures = session()
    answers.close()


if __name__ == "__main__":
    main()
