"""Payments that the private stream did not report: found in the exchange's history when a balance differs."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import cast

from tickdeck.application.log import bound_logger
from tickdeck.application.ports import ConversionExchange, Exchange, Transfer
from tickdeck.domain.events import VenueTransferReported
from tickdeck.domain.values import ZERO, Money
from tickdeck.errors import ExchangeError
from tickdeck.infrastructure.exchanges.doubt import said
from tickdeck.infrastructure.exchanges.venue_reports import VenueReports

__all__ = ["Transfers", "explaining", "not_heard"]

_NEWEST = 8  # transfers of a currency that are tried together
_KEPT = 1_000
_APART = 3_600_000_000_000  # ns between the time in the history and that on the stream, at most


def explaining(difference: Money, transfers: Iterable[Transfer]) -> tuple[tuple[Transfer, Money], ...]:
    """Those of ``transfers`` (of one currency, oldest first) that add up to ``difference`` exactly, each with what it
    moved; empty if none do. The newest are preferred.

    Venues do not say whether the amount of a withdrawal contains its fee, so each counts with or without it.
    """
    reached: dict[Money, tuple[tuple[Transfer, Money], ...]] = {ZERO: ()}
    for transfer in list(transfers)[: -_NEWEST - 1 : -1]:
        for total, chosen in list(reached.items()):
            for moved in dict.fromkeys((transfer.amount, transfer.amount - transfer.fee)):
                reached.setdefault(total + moved, ((transfer, moved), *chosen))
        if difference in reached:
            break
    return reached.get(difference, ())


def not_heard(history: Iterable[Transfer], heard: Iterable[VenueTransferReported]) -> list[Transfer]:
    """Those of ``history`` that none of ``heard``, the payments of the stream, reported. The stream names a payment
    differently, so it is recognised by currency, amount (with or without its fee) and time, and each of ``heard`` uses
    up one: the first that fits."""
    left = sorted(history, key=lambda transfer: transfer.ts)
    names = {transfer.transfer_id for transfer in left}
    for event in sorted(heard, key=lambda event: event.ts):
        if event.transfer_id in names:
            continue  # it is from the history
        for transfer in left:
            moved = (transfer.amount, transfer.amount - transfer.fee)
            same = transfer.currency == event.currency and event.amount in moved
            if same and abs(transfer.ts - event.ts) <= _APART:
                left.remove(transfer)
                break
    return left


class Transfers:
    """Looks for payments in the history of ``exchange``. ``is_booked(transfer_id)`` tells whether the run has one
    already. A payment explains a change of the balance once, whether the stream or the history told of it."""

    def __init__(self, exchange: Exchange, reports: VenueReports, *, is_booked: Callable[[str], bool]) -> None:
        self._exchange, self._reports, self._is_booked = exchange, reports, is_booked
        self._reported: list[VenueTransferReported] = []  # from the history, not yet on the stream
        self._heard: deque[VenueTransferReported] = deque(maxlen=_KEPT)  # on the stream

    async def behind(self, differences: Mapping[str, Money], since: int) -> list[VenueTransferReported]:
        """The payments since ``since`` (ns UTC) that explain ``differences`` (the exchange's balance less ours, by
        currency) to the last digit: deposits and withdrawals, and conversions where these do not. A history that cannot
        be read explains nothing."""
        capabilities = self._exchange.capabilities
        left = {currency: difference for currency, difference in differences.items() if difference}
        found: list[VenueTransferReported] = []
        history: list[Transfer] = []
        if left and capabilities.transfer_history:
            history += await self._read("deposits and withdrawals", self._exchange.transfers(since))
            found += self._explain(left, history)
        if left and capabilities.conversion_history:
            conversions = cast(ConversionExchange, self._exchange).conversions(since)
            history += await self._read("conversions", conversions)
            history.sort(key=lambda transfer: transfer.ts)
            found += self._explain(left, history)
        return found

    async def _read(self, what: str, history: Awaitable[Iterable[Transfer]]) -> Iterable[Transfer]:
        try:
            return await history
        except ExchangeError as error:
            log = bound_logger("tickdeck.gateway")
            log.warning(f"the history of {what} cannot be read", error=said(error))
            return ()

    def _explain(self, differences: dict[str, Money], history: Iterable[Transfer]) -> list[VenueTransferReported]:
        """Remove the differences that are explained."""
        new = [one for one in not_heard(history, self._heard) if not self._is_booked(one.transfer_id)]
        found = []
        for currency, difference in list(differences.items()):
            chosen = explaining(difference, (transfer for transfer in new if transfer.currency == currency))
            if chosen:
                del differences[currency]
            found += [
                self._reports.make(
                    VenueTransferReported,
                    currency=currency,
                    amount=moved,
                    transfer_kind=transfer.kind,
                    transfer_id=transfer.transfer_id,
                    ts=transfer.ts,
                )
                for transfer, moved in chosen
            ]
        return found

    def report(self, found: Iterable[VenueTransferReported]) -> None:
        """Remember what is published from the history."""
        self._reported.extend(found)

    def hear(self, events: Iterable[VenueTransferReported]) -> None:
        """Remember what the run has booked, on the record of an earlier process or from the stream."""
        self._heard.extend(events)

    def is_repeated(self, event: VenueTransferReported) -> bool:
        """Whether the stream reports a payment, late, that was published from the history. It names it differently."""
        for known in self._reported:
            same = (known.currency, known.amount) == (event.currency, event.amount)
            if same and abs(known.ts - event.ts) <= _APART:
                self._reported.remove(known)
                return True
        return False
