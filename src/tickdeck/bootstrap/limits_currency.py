"""The currency of the limits of a run whose symbols are quoted in another currency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from tickdeck.domain.accounts import Rates
from tickdeck.domain.risk import DEFAULT_LIMITS, RiskLimits
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig, start_balances

__all__ = ["in_quote_currency", "limits_remarks"]

_SCALED = ("max_order_notional", "max_position_notional", "max_daily_loss")


def in_quote_currency(config: RunConfig, symbols: Iterable[str]) -> RunConfig:
    """``config`` with the default limits in the only quote currency of ``symbols``, if the user wrote no limits and
    there is no rate between that currency and the default one. The amounts are the same fractions of the paper
    account's initial balance as the default ones are of 100,000.
    """
    symbols = list(symbols)
    quotes = _quotes(config, symbols)
    if config.stated_limits or config.risk != DEFAULT_LIMITS or len(quotes) != 1:
        return config
    (quote,) = quotes
    begins = start_balances(map(config.instrument, symbols), PaperConfig().default_balance).get(quote)
    if not begins or _has_rate(config, config.risk, symbols, quote):
        return config
    share = begins / PaperConfig().default_balance
    amounts = {name: Decimal(f"{(getattr(DEFAULT_LIMITS, name) * share).normalize():f}") for name in _SCALED}
    return replace(config, risk=replace(DEFAULT_LIMITS, currency=quote, **amounts))


def limits_remarks(config: RunConfig, symbols: Iterable[str]) -> Iterator[str]:
    """What the user should know about the currency of the limits before the run begins, one line each."""
    symbols = list(symbols)
    risk = config.risk
    if not config.stated_limits and risk.currency != DEFAULT_LIMITS.currency and risk.max_order_notional is not None:
        yield (
            f"the limits are in {risk.currency}, because nothing else is quoted: {risk.max_order_notional:f} an order, "
            f"{risk.max_position_notional:f} a position, {risk.max_daily_loss:f} loss a day; change them under [risk]"
        )
    for table, limits in (("[risk]", risk), ("[limits]", config.limits)):
        for quote in _quotes(config, symbols) if limits is not None and limits.limits_an_amount else ():
            if limits is None or _has_rate(config, limits, symbols, quote):
                continue
            option = f"--limits-currency {quote}, or " if table == "[risk]" else ""
            yield (
                f"orders in {quote} will be refused: the limits are in {limits.currency}, and there is no rate between "
                f"them; give {option}{table} currency or rates = {{ {quote} = ... }} in the configuration file"
            )


def _quotes(config: RunConfig, symbols: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(config.instrument(symbol).quote for symbol in symbols))


def _has_rate(config: RunConfig, limits: RiskLimits, symbols: list[str], quote: str) -> bool:
    """Whether there is a rate between ``quote`` and the currency of ``limits``, configured or from prices."""
    if limits.rate(quote) is not None:
        return True
    rates = Rates(symbols, config.instrument)
    configured = [other for other in _quotes(config, symbols) if limits.rate(other) is not None]
    return any(rates.symbols(quote, into) for into in (limits.currency, *configured))
