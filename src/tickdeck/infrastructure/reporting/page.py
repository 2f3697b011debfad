"""The report's page: one self-contained HTML file without links."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.application.redaction import REDACTED, is_secret, redacted
from tickdeck.application.units import clock_time, day, span
from tickdeck.domain.trading import EXACT, RoundTrip
from tickdeck.domain.values import Side, plain
from tickdeck.infrastructure.reporting.session import Session
from tickdeck.infrastructure.reporting.words import amount, fraction, left_out_of_figures
from tickdeck.infrastructure.runs import Manifest

__all__ = ["headline", "page"]

_TEMPLATE = Path(__file__).with_name("template.html.j2")
_TRADES_SHOWN = 2_000


def headline(manifest: Manifest) -> str:
    """Returns, for example, ``ema-cross on BTCUSDT``."""
    strategies = ", ".join(record.strategy_id for record in manifest.strategies) or "no strategy"
    return f"{strategies} on {', '.join(manifest.symbols)}"


def page(session: Session, manifest: Manifest, assumptions: Sequence[str], chart: bytes) -> str:
    """The whole page; ``chart`` is a PNG. The same run always gives the same page."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    title = headline(manifest)
    return template.render(
        title=f"{title}: run {manifest.run_id}",
        headline=title,
        run=manifest.run_id,
        period=_period(session),
        status=_status(session),
        warnings=_warnings(session),
        figures=_figures(session),
        chart=b64encode(chart).decode(),
        currency=session.currency,
        trades=_trades(session.trades[:_TRADES_SHOWN]),
        trades_left=max(len(session.trades) - _TRADES_SHOWN, 0),
        counts=_counts(session),
        assumptions=assumptions,
        strategies=[
            {
                "id": record.strategy_id,
                "spec": Path(record.spec).name if "/" in record.spec else record.spec,
                "parameters": ", ".join(
                    f"{name} = {redacted(value, name)}" for name, value in record.parameters.items()
                )
                or "no parameters",
                "sha256": record.sha256,
            }
            for record in manifest.strategies
        ],
        inputs=[
            {"name": Path(record.path).name, "format": record.format, "sha256": record.sha256}
            for record in manifest.inputs
        ],
        seed=manifest.config.get("seed", ""),
        settings=list(_settings(manifest.config)),
        version=manifest.tickdeck,
        python=manifest.python,
        code=manifest.code[:16],
    )


def _period(session: Session) -> str:
    start = f"{day(session.first_ts)} {clock_time(session.first_ts)}"
    end = clock_time(session.last_ts)
    if day(session.last_ts) != day(session.first_ts):
        end = f"{day(session.last_ts)} {end}"
    return f"{start} to {end} UTC, {span(session.last_ts - session.first_ts)}"


def _status(session: Session) -> str:
    if session.completed:
        return f"completed: {session.reason}"
    return "not completed: the record has no end yet; this is the state so far"


def _warnings(session: Session) -> list[str]:
    found = []
    if session.halted is not None:
        found.append(f"Trading was halted: {session.halted}")
    if session.left_out:
        found.append(f"Figures: {left_out_of_figures(session.left_out, session.currency)}.")
    failures = session.counts.get("system.handler_failed", 0)
    if failures:
        found.append(f"Handlers raised {failures:,} errors; `tickdeck events --type system.*` lists them.")
    return found


def _figures(session: Session) -> list[dict[str, str]]:
    performance = session.performance
    gain = session.pnl / session.deposits if session.deposits else None
    figures = [
        ("PnL after fees", amount(session.pnl, sign=True), _tone(session.pnl)),
        ("of what was paid in", "-" if gain is None else f"{gain:+.4%}", _tone(session.pnl)),
        ("Fees", amount(session.fees), ""),
        ("Equity at the end", amount(session.equity), ""),
        ("Largest drawdown", f"{performance.max_drawdown:.4%}", ""),
        ("Trades closed", f"{performance.trades:,}", ""),
        ("Win rate, before fees", fraction(performance.win_rate), ""),
        ("Sharpe, a year", "-" if performance.sharpe is None else f"{performance.sharpe:,.2f}", ""),
        ("Sortino, a year", "-" if performance.sortino is None else f"{performance.sortino:,.2f}", ""),
    ]
    return [{"name": name, "value": value, "tone": tone} for name, value, tone in figures]


