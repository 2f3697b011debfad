"""Carries out the commands that come through the control socket, each of them once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from secrets import token_hex

import msgspec

from tickdeck.application.bus import DeadLetter, Receipt, dead_letters_on
from tickdeck.application.bus.dead_letters import RESEND
from tickdeck.application.engines import OPERATOR
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.application.wording import not_a_symbol
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    HandlerFailed,
    RiskLimitBreachedEvent,
    SystemWarning,
)
from tickdeck.errors import ConfigError, format_value
from tickdeck.infrastructure.control.messages import ARGUMENTS, Answer, Request

__all__ = ["CommandDesk", "refused"]

_ANSWER = ("risk", "strategy", "execution", "portfolio", "trigger", "bracket", OPERATOR)
"""The components that carry out commands: their warnings say what they did not do."""
_ABOUT_SYMBOLS = ("cancel", "close", "flatten", "protect", "unprotect")
"""Commands whose argument ``symbol`` is one of the run's. An order and a bracket check theirs themselves."""
_JUDGED_BY_THE_PRESENT = ("strategy-create", "strategy-update")
"""Commands that ``why_not`` compares with the run's strategies, which are not all there before it has caught up."""
_MOST_EVENTS = 1_000  # in an answer
_LONGEST_TEXT = 1_000  # characters of a reason or an argument
_PREFIX = "control-"  # of the correlation ids of commands
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class CommandDesk:
    """Publishes commands on ``kernel``, and answers when they and their effects are on disk. Use it in the kernel's
    event loop.

    Each command becomes a ``command.received`` input with the source ``control``; ``who`` in its metadata names the
    user. Its ``correlation_id`` is ``control-`` and the command's id, so the tape, which ``recorded(query)`` reads,
    knows what was carried out before. Commands are taken one after the other, in the order of their arrival. A command
    for an account that is none of ``accounts``, or in a symbol that is none of ``symbols``, is refused; without
    ``symbols``, none is. So is one of which ``why_not(command, arguments)`` says why.
    """

    def __init__(
        self,
        kernel: Kernel,
        recorded: Callable[[TapeQuery], Iterable[DomainEvent]] = lambda query: (),
        *,
        accounts: Sequence[str] = (),
        symbols: Sequence[str] = (),
        caught_up: Callable[[], bool] = lambda: True,
        why_not: Callable[[str, Mapping[str, str]], str] = lambda command, arguments: "",
    ) -> None:
        """``caught_up()``: whether a resumed run has executed its record again."""
        self._kernel = kernel
        self._accounts = accounts
        self._symbols = symbols
        self._caught_up = caught_up
        self._why_not = why_not
        self._recorded = recorded
        self._turn = asyncio.Lock()
        self._under_way: dict[str, asyncio.Future[Answer]] = {}
        self._done: dict[str, int] = {}  # seq of each command with an id
        for event in recorded(TapeQuery(types=(CommandReceived.event_type,))):
            if event.is_input and event.correlation_id.startswith(_PREFIX):
                self._done[event.correlation_id.removeprefix(_PREFIX)] = event.seq

    async def carry_out(self, request: Request, who: str) -> Answer:
        """Carry out ``request``, or return the answer that it got before. Raises ``TickdeckError`` if the run ends
        first."""
        if not self._kernel.seq:
            return refused("the run has not begun yet; try again in a moment")
        for name, text in (("reason", request.reason), ("who", request.who), *request.arguments.items()):
            if len(text) > _LONGEST_TEXT or len(name) > _LONGEST_TEXT:
                return refused(
                    f"{format_value(name)} has {len(text):,} characters; at most {_LONGEST_TEXT:,} are recorded"
                )
        account = request.arguments.get("account")
        if account and account not in self._accounts and request.command != "strategy-update":  # a parameter there
            there_is = ", ".join(self._accounts) or "none"
            return refused(f"this run has no account {account!r}; it has: {there_is}")
        if request.id and not _ID.fullmatch(request.id):
            return refused("the id has other characters than letters, digits and .-_:, or more than 64 of them")
        if request.id in self._done:
            return self._answered(request)
        problem = _misnamed(request) or self._unknown_symbol(request) or self._too_early(request)
        if problem := problem or self._why_not(request.command, request.arguments):
            return refused(problem)
        if not request.id:
            return await self._publish(request, f"{_PREFIX}{token_hex(8)}", who)
        first = self._under_way.get(request.id)
        if first is not None:
            await asyncio.wait((first,))
            return await self.carry_out(request, who)
        work = asyncio.ensure_future(self._publish(request, f"{_PREFIX}{request.id}", who))
        self._under_way[request.id] = work
        try:
            answer = await work
            self._done[request.id] = answer.seq
            return answer
        finally:
            del self._under_way[request.id]

    def _unknown_symbol(self, request: Request) -> str:
        """Why the symbol cannot be meant: nothing would happen, and nobody would know why. Empty if it can."""
        symbol = request.arguments.get("symbol", "")
        if not symbol or not self._symbols or symbol in self._symbols or request.command not in _ABOUT_SYMBOLS:
            return ""
        return f"{request.command}: {not_a_symbol(symbol, self._symbols)}"

    def _too_early(self, request: Request) -> str:
        """Why the command cannot be judged yet; empty if it can. It would be carried out later, without a check."""
        if request.command not in _JUDGED_BY_THE_PRESENT or self._caught_up():
            return ""
        return f"{request.command}: the run executes its record again; try again in a moment"

    async def _publish(self, request: Request, correlation_id: str, who: str) -> Answer:
        def publish(arguments: Mapping[str, str]) -> Receipt:
            return self._kernel.publish(
                CommandReceived(
                    command=request.command,
                    arguments=dict(arguments),
                    reason=request.reason,
                    source="control",
                    correlation_id=correlation_id,
                    metadata={"who": who},
                )
            )

        caused: list[DomainEvent] = []
        async with self._turn:
            with self._kernel.subscribe(
                "*",
                caused.append,
                where=lambda event: event.correlation_id == correlation_id,
                name="control",
                component="control",
            ):
                if request.command == RESEND:
                    receipt = self._resend(request.arguments, publish)
                else:
                    receipt = publish(request.arguments)
                await receipt
        await receipt.durable()
        return _answer(caused)

    def _resend(self, arguments: Mapping[str, str], publish: Callable[[Mapping[str, str]], Receipt]) -> Receipt:
        """Send the dead letter of ``event_id`` to its ``handler`` again. Raises ``ConfigError`` if that is not possible
        now."""
        if not self._caught_up():
            raise ConfigError("resend: the run executes its record again; try again in a moment")
        event_id, handler = arguments.get("event_id", ""), arguments.get("handler", "")
        found = self._letters(event_id, handler)
        if not found:  # perhaps it is from an earlier process
            past = dead_letters_on(self._recorded(TapeQuery(types=("system.*dead_letter*", "command.*"))))
            known = {letter.letter_id for letter in self._kernel.dead_letters()}
            self._kernel.restore_dead_letters(letter for letter in past if letter.letter_id not in known)
            found = self._letters(event_id, handler)
        if not found:
            raise ConfigError(
                f"resend: there is no dead letter of event {event_id!r}; `tickdeck dead-letters` lists all"
            )
        if len(found) > 1:
            handlers = ", ".join(letter.handler for letter in found)
            raise ConfigError(f"resend: event {event_id} failed in several handlers; give one of {handlers}")
        receipts: list[Receipt] = []
        self._kernel.resend(found[0], publish=lambda command: receipts.append(publish(command.arguments)))
        if not receipts:
            raise ConfigError(f"resend: event {event_id} is being sent to {found[0].handler} already")
        return receipts[0]

    def _letters(self, event_id: str, handler: str) -> list[DeadLetter]:
        return [
            letter
            for letter in self._kernel.dead_letters()
            if letter.event.event_id == event_id and handler in ("", letter.handler)
        ]

    def _answered(self, request: Request) -> Answer:
        """The first answer to ``request``, from the tape."""
        seq = self._done[request.id]
        rest = iter(self._recorded(TapeQuery(first_seq=seq)))
        command = next(rest, None)
        if not isinstance(command, CommandReceived) or command.seq != seq:
            return refused(f"command {request.id} was carried out as event {seq}, which is not on the tape")
        known = dict(command.arguments)
        if request.command == RESEND:  # what it left out was added to it
            known = {name: value for name, value in known.items() if name in request.arguments}
        if (command.command, known) != (request.command, request.arguments):
            return refused(
                f"the id {request.id} was given before, for the command {command.command!r} as event "
                f"{command.event_id}; give a new command another id"
            )
        # Not up to the next input, which may be in an input file.
        effects = takewhile(lambda event: event.event_id.startswith(f"{command.event_id}-"), rest)
        return msgspec.structs.replace(_answer([command, *effects]), repeated=True)


