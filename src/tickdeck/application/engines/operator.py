"""The operator's orders: carries out the commands ``submit`` and ``amend``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    ProtectionTerms,
    StrategyDecisionEvent,
    SystemWarning,
)
from tickdeck.domain.trading import terms_from_text, why_terms_fail
from tickdeck.domain.values import ZERO, Price, Side, TimeInForce
from tickdeck.errors import ConfigError, format_value

__all__ = ["OPERATOR", "OperatorEngine"]

OPERATOR = "operator"
"""The ``strategy_id`` of the operator's orders. No strategy may have it."""
_AMOUNT = re.compile(r"(?=.{1,40}\Z)[0-9]*\.?[0-9]+")
_STOPS = ("stop_loss", "take_profit", "trailing")
_OF_AN_ORDER = ("side", "symbol", "quantity", "limit", "time_in_force", "reduce_only", *_STOPS)
_FLAGS = {"": False, "false": False, "true": True}

E = TypeVar("E", Side, TimeInForce)


class OperatorEngine:
    """Turns a command of the operator into a decision, which risk reviews like that of a strategy.

    ``submit`` has the arguments ``side``, ``symbol``, ``quantity`` (base) and, if you want, ``limit`` (quote),
    ``time_in_force``, ``reduce_only``, and ``stop_loss``, ``take_profit`` and ``trailing`` as for ``Strategy.buy``.
    ``amend`` has ``order_id`` and the new ``quantity`` (in total), ``limit``, or both; it may change the order of any
    strategy. The reason of the decision is that of the command. A command with wrong arguments changes nothing and
    causes a ``system.warning``.
    """

    component = OPERATOR
    hears = (CommandReceived,)
    publishes = (StrategyDecisionEvent, SystemWarning)

    def __init__(
        self,
        kernel: CoreBus,
        *,
        symbols: tuple[str, ...],
        nonce: str,
        account_id: str = "main",
        user_id: str = "",
        accounts: tuple[str, ...] = (),
    ) -> None:
        """``accounts``: those of the run, if it has several of these engines; ``submit`` must then name one."""
        self._kernel = kernel
        self._symbols = symbols
        self._nonce = nonce
        self._account_id = account_id
        self._user_id = user_id
        self._accounts = accounts
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        kernel.subscribe(CommandReceived, self.on_command, **own)

    def on_command(self, command: CommandReceived) -> None:
        try:
            if command.command == "submit":
                intent = self._order(command.arguments, self._kernel.next_id())
            elif command.command == "amend":
                intent = _amend(command.arguments)
            else:
                return
        except ConfigError as error:
            self._kernel.publish(SystemWarning(component=self.component, message=f"{command.command}: {error}"))
            return
        self._kernel.publish(
            StrategyDecisionEvent(
                strategy_id=OPERATOR,
                name=OPERATOR,
                account_id=self._account_id,
                user_id=self._user_id,
                intents=(intent,),
                reason=command.reason,
                source=OPERATOR,
            )
        )

    def _order(self, given: Mapping[str, str], decision_id: str) -> ActionIntent:
        if self._accounts and not given.get("account"):
            raise ConfigError(f"the run has several accounts; give account = one of {', '.join(self._accounts)}")
        _check_names(given, (*_OF_AN_ORDER, "account"))
        symbol = given.get("symbol", "")
        if symbol not in self._symbols:
            raise ConfigError(f"{format_value(symbol)} is not a symbol of this run; it has {_some(self._symbols)}")
        reduce_only = _FLAGS.get(given.get("reduce_only", ""))
        if reduce_only is None:
            raise ConfigError(f"reduce_only is {format_value(given['reduce_only'])}; give true or false")
        side = _one_of(Side, "side", given.get("side", ""))
        limit = _amount("limit", given["limit"]) if given.get("limit") else None
        return ActionIntent(
            action="order",
            symbol=symbol,
            side=side,
            quantity=_amount("quantity", given.get("quantity", "")),
            limit=limit,
            time_in_force=_one_of(TimeInForce, "time_in_force", given.get("time_in_force") or TimeInForce.GTC),
            order_id=client_order_id(self._nonce, decision_id),
            reduce_only=reduce_only,
            protection=_protection(given, side, limit),
        )


def _protection(given: Mapping[str, str], side: Side, limit: Price | None) -> ProtectionTerms | None:
    """The stop and the target of an order; ``None`` if there are none."""
    if not any(given.get(name) for name in _STOPS):
        return None
    try:
        terms = terms_from_text(given)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if why := why_terms_fail(terms, side, limit):
        raise ConfigError(why)
    return terms


def _amend(given: Mapping[str, str]) -> ActionIntent:
    _check_names(given, ("order_id", "quantity", "limit", "account"))
    if not given.get("order_id"):
        raise ConfigError("there is no order_id")
    quantity = _amount("quantity", given["quantity"]) if given.get("quantity") else ZERO
    limit = _amount("limit", given["limit"]) if given.get("limit") else None
    if not quantity and limit is None:
        raise ConfigError("nothing to change; give a quantity, a limit or both")
    return ActionIntent(action="amend", order_id=given["order_id"], quantity=quantity, limit=limit)


def _check_names(given: Mapping[str, str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"there is no argument {format_value(name)}; give {', '.join(known)}")


def _amount(name: str, text: str) -> Decimal:
    number = Decimal(text) if _AMOUNT.fullmatch(text) else ZERO
    if not number:
        raise ConfigError(f"{name} is {format_value(text)}; give a plain decimal number above 0, such as 0.01")
    return number


def _one_of(kind: type[E], name: str, text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{name} is {format_value(text)}; give one of {', '.join(kind)}") from None


def _some(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:10])}{' and others' if len(names) > 10 else ''}"
