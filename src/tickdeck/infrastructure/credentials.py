"""API keys: from the environment, from a file that only its owner can read, or from the system's keyring.

A configuration contains only the source of a key, never the key itself. No error shows a key either.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from tickdeck.errors import ConfigError

__all__ = ["Credentials", "load_credentials"]


class Credentials:
    """An API key and its secret: the shared secret of an HMAC key, or the text of an Ed25519 key in PEM. Its ``repr``
    shows neither, and it cannot be pickled, encoded or compared by accident."""

    __slots__ = ("api_key", "secret")

    def __init__(self, api_key: str, secret: str) -> None:
        self.api_key = api_key
        self.secret = secret

    def __repr__(self) -> str:
        return "Credentials(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("credentials must not be pickled; pass the source of the key instead")


def load_credentials(source: str, account: str, *, environment: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials of ``account``. ``source`` is one of:

    - ``env:PREFIX``: the variables ``PREFIX_API_KEY`` and ``PREFIX_API_SECRET``.
    - ``file:PATH``: a TOML file with ``[ACCOUNT]``, ``api_key`` and ``api_secret``; refused if others may read it.
      ``api_secret_file`` instead of ``api_secret`` names a separate file with the same permissions.
    - ``keyring:SERVICE``: the entries ``ACCOUNT.api_key`` and ``ACCOUNT.api_secret`` of SERVICE in the keyring of the
      system; needs the package keyring.

    Raises ``ConfigError`` if the source has no credentials. The message never contains a secret.
    """
    kind, found, where = source.partition(":")
    if not found or not where or kind not in ("env", "file", "keyring"):
        # The value is not shown: it may be the key itself.
        raise ConfigError(f"account {account}: credentials must be 'env:PREFIX', 'file:PATH' or 'keyring:SERVICE'")
    if kind == "env":
        return _from_environment(where, account, environment)
    return _from_file(Path(where).expanduser(), account) if kind == "file" else _from_keyring(where, account)


def _from_environment(prefix: str, account: str, environment: Mapping[str, str]) -> Credentials:
    names = f"{prefix}_API_KEY", f"{prefix}_API_SECRET"
    missing = [name for name in names if not environment.get(name, "").strip()]
    them = "both" if len(missing) > 1 else "it"
    if missing:
        raise ConfigError(f"account {account}: the environment has no {' and no '.join(missing)}; set {them}")
    return Credentials(*(environment[name].strip() for name in names))


def _from_file(path: Path, account: str) -> Credentials:
    try:
        table = tomllib.loads(_read_private(path, account)).get(account)
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"account {account}: {path} is not TOML; give [{account}] with api_key and api_secret"
        ) from None
    table = table if isinstance(table, dict) else {}
    key, secret, secret_file = (table.get(name) for name in ("api_key", "api_secret", "api_secret_file"))
    if secret is None and isinstance(secret_file, str):
        secret = _read_private(path.parent / Path(secret_file).expanduser(), account)
    if not isinstance(key, str) or not isinstance(secret, str) or not key or not secret:
        raise ConfigError(f"account {account}: {path} has no [{account}] with api_key and api_secret; add it")
    return Credentials(key, secret)


def _read_private(path: Path, account: str) -> str:
    """The text of a file. The permissions are checked on the open file, so that no other file can take its place."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(f"account {account}: others may read {path}; run: chmod 600 {path}")
            return file.read().decode()
    except OSError as error:
        raise ConfigError(
            f"account {account}: {path} cannot be read: {error.strerror}; check the path and its permissions"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"account {account}: {path} is not a text file; give a TOML file or a key in PEM") from None


def _from_keyring(service: str, account: str) -> Credentials:
    try:
        keyring = import_module("keyring")
    except ImportError:
        raise ConfigError(f"account {account}: the keyring needs a package; install it: pip install keyring") from None
    names = f"{account}.api_key", f"{account}.api_secret"
    try:
        found = [keyring.get_password(service, name) for name in names]
    except Exception as error:  # noqa: BLE001 (every back end has errors of its own)
        raise ConfigError(
            f"account {account}: the keyring does not answer ({type(error).__name__}); unlock it, or use env: or file:"
        ) from None
    missing = [name for name, value in zip(names, found, strict=True) if not value]
    if missing:
        raise ConfigError(f"account {account}: the keyring's {service} has no {' and no '.join(missing)}; add it")
    return Credentials(found[0], found[1])
