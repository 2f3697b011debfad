"""What a program gives wrongly to the journal and its statistics is refused in the call, in one line."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tickdeck.application.results import TradeJournal, trade_statistics
from tickdeck.domain.market import instrument_for
from tickdeck.errors import ConfigError


def test_statistics_say_what_they_can_be_grouped_by() -> None:
    with pytest.raises(ConfigError, match="by is 'week'; give one of user, account, strategy, symbol, day"):
        trade_statistics([], "week")


def test_a_journal_takes_functions() -> None:
    with pytest.raises(ConfigError, match="TradeJournal: instrument is None; give a function"):
        TradeJournal(cast(Any, None))
    with pytest.raises(ConfigError, match="TradeJournal: on_closed is 3; give a function"):
        TradeJournal(instrument_for, on_closed=cast(Any, 3))
