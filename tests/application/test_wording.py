"""Counts in the singular and plural."""

from __future__ import annotations

import pytest

from tickdeck.application.wording import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (12_345, "12,345 events")]
)
def test_a_count_of_one_is_singular(number, text):
    assert counted(number, "event") == text


def test_an_irregular_plural_can_be_given():
    assert (counted(1, "loss", "losses"), counted(2, "loss", "losses")) == ("1 loss", "2 losses")
