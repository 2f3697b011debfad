"""Addresses on which this process listens."""

from __future__ import annotations

from tickdeck.errors import ConfigError

__all__ = ["LOCAL", "listen_address"]

LOCAL = "127.0.0.1"
"""The host that only this machine can reach."""


def listen_address(what: str, given: int | str) -> tuple[str, int]:
    """Host and port of ``9464``, ``0.0.0.0:9464`` or ``[::1]:9464``. Without a host, only this machine can connect.
    Port 0 lets the system choose.

    Raises ``ConfigError``, which names the setting ``what``.
    """
    host, _, port = str(given).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535 or any(map(str.isspace, host)):
        raise ConfigError(f"{what} is {given!r}; give a port, such as 9464, or host:port, such as 0.0.0.0:9464")
    return host or LOCAL, int(port)
