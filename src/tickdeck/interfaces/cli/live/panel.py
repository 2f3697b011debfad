"""The appearance of the live view: a state and the terminal's size in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.text import Text

from tickdeck.application.units import clock_time, day, span
from tickdeck.domain.values import plain
from tickdeck.interfaces.cli.live.state import LiveOrder, LiveState, LiveSymbol

__all__ = ["live_lines"]

_WIDE = 84  # columns for all figures of a symbol
_NARROW = 60
_MONEY = Decimal("0.01")
_TITLE, _FAINT = "bold", "dim"


def live_lines(state: LiveState, width: int, height: int) -> list[Text]:
    """At most ``height`` lines of at most ``width`` columns; the most important come first if not all fit."""
    head = [_headline(state, width), *_symbols(state, width, height), _account(state, width)]
    tail = _machine(state, width)
    room = height - len(head) - len(tail)
    lines = head + _middle(state, room) + tail
    for line in lines[:height]:
        line.truncate(width, overflow="ellipsis")
    return lines[:height]


def _middle(state: LiveState, room: int) -> list[Text]:
    """Problems, orders and decisions: as many of the newest as fit, problems first."""
    sections = [
        ("problems", state.problems, [_moment(ts, text, "red") for ts, text in reversed(state.last_problems)]),
        ("orders", state.orders, list(map(_order, state.last_orders))),
        ("decisions", state.decisions, [_moment(ts, text) for ts, text in reversed(state.last_decisions)]),
    ]
    shown = [section for section in sections if section[2]]
    counts = _share(room - len(shown), [len(section[2]) for section in shown])
    lines = []
    for (title, total, rows), count in zip(shown, counts, strict=True):
        if not count:
            continue
        more = f", {state.orders_open:,} open" if title == "orders" else ""
        lines += [Text.assemble((title, _TITLE), f" {total:,}{more}"), *rows[:count]]
    return lines


def _share(room: int, wanted: Sequence[int]) -> list[int]:
    """Distribute the rows in turn until everyone is served or no rows are left."""
    given = [0] * len(wanted)
    while room > 0 and any(have < want for have, want in zip(given, wanted, strict=True)):
        for index, want in enumerate(wanted):
            if room > 0 and given[index] < want:
                given[index] += 1
                room -= 1
    return given


def _headline(state: LiveState, width: int) -> Text:
    line = Text.assemble((f"{day(state.ts)} {clock_time(state.ts)[:8]}", _TITLE))
    if state.halted:
        line.append("  HALTED", style="bold red")
    if state.in_doubt:
        line.append(f"  {state.in_doubt:,} IN DOUBT", style="bold red")
    line.append(f"  {state.speed:,.1f}x" if state.speed < 1_000 else f"  {state.speed:,.0f}x")
    if width >= _NARROW:
        line.append(f"  run {state.run}  {', '.join(state.strategies)}", style=_FAINT)
    return line


def _symbols(state: LiveState, width: int, height: int) -> list[Text]:
    """One row per symbol below a heading. If they need more than a third of the screen, only the first and a count."""
    most = max(height // 3, 1)
    shown = state.symbols[:most]
    columns = ["price", "position", "unrealized"] if width >= 44 else ["price", "position"]
    if width >= _WIDE:
        columns = ["price", "bid", "ask", "position", "average", "unrealized"]
    elif width >= _NARROW:
        columns = ["price", "bid", "ask", "position", "unrealized"]
    rows = [_cells(symbol) for symbol in shown]
    name_width = max(len("symbol"), *(len(symbol.symbol) for symbol in shown)) if shown else 6
    widths = {
        name: max(len(name), *(len(row[name]) for row in rows), 10 if width >= _NARROW else 1) for name in columns
    }
    lines = [Text("symbol".ljust(name_width) + _row(dict(zip(columns, columns, strict=True)), widths), style=_FAINT)]
    for symbol, row in zip(shown, rows, strict=True):
        line = Text(symbol.symbol.ljust(name_width) + _row(row, widths))
        if symbol.unrealized and "unrealized" in columns:
            line.stylize(_tone(symbol.unrealized), len(line) - len(row["unrealized"]))
        lines.append(line)
    if len(state.symbols) > most:
        lines[-1].append(f"  +{len(state.symbols) - most} more", style=_FAINT)
    return lines


def _row(cells: dict[str, str], widths: dict[str, int]) -> str:
    return "".join("  " + cells[name].rjust(width) for name, width in widths.items())


def _cells(symbol: LiveSymbol) -> dict[str, str]:
    """A symbol's prices with equal numbers of decimals, so that they do not jump around."""
    prices = {"price": symbol.price, "bid": symbol.bid, "ask": symbol.ask}
    decimals = max(2, *(len(plain(price).partition(".")[2]) for price in prices.values() if price is not None), 0)
    cells = {name: "-" if price is None else f"{price:,.{decimals}f}" for name, price in prices.items()}
    cells["position"] = plain(symbol.position)
    cells["average"] = f"{symbol.average:,.{decimals}f}" if symbol.position else "-"
    cells["unrealized"] = _signed(symbol.unrealized) if symbol.position else "-"
    return cells


def _account(state: LiveState, width: int) -> Text:
    line = Text.assemble("pnl ", (_signed(state.pnl), f"bold {_tone(state.pnl)}"), f"  fees {_money(state.fees)}")
    line.append(f"  equity {_money(state.equity)} {state.currency}")
    if width >= _NARROW:
        line.append("  after fees", style=_FAINT)
    return line


def _order(order: LiveOrder) -> Text:
    price = f"@ {_plain(order.limit)}" if order.limit is not None else "at market"
    text = f"  {order.side:<4} {plain(order.quantity)} {order.symbol} {price} {order.status.replace('_', ' ')}"
    if order.average is not None:
        done = "" if order.filled == order.quantity else f"{plain(order.filled)} "
        text += f" {done}at {_plain(round(order.average, 8))}"
    return Text(text)


def _moment(ts: int, text: str, style: str = "") -> Text:
    return Text.assemble((f"  {clock_time(ts)} ", _FAINT), (" ".join(text.split()), style))


def _machine(state: LiveState, width: int) -> list[Text]:
    pace = f"{state.events:,} events  {state.events_per_s:,.0f}/s"
    if state.p50_us is not None and state.p99_us is not None:
        pace += f"  median {state.p50_us:,.0f} µs per input, p99 {state.p99_us:,.0f}"
    lanes = " ".join(f"P{lane} {count:,}" for lane, count in enumerate(state.lanes))
    waiting = f"waiting: {lanes}, for the disk {state.tape_waiting:,}"
    if width >= _WIDE:
        return [Text(f"{pace}  {waiting}  {span(int(state.wall_s * 1e9))}", style=_FAINT)]
    return [Text(pace, style=_FAINT), Text(waiting, style=_FAINT)]


def _plain(price: Decimal) -> str:
    text = plain(price)
    whole, dot, decimals = text.partition(".")
    return f"{int(whole):,}{dot}{decimals}" if whole.lstrip("-").isdigit() else text


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_MONEY):,}"


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.2f}"


def _tone(amount: Decimal) -> str:
    return "green" if amount > 0 else "red" if amount < 0 else ""
