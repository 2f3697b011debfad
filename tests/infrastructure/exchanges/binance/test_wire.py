"""Requests in wire format: every recorded signature is reproduced."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.binance.wire import (
    Ed25519Key,
    HmacKey,
    endpoints_at,
    signed_request,
    ws_request,
)


def test_the_documentations_vectors_have_the_same_signatures(shared: Path) -> None:
    vectors = json.loads((shared / "exchanges" / "binance" / "signing_vectors.json").read_text())
    key = HmacKey(vectors["apiKey"], vectors["secretKey"])
    assert [key.sign(v["payload"].encode()) for v in vectors["vectors"]] == [v["signature"] for v in vectors["vectors"]]

    for vector in vectors["vectors"]:
        params = dict(parse_qsl(vector["payload"]))
        timestamp, window = int(params.pop("timestamp")), int(params.pop("recvWindow"))
        request = signed_request(key, "POST", "/api/v3/order", params, timestamp=timestamp, receive_window=window)
        assert request.body == f"{vector['payload']}&signature={vector['signature']}"


def test_requests_of_real_clients_have_the_same_signatures(shared: Path) -> None:
    key, checked = HmacKey("k", "s"), 0
    for line in (shared / "exchanges" / "binance" / "client_requests.jsonl").read_text().splitlines():
        request = json.loads(line)
        if not request.get("signature_checked_here"):
            continue
        checked += 1
        if "ws" in request:
            message = json.loads(request["text"])
            params = {n: v for n, v in message["params"].items() if n not in ("apiKey", "timestamp", "signature")}
            timestamp = message["params"]["timestamp"]
            made = json.loads(ws_request(key, message["id"], message["method"], params, timestamp=timestamp))
            assert made == message
        else:
            sent = request["query"] or request["body"]
            payload, _, signature = sent.rpartition("&signature=")
            assert key.sign(payload.encode()) == signature

    assert checked == 8


@given(st.dictionaries(st.sampled_from(["symbol", "side", "price", "newClientOrderId"]), st.text() | st.integers()))
def test_parameters_are_encoded_as_the_standard_library_does(params: dict[str, object]) -> None:
    request = signed_request(HmacKey("k", "s"), "POST", "/api/v3/order", params, timestamp=1)
    encoded = urlencode({**params, "recvWindow": 5000, "timestamp": 1})
    assert request.body.rpartition("&signature=")[0] == encoded


@given(st.text(st.characters(codec="utf-8"), max_size=100), st.binary())
def test_hmac_signatures_are_those_of_the_standard_library(secret: str, payload: bytes) -> None:
    key = HmacKey("k", secret)

    assert key.sign(payload) == hmac.new(secret.encode(), payload, "sha256").hexdigest()
    assert key.sign(payload) == key.sign(payload)


def test_rest_signs_encoded_text_and_the_websocket_api_raw_text() -> None:
    key = HmacKey("k", "s")
    rest = signed_request(key, "GET", "/api/v3/order", {"symbol": "1é&"}, timestamp=1)
    payload, _, signature = rest.target.partition("?")[2].rpartition("&signature=")
    socket = json.loads(ws_request(key, 1, "order.status", {"symbol": "1é&"}, timestamp=1))["params"]

    assert payload == "symbol=1%C3%A9%26&recvWindow=5000&timestamp=1"
    assert signature == key.sign(payload.encode())
    assert socket["signature"] == key.sign("apiKey=k&symbol=1é&&timestamp=1".encode())


def test_neither_key_nor_signature_shows_in_a_request_that_is_printed() -> None:
    key = HmacKey("the-key", "the-secret")
    request = signed_request(key, "GET", "/api/v3/account", {}, timestamp=1)

    assert "the-" not in f"{key!r} {request!r} {request}"
    assert "signature" not in repr(request)


def test_an_ed25519_key_signs_what_its_public_key_verifies() -> None:
    pytest.importorskip("cryptography", reason="not on this machine: cryptography")
    from base64 import b64decode

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = Ed25519Key("k", pem)

    private.public_key().verify(b64decode(key.sign(b"a=1")), b"a=1")
    assert "PRIVATE" not in repr(key)


def test_an_invalid_private_key_is_refused_without_its_text() -> None:
    with pytest.raises(ConfigError) as caught:
        Ed25519Key("k", b"top-secret")
    assert "top-secret" not in str(caught.value)


def test_a_venue_at_an_address_serves_everything_there() -> None:
    assert endpoints_at("http://127.0.0.1:8080/") == (
        "http://127.0.0.1:8080",
        "ws://127.0.0.1:8080/stream",
        "ws://127.0.0.1:8080/ws-api/v3",
    )
    with pytest.raises(ConfigError, match="give http"):
        endpoints_at("127.0.0.1:8080")
