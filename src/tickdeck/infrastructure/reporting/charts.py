"""The report's picture: equity, drawdown, and each symbol's price with its fills, over one time axis."""

from __future__ import annotations

import io
from datetime import UTC
from typing import TYPE_CHECKING, Any

from tickdeck.domain.values import Side
from tickdeck.infrastructure.reporting.session import Session

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["chart_png"]

_INK, _FAINT, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_EQUITY, _DRAWDOWN, _PRICE, _BUY, _SELL = "#1d4ed8", "#b91c1c", "#52606d", "#15803d", "#c2410c"
_WIDTH, _DPI = 11.0, 150
_MOST_SYMBOLS = 12
_DAY_NS = 86_400_000_000_000
_ABOVE: dict[str, Any] = {
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0.1,
    "borderpad": 0,
    "ncols": 2,
    "fontsize": 8,
}
_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # bundled with matplotlib, so the picture is the same everywhere
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _FAINT,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.bottom": False,
    "ytick.left": False,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "path.simplify": True,
}


def chart_png(session: Session, title: str) -> bytes:
    """The picture as a PNG. The same session gives the same bytes. Only the first 12 symbols are drawn."""
    import matplotlib as mpl
    from matplotlib import dates as untyped_dates
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dates: Any = untyped_dates
    style: dict[Any, Any] = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"} | _STYLE
    symbols = session.symbols[:_MOST_SYMBOLS]
    heights = [2.4, 1.2, *(2.6 for _ in symbols)]
    with mpl.rc_context(style):  # independent of the caller's settings
        figure = Figure(figsize=(_WIDTH, sum(heights) + 0.9), dpi=_DPI, layout="constrained", facecolor="white")
        canvas: Any = FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        times = [_time(ts) for ts, _ in session.equity_curve]
        _equity(axes[0], session, times)
        _drawdown(axes[1], session, times)
        for index, symbol in enumerate(symbols, 2):
            _price(axes[index], session, symbol)
        locator = dates.AutoDateLocator(minticks=4, maxticks=9, tz=UTC)
        axes[-1].xaxis.set_major_locator(locator)
        axes[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
        if session.last_ts > session.first_ts:
            axes[-1].set_xlim(_time(session.first_ts), _time(session.last_ts))
        axes[-1].set_xlabel("time, UTC")
        out = io.BytesIO()
        canvas.print_png(out, metadata={"Software": None})
    return out.getvalue()


def _time(ts: int) -> float:
    """Days since 1970, matplotlib's unit of time."""
    return ts / _DAY_NS


def _equity(axes: Axes, session: Session, times: list[float]) -> None:
    equity = [float(value) for _, value in session.equity_curve]
    axes.plot(times, equity, color=_EQUITY, drawstyle="steps-post")
    paid_in = float(session.deposits)
    axes.axhline(paid_in, color=_FAINT, linewidth=0.8, linestyle=(0, (4, 3)), label="paid in")
    axes.set_title(f"Equity, {session.currency}")
    axes.legend(**_ABOVE)
    _plain_numbers(axes)


def _drawdown(axes: Axes, session: Session, times: list[float]) -> None:
    drawdown = [100 * fall for fall in session.drawdowns()]
    axes.fill_between(times, drawdown, 0, step="post", color=_DRAWDOWN, alpha=0.18, linewidth=0)
    axes.plot(times, drawdown, color=_DRAWDOWN, linewidth=1, drawstyle="steps-post")
    axes.set_title("Drawdown, % of the peak")
    axes.set_ylim(top=0)
    if not any(drawdown):
        axes.set_ylim(-1, 0)


def _price(axes: Axes, session: Session, symbol: str) -> None:
    curve = session.price_curves[symbol]
    axes.plot([_time(ts) for ts, _ in curve], [float(price) for _, price in curve], color=_PRICE, linewidth=0.9)
    axes.set_title(f"{symbol}, price and fills")
    for side, marker, colour in ((Side.BUY, "^", _BUY), (Side.SELL, "v", _SELL)):
        fills = [fill for fill in session.fills if fill.symbol == symbol and fill.side is side]
        if fills:
            axes.scatter(
                [_time(fill.ts) for fill in fills],
                [float(fill.price) for fill in fills],
                marker=marker,
                s=38,
                color=colour,
                edgecolors="white",
                linewidths=0.6,
                zorder=3,
                label=f"{len(fills):,} {side}{'s' if len(fills) > 1 else ''}",
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**_ABOVE)
    _plain_numbers(axes)


def _plain_numbers(axes: Axes) -> None:
    """Write the axis numbers in full: no ``1e5``, no offset."""
    from matplotlib.ticker import FuncFormatter

    def format_value(value: float, _position: int | None) -> str:
        low, high = axes.get_ylim()
        span = abs(high - low)
        decimals = 0
        while span and decimals < 8 and span * 10**decimals < 20:
            decimals += 1
        return f"{value:,.{decimals}f}"

    axes.yaxis.set_major_formatter(FuncFormatter(format_value))
