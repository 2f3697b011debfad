"""What the doctor finds about an exchange, tested with the venue on localhost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.doctor import Finding, exchange_findings
from tickdeck.infrastructure.venue import RunningVenue, running_venue
from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.dialects.binance.limits import RateLimits

KEYS = {"DEMO_API_KEY": "demo-key", "DEMO_API_SECRET": "demo-secret"}


def findings(
    accounts: dict[str, AccountConfig],
    *,
    can_trade: bool = True,
    can_withdraw: bool = False,
    faults: str = "",
    keys: dict[str, str] = KEYS,
) -> dict[str, Finding]:
    """The findings by check."""

    async def look(venue: RunningVenue) -> dict[str, Finding]:
        found = exchange_findings("binance", accounts, url=venue.url, environment=keys)
        return {finding.check: finding async for finding in found}

    async def run() -> dict[str, Finding]:
        account = Account(
            name="demo",
            key="demo-key",
            secret="demo-secret",
            can_trade=can_trade,
            can_withdraw=can_withdraw,
        )
        rates = RateLimits(weight=1_234)
        async with running_venue(accounts=(account,), rates=rates, faults=faults) as venue, asyncio.timeout(120):
            return await look(venue)

    return asyncio.run(run())


def account(credentials: str = "env:DEMO", **settings: str) -> dict[str, AccountConfig]:
    return {"main": AccountConfig(exchange="binance", credentials=credentials, **settings)}  # type: ignore[arg-type]


def test_a_sound_venue_and_key_pass() -> None:
    found = findings(account(owner="Ada"))

    assert all(finding.ok for finding in found.values())
    assert found["venue binance"].detail.endswith("1 of 1 symbols are traded")
    assert "1,234 weight per minute" in found["limits of binance"].detail
    assert "200,000 orders per day" in found["limits of binance"].detail
    assert found["credentials main"].detail == "account of Ada: environment, DEMO_API_KEY"
    assert found["key main"].detail == "may read and trade, not withdraw"


def test_a_key_that_may_withdraw_is_a_problem() -> None:
    found = findings(account(), can_withdraw=True)

    assert found["key main"].ok is False
    assert found["key main"].detail == "may read, trade and WITHDRAW; use a key without the right to withdraw"


def test_a_key_that_may_not_trade_is_fit_for_reading_only() -> None:
    found = findings(account(), can_trade=False)

    assert found["key main"].ok
    assert found["key main"].detail == "may read, not trade or withdraw; orders will be refused"


def test_a_wrong_clock_is_a_problem_but_requests_still_work() -> None:
    found = findings(account(), faults="clock_skew=90s")

    assert found["clock of binance"].ok is False
    assert "ahead of ours" in found["clock of binance"].detail
    assert found["key main"].ok


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[main]\napi_key = "demo-key"\napi_secret = "demo-secret"\n')
    path.chmod(0o644)
    found = findings(account(f"file:{path}"))

    assert found["credentials main"].ok is False
    assert "chmod 600" in found["credentials main"].detail
    assert "key main" not in found

    path.chmod(0o600)
    assert "readable by its owner only" in findings(account(f"file:{path}"))["credentials main"].detail


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"DEMO_API_KEY": "wrong-key-1", "DEMO_API_SECRET": "demo-secret"},
        {"DEMO_API_KEY": "demo-key", "DEMO_API_SECRET": "wrong-secret-1"},
    ],
)
def test_a_wrong_or_missing_key_is_reported_without_the_key(keys: dict[str, str]) -> None:
    found = findings(account(), keys=keys)

    assert [finding.check for finding in found.values() if finding.ok is False] == [
        "key main" if keys else "credentials main"
    ]
    assert not any(secret in finding.detail for finding in found.values() for secret in keys.values())


def test_without_accounts_only_the_venue_is_checked() -> None:
    found = findings({})

    assert found["venue binance"].ok
    assert found["accounts"].ok is None


def test_an_unreachable_venue_and_an_unknown_one_are_problems() -> None:
    async def run(exchange: str) -> list[Finding]:
        return [f async for f in exchange_findings(exchange, {}, url="http://127.0.0.1:9")]

    (unreachable, _) = asyncio.run(run("binance"))
    assert unreachable.ok is False
    assert "cannot be reached" in unreachable.detail
    (unknown,) = asyncio.run(run("binanse"))
    assert unknown.detail == "there is no exchange of this name; name one of binance"
