"""Computes a run's figures from the raw fills and prices of its record, without Tickdeck's own arithmetic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from tickdeck.application.kernel import money_context
from tickdeck.bootstrap import Run, open_record
from tickdeck.domain.events import DomainEvent

WIDE = Context(prec=100)


class Ledger:
    """Cash by currency and coins by symbol. ``pairs``: base and quote currency by symbol."""

    def __init__(self, pairs: Mapping[str, tuple[str, str]], currency: str) -> None:
        self.pairs, self.currency = pairs, currency
        self.traded: dict[str, Decimal] = {}
        self.quoted: dict[str, Decimal] = {}
        self.books: dict[str, tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]] = {}
        self.cash: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.held: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.begun: dict[str, Decimal] = {}  # coins by symbol, until its first price
        self.unvalued: list[tuple[str, str, Decimal]] = []  # deposits and fees without a price
        self.sums = {"deposit": Decimal(0), "fee": Decimal(0)}
        self.reported: set[str] = set()
        self.gains: list[Decimal] = []  # equity less deposits, after each fill and each new price

    def price(self, symbol: str) -> Decimal | None:
        return self.traded.get(symbol) or self.quoted.get(symbol)

    def rate(self, currency: str, through: bool = True) -> Decimal | None:
        if currency == self.currency:
            return Decimal(1)
        hops = [(s, q, False) for s, (b, q) in self.pairs.items() if b == currency]
        hops += [(s, b, True) for s, (b, q) in self.pairs.items() if q == currency]
        for direct in (True, False) if through else (True,):
            for symbol, into, turned in hops:
                price, rest = self.price(symbol), Decimal(1)
                if direct != (into == self.currency) or not price:
                    continue
                if not direct and (rest := self.rate(into, through=False)) is None:
                    continue
                return rest * (1 / price if turned else price)
        return None

    def figures(self) -> dict[str, Decimal]:
        cash = sum((amount * (self.rate(c) or 0) for c, amount in self.cash.items()), Decimal(0))
        coins = Decimal(0)
        for symbol, quantity in self.held.items():
            if quantity:
                coins += quantity * self.price(symbol) * (self.rate(self.pairs[symbol][1]) or 0)
        pnl = cash + coins - self.sums["deposit"]
        return {"cash": cash, "equity": cash + coins, "pnl": pnl, "fees": self.sums["fee"]}

    def drawdown(self) -> float:
        peak, deepest = Decimal(0), Decimal(0)
        for gain in self.gains:
            equity = gain + self.sums["deposit"]
            peak = max(peak, equity)
            deepest = max(deepest, 1 - equity / peak if peak else Decimal(0))
        return float(deepest)

    # -- the record --------------------------------------------------------------------------------------------------

    def take(self, event: DomainEvent) -> None:
        with localcontext(WIDE):
            kind: Any = event
            match event.event_type:
                case "market.trade" | "market.candle" if event.is_input:
                    self._priced(kind.symbol, self.traded, getattr(kind, "close", None) or kind.price)
                case "market.tick":
                    self._priced(kind.symbol, self.quoted, _middle(kind.bid_price, kind.ask_price))
                case "venue.balance_reported" if kind.currency not in self.reported:
                    self._begins_with(kind.currency, kind.total)
                case "venue.fill_reported" | "venue.liquidation_reported":
                    self._fill(kind)
                case "state.updated" if kind.kind == "portfolio":
                    _agree({name: Decimal(kind.values[name]) for name in ("cash", "equity", "fees")}, self.figures())

    def _begins_with(self, currency: str, amount: Decimal) -> None:
        self.reported.add(currency)
        homes = [s for s, (base, _) in self.pairs.items() if base == currency and currency != self.currency]
        homes.sort(key=lambda s: self.pairs[s][1] != self.currency)
        if homes and amount:
            self.begun[homes[0]] = amount
        else:
            self.cash[currency] += amount
            self._count("deposit", currency, amount)
        self.gains.append(self.figures()["pnl"])

    def _fill(self, fill: Any) -> None:
        base, quote = self.pairs[fill.symbol]
        bought = fill.quantity if fill.side.value == "buy" else -fill.quantity
        self.held[fill.symbol] += bought - (fill.fee if fill.fee_currency == base else 0)
        self.cash[quote] -= bought * fill.price
        if fill.fee_currency != base:
            self.cash[fill.fee_currency or quote] -= fill.fee
        in_quote = (quote, fill.fee * fill.price)
        self._count("fee", *(in_quote if fill.fee_currency == base else (fill.fee_currency or quote, fill.fee)))
        self.gains.append(self.figures()["pnl"])

    def _priced(self, symbol: str, prices: dict[str, Decimal], price: Decimal | None) -> None:
        changed, prices[symbol] = prices.get(symbol) != price, price  # type: ignore[assignment]
        if not changed or self.price(symbol) is None:
            return
        if symbol in self.begun:
            self.held[symbol] += self.begun[symbol]
            self._count("deposit", self.pairs[symbol][1], self.begun.pop(symbol) * self.price(symbol))
        waiting, self.unvalued = self.unvalued, []
        for amount in waiting:
            self._count(*amount)
        if any(self.held.values()) or len(self.cash) > 1:
            self.gains.append(self.figures()["pnl"])

    def _count(self, what: str, currency: str, amount: Decimal) -> None:
        rate = self.rate(currency)
        if rate is None:
            self.unvalued.append((what, currency, amount))
        else:
            self.sums[what] += amount * rate


def _middle(bid: Decimal, ask: Decimal) -> Decimal | None:
    return (bid + ask) / 2 if bid and ask else None


def _agree(theirs: Mapping[str, Any], ours: Mapping[str, Decimal]) -> None:
    for name, value in theirs.items():
        assert value == pytest.approx(ours[name], rel=Decimal("1E-20"), abs=Decimal("1E-20")), name


def ledger_of(record: Iterable[DomainEvent], run: Run) -> Ledger:
    """The ledger at the end of a run's ``record``. Asserts that every portfolio state on the way agrees with it."""
    instruments = {symbol: run.config.instrument(symbol) for symbol in run.manifest.symbols}
    ledger = Ledger({s: (i.base, i.quote) for s, i in instruments.items()}, run.core.portfolio.account.quote)
    for event in record:
        ledger.take(event)
    return ledger


def assert_ledger(run: Run) -> None:
    """Assert that equity, cash, PnL, fees and drawdown of a completed run are those of the independent ledger, which
    is that of one account: runs with several have none."""
    if len(run.core.accounts) > 1:
        return
    ledger = ledger_of(open_record(run.folder), run)
    summary = run.summary(1.0)
    with localcontext(WIDE):
        figures = ledger.figures()
        _agree({name: getattr(summary, name) for name in figures}, figures)
    with money_context():
        performance = run.observer.performance()
    assert performance.max_drawdown == pytest.approx(ledger.drawdown(), rel=1e-12, abs=1e-12)
    assert summary.position == {symbol: ledger.held[symbol] for symbol in run.manifest.symbols}
