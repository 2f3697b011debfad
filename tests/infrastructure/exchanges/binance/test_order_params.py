"""Orders as encoded parameters."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.ports import OrderRequest
from tickdeck.domain.values import Side, TimeInForce
from tickdeck.errors import NotSupported
from tickdeck.infrastructure.exchanges.binance.order_params import order_query

TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["BTCUSDT", "币安人生USDT", "td.-_:/1"])


@given(TEXT, TEXT, st.none() | TEXT)
def test_a_limit_order_is_encoded_as_the_standard_library_does(symbol: str, client_id: str, mode: str | None) -> None:
    order = OrderRequest(
        client_order_id=client_id,
        symbol=symbol,
        side=Side.SELL,
        quantity=Decimal("1E+3"),
        limit=Decimal("0.00000010"),
        time_in_force=TimeInForce.IOC,
    )
    params = {
        "symbol": symbol, "side": "SELL", "type": "LIMIT", "timeInForce": "IOC", "price": "0.00000010",
        "quantity": "1000", "newClientOrderId": client_id,
    }  # fmt: skip
    if mode is not None:
        params["selfTradePreventionMode"] = mode

    assert order_query(order, mode) == urlencode(params | {"newOrderRespType": "FULL"})


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "MARKET"),
        ({"limit": Decimal(7)}, "LIMIT&timeInForce=GTC&price=7"),
        ({"limit": Decimal(7), "time_in_force": TimeInForce.FOK}, "LIMIT&timeInForce=FOK&price=7"),
        ({"limit": Decimal(7), "time_in_force": TimeInForce.POST_ONLY}, "LIMIT_MAKER&price=7"),
        ({"stop": Decimal(6)}, "STOP_LOSS&stopPrice=6"),
    ],
)
def test_each_kind_of_order_has_its_own_parameters(given: dict[str, object], kind: str) -> None:
    order = OrderRequest(client_order_id="td1", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(2), **given)  # type: ignore[arg-type]

    assert order_query(order) == (
        f"symbol=BTCUSDT&side=BUY&type={kind}&quantity=2&newClientOrderId=td1&newOrderRespType=FULL"
    )


@pytest.mark.parametrize("given", [{"limit": Decimal(7), "stop": Decimal(6)}, {"time_in_force": TimeInForce.POST_ONLY}])
def test_what_one_order_cannot_say_is_refused(given: dict[str, object]) -> None:
    order = OrderRequest(client_order_id="td1", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(2), **given)  # type: ignore[arg-type]

    with pytest.raises(NotSupported, match="binance"):
        order_query(order)
