"""Symbols and their filters, as ``exchangeInfo`` lists them."""

from __future__ import annotations

from collections.abc import Sequence

from tickdeck.infrastructure.venue.dialects.binance.messages.text import ZERO_TEXT, Json
from tickdeck.infrastructure.venue.dialects.binance.messages.text import decimal_text as d
from tickdeck.infrastructure.venue.matching import Market, SelfTrade, Type

__all__ = ["MAX_AMENDS", "symbol_info"]

MAX_AMENDS = 10
"""How often an order may be amended."""


def symbol_info(market: Market) -> Json:
    """A symbol of ``exchangeInfo``."""
    modes = [mode.value for mode in SelfTrade]
    return {
        "symbol": market.symbol,
        "status": market.status.value,
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [kind.value for kind in Type],
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(market),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": modes,
    }


def _filters(market: Market) -> Sequence[Json]:
    most = d(market.max_quantity)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": d(market.min_price),
            "maxPrice": d(market.max_price),
            "tickSize": d(market.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": d(market.min_quantity),
            "maxQty": most,
            "stepSize": d(market.step_size),
        },
        {"filterType": "MARKET_LOT_SIZE", "minQty": ZERO_TEXT, "maxQty": most, "stepSize": ZERO_TEXT},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": d(market.min_notional),
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": market.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": market.max_stop_orders},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": market.max_order_lists},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": MAX_AMENDS},
    ]
