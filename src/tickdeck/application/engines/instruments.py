"""The instruments engine: steps, limits and status of each instrument, as the venue reports them during a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tickdeck.application.bus import EventBus
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.domain.events import NotificationAlert, VenueInstrumentReported
from tickdeck.domain.market import Instrument

__all__ = ["InstrumentEngine"]


class InstrumentEngine:
    """Knows every instrument: as the venue last reported it, otherwise as ``configured(symbol)`` describes it.

    A report changes steps and limits. It never changes currencies, contract size or the step of fees. When trading in
    a symbol stops or begins again, ``notification.alert`` says so. If the symbol was delisted, there is one more for
    each line of ``at_stake(symbol)``: what an account has in it. They belong to the cascade of the report, so the tape
    has them if it has the report.
    """

    component = "instruments"
    hears = (VenueInstrumentReported,)
    publishes = (NotificationAlert,)

    def __init__(
        self,
        bus: EventBus,
        configured: Callable[[str], Instrument],
        at_stake: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        self._bus = bus
        self._configured = configured
        self._at_stake = at_stake
        self._reported: dict[str, Instrument] = {}
        self._closed: dict[str, str] = {}
        bus.subscribe(
            VenueInstrumentReported, self.on_report, priority=PRIORITY[self.component], component=self.component
        )

    def instrument(self, symbol: str) -> Instrument:
        """The current instrument of ``symbol``. Raises the errors of ``configured``."""
        return self._reported.get(symbol) or self._configured(symbol)

    def why_closed(self, symbol: str) -> str:
        """Why the venue takes no new orders in ``symbol``, in words; empty if it does."""
        return self._closed.get(symbol, "")

    def knows(self, report: VenueInstrumentReported) -> bool:
        """Whether ``report`` changes neither steps and limits nor whether orders are taken."""
        return self._with(report) == self.instrument(report.symbol) and _closed(report) == self.why_closed(
            report.symbol
        )

    def delisted(self, symbol: str, source: str) -> VenueInstrumentReported:
        """The report of ``source`` that ``symbol`` is no longer listed."""
        known = self.instrument(symbol)
        return VenueInstrumentReported(
            symbol=symbol,
            base=known.base,
            quote=known.quote,
            status="delisted",
            raw_status="DELISTED",
            tick_size=known.tick_size,
            lot_size=known.lot_size,
            min_quantity=known.min_quantity,
            max_quantity=known.max_quantity,
            min_notional=known.min_notional,
            source=source,
        )

    def on_report(self, report: VenueInstrumentReported) -> None:
        self._reported[report.symbol] = self._with(report)
        before = self._closed.get(report.symbol, "")
        now = _closed(report)
        if now:
            self._closed[report.symbol] = now
        else:
            self._closed.pop(report.symbol, None)
        if now != before:
            text = f"{now}; only cancels leave for it" if now else f"the venue trades {report.symbol} again"
            self._bus.publish(NotificationAlert(text=text, severity="warning" if now else "info"))
            if report.status == "delisted" and self._at_stake is not None:
                for what in self._at_stake(report.symbol):
                    self._bus.publish(NotificationAlert(text=_delisted(report.symbol, what), severity="critical"))

    def _with(self, report: VenueInstrumentReported) -> Instrument:
        return msgspec.structs.replace(
            self.instrument(report.symbol),
            tick_size=report.tick_size,
            lot_size=report.lot_size,
            min_quantity=report.min_quantity,
            max_quantity=report.max_quantity,
            min_notional=report.min_notional,
        )


def _closed(report: VenueInstrumentReported) -> str:
    if report.status == "trading":
        return ""
    word = f" ({report.raw_status})" if report.raw_status else ""
    return f"the venue does not trade {report.symbol} now: {report.status}{word}"


def _delisted(symbol: str, what: str) -> str:
    return (
        f"{symbol} was delisted: {what}. Orders end when the exchange shows that they are not open; look at the "
        "account, and at `tickdeck show RUN positions`"
    )
