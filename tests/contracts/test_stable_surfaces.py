"""What docs/stability.md declares stable is kept: the ``Exchange`` port and the life cycles."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
stable = importlib.import_module("stable_surfaces")


def test_everything_is_as_stable_as_declared() -> None:
    before = json.loads(stable.FILE.read_text("utf-8"))
    assert stable.broken(before, stable.surfaces()) == []


def test_all_that_the_port_takes_and_returns_is_watched() -> None:
    before = json.loads(stable.FILE.read_text("utf-8"))
    assert stable.surfaces().keys() <= before.keys(), "run tools/stable_surfaces.py --write"


def test_a_call_an_argument_or_an_arrow_that_is_gone_is_found() -> None:
    before = {"Exchange": ["async place", "place(order): required, positional or keyword"], "life cycle x": ["a -> b"]}
    assert stable.broken(before, {"Exchange": ["async place"]}) == [
        "Exchange: place(order): required, positional or keyword",
        "life cycle x: a -> b",
    ]


def test_a_call_or_an_argument_that_is_new_is_found_unless_it_may_be_omitted() -> None:
    before = {"Exchange": ["async place"], "OrderFill": ["side: required"], "life cycle x": ["a -> b"]}
    now = {
        "Exchange": ["async convert", "async place", "place(tag): optional, keyword-only"],
        "OrderFill": ["side: required", "tag: required"],
        "life cycle x": ["a -> b", "b -> c"],
        "Other": ["async call"],
    }
    assert stable.broken(before, now) == [
        "Exchange: async convert, which is new",
        "OrderFill: tag: required, which is new",
    ]
