"""The diagrams of the life cycles are those of the tables."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
life_cycles = importlib.import_module("life_cycles")


def test_the_page_has_the_diagrams_of_the_tables() -> None:
    page = (ROOT / "docs" / "life-cycles.md").read_text("utf-8")

    assert life_cycles.in_page(page) == page, "run `python tools/life_cycles.py --write`"
    with pytest.raises(ValueError, match="must draw each of"):
        life_cycles.in_page("nothing here")
    stale = page.replace("    reserved --> executed\n", "")
    assert stale != page
    assert life_cycles.in_page(stale) == page


def test_a_table_becomes_arrows_with_their_causes() -> None:
    class Door(StrEnum):
        OPEN = "open"
        SHUT = "shut"
        GONE = "gone"

    cycle = life_cycles.LifeCycle(
        Door.OPEN,
        {"wind": {Door.OPEN: (Door.SHUT,)}, "hand": {Door.OPEN: (Door.SHUT, Door.GONE), Door.SHUT: (), Door.GONE: ()}},
    )

    assert life_cycles.diagram(cycle).splitlines()[1:] == [
        "    [*] --> open",
        "    open --> gone: hand",
        "    open --> shut: wind, hand",
        "    shut --> [*]",
        "    gone --> [*]",
    ]
