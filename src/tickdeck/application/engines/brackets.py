"""Bracket orders: an entry with a stop and a target, its time-out, and what follows if nothing can protect it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.account_engines import AccountEngines
from tickdeck.application.engines.order_arguments import OPERATOR, STOPS, check_names, name_one_of, order_from
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.application.kernel import Kernel
from tickdeck.application.units import duration_ns, span
from tickdeck.domain.events import (
    ActionIntent,
    BracketChangedEvent,
    BracketOpenedEvent,
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    OrderEvent,
    OrderRejectedEvent,
    ProtectionEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    SystemWarning,
    TimerCancelled,
    TimerFired,
    TimerSet,
)
from tickdeck.domain.trading import Bracket, BracketStatus, Order, Protection
from tickdeck.domain.values import ZERO, OrderStatus, plain
from tickdeck.errors import ConfigError

__all__ = ["BracketEngine", "bracket_opened"]

_SECOND = 1_000_000_000
_ATTEMPTS = 3  # times that the venue may refuse in a row to protect what is held
_OVER_KEPT = 1_000
_RETRY = "retry/"  # begins the name of a timer; the id of the bracket follows
_ARGUMENTS = ("side", "symbol", "quantity", "entry", *STOPS, "expires", "account")


def bracket_opened(intent: ActionIntent, expires: int, **about: Any) -> BracketOpenedEvent:
    """The event that begins a bracket with the entry ``intent``, which has an ``order_id``, a side and a protection.
    ``expires`` is in ns UTC; 0 is never. ``about``: its account, user, strategy and source."""
    assert intent.side is not None
    assert intent.protection is not None
    return BracketOpenedEvent(
        bracket_id=intent.order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        limit=intent.limit,
        terms=intent.protection,
        expires=expires,
        **about,
    )


class BracketEngine:
    """A saga for each bracket order. The entry is an order that risk reviews, and what it fills is protected as that of
    any order; this engine decides what these two do not.

    - **Time-out.** At ``expires`` the entry is cancelled, by a timer on the tape. What was filled by then stays
      protected, also what is filled while the cancel is under way.
    - **Doubt.** An order without an answer is waited for; nothing is ordered instead of it.
    - **Compensation.** If the venue refuses the order at the stop and target, that is alerted, and the order is placed
      again after 1 s and 2 s, for what is held then. After three refusals in a row, no more is entered and what is held
      is closed at market. Meanwhile the run watches the prices. An order that was never received is no refusal: it may
      still appear, so it is not replaced; the run watches the prices.

    The command ``bracket`` has the arguments ``side``, ``symbol``, ``quantity`` (base), ``entry`` (a price in quote, or
    ``market``), ``stop_loss``, ``take_profit`` and ``trailing`` as for ``Strategy.buy``, and ``expires`` (``30m``). One
    with wrong arguments changes nothing and causes a ``system.warning``.

    Every step is a ``bracket.changed``. Without brackets, no event costs a call here.
    """

    component = "bracket"
    hears = (
        BracketOpenedEvent,
        CommandReceived,
        OrderEvent,
        ProtectionEvent,
        RiskLimitBreachedEvent,
        TimerFired,
    )
    publishes = (
        BracketOpenedEvent,
        BracketChangedEvent,
        StrategyDecisionEvent,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self, kernel: Kernel, accounts: Sequence[AccountEngines], *, symbols: tuple[str, ...], nonce: str
    ) -> None:
        self._kernel = kernel
        self._accounts = {account.portfolio.account_id: account for account in accounts}
        self._symbols = symbols
        self._nonce = nonce
        self.brackets: dict[str, Bracket] = {}
        """By id, oldest first: all that are not over, and the last 1,000 that are."""
        self._follows = False
        self._own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        kernel.subscribe(CommandReceived, self.on_command, **self._own)
        kernel.subscribe(BracketOpenedEvent, self.on_opened, **self._own)

    # -- the beginning -----------------------------------------------------------------------------------------------

    def on_command(self, command: CommandReceived) -> None:
        if command.command != "bracket":
            return
        given = command.arguments
        names = tuple(self._accounts)
        account_id = given.get("account", "") or (names[0] if len(names) == 1 else "")
        if account_id and account_id not in self._accounts:
            return  # the run says so
        try:
            if not account_id:
                raise ConfigError(name_one_of(names))
            intent, expires = self._entry(given)
        except ConfigError as error:
            self._kernel.publish(SystemWarning(component=self.component, message=f"bracket: {error}"))
            return
        portfolio = self._accounts[account_id].portfolio
        about: dict[str, Any] = {
            "strategy_id": OPERATOR,
            "account_id": account_id,
            "user_id": portfolio.user_id,
            "source": OPERATOR,
        }
        self._kernel.publish(StrategyDecisionEvent(name=OPERATOR, intents=(intent,), reason=command.reason, **about))
        self._kernel.publish(bracket_opened(intent, expires, **about))

    def _entry(self, given: Any) -> tuple[ActionIntent, int]:
        """The order of the entry, and when it ends (ns UTC)."""
        check_names(given, _ARGUMENTS)
        if not any(given.get(name) for name in STOPS):
            raise ConfigError(f"there is neither a stop nor a target; give {', '.join(STOPS)} or several of them")
        if not given.get("entry"):
            raise ConfigError("there is no entry; give a price, or market")
        limit = "" if given["entry"] == "market" else given["entry"]
        wait = 0
        if given.get("expires"):
            try:
                wait = duration_ns(given["expires"])
            except ConfigError as error:
                raise ConfigError(f"expires: {error}") from None
        order_id = client_order_id(self._nonce, self._kernel.next_id())
        intent = order_from({**given, "limit": limit}, self._symbols, order_id)
        return intent, self._kernel.clock.now() + wait if wait else 0

    def on_opened(self, event: BracketOpenedEvent) -> None:
        """A bracket begins; its entry is under review."""
        bracket = self._begin(event)
        if event.expires:
            bracket.timer_id = self._kernel.set_timer(event.expires, event.bracket_id, self.component)
        self._step(bracket, BracketStatus.ENTERING, "")

    def _begin(self, event: BracketOpenedEvent) -> Bracket:
        bracket = self.brackets[event.bracket_id] = Bracket(event)
        self._follow()
        return bracket

    def _follow(self) -> None:
        """Receive what brackets need, from the first one on."""
        if self._follows:
            return
        self._follows = True
        self._kernel.subscribe(OrderEvent, self.on_order, **self._own)
        self._kernel.subscribe(ProtectionEvent, self.on_protection, **self._own)
        self._kernel.subscribe(RiskLimitBreachedEvent, self.on_breach, **self._own)
        self._kernel.subscribe(TimerFired, self.on_timer, **self._own)

    # -- what happens ------------------------------------------------------------------------------------------------

    def on_order(self, event: OrderEvent) -> None:
        """An event of an entry, or of an order that closes what an entry filled."""
        account = self._accounts.get(event.account_id)
        order = account.execution.orders.get(event.order_id) if account is not None else None
        bracket = self.brackets.get(order.protects or order.order_id) if order is not None else None
        if bracket is None or order is None:
            return
        bracket.hear(event)
        if order.protects and isinstance(event, OrderRejectedEvent) and not event.concluded:
            self._refused(bracket, order)
        else:
            self._look(bracket)

    def on_protection(self, event: ProtectionEvent) -> None:
        bracket = self.brackets.get(event.protection_id)
        if bracket is not None:
            bracket.hear(event)
            self._look(bracket)

    def on_breach(self, breach: RiskLimitBreachedEvent) -> None:
        """Risk refused an entry."""
        bracket = self.brackets.get(breach.intent.order_id)
        if bracket is not None and breach.intent.action == "order":
            self._step(bracket, BracketStatus.FAILED, f"risk refused its entry: {breach.limit}: {breach.detail}")

    def on_timer(self, fired: TimerFired) -> None:
        """Cancel an entry whose time is over, or place the order at the stop and target again."""
        bracket = self.brackets.get(fired.name.removeprefix(_RETRY)) if fired.owner == self.component else None
        if bracket is None:
            return
        if fired.timer_id == bracket.timer_id:
            bracket.time_out()
            entry = self._entry_of(bracket)
            if entry is not None and entry.is_open:
                self._decide(bracket, ActionIntent(action="cancel", order_id=bracket.saga_id), "its time is over")
        elif fired.timer_id == bracket.retry_id:
            bracket.retry_id = 0
            p = self._protection_of(bracket)
            if p is not None and p.held and p.exit is None and p.is_refused:
                intent = ActionIntent(action="protect", order_id=bracket.saga_id, protection=p.terms)
                self._decide(bracket, intent, "the venue refused to protect it; place the order again")

    # -- steps -------------------------------------------------------------------------------------------------------

    def _look(self, bracket: Bracket) -> None:
        """Take the step that follows from the orders and the protection."""
        entry, p = self._entry_of(bracket), self._protection_of(bracket)
        if entry is None or p is None:
            return  # under review
        if not entry.is_open and bracket.timer_id:
            self._kernel.cancel_timer(bracket.timer_id)
            bracket.timer_id = 0
        status, reason = bracket.observe(entry, p, self._order(bracket, bracket.exit_id))
        if status is not bracket.status:
            if status is BracketStatus.FAILED and bracket.is_late and entry.status is OrderStatus.CANCELLED:
                waited = bracket.opened.expires - bracket.opened.ts_ingress
                reason = f"its time of {span(waited)} was over, and nothing was filled"
            self._step(bracket, status, reason, refusals=0 if status is BracketStatus.PROTECTED else None)

    def _refused(self, bracket: Bracket, order: Order) -> None:
        """The venue refused an order that closes what is held."""
        p = self._protection_of(bracket)
        if p is None or not p.held:
            self._look(bracket)
            return
        if order.limit is None and order.stop is None:  # a market order, which is repeated anyway
            self._alert(f"the venue refused to close {self._what(bracket, p)}: {order.reason}; it is tried again")
            self._look(bracket)
            return
        refusals = bracket.refusals + 1
        gives_up = refusals >= _ATTEMPTS
        self._step(bracket, BracketStatus.GUARDED, f"the venue refused to protect it: {order.reason}", refusals)
        follows = f"the order is placed again in {refusals} s, and the run watches the price meanwhile"
        if gives_up:
            follows = "it is closed at market"
        self._alert(f"the venue refused the order that protects {self._what(bracket, p)}: {order.reason}; {follows}")
        if gives_up:
            intent = ActionIntent(action="exit", order_id=bracket.saga_id)
            self._decide(bracket, intent, f"the venue refused {refusals} times to protect it: {order.reason}")
        elif not bracket.retry_id:
            due = self._kernel.clock.now() + refusals * _SECOND
            bracket.retry_id = self._kernel.set_timer(due, f"{_RETRY}{bracket.saga_id}", self.component)

    def _step(self, bracket: Bracket, status: BracketStatus, reason: str, refusals: int | None = None) -> None:
        entry, p = self._entry_of(bracket), self._protection_of(bracket)
        event = BracketChangedEvent(
            **self._about(bracket),
            status=status.value,
            reason=reason,
            filled=entry.filled if entry is not None else ZERO,
            held=p.held if p is not None and not status.is_over else ZERO,  # what is left is no longer its own
            refusals=bracket.refusals if refusals is None else refusals,
        )
        self._apply(bracket, event)
        self._kernel.publish(event)

    def _apply(self, bracket: Bracket, event: BracketChangedEvent) -> None:
        bracket.apply(event)
        if bracket.status.is_over:
            over = [one.saga_id for one in self.brackets.values() if one.status.is_over]
            for bracket_id in over[:-_OVER_KEPT]:
                del self.brackets[bracket_id]

    def _decide(self, bracket: Bracket, intent: ActionIntent, reason: str) -> None:
        opened = bracket.opened
        self._kernel.publish(
            StrategyDecisionEvent(
                strategy_id=opened.strategy_id,
                account_id=opened.account_id,
                user_id=opened.user_id,
                intents=(intent,),
                reason=reason,
                source=self.component,
            )
        )

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if isinstance(event, BracketOpenedEvent):
            self._begin(event)
        elif isinstance(event, BracketChangedEvent):
            bracket = self.brackets.get(event.bracket_id)
            if bracket is not None:
                self._apply(bracket, event)
        elif isinstance(event, OrderEvent | ProtectionEvent):
            bracket = self.brackets.get(event.aggregate_id)
            if bracket is not None:
                bracket.hear(event)
        elif self.brackets and isinstance(event, TimerSet | TimerFired | TimerCancelled):
            self._recall_timer(event)

    def _recall_timer(self, event: TimerSet | TimerFired | TimerCancelled) -> None:
        if isinstance(event, TimerSet):
            bracket = self.brackets.get(event.name.removeprefix(_RETRY)) if event.owner == self.component else None
            if bracket is not None and event.name.startswith(_RETRY):
                bracket.retry_id = event.timer_id
            elif bracket is not None:
                bracket.timer_id = event.timer_id
            return
        for bracket in self.brackets.values():
            if bracket.timer_id == event.timer_id:
                bracket.timer_id = 0
                if isinstance(event, TimerFired):
                    bracket.time_out()
            elif bracket.retry_id == event.timer_id:
                bracket.retry_id = 0

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _alert(self, text: str) -> None:
        self._kernel.publish(NotificationAlert(text=text, severity="critical"))

    def _what(self, bracket: Bracket, p: Protection) -> str:
        return f"{plain(p.held)} {p.symbol} of bracket {bracket.saga_id} (account {p.account_id})"

    def _order(self, bracket: Bracket, order_id: str) -> Order | None:
        return self._accounts[bracket.opened.account_id].execution.orders.get(order_id)

    def _entry_of(self, bracket: Bracket) -> Order | None:
        return self._order(bracket, bracket.saga_id)

    def _protection_of(self, bracket: Bracket) -> Protection | None:
        return self._accounts[bracket.opened.account_id].risk.protections.book.protections.get(bracket.saga_id)

    def _about(self, bracket: Bracket) -> dict[str, Any]:
        opened = bracket.opened
        names = ("bracket_id", "symbol", "account_id", "user_id", "strategy_id")
        return {name: getattr(opened, name) for name in names}
