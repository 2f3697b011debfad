"""Pairs of a stop and a target as one order each, at an exchange that has pairs (OCO)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import cast

import msgspec

from tickdeck.application.ports import (
    Balance,
    ConversionExchange,
    ExchangeCapabilities,
    Liquidation,
    ListedInstrument,
    MarginExchange,
    OrderFill,
    OrderPair,
    OrderRequest,
    OrderResult,
    PairExchange,
    Transfer,
)
from tickdeck.domain.events import DomainEvent, VenueFillReported, VenueOrderReported
from tickdeck.domain.trading import Order
from tickdeck.domain.values import ZERO, OrderStatus, Price, Quantity
from tickdeck.errors import UnknownOrder

__all__ = ["PairsAsOrders"]

_LEG = re.compile(r"(td[0-9a-f]{28})([ts])")
"""The client id of an order of a pair: the id of our order, and which of the two it is."""
_KEPT = 1_000


class PairsAsOrders:
    """An exchange whose pairs look like one order: its id is ours, its state is that of both orders.

    The target has our id with a ``t``, the stop with an ``s``. The pair is filled if one of them is, and ends when both
    have ended. ``orders`` are the core's, by id; those with a stop and a limit are pairs. Everything else is passed on.
    """

    def __init__(self, exchange: PairExchange, orders: Mapping[str, Order]) -> None:
        self._exchange, self._orders = exchange, orders
        self.name = exchange.name
        self._legs: dict[str, dict[str, OrderResult]] = {}  # the last states of both orders, by our id

    @property
    def capabilities(self) -> ExchangeCapabilities:
        return self._exchange.capabilities

    # -- orders ------------------------------------------------------------------------------------------------------

    async def place(self, order: OrderRequest) -> OrderResult:
        if order.stop is None or order.limit is None:
            return await self._exchange.place(order)
        order_id = order.client_order_id
        placed = await self._exchange.place_pair(
            OrderPair(
                client_order_id=order_id,
                target_id=f"{order_id}t",
                stop_id=f"{order_id}s",
                symbol=order.symbol,
                side=order.side,
                quantity=order.quantity,
                target=order.limit,
                stop=order.stop,
            )
        )
        return self._merged(order_id, placed.orders)

    async def cancel(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        if not self._is_pair(client_order_id):
            return await self._exchange.cancel(symbol, client_order_id=client_order_id, venue_order_id=venue_order_id)
        cancelled = await self._exchange.cancel_pair(symbol, client_order_id)
        return self._merged(client_order_id, cancelled.orders)

    async def amend(
        self, symbol: str, *, quantity: Quantity, limit: Price, client_order_id: str = "", venue_order_id: str = ""
    ) -> OrderResult:
        return await self._exchange.amend(
            symbol,
            quantity=quantity,
            limit=limit,
            client_order_id=client_order_id,
            venue_order_id=venue_order_id,
        )

    async def order(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        if self._is_pair(client_order_id):
            return await self._pair(symbol, client_order_id)
        found = await self._exchange.order(symbol, client_order_id=client_order_id, venue_order_id=venue_order_id)
        leg = _LEG.fullmatch(found.client_order_id)
        return found if leg is None else await self._pair(symbol, leg[1])

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderResult, ...]:
        found: dict[str, OrderResult] = {}
        for result in await self._exchange.open_orders(symbol):
            leg = _LEG.fullmatch(result.client_order_id)
            if leg is None:
                found[result.client_order_id] = result
            else:
                found[leg[1]] = self._merged(leg[1], (result,))
        return tuple(found.values())

    async def fills(
        self, symbol: str, *, since: int = 0, after: str = "", venue_order_id: str = ""
    ) -> tuple[OrderFill, ...]:
        if "+" not in venue_order_id:
            return await self._exchange.fills(symbol, since=since, after=after, venue_order_id=venue_order_id)
        found: list[OrderFill] = []
        for leg_id in venue_order_id.split("+"):
            found += await self._exchange.fills(symbol, venue_order_id=leg_id)
        return tuple(sorted(found, key=lambda fill: fill.ts))

    async def private_events(self) -> AsyncIterator[DomainEvent]:
        async for event in self._exchange.private_events():
            if isinstance(event, VenueOrderReported | VenueFillReported):
                leg = _LEG.fullmatch(event.order_id)
                if leg is not None:
                    yield self._about_pair(event, leg[1])
                    continue
            yield event

    # -- the two orders ----------------------------------------------------------------------------------------------

    def _is_pair(self, order_id: str) -> bool:
        order = self._orders.get(order_id)
        return order_id in self._legs or (order is not None and order.stop is not None and order.limit is not None)

    async def _pair(self, symbol: str, order_id: str) -> OrderResult:
        """Query both orders. Raises ``UnknownOrder`` if the exchange knows neither."""
        found: list[OrderResult] = []
        unknown: UnknownOrder | None = None
        for name in "ts":
            try:
                found.append(await self._exchange.order(symbol, client_order_id=f"{order_id}{name}"))
            except UnknownOrder as error:
                unknown = error
        if not found and unknown is not None:
            raise unknown
        return self._merged(order_id, found)

    def _about_pair(self, event: VenueOrderReported | VenueFillReported, order_id: str) -> DomainEvent:
        """A report about one of the orders, as one about the pair."""
        if isinstance(event, VenueFillReported):
            return msgspec.structs.replace(event, order_id=order_id)
        leg = OrderResult(
            client_order_id=event.order_id,
            symbol=event.symbol,
            venue_order_id=event.venue_order_id,
            status=event.status,
            raw_status=event.status.value,
            filled=event.filled,
            reason=event.reason,
            ts=event.ts,
        )
        merged = self._merged(order_id, (leg,))
        return msgspec.structs.replace(
            event,
            order_id=order_id,
            status=merged.status or event.status,
            filled=merged.filled,
            venue_order_id=merged.venue_order_id,
        )

    def _merged(self, order_id: str, news: Iterable[OrderResult]) -> OrderResult:
        """The state of the pair after ``news`` about its orders. While one is not known, the pair counts as open,
        unless the other one is filled."""
        legs = self._legs.setdefault(order_id, {})
        answered: tuple[OrderFill, ...] = ()
        for result in news:
            name = result.client_order_id[-1:]
            before = legs.get(name)
            if before is None or before.status is None or not before.status.is_final or result.filled > before.filled:
                legs[name] = result  # what has ended stays so: a query may lag
            answered += result.fills
        if len(self._legs) > _KEPT:
            self._forget()
        known = [legs[name] for name in "ts" if name in legs]
        last = max(known, key=lambda leg: leg.ts)
        quantity = max(leg.quantity for leg in known)
        return OrderResult(
            client_order_id=order_id,
            symbol=last.symbol,
            venue_order_id="+".join(leg.venue_order_id for leg in known),
            status=_status_of(known),
            raw_status="/".join(leg.raw_status for leg in known),
            side=last.side,
            quantity=quantity,
            limit=next((leg.limit for leg in known if leg.limit is not None), None),
            filled=sum((leg.filled for leg in known), ZERO),
            filled_quote=sum((leg.filled_quote for leg in known), ZERO),
            fills=answered,
            reason=last.reason,
            ts=last.ts,
        )

    def _forget(self) -> None:
        """Forget the oldest pairs that have ended."""
        for order_id in list(self._legs)[: _KEPT // 2]:
            order = self._orders.get(order_id)
            if order is None or (not order.is_open and not order.missing):
                del self._legs[order_id]

    # -- passed on ---------------------------------------------------------------------------------------------------

    async def instruments(self) -> tuple[ListedInstrument, ...]:
        return await self._exchange.instruments()

    async def server_time(self) -> int:
        return await self._exchange.server_time()

    async def price(self, symbol: str) -> Price:
        return await self._exchange.price(symbol)

    async def balances(self) -> tuple[Balance, ...]:
        return await self._exchange.balances()

    async def liquidations(self, symbol: str, since: int) -> tuple[Liquidation, ...]:
        """Of a ``MarginExchange``."""
        return await cast(MarginExchange, self._exchange).liquidations(symbol, since)

    async def transfers(self, since: int) -> tuple[Transfer, ...]:
        return await self._exchange.transfers(since)

    async def conversions(self, since: int) -> tuple[Transfer, ...]:
        """Of a ``ConversionExchange``."""
        return await cast(ConversionExchange, self._exchange).conversions(since)

    async def close(self) -> None:
        await self._exchange.close()


def _status_of(legs: list[OrderResult]) -> OrderStatus | None:
    statuses = [leg.status for leg in legs]
    if OrderStatus.FILLED in statuses:
        return OrderStatus.FILLED
    if None in statuses:
        return None
    if len(legs) < 2 or any(status is not None and not status.is_final for status in statuses):
        return OrderStatus.PARTIALLY_FILLED if any(leg.filled for leg in legs) else OrderStatus.ACCEPTED
    return OrderStatus.CANCELLED if OrderStatus.CANCELLED in statuses else OrderStatus.EXPIRED
