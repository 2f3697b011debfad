"""The parameters of a strategy without code, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tickdeck.application.strategies.rule_distances import is_amount, is_of_range, offset_of, read_distances
from tickdeck.application.strategies.strategy import Strategy
from tickdeck.application.units import duration_ns
from tickdeck.domain.conditions import Condition, check_condition, parse_condition
from tickdeck.domain.trading import terms_from_text, why_terms_fail
from tickdeck.domain.values import ZERO, Side, StrategyRole
from tickdeck.errors import ConfigError

__all__ = ["RulesParameters"]


class RulesParameters(Strategy):
    """The parameters of ``Rules``, which describes them."""

    symbol: str = ""
    enter: str = ""
    exit: str = ""
    side: str = "buy"
    quantity: Decimal = ZERO
    share: Decimal = ZERO
    risk: Decimal = ZERO
    stop_loss: str = ""
    take_profit: str = ""
    trailing: str = ""
    cooldown: str = ""
    trades_a_day: int = 0
    order: str = "market"
    offset: str = ""
    expiry: str = ""
    role: StrategyRole = StrategyRole.ENTRY  # type: ignore[misc]  # each strategy has its own

    def check_meaning(self, symbols: Sequence[str]) -> None:
        """Raise ``ConfigError`` for what can be read, but cannot mean what it says: conditions that hold always or
        never, and one price as the stop of several ``symbols``. A record is not checked: an older version may have
        taken them."""
        mistakes = []
        for name in ("enter", "exit"):
            try:
                if text := getattr(self, name):
                    check_condition(text)
            except ConfigError as error:
                mistakes.append(f"{name}: {error}")
        if not self.symbol and len(symbols) > 1:
            mistakes += [
                f"{name} is the amount {text}, and the strategy trades {len(symbols)} symbols; give a percentage such "
                "as 2%, or name the symbol"
                for name, text in self._protection().items()
                if is_amount(text)
            ]
        if mistakes:
            raise ConfigError.of(mistakes)

    def _check_besides(self, wrong: frozenset[str]) -> None:
        self._check(wrong)

    def _check(self, wrong: frozenset[str] = frozenset()) -> dict[str, Condition]:
        """The conditions. Raises ``ConfigError`` for all mistakes besides the parameters ``wrong``."""
        mistakes = []
        conditions: dict[str, Condition] = {}
        for name in ("enter", "exit"):
            text = getattr(self, name)
            try:
                if text:
                    conditions[name] = parse_condition(text)
                elif name == "enter" and name not in wrong:
                    mistakes.append("enter is missing; give the condition for an entry")
            except ConfigError as error:
                mistakes.append(f"{name}: {error}")
        mistakes += self._mistakes(wrong)
        if mistakes:
            raise ConfigError.of(mistakes)
        return conditions

    def _protection(self) -> dict[str, str]:
        """What it says about the exit, by name."""
        return {name: text for name in ("stop_loss", "take_profit", "trailing") if (text := getattr(self, name))}

    def _mistakes(self, wrong: frozenset[str]) -> list[str]:
        """What is wrong besides the conditions and ``wrong``."""
        found = []
        if self.side not in list(Side):
            found.append(f"side is {self.side!r}; give 'buy' or 'sell'")
        sizes = [name for name in ("quantity", "share", "risk") if getattr(self, name) != ZERO]
        if len(sizes) > 1 or not (sizes or wrong & {"quantity", "share", "risk"}):
            what = f"{' and '.join(sizes)} is given" if sizes else "give one of them, above 0"
            found.append(f"the size of an entry is one of quantity, share and risk; {what}")
        found += [
            f"{name} is {getattr(self, name)}; give a number above 0" for name in sizes if getattr(self, name) < 0
        ]
        if self.risk and not self.stop_loss and "stop_loss" not in wrong:
            found.append("risk is the share of the equity that the stop may lose; give stop_loss, too")
        closing = self._protection()
        try:
            read_distances(closing)
        except ConfigError as error:
            found += error.mistakes
        closing = {name: text for name, text in closing.items() if not is_of_range(text)}
        alone = [why for name, text in closing.items() if (why := self._why_protection_fails({name: text}))]
        together = self._why_protection_fails(closing) if closing and not alone else ""
        found += alone or ([together] if together else [])
        if self.trades_a_day < 0:
            found.append(f"trades_a_day is {self.trades_a_day}; give a whole number from 0")
        for name in ("cooldown", "expiry"):
            if text := getattr(self, name):
                try:
                    duration_ns(text, zero=name == "cooldown")
                except ConfigError as error:
                    found.append(f"{name}: {error}")
        return found + self._mistakes_of_order(wrong)

    def _mistakes_of_order(self, wrong: frozenset[str]) -> list[str]:
        found = []
        if self.order not in ("market", "limit"):
            found.append(f"order is {self.order!r}; give 'market' or 'limit'")
        elif self.order == "market" and "order" not in wrong:
            found += [
                f"{name} belongs to limit orders; give order = 'limit', too"
                for name in ("offset", "expiry")
                if getattr(self, name)
            ]
        try:
            offset_of(self.offset, Decimal(1))
        except ConfigError as error:
            found.append(str(error))
        return found

    def _why_protection_fails(self, given: dict[str, str]) -> str:
        try:
            terms = terms_from_text(given)
        except ValueError as error:
            return str(error)
        return why_terms_fail(terms, Side(self.side)) if self.side in list(Side) else ""
