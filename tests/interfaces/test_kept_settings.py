"""What a run that goes on does not take from the options of its command is said, and only that."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from running import Running, tickdeck

from tickdeck.bootstrap import start_run
from tickdeck.interfaces.cli.kept_settings import not_taken
from tickdeck.interfaces.cli.run_config import build_config

SERVICE = """
symbols = ["BTCUSDT"]
stale_after = "10s"

[risk]
max_order_notional = 20000
max_daily_loss = 3000

[paper]
balances = { USDT = 5000 }

[[strategies]]
spec = "mine.py:Mine"
parameters = { api_token = "s3cret" }

[[triggers]]
name = "crash"
when = "price(BTCUSDT) < 60000"
then = "flatten"
"""
ACCOUNTS = """
[accounts.alice]
exchange = "paper"
owner = "Alice"
risk = { max_order_notional = 1000 }

[[strategies]]
spec = "ema-cross"
account = "alice"
"""
MINE = """
from tickdeck import Strategy

class Mine(Strategy):
    api_token: str = ""
"""


def started(tmp_path: Path, text: str, **options: object) -> tuple[Path, Path]:
    """The folder of a run that was started with the configuration ``text``, and the file."""
    (tmp_path / "mine.py").write_text(MINE)
    file = tmp_path / "maker.toml"
    file.write_text(text)
    run = start_run(build_config(config=file, **options), tmp_path / "data", name="maker")
    run.close()
    return run.folder, file


@pytest.mark.parametrize("text", [SERVICE, ACCOUNTS, "", 'symbols = ["ETHBTC"]', 'duration = "1m"\ncandles = "1s"'])
def test_the_settings_of_the_start_are_not_said_to_differ(tmp_path: Path, text: str) -> None:
    folder, file = started(tmp_path, text)

    assert not_taken(folder, {"config": file}) == ""
    assert not_taken(folder, {"config": None, "strategy": (), "seed": None}) == ""


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("= 20000", "= 100", "risk.max_order_notional"),
        ("max_daily_loss = 3000\n", "", "risk.max_daily_loss"),
        ('["BTCUSDT"]', '["ETHUSDT"]', "symbols"),
        ("USDT = 5000", "USDT = 6000", "paper.balances.USDT"),
        ("< 60000", "< 50000", "triggers"),
        ("s3cret", "s4cret", "strategies"),
        ('stale_after = "10s"', "metrics = 9464", "stale_after, metrics"),
    ],
)
def test_each_setting_that_differs_is_named_without_its_value(
    tmp_path: Path, before: str, after: str, named: str
) -> None:
    folder, file = started(tmp_path, SERVICE)
    assert before in SERVICE
    file.write_text(SERVICE.replace(before, after))

    said = not_taken(folder, {"config": file})

    assert said == (
        "run maker keeps the settings with which it began; other ones were given now, and are not used: "
        f"{named}; for these, start another run"
    )


@pytest.mark.parametrize(("text", "why"), [("nonsense = 1", "there is no key 'nonsense'"), (None, "No such file")])
def test_a_file_with_a_mistake_is_said_not_to_be_used(tmp_path: Path, text: str | None, why: str) -> None:
    folder, file = started(tmp_path, SERVICE)
    file.unlink()
    if text is not None:
        file.write_text(text)

    said = not_taken(folder, {"config": file})

    assert "what was given now is not used, and has a mistake" in said
    assert why in said
    assert "\n" not in said


def test_a_service_whose_options_were_changed_goes_on_and_says_so(tmp_path: Path) -> None:
    run = Running(tmp_path, "--name", "maker", "--for", "20")
    run.end(signal.SIGKILL)

    again = tickdeck(
        *("run", "--name", "maker", "--resume-or-start", "--for", "20", "--seed", "7", "--speed", "max"), data=tmp_path
    )

    assert again.returncode == 0
    assert "are not used: seed; for these, start another run" in again.stderr
