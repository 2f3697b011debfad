"""Secrets are removed from everything that is written."""

from __future__ import annotations

import json
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.redaction import REDACTED, is_secret, redacted

SECRET = "S3CR3TXYZ"
NAMES = st.sampled_from(
    (
        *("api_key", "apiKey", "API-KEY", "X-MBX-APIKEY", "secret", "client_secret", "password", "passphrase", "token"),
        *("accessToken", "signature", "Authorization", "private_key", "listenKey", "sign", "cookie", "credentials"),
    )
)
HARMLESS = st.text(string.ascii_lowercase[:6], max_size=6)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), HARMLESS)


@st.composite
def holding_a_secret(draw: st.DrawFn) -> Any:
    """A nested value that contains the secret under a telling name."""
    name = draw(NAMES)
    value: Any = draw(st.sampled_from([SECRET, [SECRET], {"inner": SECRET}, SECRET.encode(), (1, SECRET)]))
    found: Any = draw(
        st.sampled_from(
            [
                {name: value},
                f"GET /order?symbol=BTCUSDT&{name}={SECRET}&recvWindow=5",
                f"{name}: {SECRET}",
                f'{{"{name}": "{SECRET} and more", "a": 1}}',
                f"Config({name}='{SECRET}')",
                f"{name}=b'{SECRET}'",
                f"{name}%3D{SECRET}",
                f"Bearer {SECRET}",
                f"https://user:{SECRET}@host.example/path",
                f"{name}=Bearer {SECRET}",
            ]
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        wrap = draw(st.integers(0, 2))
        found = [found, draw(PLAIN)] if wrap == 0 else {draw(HARMLESS): found} if wrap == 1 else (draw(PLAIN), found)
    return found


@given(holding_a_secret())
def test_a_secret_under_a_telling_name_is_never_written(value):
    assert SECRET not in json.dumps(redacted(value))


@given(st.dictionaries(HARMLESS, st.one_of(PLAIN, st.lists(PLAIN)), max_size=5))
def test_values_that_are_not_secrets_are_unchanged(value):
    assert redacted(value) == value


@pytest.mark.parametrize("name", ["symbol", "price", "key", "keyboard", "design", "order_id", "assigned", "event_id"])
def test_ordinary_names_do_not_mark_secrets(name):
    assert not is_secret(name)


def test_only_the_secret_is_removed_from_a_text():
    told = redacted("POST https://host.example/order?symbol=BTCUSDT&signature=abc123&limit=5 failed")

    assert told == f"POST https://host.example/order?symbol=BTCUSDT&signature={REDACTED}&limit=5 failed"


def test_the_whole_value_of_a_header_is_removed():
    assert redacted({"Authorization": "Bearer abc.def"}) == {"Authorization": REDACTED}
    assert redacted("Authorization: Bearer abc.def, Host: x") == f"Authorization: {REDACTED}, Host: x"


def test_types_unknown_to_json_become_text():
    assert redacted({"price": Decimal("1.50"), "raw": b"ab"}) == {"price": "1.50", "raw": "ab"}


@pytest.mark.parametrize("what", ["y", "secret", "secret_", "api-", "://a:", "secret='\\"])
def test_a_long_text_takes_no_hours(what: str) -> None:
    text = what * (400_000 // len(what))

    assert len(redacted(text)) <= len(text) + 20
