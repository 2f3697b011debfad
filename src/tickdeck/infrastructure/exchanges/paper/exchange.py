"""The paper venue as an ``Exchange``, on virtual time: a call returns when its answer would have arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping

from tickdeck.application.kernel import Agenda
from tickdeck.application.ports import (
    Amendment,
    Balance,
    ExchangeCapabilities,
    InstrumentStatus,
    Liquidation,
    ListedInstrument,
    OrderFill,
    OrderRequest,
    OrderResult,
    Transfer,
)
from tickdeck.domain.events import (
    DomainEvent,
    MarketEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    VenueCancelRefused,
    VenueFillReported,
    VenueLiquidationReported,
    VenueOrderReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import OrderStatus, Price, Quantity
from tickdeck.errors import (
    DuplicateClientId,
    FilterViolated,
    InsufficientFunds,
    InvalidSymbol,
    NotSupported,
    OutcomeUnknown,
    RequestRefused,
    UnknownOrder,
    VenueUnavailable,
    WouldTake,
)
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig
from tickdeck.infrastructure.exchanges.paper.venue import PaperVenue

__all__ = ["PaperExchange"]

_REFUSALS: tuple[tuple[str, type[RequestRefused]], ...] = (
    ("insufficient balance", InsufficientFunds),
    ("is not traded here", InvalidSymbol),
    ("the order is", UnknownOrder),
    ("post only", WouldTake),
    ("was used before", DuplicateClientId),
    ("quantity", FilterViolated),
    ("price", FilterViolated),
    ("notional", FilterViolated),
)
"""The error for each reason of the venue."""

_DEFAULT = PaperConfig()


class _Order:
    """An order with everything that was reported about it."""

    __slots__ = ("fills", "request", "state")

    def __init__(self, request: OrderRequest) -> None:
        self.request = request
        self.state: VenueOrderReported | None = None
        self.fills: list[VenueFillReported] = []


class PaperExchange:
    """A paper account. Pass it the market with ``on_market``, in order of ``ts_ingress``. Its clock is that of the
    newest event or the last answer, whichever is later. ``now``: the time at the start, ns UTC.
    """

    name = "paper"

    def __init__(self, instruments: Mapping[str, Instrument], *, config: PaperConfig = _DEFAULT, now: int = 1) -> None:
        self._instruments, self._config, self.now = dict(instruments), config, now
        self._agenda = Agenda()
        self._orders: dict[str, _Order] = {}
        self._answers: dict[str, VenueOrderReported | VenueCancelRefused] = {}
        self._private: deque[DomainEvent] = deque()
        self._fills: list[VenueFillReported] = []
        self._liquidations: list[VenueLiquidationReported] = []
        self._revisions = 0
        self._venue = PaperVenue(
            config=config, instruments=instruments, seed=1, schedule=self._agenda.at, report=self._reported
        )
        self._venue.start(now)

    @property
    def capabilities(self) -> ExchangeCapabilities:
        return ExchangeCapabilities(
            amendment=Amendment.FULL,
            client_order_id=".+",
            margin=self._config.leverage is not None,
        )

    def on_market(self, event: MarketEvent) -> None:
        """Take the next event of the market."""
        self._run_to(event.ts_ingress)
        self._venue.on_market(event)

    async def instruments(self) -> tuple[ListedInstrument, ...]:
        return tuple(
            ListedInstrument(instrument=instrument, status=InstrumentStatus.TRADING, raw_status="TRADING")
            for instrument in self._instruments.values()
        )

    async def server_time(self) -> int:
        return self.now

    async def price(self, symbol: str) -> Price:
        if symbol not in self._instruments:
            raise InvalidSymbol(f"paper: {symbol} is not traded here")
        price = self._venue.price(symbol)
        if price is None:
            raise VenueUnavailable(f"paper: no price of {symbol} is known yet")
        return price

    async def balances(self) -> tuple[Balance, ...]:
        account = self._venue.account
        return tuple(
            Balance(currency=currency, free=account.free(currency), locked=account.locked(currency))
            for currency in account.currencies
        )

    async def place(self, order: OrderRequest) -> OrderResult:
        if order.client_order_id in self._orders:
            raise DuplicateClientId(f"paper: the client order id {order.client_order_id} is taken")
        if order.stop is not None:
            raise NotSupported("paper: orders with a stop come from a run alone")
        known = self._orders[order.client_order_id] = _Order(order)
        self._venue.submit(
            OrderSubmittedEvent(
                order_id=order.client_order_id,
                symbol=order.symbol,
                account_id=self._config.account_id,
                side=order.side,
                quantity=order.quantity,
                limit=order.limit,
                time_in_force=order.time_in_force,
                ts_ingress=self.now,
            )
        )
        answer = self._wait_for(order.client_order_id)
        if isinstance(answer, VenueOrderReported) and answer.status is OrderStatus.REJECTED:
            raise _refusal(answer.reason)
        self._run_to(self.now)
        return self._result(known)

    async def cancel(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        order = self._find(symbol, client_order_id, venue_order_id)
        self._venue.cancel(
            OrderCancelRequestedEvent(
                order_id=order.request.client_order_id,
                symbol=symbol,
                account_id=self._config.account_id,
                ts_ingress=self.now,
            )
        )
        answer = self._wait_for(order.request.client_order_id)
        if isinstance(answer, VenueCancelRefused) or answer.status is not OrderStatus.CANCELLED or answer.reason:
            raise UnknownOrder(f"paper: {answer.reason}")
        return self._result(order)

    async def amend(
        self, symbol: str, *, quantity: Quantity, limit: Price, client_order_id: str = "", venue_order_id: str = ""
    ) -> OrderResult:
        order = self._find(symbol, client_order_id, venue_order_id)
        self._revisions += 1
        self._venue.amend(
            OrderAmendRequestedEvent(
                order_id=order.request.client_order_id,
                symbol=symbol,
                account_id=self._config.account_id,
                revision=self._revisions,
                quantity=quantity,
                limit=limit,
                ts_ingress=self.now,
            )
        )
        answer = self._wait_for(order.request.client_order_id)
        if answer.reason:
            raise (
                UnknownOrder(f"paper: {answer.reason}") if "the order is" in answer.reason else _refusal(answer.reason)
            )
        order.request = OrderRequest(
            client_order_id=order.request.client_order_id,
            symbol=symbol,
            side=order.request.side,
            quantity=quantity,
            limit=limit,
            time_in_force=order.request.time_in_force,
        )
        return self._result(order)

    async def order(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        return self._result(self._find(symbol, client_order_id, venue_order_id))

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderResult, ...]:
        results = (self._result(order) for order in self._orders.values() if order.state is not None)
        return tuple(
            result
            for result in results
            if symbol in (None, result.symbol) and result.status is not None and not result.status.is_final
        )

    async def fills(
        self, symbol: str, *, since: int = 0, after: str = "", venue_order_id: str = ""
    ) -> tuple[OrderFill, ...]:
        return tuple(
            _fill(fill)
            for fill in self._fills
            if fill.symbol == symbol
            and fill.ts >= since
            and (not after or int(fill.venue_trade_id) > int(after))
            and venue_order_id in ("", fill.venue_order_id)
        )

    async def liquidations(self, symbol: str, since: int) -> tuple[Liquidation, ...]:
        return tuple(
            Liquidation(
                symbol=one.symbol,
                venue_trade_id=one.venue_trade_id,
                side=one.side,
                price=one.price,
                quantity=one.quantity,
                fee=one.fee,
                fee_currency=one.fee_currency,
                venue_order_id=one.order_id,
                ts=one.ts,
            )
            for one in self._liquidations
            if one.symbol == symbol and one.ts >= since
        )

    async def transfers(self, since: int) -> tuple[Transfer, ...]:
        return ()

    async def private_events(self) -> AsyncIterator[DomainEvent]:
        """What was reported so far. The iteration ends there, because time passes only with calls and with the
        market.
        """
        while self._private:
            yield self._private.popleft()

    async def close(self) -> None:
        return None

    # -- virtual time ---------------------------------------------------------------------------------------------

    def _run_to(self, now: int) -> None:
        while (entry := self._agenda.pop(now)) is not None:
            self.now = max(self.now, entry[0])
            entry[1]()
        self.now = max(self.now, now)

    def _wait_for(self, order_id: str) -> VenueOrderReported | VenueCancelRefused:
        """Let time pass until the venue reports on the order."""
        self._answers.clear()
        while order_id not in self._answers:
            entry = self._agenda.pop(self._agenda.next_due)
            if entry is None:
                raise OutcomeUnknown(f"paper: there is no answer about order {order_id}")
            self.now = max(self.now, entry[0])
            entry[1]()
        return self._answers[order_id]

    def _reported(self, event: DomainEvent) -> None:
        self._private.append(event)
        if isinstance(event, VenueFillReported):
            self._fills.append(event)
            self._orders[event.order_id].fills.append(event)
        elif isinstance(event, VenueLiquidationReported):
            self._liquidations.append(event)
        elif isinstance(event, VenueOrderReported):
            self._answers[event.order_id] = event
            if not event.reason or event.status.is_final:
                self._orders[event.order_id].state = event
        elif isinstance(event, VenueCancelRefused):
            self._answers[event.order_id] = event

    def _find(self, symbol: str, client_order_id: str, venue_order_id: str) -> _Order:
        for order in self._orders.values():
            state = order.state
            if (
                order.request.symbol == symbol
                and state is not None
                and client_order_id in ("", order.request.client_order_id)
                and venue_order_id in ("", state.venue_order_id)
            ):
                return order
        raise UnknownOrder(f"paper: there is no order {client_order_id or venue_order_id} in {symbol}")

    def _result(self, order: _Order) -> OrderResult:
        request, state = order.request, order.state
        assert state is not None
        filled = max(state.filled, sum((fill.quantity for fill in order.fills), start=Quantity(0)))
        status = state.status
        if not status.is_final and filled:
            status = OrderStatus.FILLED if filled == request.quantity else OrderStatus.PARTIALLY_FILLED
        return OrderResult(
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            venue_order_id=state.venue_order_id,
            status=status,
            raw_status=status.value,
            side=request.side,
            quantity=request.quantity,
            limit=request.limit,
            filled=filled,
            filled_quote=sum((fill.price * fill.quantity for fill in order.fills), start=Quantity(0)),
            fills=tuple(_fill(fill) for fill in order.fills),
            reason=state.reason,
            ts=state.ts,
        )


def _refusal(reason: str) -> RequestRefused:
    kind = next((kind for words, kind in _REFUSALS if words in reason), RequestRefused)
    return kind(f"paper: {reason}")


def _fill(fill: VenueFillReported) -> OrderFill:
    return OrderFill(
        symbol=fill.symbol,
        venue_order_id=fill.venue_order_id,
        venue_trade_id=fill.venue_trade_id,
        side=fill.side,
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        liquidity=fill.liquidity,
        client_order_id=fill.order_id,
        ts=fill.ts,
    )
