"""The policy for old market data, as it is written in a configuration."""

from __future__ import annotations

import pytest

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.archive_policy import ArchiveConfig
from tickdeck.infrastructure.config import config_from_dict


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("drop", None), ("keep 7 days", "7d"), ("keep 1 day", "1d"), ("keep 7d", "7d"), ("keep 36 hours", "36h"),
        ("keep 90 min", "90min"), ("keep 1.5 weeks", "1.5w"),
    ],
)  # fmt: skip
def test_a_policy_says_how_long_market_data_is_kept(policy: str, kept: str | None) -> None:
    assert ArchiveConfig(market_data=policy).kept == kept


def test_without_a_policy_everything_is_kept() -> None:
    assert ArchiveConfig().keeps_all
    assert config_from_dict({}).archive == ArchiveConfig()


@pytest.mark.parametrize(
    "policy", ["", "keep for a while", "keep -1 days", "drop 7 days", "keep 0 days", "7 days", "Drop"]
)
def test_another_policy_is_refused(policy: str) -> None:
    with pytest.raises(ConfigError, match="give 'keep', 'keep 7 days' or 'drop'"):
        ArchiveConfig(market_data=policy)


def test_an_archive_to_which_nothing_goes_is_refused() -> None:
    with pytest.raises(ConfigError, match="all market data is kept"):
        config_from_dict({"archive": {"to": "/archive"}})
