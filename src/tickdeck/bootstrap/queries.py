"""Queries about a run: about one that runs from its memory, about any other from its tape."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.application.kernel import Kernel, money_context
from tickdeck.application.ports import TapeQuery
from tickdeck.application.results import JOURNAL_EVENTS, STRATEGY_EVENTS, RunQueries, StrategyStates, TradeJournal
from tickdeck.bootstrap.record import strategy_states, trade_journal
from tickdeck.bootstrap.recorded_state import recorded_core
from tickdeck.bootstrap.run_accounts import account_of, run_accounts
from tickdeck.bootstrap.session import Session
from tickdeck.domain.events import CommandReceived, DomainEvent
from tickdeck.domain.trading import StrategyDefinition, StrategyStatus
from tickdeck.domain.values import plain
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.runs import Manifest, overview, read_manifest
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["SessionQueries", "answer_from_tape"]


class SessionQueries:
    """Answers queries about ``run`` in its event loop, between two inputs. It publishes nothing.

    The trade journal and the states of the strategies are read from the tape, in another thread, when they are first
    needed. Then they follow the run.
    """

    def __init__(self, run: Session) -> None:
        self._run = run
        self._read: tuple[TradeJournal, StrategyStates] | None = None
        self._turn = asyncio.Lock()
        self._queries = RunQueries(
            run.core,
            journal=lambda: self._known()[0],
            figures=run.figures,
            health=self._health,
            states=lambda: self._known()[1],
        )

    async def answer(self, query: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The answer, JSON-ready. Raises ``ConfigError`` for an unknown query, a wrong argument, and a query that the
        run cannot answer yet."""
        if query in ("pnl", "strategies"):
            await self._read_tape()
        return _envelope(self._run.manifest.run_id, query, self._run.kernel, running=True) | self._queries.answer(
            query, arguments
        )

    def _known(self) -> tuple[TradeJournal, StrategyStates]:
        assert self._read is not None
        return self._read

    async def _read_tape(self) -> None:
        run = self._run
        async with self._turn:
            if self._read is not None:
                return
            if not run.caught_up():
                raise ConfigError("the run executes its record again; ask again in a moment")
            later: list[DomainEvent] = []
            kinds = (*JOURNAL_EVENTS, *STRATEGY_EVENTS)
            reading = [run.kernel.subscribe(cls, later.append, component="report") for cls in kinds]
            try:
                upto = run.tape.last_seq
                await run.tape.wait_durable_async(upto)
                journal = await asyncio.to_thread(trade_journal, run.folder, upto=upto)
                states = await asyncio.to_thread(strategy_states, run.folder, upto=upto)
            finally:
                for subscription in reading:
                    subscription.cancel()
            for event in later:
                journal.apply(event)
                states.apply(event)
            journal.follow(run.kernel)
            states.follow(run.kernel)
            self._read = journal, states

    def _health(self, account_id: str) -> dict[str, Any]:
        run = self._run
        figures = msgspec.to_builtins(run.key_figures())
        if account_id:
            figures = _of_account(run.figures(account_id))
        statistics, tape = run.kernel.statistics(), run.tape.statistics()
        return {
            "status": "running" if run.caught_up() else "catching up",
            "figures": figures,
            "feeds": dict(run.feeds),
            "failures": statistics.failures,
            "dead_letters": statistics.dead_letters,
            "dropped": sum(statistics.dropped.values()),
            "tape_waiting": tape.waiting,
            "tape_failure": tape.failure or None,
        }


def answer_from_tape(folder: Path, query: str, arguments: Mapping[str, str]) -> dict[str, Any]:
    """The same answer about a run that no process runs, from its tape. Market data is not read, so prices and what
    depends on them are ``None``, except the totals, which are those of the run's end. Raises ``RunError`` if it is not
    a run, and ``ConfigError`` like ``SessionQueries.answer``."""
    manifest = read_manifest(folder)
    summary = overview(folder)
    with money_context(), open_reader(tape_path(folder)) as tape:
        core = recorded_core(folder, manifest, config_from_dict(manifest.config), tape)

    def figures(account_id: str) -> dict[str, Any]:
        end = summary.figures if len(core.accounts) == 1 or not account_id else None
        known = {} if end is None else {"currency": end.currency, "equity": end.equity, "pnl": end.pnl}
        return {
            "currency": core.figures.quote,
            "equity": None,
            "cash": None,
            "pnl": None,
            "unrealized_pnl": None,
            "fees": None,
            "left_out": None,
        } | known

    def health(account_id: str) -> dict[str, Any]:
        end = summary.figures if len(core.accounts) == 1 or not account_id else None
        known = strategy_states(folder).definitions.values()
        accounts = _accounts_of_strategies(folder, manifest) if account_id else {}
        mine = [
            one
            for one in known
            if one.status is not StrategyStatus.DELETED and accounts.get(one.strategy_id, "") == account_id
        ]
        return {
            "status": summary.status,
            "figures": msgspec.to_builtins(end),
            "paused": [one.strategy_id for one in mine if one.status is StrategyStatus.PAUSED],
            "parameters": {one.strategy_id: _parameters(one, manifest) for one in mine},
        }

    queries = RunQueries(
        core,
        journal=lambda: trade_journal(folder),
        figures=figures,
        health=health,
        states=lambda: strategy_states(folder),
    )
    return _envelope(manifest.run_id, query, core.kernel, running=False) | queries.answer(query, arguments)


def _accounts_of_strategies(folder: Path, manifest: Manifest) -> dict[str, str]:
    """The account of each strategy of a run by its id, also of those that joined it later."""
    config = config_from_dict(manifest.config)
    found = {
        record.strategy_id: account_of(config, strategy)
        for record, strategy in zip(manifest.strategies, config.strategies, strict=True)
    }
    with open_reader(tape_path(folder)) as tape:
        for command in tape.read(TapeQuery(types=(CommandReceived,))):
            if isinstance(command, CommandReceived) and command.command == "strategy-create":
                account = command.arguments.get("account") or run_accounts(config)[0].account_id
                found.setdefault(command.arguments.get("strategy_id", ""), account)
    return found


def _parameters(strategy: StrategyDefinition, manifest: Manifest) -> dict[str, Any]:
    """The parameters of a strategy as a running run tells them: those that are no texts were recorded as JSON."""
    first = next((one.parameters for one in manifest.strategies if one.strategy_id == strategy.strategy_id), {})
    return {
        name: text if isinstance(first.get(name, ""), str) else msgspec.json.decode(text)
        for name, text in strategy.parameters.items()
    }


def _of_account(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one account, as of a run."""
    return {"currency": figures["currency"], **{name: plain(figures[name]) for name in ("equity", "pnl")}}


def _envelope(run_id: str, query: str, kernel: Kernel, *, running: bool) -> dict[str, Any]:
    """``seq`` and ``ts`` (ns UTC, the run's clock) say as of when the answer is."""
    return {"run": run_id, "query": query, "running": running, "seq": kernel.seq, "ts": kernel.clock.now()}
