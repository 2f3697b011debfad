"""Filters and retries refuse what they cannot use when they are made, not at the first event."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tickdeck import ConfigError, EventFilter, Retry


@pytest.mark.parametrize("name", ["backoff", "longest"])
@pytest.mark.parametrize("seconds", [None, "1", True])
def test_a_pause_is_a_number_of_seconds(name: str, seconds: object) -> None:
    with pytest.raises(ConfigError, match=f"retry: {name} is .*; give seconds"):
        Retry(**cast(Any, {name: seconds}))


def test_a_filter_says_what_it_takes() -> None:
    with pytest.raises(ConfigError, match="EventFilter: where is 3; give a function of the event"):
        EventFilter(where=cast(Any, 3))
    with pytest.raises(ConfigError, match="EventFilter: symbols is None; give a tuple of names"):
        EventFilter(symbols=cast(Any, None))
