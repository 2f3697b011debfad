"""Ids that leave the run."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.identity import client_order_id

ids = st.from_regex(r"[1-9][0-9]{0,3}(-[1-9][0-9]?){0,4}", fullmatch=True)


def test_an_id_never_changes_for_equal_arguments() -> None:
    assert client_order_id("nonce", "1-2") == client_order_id("nonce", "1-2", 0) == "td5c61c9f2b5410298036892d85131"
    assert client_order_id("nonce", "1-2", 1) == "tde3d9698895f397429032ca29dfba"


@given(st.text(max_size=20), ids, st.integers(0, 99))
def test_an_id_satisfies_the_rules_of_every_venue(nonce: str, event_id: str, index: int) -> None:
    assert re.fullmatch(r"td[0-9a-f]{28}", client_order_id(nonce, event_id, index))


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), ids, st.integers(0, 3)), unique=True, max_size=50))
def test_ids_of_different_orders_differ(orders: list[tuple[str, str, int]]) -> None:
    assert len({client_order_id(*order) for order in orders}) == len(orders)
