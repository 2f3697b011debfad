"""Signatures: what was signed, over REST and over the WebSocket API, and whether the key's owner signed it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.commands import Account

__all__ = ["check_public_key", "is_ed25519", "is_signed", "rest_payload", "ws_payload"]


def rest_payload(query: str, body: str) -> tuple[str, str]:
    """What was signed and the signature, from the raw query string and form body: both exactly as sent, joined without
    a separator, in the order sent. The signature itself is decoded; it is empty if there is none."""
    query, in_query = _without_signature(query)
    body, in_body = _without_signature(body)
    return query + body, unquote(in_query or in_body or "")


def _without_signature(text: str) -> tuple[str, str | None]:
    if "signature=" not in text:
        return text, None
    kept, signature = [], None
    for part in text.split("&"):
        if part.startswith("signature="):
            signature = part[len("signature=") :]
        else:
            kept.append(part)
    return "&".join(kept), signature


def ws_payload(params: Mapping[str, str]) -> str:
    """What a request of the WebSocket API signs: ``name=value`` sorted by name, as raw text, without the signature."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


def is_signed(account: Account, payload: str, signature: str) -> bool:
    """Whether ``signature`` is the account's own for ``payload``: HMAC in hex, RSA and Ed25519 in base64."""
    data = payload.encode("utf-8", "surrogateescape")
    if not account.public_key:
        expected = hmac.new(account.secret.encode(), data, hashlib.sha256).hexdigest()
        return bool(account.secret) and hmac.compare_digest(
            expected.encode(), signature.lower().encode(errors="replace")
        )
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        raw = base64.b64decode(signature, validate=True)
        key = _public_key(account.public_key)
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, data)
        elif isinstance(key, RSAPublicKey):
            key.verify(raw, data, PKCS1v15(), SHA256())
        else:
            return False
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def is_ed25519(account: Account) -> bool:
    """Whether the account's key may log a session on: only Ed25519 keys do."""
    return bool(account.public_key) and type(_public_key(account.public_key)).__name__ == "Ed25519PublicKey"


def check_public_key(account: Account) -> None:
    """Raises ``ConfigError`` if the account's public key cannot be used."""
    if account.public_key:
        _public_key(account.public_key)


@lru_cache(maxsize=256)
def _public_key(pem: str) -> Any:
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise ConfigError(
            "venue: RSA and Ed25519 keys need the package cryptography: pip install 'tickdeck[venue]'"
        ) from None
    try:
        return load_pem_public_key(pem.encode())
    except ValueError:
        raise ConfigError("venue: a public key is not PEM of an RSA or Ed25519 key") from None
