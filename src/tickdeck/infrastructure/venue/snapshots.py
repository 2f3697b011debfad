"""Snapshots of the exchange, so that a restart does not execute its whole journal again.

A snapshot is next to the journal and contains the position in it from which to continue. It is written to a new file,
synced and renamed. A process that is killed meanwhile leaves the old snapshot, and the journal alone is always
sufficient.
"""

from __future__ import annotations

import os
import zlib
from collections import deque

import msgspec

from tickdeck.errors import InputError, TickdeckError
from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.exchange import Conversion, Exchange, Fill, Transfer, Update
from tickdeck.infrastructure.venue.journal import Journal
from tickdeck.infrastructure.venue.market_data import HistoryState, MarketHistory
from tickdeck.infrastructure.venue.matching.state import EngineState, capture_engine, restore_engine

__all__ = ["Snapshots"]


class _Snapshot(msgspec.Struct, frozen=True):
    """``offset`` is how much of the journal (bytes) it includes; ``mark`` identifies that journal."""

    offset: int
    mark: int
    engine: EngineState
    accounts: list[Account]
    fills: dict[str, list[Fill]]
    histories: dict[str, HistoryState]
    ids: int
    transfers: dict[str, list[Transfer]] = {}
    conversions: dict[str, list[Conversion]] = {}


class Snapshots:
    """Restores an exchange from its journal and the newest snapshot, and writes one every ``every`` commands."""

    def __init__(self, exchange: Exchange, journal: Journal, *, every: int = 100_000) -> None:
        self._exchange = exchange
        self._journal = journal
        self._path = journal.path.with_name(f"{journal.path.name}.snapshot")
        self._every = every
        self._commands = 0

    def restore(self) -> int:
        """Restore the exchange, and take snapshots from now on. Returns how many commands were executed again.

        Raises ``InputError`` if the journal is damaged, or if the snapshot belongs to another journal.
        """
        found = self._read()
        if found is not None:
            self._load(found)
        self._commands = self._exchange.restore(self._journal.read(found.offset if found is not None else 0))
        self._exchange.listeners.append(self._on_update)
        return self._commands

    def write(self) -> None:
        """Write a snapshot now. Raises ``TickdeckError`` if that fails; the old one then remains."""
        exchange, journal = self._exchange, self._journal
        journal.sync()
        offset = journal.size()
        body = msgspec.json.encode(
            _Snapshot(
                offset=offset,
                mark=journal.mark(offset),
                engine=capture_engine(exchange.engine),
                accounts=list(exchange.accounts.values()),
                fills={account: list(fills) for account, fills in exchange.fills.items()},
                histories={symbol: history.state() for symbol, history in exchange.history.items()},
                ids=exchange.given_ids,
                transfers={account: list(kept) for account, kept in exchange.transfers.items()},
                conversions={account: list(kept) for account, kept in exchange.conversions.items()},
            )
        )
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(b"%08x %b\n" % (zlib.crc32(body), body))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise TickdeckError(f"{new}: cannot write a snapshot: {error.strerror}") from error
        self._commands = 0

    def _on_update(self, _: Update) -> None:
        self._commands += 1
        if self._commands >= self._every:
            self.write()

    def _read(self) -> _Snapshot | None:
        try:
            line = self._path.read_bytes()
        except FileNotFoundError:
            return None
        body = line[9:-1]
        try:
            if int(line[:8], 16) != zlib.crc32(body):
                raise ValueError("its checksum is wrong")
            found = msgspec.json.decode(body, type=_Snapshot)
        except (ValueError, msgspec.MsgspecError) as error:
            raise InputError(
                f"{self._path}: the snapshot is damaged: {error}; remove it, the journal is enough"
            ) from None
        if found.offset > self._journal.size() or found.mark != self._journal.mark(found.offset):
            raise InputError(
                f"{self._path}: the snapshot is not of the journal {self._journal.path}; remove it, or move both away"
            )
        return found

    def _load(self, found: _Snapshot) -> None:
        exchange = self._exchange
        restore_engine(exchange.engine, found.engine)
        for account in found.accounts:
            exchange.know_account(account)
        for name, fills in found.fills.items():
            exchange.fills[name] = deque(fills, maxlen=200_000)
        for name, transfers in found.transfers.items():
            exchange.keep_transfers(name, transfers)
        for name, conversions in found.conversions.items():
            exchange.keep_conversions(name, conversions)
        for symbol, state in found.histories.items():
            exchange.history[symbol] = MarketHistory.of(state)
        exchange.given_ids = found.ids