def _trades(trades: Iterable[RoundTrip]) -> list[dict[str, str]]:
    """Each symbol's prices and quantities with equal numbers of decimals, so that they align."""
    trades = list(trades)
    prices: dict[str, int] = {}
    quantities: dict[str, int] = {}
    for trade in trades:
        for price in (trade.entry_price, trade.exit_price):
            prices[trade.symbol] = max(prices.get(trade.symbol, 0), _decimals(price, 4 if trade.entry_price > 1 else 8))
        quantities[trade.symbol] = max(quantities.get(trade.symbol, 0), _decimals(trade.quantity, 8))
    widest = max((_decimals(value, 8) for trade in trades for value in (trade.fees, trade.pnl)), default=2)
    money = max(2, min(widest, 4))
    return [
        {
            "symbol": trade.symbol,
            "side": "long" if trade.side is Side.BUY else "short",
            "entry": f"{day(trade.entry_ts)} {clock_time(trade.entry_ts)}",
            "exit": "still open" if trade.exit_ts is None else f"{day(trade.exit_ts)} {clock_time(trade.exit_ts)}",
            "quantity": _fixed(trade.quantity, quantities[trade.symbol]),
            "entry_price": _fixed(trade.entry_price, prices[trade.symbol]),
            "exit_price": "-" if trade.exit_price is None else _fixed(trade.exit_price, prices[trade.symbol]),
            "fees": _fixed(trade.fees, money),
            "pnl": _fixed(trade.pnl, money, sign=True),
            "tone": _tone(trade.pnl),
        }
        for trade in trades
    ]


def _decimals(value: Decimal | None, most: int) -> int:
    if value is None:
        return 0
    return len(plain(value.quantize(Decimal(1).scaleb(-most), ROUND_HALF_EVEN, context=EXACT)).partition(".")[2])


def _fixed(value: Decimal, decimals: int, *, sign: bool = False) -> str:
    return f"{value:{'+' if sign else ''},.{decimals}f}"


def _tone(value: Decimal) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else ""


def _counts(session: Session) -> list[tuple[str, str]]:
    counts = session.counts
    rows = {
        "events": session.events,
        "inputs among them": session.inputs,
        "decisions": counts.get("strategy.decision", 0),
        "refused by risk": counts.get("risk.limit_breached", 0),
        "orders": counts.get("order.submitted", 0),
        "fills": len(session.fills),
        "orders rejected": counts.get("order.rejected", 0),
        "orders expired": counts.get("order.expired", 0),
        "orders cancelled": counts.get("order.cancelled", 0),
        "orders that nobody knew about": counts.get("order.unknown", 0),
        "gaps in the market data": counts.get("market.gap_detected", 0),
    }
    table = [(name, f"{count:,}") for name, count in rows.items()]
    table += [(f"refused by risk: {limit}", f"{count:,}") for limit, count in session.refused_because.items()]
    table += [(f"rejected by the venue: {why}", f"{count:,}") for why, count in session.rejected_because.items()]
    table += [(f"position {symbol} at the end", plain(held)) for symbol, held in session.positions.items()]
    return table


def _settings(config: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """One row per setting, nested ones by dotted names. Folders are omitted, because the page is sent to others."""
    for name, value in config.items():
        if not prefix and name in ("tapes", "strategies"):
            continue  # these have their own tables
        if is_secret(name):
            yield prefix + name, REDACTED
        elif isinstance(value, dict) and value:
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else msgspec.json.encode(value).decode()
