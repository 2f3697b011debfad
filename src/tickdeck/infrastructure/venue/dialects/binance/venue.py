"""What REST and the WebSocket API share: the exchange, its clock, limits and faults, and how a request is handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError, refused
from tickdeck.infrastructure.venue.dialects.binance.limits import Limits
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.rules import Rule, next_rule
from tickdeck.infrastructure.venue.exchange import Exchange, Update
from tickdeck.infrastructure.venue.faults import Faults, parse_duration
from tickdeck.infrastructure.venue.matching import HOUSE, ExecutionKind, Market, MarketStatus, OrderRefused

__all__ = ["MS", "Answer", "BinanceVenue", "Call", "Operation", "Script", "Security"]

MS = 1_000_000
_MAX_WINDOW_MS = 60_000
_AHEAD_MS = 1_000
_MOST_HIDDEN = 10_000
KINDS = (
    *("place", "cancel", "replace", "amend", "query", "fills", "account", "depth", "rules", "time", "subscribe"),
    *("read", "any"),
)
"""The kinds of requests that a script may wait for."""


class Security:
    """What a request must have: nothing, a key, or a key and a signature."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


class Call(NamedTuple):
    """A request that may be executed. ``unit`` is the ns of one unit of time in the answer."""

    venue: BinanceVenue
    params: Params
    now: int
    unit: int
    address: str
    account: Account | None

    @property
    def owner(self) -> str:
        """The name of the account. The request was signed."""
        assert self.account is not None
        return self.account.name

    def market(self, name: str = "symbol") -> Market:
        """The market that the request names. Raises ``ApiError``."""
        market = self.venue.exchange.engine.markets.get(self.params.text(name))
        if market is None:
            raise ApiError(-1121, "Invalid symbol.")
        return market


class _Run(Protocol):
    def __call__(self, call: Call, /) -> Any: ...


class Operation(NamedTuple):
    """Something a client may ask for. ``acts`` is true where it changes orders: a success then weighs nothing, and
    its answer may be lost."""

    run: _Run
    weight: int | Callable[[Params], int] = 1
    security: str = Security.NONE
    acts: bool = False
    counts_order: bool = False
    kind: str = "read"


class _LateOrder(NamedTuple):
    """A request that waits inside the exchange until it is executed at ``due`` (ns UTC)."""

    due: int
    run: _Run
    call: Call


class Answer(msgspec.Struct, kw_only=True):
    """The outcome of a request. ``lost`` answers never leave, others leave ``delay_ns`` later."""

    status: int = 200
    result: Any = None
    error: ApiError | None = None
    lost: bool = False
    delay_ns: int = 0
    account: str = ""
    body: str | None = None
    """Text to send in place of JSON, such as a page of HTML."""


class Script(Rule, kw_only=True, forbid_unknown_fields=True):
    """A rule for the next ``count`` requests of a kind: whether they ``take`` effect, and which answer they get.

    ``after`` requests of the kind pass first. The answer is ``lost``, or ``code`` and ``msg`` with ``status``, or
    ``body``; else the true one, in whose JSON each key of ``replace`` is replaced by its value. It leaves after
    ``delay`` (such as 10s). Raises ``ValueError`` for what can never be.
    """

    on: str
    take: bool = True
    lost: bool = False
    status: int = 200
    code: int | None = None
    msg: str = ""
    body: str | None = None
    replace: dict[str, str] = {}
    delay: str = ""

    def __post_init__(self) -> None:
        if self.on not in KINDS:
            raise ValueError(f"on is {self.on!r}; give one of {', '.join(KINDS)}")
        if not 100 <= self.status <= 599:
            raise ValueError(f"status is {self.status}; give 100 to 599")
        if self.delay:
            parse_duration(self.delay)


class DepthCache:
    """Snapshots of books that are ``age_ns`` old when they are first served, and renewed every ``renew_ns``."""

    def __init__(self, age_ns: int, renew_ns: int) -> None:
        self.age_ns = age_ns
        self.renew_ns = renew_ns
        self._taken: dict[str, list[tuple[int, object]]] = {}

    def take(self, symbol: str, now: int, snapshot: Callable[[], object]) -> None:
        """Take a snapshot if it is time."""
        taken = self._taken.setdefault(symbol, [])
        if not taken or now - taken[-1][0] >= self.renew_ns:
            taken.append((now, snapshot()))

    def served(self, symbol: str, now: int) -> object | None:
        """The newest snapshot that is old enough, or else the oldest."""
        taken = self._taken.get(symbol, [])
        while len(taken) > 1 and now - taken[1][0] >= self.age_ns:
            taken.pop(0)
        return taken[0][1] if taken else None


