"""Lines on a terminal that is narrower than they are."""

from __future__ import annotations

import pytest

from tickdeck.interfaces.cli.output import folded


@pytest.mark.parametrize(
    ("cells", "width", "lines"),
    [
        (("t1", "buy", "  open"), None, ["t1  buy    open"]),
        (("t1", "buy", "  open"), 15, ["t1  buy    open"]),
        (
            ("t1", "buy 1 BTC", "60000", "unknown: no answer yet"),
            17,
            ["t1  buy 1 BTC", "  60000  unknown:", "  no answer yet"],
        ),
        (("an-id-that-is-too-long", "buy ", "open"), 10, ["an-id-that-is-too-long", "  buy", "  open"]),
        (("", "maker(size=1, skew=2) on BTC"), 15, ["  maker(size=1,", "  skew=2) on", "  BTC"]),
    ],
)
def test_what_does_not_fit_goes_below(cells: tuple[str, ...], width: int | None, lines: list[str]) -> None:
    assert folded(cells, width) == lines