def _answer(cascade: Sequence[DomainEvent]) -> Answer:
    """The answer to the command with which ``cascade`` begins."""
    taken, *effects = cascade
    problems = tuple(said for said in map(_problem, effects) if said)
    return Answer(
        accepted=not problems,
        problems=problems,
        event_id=taken.event_id,
        seq=taken.seq,
        events=tuple(event.to_dict() for event in effects[:_MOST_EVENTS]),
    )


def _problem(event: DomainEvent) -> str:
    """What ``event`` says about something that a command did not do; empty if it says nothing of the kind."""
    if isinstance(event, HandlerFailed) or (isinstance(event, SystemWarning) and event.component in _ANSWER):
        return event.message
    if isinstance(event, RiskLimitBreachedEvent) and event.strategy_id == OPERATOR:
        return f"risk refused it: {event.limit}: {event.detail}"
    return ""


def refused(why: str) -> Answer:
    """The answer to a request that was not recorded."""
    return Answer(accepted=False, problems=(why,))


def _misnamed(request: Request) -> str:
    """Why an argument cannot be meant; empty if all can. Without the symbol that it names wrongly, a command would be
    about all of them. Commands that check their arguments themselves are left to do so."""
    known = ARGUMENTS.get(request.command)
    if known is None:
        return ""
    known = (*known, "account")
    wrong = next((name for name in request.arguments if name not in known), None)
    return "" if wrong is None else f"{request.command} has no argument {format_value(wrong)}; give {', '.join(known)}"