class BinanceVenue:
    """The exchange as the dialect sees it. ``clock`` gives ns UTC; ``clock_skew`` and ``offset_ns`` move it."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Callable[[], int],
        *,
        limits: Limits | None = None,
        faults: Faults | None = None,
        legacy_listen_key: bool = False,
    ) -> None:
        self.exchange = exchange
        self.limits = limits or Limits()
        self.faults = faults or Faults()
        self.legacy_listen_key = legacy_listen_key
        self.offset_ns = 0
        self.requests = 0
        self.hidden: dict[int, int] = {}
        """Orders that queries do not know yet, with the time until which they do not."""
        self.refusals: dict[str, ApiError] = {}
        """By symbol, the error that answers every placement and cancel, such as -1013 in maintenance."""
        self.scripts: list[Script] = []
        self.asked: dict[str, int] = {}
        """Requests by kind, errors by code, connections, and why they were closed."""
        self.watchers: list[Callable[[str], None]] = []
        """Called with the kind of each request before it is executed."""
        self.timers: list[Callable[[int], None]] = []
        """Called with the time at each tick."""
        self.depth_cache: DepthCache | None = None
        """Set when snapshots of the book are served late."""
        self._late: list[_LateOrder] = []
        self._clock = clock
        self._storm_until = 0
        self._halts: dict[str, int] = {}
        self._started = clock()
        exchange.listeners.append(self._count_fills)

    def now(self) -> int:
        """The venue's time, ns UTC."""
        skew = self.faults.get("clock_skew")
        return self._clock() + self.offset_ns + (skew.duration_ns if skew is not None else 0)

    @property
    def late_orders(self) -> int:
        """How many orders wait to be accepted late. They do not survive this process."""
        return len(self._late)

    # -- requests -------------------------------------------------------------------------------------------------

    def execute(
        self,
        operation: Operation,
        params: Params,
        *,
        now: int,
        address: str,
        unit: int = MS,
        authorise: Callable[[], Account | None],
    ) -> Answer:
        """Handle a request: limits, faults, signature, the operation itself, and the fate of its answer.
        ``authorise`` returns the account that signed, or raises ``ApiError``. Never raises ``ApiError`` itself."""
        self.requests += 1
        self.happened(operation.kind, f"requests.{operation.kind}")
        script = next_rule(self.scripts, operation.kind)
        if script is not None and not script.take:
            return self._scripted(script, Answer())
        answer = self._execute(operation, params, now, address, unit, authorise)
        if answer.error is not None:
            self.count(f"errors.{answer.error.code}")
            if answer.error.status in (418, 429) and answer.error.code == -1003:
                self.count("requests.limited")
        return answer if script is None else self._scripted(script, answer)

    def _execute(
        self,
        operation: Operation,
        params: Params,
        now: int,
        address: str,
        unit: int,
        authorise: Callable[[], Account | None],
    ) -> Answer:
        faults = self.faults
        if faults.happens("drop_request"):
            return Answer(lost=True)
        answer = Answer()
        weight = operation.weight if isinstance(operation.weight, int) else operation.weight(params)
        try:
            self._pass_storm(now)
            self.limits.charge(address, weight, now)
            broken = faults.happens("http_500")
            if broken is not None and faults.coin("http_500"):
                return Answer(status=500)
            account = authorise()
            if account is not None:
                answer.account = account.name
            if operation.counts_order and account is not None:
                self.limits.check_orders(account.name, now)
            call = Call(self, params, now, unit, address, account)
            if operation.kind == "place" and (fault := faults.happens("late_accept")) is not None:
                self._late.append(_LateOrder(now + fault.duration_ns, operation.run, call))
                answer.lost = True
                return answer
            try:
                answer.result = operation.run(call)
            except OrderRefused as refusal:
                raise refused(refusal) from None
            if operation.acts:
                self.limits.give_back(address, weight, now)
            if broken is not None:
                return Answer(status=500)
        except ApiError as error:
            answer.status, answer.error = error.status, error
            return answer
        if operation.acts:
            self._lose(answer)
        return answer

    def happened(self, kind: str, figure: str) -> None:
        """Count something that a client does, and tell the watchers its kind."""
        self.count(figure)
        for watch in list(self.watchers):
            watch(kind)

    def count(self, figure: str) -> None:
        """Count something in ``asked``."""
        self.asked[figure] = self.asked.get(figure, 0) + 1

    def _scripted(self, script: Script, answer: Answer) -> Answer:
        answer.lost = answer.lost or script.lost
        if script.delay:
            answer.delay_ns = parse_duration(script.delay)
        if script.body is not None:
            answer.status, answer.body, answer.error = script.status, script.body, None
        elif script.code is not None:
            status = script.status if script.status != 200 else 400
            answer.status, answer.error = status, ApiError(script.code, script.msg, status)
        elif script.replace and answer.error is None:
            text = msgspec.json.encode(answer.result).decode()
            for before, after in script.replace.items():
                text = text.replace(before, after)
            answer.result = msgspec.json.decode(text)
        return answer

    def _lose(self, answer: Answer) -> None:
        faults = self.faults
        if faults.happens("drop_ack"):
            answer.lost = True
        elif faults.happens("unknown_status"):
            answer.status = 400
            answer.error = ApiError(
                -1007,
                "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
            )
        elif (late := faults.happens("fill_before_ack")) is not None:
            answer.delay_ns = late.duration_ns

    def _pass_storm(self, now: int) -> None:
        if now >= self._storm_until and (storm := self.faults.happens("rate_limit_storm")) is not None:
            self._storm_until = now + storm.duration_ns
        if now < self._storm_until:
            raise self.limits.too_many(self._storm_until - now)

    def check_time(self, params: Params, now: int) -> None:
        """Raises ``ApiError`` unless ``timestamp`` is within the receive window, in ms or us."""
        params.text("timestamp")
        sent = params.time("timestamp")
        assert sent is not None
        window = params.decimal("recvWindow", 3)
        if window is not None and window > _MAX_WINDOW_MS:
            raise ApiError(-1131, "recvWindow must be less than 60000")
        if sent >= now + _AHEAD_MS * MS:
            raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - sent > (window if window is not None else 5_000) * MS:
            raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def account_of(self, key: str, address: str) -> Account:
        """The account of an API key. Raises ``ApiError``."""
        if not key:
            raise ApiError(-2014, "API-key format invalid.", 401)
        account = self.exchange.account_of_key(key)
        if account is None or (account.addresses and address not in account.addresses):
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return account

    # -- time and faults ------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """What happens by time alone: timers, and symbols that are halted and opened again."""
        for timer in list(self.timers):
            timer(now)
        self._take_late_orders(now)
        if len(self.hidden) > _MOST_HIDDEN:
            self.hidden = {number: until for number, until in self.hidden.items() if until > now}
        fault = self.faults.get("halt_symbol")
        if fault is None or fault.symbol not in self.exchange.engine.markets:
            for symbol in list(self._halts):
                self._open(symbol, now)
            return
        if not fault.every_ns:
            halted = True
        else:
            since = now - self._started
            halted = since >= fault.every_ns and since % fault.every_ns < fault.duration_ns
        if halted and fault.symbol not in self._halts:
            self._halts[fault.symbol] = now
            self.faults.count("halt_symbol")
            self.exchange.set_status(fault.symbol, MarketStatus.HALT, now)
        elif not halted:
            self._open(fault.symbol, now)

    def _take_late_orders(self, now: int) -> None:
        due = [late for late in self._late if late.due <= now]
        self._late = [late for late in self._late if late.due > now]
        for late in due:
            try:
                late.run(late.call._replace(now=now))
            except (ApiError, OrderRefused):
                self.count("late_orders.refused")  # nobody waits for an answer

    def _open(self, symbol: str, now: int) -> None:
        if self._halts.pop(symbol, None) is not None:
            self.exchange.set_status(symbol, MarketStatus.TRADING, now)

    def _count_fills(self, update: Update) -> None:
        for execution in update.executions:
            order = execution.order
            first = execution.kind is ExecutionKind.TRADE and execution.filled == execution.quantity
            if first and order.account[:1] != HOUSE:
                self.limits.filled(order.account, 5 if execution.is_maker else 1, update.at)
