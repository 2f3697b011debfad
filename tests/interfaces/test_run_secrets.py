"""A run's secret parameters are in no readable file, and the run is still resumed and proven."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

SECRETS = {
    "api_key": "hunter2",
    "pin_token": 918273,
    "url": "wss://me:opensesame@example.org",
    "auth": {"secret": "s3"},
}
STRATEGY = """
from typing import Any
from tickdeck import Strategy

class Keys(Strategy):
    api_key: str = ""
    pin_token: int = 0
    url: str = ""
    auth: dict[str, Any] = {}
    window: int = 5

    def on_trade(self, trade):
        if self.window == 11:
            raise ValueError(f"refused: {self.api_key} {self.pin_token} {self.url} {self.auth}")
        known = (self.api_key, self.pin_token, self.url, self.auth.get("secret"))
        if known == ("hunter2", 918273, "wss://me:opensesame@example.org", "s3"):
            self.update_state({"fits": True})
"""
WORDS = (b"hunter2", b"918273", b"opensesame", b's3"')


@pytest.fixture
def config(tmp_path: Path, tickdeck) -> Path:
    (tmp_path / "keys.py").write_text(STRATEGY)
    text = (
        'duration = 5\n[[strategies]]\nspec = "keys.py:Keys"\n[strategies.parameters]\nwindow = 7\n'
        'api_key = "hunter2"\n'
        'pin_token = 918273\nurl = "wss://me:opensesame@example.org"\nauth = { secret = "s3" }\n'
    )
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_the_manifest_has_no_secret_and_only_its_user_may_read_it(tickdeck, config):
    assert tickdeck("run", "--config", config, "--speed", "max").exit_code == 0

    [folder] = Path("tickdeck-data").iterdir()
    assert json.loads((folder / "secrets.json").read_bytes()) == {"strategies.0": SECRETS}
    for name in ("manifest.json", "secrets.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("secrets.json", "keys.py"):  # which compares with them
            assert not any(word in path.read_bytes() for word in WORDS), path
    parameters = json.loads((folder / "manifest.json").read_bytes())["config"]["strategies"][0]["parameters"]
    assert parameters["api_key"] == "[redacted]"
    assert parameters["window"] == 7


def test_a_run_with_secrets_is_proven_resumed_and_run_again_with_other_settings(tickdeck, config):
    tickdeck("run", "--config", config, "--speed", "max")
    states = tickdeck("events", "last", "--type", "state.updated", "--json").stdout.splitlines()
    assert len(states) > 10  # the strategy had its secrets

    verified = tickdeck("verify", "last", "--json")
    resumed = tickdeck("run", "--resume", "last", "--speed", "max", "--json")
    other = tickdeck("whatif", "last", "--param", "window=9")

    assert json.loads(verified.stdout)["identical"] is True
    assert resumed.exit_code == 0
    assert other.exit_code == 0
    assert not any(word in (other.stdout + other.stderr).encode() for word in WORDS)


def test_a_run_without_its_secrets_is_not_resumed(tickdeck, config):
    tickdeck("run", "--config", config, "--speed", "max")
    [folder] = Path("tickdeck-data").iterdir()
    (folder / "secrets.json").unlink()

    result = tickdeck("run", "--resume", "last")

    assert result.exit_code == 2
    assert "secrets.json in its folder is gone" in result.stderr


def test_a_secret_in_the_message_of_an_error_is_written_nowhere(tickdeck, config):
    config.write_text(config.read_text().replace("window = 7", "window = 11"))

    result = tickdeck("run", "--config", config, "--speed", "max", "--no-report")

    assert result.exit_code == 3
    assert "refused: [redacted]" in result.stderr
    written = [result.stdout.encode(), result.stderr.encode()]
    files = [
        path
        for path in Path("tickdeck-data").rglob("*")
        if path.is_file() and path.name not in ("secrets.json", "keys.py")
    ]
    written += [path.read_bytes() for path in files]
    assert not [word for word in WORDS[:3] for content in written if word in content]
    assert tickdeck("verify", "last").exit_code == 0


def test_a_run_without_secrets_has_no_file_of_them(tickdeck):
    tickdeck("run", "--for", 1, "--speed", "max")
    [folder] = Path("tickdeck-data").iterdir()
    assert not (folder / "secrets.json").exists()


@pytest.mark.parametrize("words", [("api_key=hunter2",), ("x.api_key=hunter2",)])
def test_an_error_names_a_secret_parameter_without_its_value(tickdeck, words):
    result = tickdeck("run", "--strategy", "ema-cross", "--strategy", "rsi-reversion", "--param", *words)

    assert result.exit_code == 2
    assert "api_key" in result.stderr
    assert "hunter2" not in result.stderr
