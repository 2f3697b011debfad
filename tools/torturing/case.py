"""One case of torture: an exchange, a run with real orders, and kills that follow from a seed."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
import urllib.error
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.events import TradeExecutedEvent
from tickdeck.errors import RunError
from tickdeck.infrastructure.control import Answer, Request, ask
from tickdeck.infrastructure.tape.opening import tape_path
from torturing.ledger import Ledger, Truth
from torturing.plan import Kill, drawn_faults, drawn_kill
from torturing.power_cut import STRACE, PowerCut
from torturing.processes import HERE, RunProcess, VenueProcess, rss_mb
from torturing.proving import Explained, proof, proof_elsewhere
from torturing.shape import CASH, SYMBOLS, drawn_shape

__all__ = ["Stretch", "Torture", "Wanted"]

NAME = "victim"
_BUNDLED = 50_000  # events of a run whose bundle is proven, too
_REFUSED = 2  # the exit code of a run that is not begun
_UNEXPECTED = "--debug"  # what an error ends with that Tickdeck did not foresee
_SETTLE = 150.0  # seconds until nothing is open or in doubt any more
_CANCEL_AGAIN = 5.0  # seconds
_CALM = 3  # looks at which nothing is open, in doubt, or still to be taken by the exchange


class Wanted(NamedTuple):
    """What a case is to be. ``every``: the mean life of a process (s). ``pause``: between two decisions of the strategy
    (ms). ``speed``: of the exchange's market. ``faults``: ``None`` draws them by the seed. ``accounts``: 1, or 3 with
    copies; ``None`` draws it.
    """

    seed: int
    every: float = 1.5
    pause: int = 250
    speed: float = 1.0
    faults: str | None = None
    power_cuts: bool = True
    accounts: int | None = None


class Stretch(NamedTuple):
    """What came out of some kills and the comparison after them. ``differences`` are none if all is well."""

    seed: int
    about: str
    kills: Counter[str]
    points: Counter[str]
    exits: Counter[str]
    """Ends that nobody ordered, by the last line on stderr: a run that finds no exchange at its start."""
    orders: int
    fills: int
    copies: int
    events: int
    seconds: float
    objects: int
    """At rest, in Python: those that the garbage collector knows. ``blocks``: of memory, all objects and more."""
    blocks: int
    run_mb: float
    venue_mb: float
    differences: tuple[str, ...]


class Torture:
    """A case in ``folder``, which must be empty. Use it as a context manager.

    What it leaves there on a difference is what is needed to look into it: the run's folder, the exchange's journal,
    and ``plan``, one line per kill.
    """

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self._folder, self._wanted = folder, wanted
        self._rng = random.Random(f"torture {wanted.seed}")
        self._form = self._rng.choice(("sqlite", "jsonl"))
        self._shape = drawn_shape(wanted.seed, wanted.accounts)
        drawn = drawn_faults(self._rng, wanted.seed)
        self.faults = drawn if wanted.faults is None else wanted.faults
        self._data = folder / "data"
        self._data.mkdir(parents=True)
        self._run = self._data / NAME
        self._config = folder / "run.toml"
        self._source = folder / "trader.py"
        shutil.copyfile(HERE / "trader.py", self._source)
        self._plan = folder / "plan"
        self._undo: list[str] = []  # commands that let trading go on
        self._acknowledged: set[str] = set()  # ids of commands that were answered
        self._starts = 0  # of processes, as far as the tape has them
        self._explained = Explained()
        self._counts = 0, 0

    def __enter__(self) -> Torture:
        options = ["--speed", str(self._wanted.speed)]
        self._venue = VenueProcess(
            self._folder, seed=self._wanted.seed, faults=self.faults, symbols=SYMBOLS, options=options
        )
        for name in self._shape.accounts.keys() & CASH.keys():
            self._venue.open_account(name, CASH[name])
        self._config.write_text(self._shape.config(self._venue.url, self._form, self._source, self._wanted.pause))
        return self

    def __exit__(self, *_: object) -> None:
        self._venue.close()

    @property
    def about(self) -> str:
        """The case in one line."""
        return f"{self._form}, {self._shape.about}, faults: {self.faults or 'none'}"

    # -- a stretch --------------------------------------------------------------------------------------------------

    def stretch(self, kills: int, *, until: float = float("inf")) -> Stretch:
        """Kill the run so often (fewer if the monotonic clock reaches ``until``), let it settle, and compare."""
        began = time.monotonic()
        done: Counter[str] = Counter()
        points: Counter[str] = Counter()
        exits: Counter[str] = Counter()
        found: list[str] = []
        most_mb = 0.0
        while sum(done.values()) < kills and time.monotonic() < until and not found:
            kill = drawn_kill(self._rng, self._wanted.every, self._form, power_cuts=self._wanted.power_cuts)
            self._note(str(kill))
            run, status = self._live(kill)
            done[kill.kind] += 1
            most_mb = max(most_mb, run.most_mb)
            if status in (-9, 143):
                points[kill.point.partition(":")[0]] += bool(kill.point)
            else:
                said = run.said()
                exits[said] += 1
                if _UNEXPECTED in said or status == _REFUSED:
                    found.append(f"the run ended by itself with {status}: {said}")
            if self._run.exists():
                ledger = self._read(killed=status == -9)
                found += self._differences(ledger)
                lost = self._acknowledged - ledger.commands
                found += [f"command {event_id} was answered, and is not on the tape" for event_id in sorted(lost)]
        if not found and tape_path(self._run).exists():
            found += proof(self._run, self._explained)  # as the last kill left it
        if not found:
            found += self._settle(exits)
        ledger = self._read(killed=False)
        found += self._differences_at_rest(ledger) if not found else ()
        found += proof(self._run, self._explained)
        if not found and ledger.seq < _BUNDLED:
            found += proof_elsewhere(self._run, self._folder / "bundle.zip", self._explained)
        truths = self._truths()
        return Stretch(
            seed=self._wanted.seed,
            about=self.about,
            kills=done,
            points=+points,
            exits=exits,
            orders=sum(len(truth.orders) for truth in truths.values()),
            fills=sum(len(truth.fills) for truth in truths.values()),
            copies=sum(isinstance(trade, TradeExecutedEvent) for trade in ledger.copies.ended.values()),
            events=ledger.seq,
            seconds=time.monotonic() - began,
            objects=self._counts[0],
            blocks=self._counts[1],
            run_mb=most_mb,
            venue_mb=rss_mb(self._venue.pid),
            differences=tuple(dict.fromkeys(found)),
        )

    def _truths(self) -> dict[str, Truth]:
        """What the exchange has, by account of the run."""
        return {name: Truth(self._venue.url, there) for name, there in self._shape.accounts.items()}

    def _read(self, *, killed: bool) -> Ledger:
        """The run's tape after a process has ended, which was ``killed`` or not."""
        ledger = Ledger(self._run)
        if killed:
            self._explained.killed_at.add(ledger.seq)
        self._explained.taken_up = ledger.taken_up
        if ledger.starts > self._starts:
            self._explained.edited_since = False
        self._starts = ledger.starts
        return ledger

    def _differences(self, ledger: Ledger) -> Iterator[str]:
        for account, truth in self._truths().items():
            yield from _of(account, ledger.books[account].differences(truth))
        yield from ledger.copies.differences()

    def _differences_at_rest(self, ledger: Ledger) -> Iterator[str]:
        for account, truth in self._truths().items():
            yield from _of(account, ledger.books[account].differences_at_rest(truth))
        orders = {account: books.orders for account, books in ledger.books.items()}
        yield from ledger.copies.differences_at_rest(orders, self._shape.leaders)

    def _live(self, kill: Kill) -> tuple[RunProcess, int]:
        """One life of the run, from its start to its kill. Returns its exit status, too."""
        if kill.edited:
            with self._source.open("a") as file:
                file.write(f"# edited before {kill}\n")
            self._explained.edits += 1
            self._explained.edited_since = True
        cut = None
        trace = self._folder / "trace"
        if kill.kind == "power cut" and self._run.exists():
            cut = PowerCut(self._run, trace)
        run = RunProcess(
            self._data,
            NAME,
            self._config,
            die_at=kill.point,
            trace=[*STRACE, "-o", str(trace)] if cut is not None else (),
        )
        if kill.kind == "while starting":
            run.wait(kill.delay)
        elif run.wait_live():
            self._go_on(run)
            run.wait(kill.delay / 2)
            if kill.command:
                self._operate(run, kill.command)
            if kill.paid:
                self._pay(kill.paid)
            run.wait(kill.delay / 2)
        if kill.kind == "while stopping":
            run.signal(signal.SIGTERM)
            run.wait(kill.down)
        elif kill.kind == "after a pause":
            run.signal(signal.SIGSTOP)
            time.sleep(kill.down)
            run.signal(signal.SIGCONT)
            run.wait(kill.delay)
        if kill.kind == "venue too":
            self._venue.kill()
            status = run.kill()
            time.sleep(kill.down)
            self._venue.start()
        else:
            status = run.kill()
        if cut is not None:
            cut.strike(kill.luck, self._rng)
        return run, status

    def _pay(self, what: str) -> None:
        """Pay into the account or out of it, or convert. The run may be down already."""
        amount, asset, *into = what.split()
        act = "convert" if into else "withdraw" if amount.startswith("-") else "deposit"
        values = {"account": self._rng.choice(list(self._shape.accounts.values()))}
        if into:
            values |= {"from": asset, "spent": amount, "to": into[0], "received": amount}
        else:
            values |= {"asset": asset, "amount": amount.removeprefix("-")}
        with contextlib.suppress(urllib.error.HTTPError):  # it has not as much
            self._venue.act(act, values)

    def _go_on(self, run: RunProcess) -> None:
        """Undo what an operator ordered in an earlier life, or for a comparison: trading goes on."""
        for command in list(self._undo):
            if self._command(run, command) is not None:
                self._undo.remove(command)

    def _operate(self, run: RunProcess, command: str) -> None:
        """An operator's command, which the process may not survive."""
        if undo := {"halt": "resume", "strategy-pause": "strategy-activate"}.get(command):
            self._undo.append(undo)
        self._command(run, command)

    def _command(self, run: RunProcess, command: str) -> Answer | None:
        """Send a command to the run. Returns its answer, ``None`` if there is none. A command that was answered must be
        on the tape from then on."""
        arguments = {"strategy_id": self._shape.strategy} if command.startswith("strategy") else {}
        request = Request(command=command, arguments=arguments, reason="torture", who="torture")
        try:
            answer = ask(self._run, request, timeout=30)
        except RunError:
            return None  # it ended meanwhile
        if answer is not None and answer.event_id:
            self._acknowledged.add(answer.event_id)
        return answer

    def _commanded(self, run: RunProcess, command: str) -> str:
        """Send a command to the run until it is accepted. Returns what went wrong in the end."""
        until, why = time.monotonic() + 60, "no answer"
        while time.monotonic() < until and not run.has_ended:
            answer = self._command(run, command)
            if answer is not None and answer.accepted:
                return ""
            why = "; ".join(answer.problems) if answer is not None else why
            time.sleep(0.1)
        return f"{command}: {why}; {run.said()}"

    # -- at rest ----------------------------------------------------------------------------------------------------

    def _settle(self, exits: Counter[str]) -> list[str]:
        """Let the run stop trading and find out what became of its orders, without faults. Returns what went wrong."""
        self._venue.act("faults", {"clear": True})
        self._note("settle")
        for _ in range(5):
            run = RunProcess(self._data, NAME, self._config)
            if run.wait_live():
                break
            run.kill()
            exits[run.said()] += 1
            time.sleep(1)
        else:
            return [f"the run does not start again: {run.said()}"]
        problems = [problem for command in ("halt", "cancel") if (problem := self._commanded(run, command))]
        until, ledger = time.monotonic() + _SETTLE, Ledger(self._run)
        cancelled, calm = time.monotonic(), 0
        while calm < _CALM and time.monotonic() < until and not run.has_ended:
            time.sleep(0.3)
            calm = 0 if self._venue.late_orders() else calm + 1  # before the tape is read
            ledger.follow()
            calm = 0 if ledger.unsettled() else calm
            if time.monotonic() > cancelled + _CANCEL_AGAIN:  # what was taken late, when the run had cancelled
                self._command(run, "cancel")
                cancelled = time.monotonic()
        self._counts = run.counts()
        status = run.stop()
        ledger.follow()
        problems += [
            f"order {order.order_id} in {order.symbol} is {order.status.value} for {_SETTLE:.0f} s: {order.reason}"
            for order in ledger.unsettled()
        ]
        if status != 143:
            problems.append(f"the run ended with {status} instead of being stopped: {run.said()}")
        self._undo.append("resume")
        for name, value in _parsed(self.faults):
            self._venue.act("faults", {name: value})
        return problems

    def _note(self, text: str) -> None:
        with self._plan.open("a") as plan:
            plan.write(f"{time.time():.3f} {text}\n")


def _of(account: str, differences: Iterable[str]) -> Iterator[str]:
    return (f"{account}: {difference}" for difference in differences)


def _parsed(faults: str) -> list[tuple[str, str]]:
    pairs = (word.partition("=") for word in faults.split())
    return [(name, value) for name, _, value in pairs if name != "seed"]
