"""Binance's wire format: addresses, and how requests are signed and encoded. No I/O.

REST signs the percent-encoded query and body exactly as they are sent. The WebSocket API signs the parameters, sorted
by name, as raw text without encoding. The two differ if a value contains characters other than ASCII letters and
digits.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote_plus, urlencode

import msgspec

from tickdeck.errors import ConfigError

__all__ = [
    "MAINNET",
    "TESTNET",
    "Ed25519Key",
    "Endpoints",
    "HmacKey",
    "HttpRequest",
    "SigningKey",
    "endpoints_at",
    "public_request",
    "quoted",
    "signed_request",
    "ws_request",
]


_BLOCK = 64  # bytes that SHA-256 takes at once


class Endpoints(NamedTuple):
    """Addresses: ``rest`` without the path, ``streams`` and ``ws_api`` with it."""

    rest: str
    streams: str
    ws_api: str


MAINNET = Endpoints(
    "https://api.binance.com", "wss://stream.binance.com:9443/stream", "wss://ws-api.binance.com:443/ws-api/v3"
)
TESTNET = Endpoints(
    "https://testnet.binance.vision",
    "wss://stream.testnet.binance.vision/stream",
    "wss://ws-api.testnet.binance.vision/ws-api/v3",
)


def endpoints_at(url: str) -> Endpoints:
    """The addresses of a venue that serves everything at ``url`` (``http://127.0.0.1:80``). Raises ``ConfigError``."""
    scheme, found, host = url.rstrip("/").partition("://")
    if not found or scheme not in ("http", "https") or not host:
        raise ConfigError(f"url is {url!r}; give http:// or https:// and a host, such as http://127.0.0.1:8080")
    ws = f"{'wss' if scheme == 'https' else 'ws'}://{host}"
    return Endpoints(f"{scheme}://{host}", f"{ws}/stream", f"{ws}/ws-api/v3")


class SigningKey(Protocol):
    """An API key that can sign requests."""

    api_key: str

    def sign(self, payload: bytes) -> str:
        """The signature, not percent-encoded."""


class HmacKey:
    """A key with a shared secret. Neither is ever shown."""

    __slots__ = ("_inner", "_outer", "api_key")

    def __init__(self, api_key: str, secret: str) -> None:
        self.api_key = api_key
        # HMAC (RFC 2104) with both hashes keyed in advance. Copies of an ``hmac`` object take twice as long to sign.
        key = secret.encode()
        block = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, payload: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(payload)
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        return "HmacKey(***)"


class Ed25519Key:
    """A key whose private part is an Ed25519 key in PEM. Raises ``ConfigError`` if it is something else, or if the
    library is not installed."""

    __slots__ = ("_sign", "api_key")

    def __init__(self, api_key: str, private_pem: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError:
            raise ConfigError("Ed25519 keys need cryptography: pip install 'tickdeck[binance]'") from None
        try:
            key = load_pem_private_key(private_pem, None)
        except (ValueError, TypeError):
            raise ConfigError(
                "the private key cannot be read: give an Ed25519 key in PEM, without a password"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError("the private key has another type; give an Ed25519 key in PEM")
        self.api_key = api_key
        self._sign: Callable[[bytes], bytes] = key.sign

    def sign(self, payload: bytes) -> str:
        return b64encode(self._sign(payload)).decode()

    def __repr__(self) -> str:
        return "Ed25519Key(***)"


class HttpRequest(NamedTuple):
    """A request as it is sent. ``target`` is path and query, ``body`` is a form."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str = ""

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.target.partition('?')[0]})"  # no key, no signature


def public_request(path: str, params: Mapping[str, Any] | None = None) -> HttpRequest:
    """An unsigned request."""
    return HttpRequest("GET", f"{path}?{urlencode(params)}" if params else path, {})


def signed_request(
    key: SigningKey,
    method: str,
    path: str,
    params: Mapping[str, Any] | str,
    *,
    timestamp: int,
    receive_window: int = 5000,
) -> HttpRequest:
    """A signed request. ``timestamp`` is the venue's time, ``receive_window`` how old the request may be on arrival,
    both in ms. The parameters, in their order, go into a form if ``method`` is POST, otherwise into the query. As text
    they are percent-encoded already.
    """
    if not isinstance(params, str):
        params = "&".join([f"{name}={quoted(str(value))}" for name, value in params.items()])
    payload = f"{params}{'&' if params else ''}recvWindow={receive_window}&timestamp={timestamp}"
    payload = f"{payload}&signature={quoted(key.sign(payload.encode()))}"
    headers = {"X-MBX-APIKEY": key.api_key}
    if method == "POST":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return HttpRequest(method, path, headers, payload)
    return HttpRequest(method, f"{path}?{payload}", headers)


def quoted(text: str) -> str:
    """``quote_plus(text)``, which takes much longer if nothing needs quoting, as in nearly all orders."""
    return text if text.isascii() and text.isalnum() else quote_plus(text)


def ws_request(
    key: SigningKey | None, number: int | str, method: str, params: Mapping[str, Any], *, timestamp: int = 0
) -> bytes:
    """A request of the WebSocket API, signed if ``key`` is given. ``timestamp`` is the venue's time in ms."""
    sent = dict(params)
    if key is not None:
        sent |= {"apiKey": key.api_key, "timestamp": timestamp}
        sent["signature"] = key.sign("&".join(f"{name}={sent[name]}" for name in sorted(sent)).encode())
    return msgspec.json.encode({"id": number, "method": method, "params": sent})
