"""What docs/stability.md declares stable has lost nothing: the ``Exchange`` port and the life cycles."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
stable = importlib.import_module("stable_surfaces")


def test_nothing_that_was_declared_stable_is_missing() -> None:
    before = json.loads(stable.FILE.read_text("utf-8"))
    assert stable.missing(before, stable.surfaces()) == []


def test_a_call_an_argument_or_an_arrow_that_is_gone_is_found() -> None:
    before = {"Exchange": ["async place", "place(order): required, positional or keyword"], "life cycle x": ["a -> b"]}
    assert stable.missing(before, {"Exchange": ["async place"]}) == [
        "Exchange: place(order): required, positional or keyword",
        "life cycle x: a -> b",
    ]
