"""The operator's orders: carries out the commands ``submit`` and ``amend``."""

from __future__ import annotations

from collections.abc import Mapping

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.order_arguments import OPERATOR, STOPS, amount, check_names, order_from
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    StrategyDecisionEvent,
    SystemWarning,
)
from tickdeck.domain.values import ZERO
from tickdeck.errors import ConfigError

__all__ = ["OPERATOR", "OperatorEngine"]

_OF_AN_ORDER = ("side", "symbol", "quantity", "limit", "time_in_force", "reduce_only", *STOPS)


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
    ) -> None:
        self._kernel = kernel
        self._symbols = symbols
        self._nonce = nonce
        self._account_id = account_id
        self._user_id = user_id
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
        check_names(given, (*_OF_AN_ORDER, "account"))
        return order_from(given, self._symbols, client_order_id(self._nonce, decision_id))


def _amend(given: Mapping[str, str]) -> ActionIntent:
    check_names(given, ("order_id", "quantity", "limit", "account"))
    if not given.get("order_id"):
        raise ConfigError("there is no order_id")
    quantity = amount("quantity", given["quantity"]) if given.get("quantity") else ZERO
    limit = amount("limit", given["limit"]) if given.get("limit") else None
    if not quantity and limit is None:
        raise ConfigError("nothing to change; give a quantity, a limit or both")
    return ActionIntent(action="amend", order_id=given["order_id"], quantity=quantity, limit=limit)
