"""API keys: where they come from, and that they are never shown."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.credentials import Credentials, load_credentials

KEY, SECRET = "KEY-0123456789", "SECRET-0123456789"


def credentials_file(folder: Path, mode: int = 0o600, text: str | None = None) -> Path:
    path = folder / "keys.toml"
    path.write_text(text if text is not None else f'[main]\napi_key = "{KEY}"\napi_secret = "{SECRET}"\n')
    path.chmod(mode)
    return path


def same(found: Credentials) -> bool:
    return (found.api_key, found.secret) == (KEY, SECRET)


def test_keys_come_from_the_environment() -> None:
    environment = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": f" {SECRET}\n"}

    assert same(load_credentials("env:BINANCE", "main", environment=environment))


def test_a_variable_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="no BINANCE_API_SECRET; set it"):
        load_credentials("env:BINANCE", "main", environment={"BINANCE_API_KEY": KEY})


def test_keys_come_from_a_private_file(tmp_path: Path) -> None:
    assert same(load_credentials(f"file:{credentials_file(tmp_path)}", "main"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o777])
def test_a_file_that_others_may_read_is_refused_with_the_chmod_command(tmp_path: Path, mode: int) -> None:
    path = credentials_file(tmp_path, mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_credentials(f"file:{path}", "main")


def test_the_secret_may_be_in_a_second_private_file(tmp_path: Path) -> None:
    path = credentials_file(tmp_path, text=f'[main]\napi_key = "{KEY}"\napi_secret_file = "key.pem"\n')
    pem = tmp_path / "key.pem"
    pem.write_text(SECRET)
    pem.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_credentials(f"file:{path}", "main")
    pem.chmod(0o600)

    assert same(load_credentials(f"file:{path}", "main"))


@pytest.mark.parametrize(
    "text", [f"{SECRET} = [", f'[other]\napi_key = "{KEY}"', f'main = "{SECRET}"', f'[main]\napi_key = "{KEY}"', ""]
)
def test_a_file_without_the_account_is_refused_without_its_content(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_credentials(f"file:{credentials_file(tmp_path, text=text)}", "main")
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_keys_come_from_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = ModuleType("keyring")
    entries = {("tickdeck", "main.api_key"): KEY, ("tickdeck", "main.api_secret"): SECRET}
    keyring.get_password = lambda service, name: entries.get((service, name))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)

    assert same(load_credentials("keyring:tickdeck", "main"))
    with pytest.raises(ConfigError, match=r"has no hedge\.api_key"):
        load_credentials("keyring:tickdeck", "hedge")


def test_without_the_keyring_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match="pip install keyring"):
        load_credentials("keyring:tickdeck", "main")


@pytest.mark.parametrize("source", ["", "env:", "vault:x", KEY])
def test_another_source_is_refused_and_not_shown_because_it_may_be_the_key(source: str) -> None:
    with pytest.raises(ConfigError, match="must be 'env:PREFIX'") as caught:
        load_credentials(source, "main")
    assert KEY not in str(caught.value)


def test_credentials_are_shown_and_written_nowhere() -> None:
    credentials = Credentials(KEY, SECRET)

    assert KEY not in f"{credentials!r} {credentials} {[credentials]}"
    assert SECRET not in f"{credentials!r} {credentials} {[credentials]}"
    for write in (pickle.dumps, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError):
            write(credentials)
