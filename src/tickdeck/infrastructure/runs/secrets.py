"""A run's secret parameters, in a separate file next to the manifest, which shows ``[redacted]`` instead.

People view, copy and bundle the manifest. The secrets are needed to execute the strategies again, in order to resume or
verify the run on this machine. Nothing else reads them, and bundles omit them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from tickdeck.application.redaction import REDACTED, redacted
from tickdeck.errors import RunError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = [
    "SECRETS",
    "Secrets",
    "SplitParameters",
    "read_secrets",
    "restore_settings",
    "split",
    "split_settings",
    "write_secrets",
]

Secrets: TypeAlias = dict[str, dict[str, Any]]
"""Secret parameters by name, for each strategy and signal that has any: ``strategies.0``, ``signals.mine``."""

SECRETS = "secrets.json"
"""The file in the run's folder, with mode 0600. A run without secrets has none."""


class SplitParameters(msgspec.Struct, frozen=True):
    """A strategy's parameters in two parts: public values, and values that are secret or contain a secret."""

    public: dict[str, Any]
    secret: dict[str, Any]


def split(parameters: Mapping[str, Any]) -> SplitParameters:
    """``parameters`` are JSON-ready. A secret string becomes ``[redacted]``. A secret number is left out, because a
    string would have the wrong type."""
    public: dict[str, Any] = {}
    secret: dict[str, Any] = {}
    for name, value in parameters.items():
        clean = redacted({name: value})[name] if value not in (None, "", 0) else value
        if clean == value:
            public[name] = value
            continue
        secret[name] = value
        if isinstance(value, str) or clean != REDACTED:
            public[name] = clean
    return SplitParameters(public, secret)


def split_settings(settings: dict[str, Any]) -> tuple[dict[str, Any], Secrets]:
    """A configuration's JSON-ready values without the secret parameters, and the secret parameters."""
    secrets: Secrets = {}
    strategies: list[Any] = []
    for number, wanted in enumerate(settings.get("strategies", ())):
        part = split(wanted.get("parameters", {}))
        strategies.append({**wanted, "parameters": part.public})
        if part.secret:
            secrets[f"strategies.{number}"] = part.secret
    signals: dict[str, Any] = {}
    for name, wanted in settings.get("signals", {}).items():
        part = split(wanted.get("parameters", {}))
        signals[name] = {**wanted, "parameters": part.public}
        if part.secret:
            secrets[f"signals.{name}"] = part.secret
    return {**settings, "strategies": strategies, "signals": signals}, secrets


def restore_settings(settings: dict[str, Any], secrets: Secrets) -> dict[str, Any]:
    """The inverse of ``split_settings``."""
    if not secrets:
        return settings
    strategies = list(settings["strategies"])
    signals = dict(settings.get("signals", {}))
    for place, parameters in secrets.items():
        kind, _, name = place.partition(".")
        holder, key = (strategies, int(name)) if kind == "strategies" else (signals, name)
        wanted = holder[key]  # type: ignore[index]
        holder[key] = {**wanted, "parameters": {**wanted["parameters"], **parameters}}  # type: ignore[index]
    return {**settings, "strategies": strategies, "signals": signals}


def write_secrets(folder: Path, secrets: Secrets) -> None:
    """Write the file. Raises ``OSError`` or ``TapeError``."""
    if secrets:
        replace_file(folder / SECRETS, msgspec.json.encode(secrets), durable=True, mode=0o600)


def read_secrets(folder: Path) -> Secrets:
    """The secrets that ``write_secrets`` stored; empty if the run has none, or if the file is missing, as in a
    bundle."""
    try:
        return msgspec.json.decode((folder / SECRETS).read_bytes(), type=Secrets)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f"{folder / SECRETS}: {error.strerror}; it contains the run's secret parameters") from None
    except msgspec.MsgspecError as error:
        raise RunError(f"{folder / SECRETS}: {error}; it was changed or is damaged: start a new run") from None
