"""The live view: its content at each size, and that it restores the terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from tickdeck.application.engines.trading_gate import HaltedBy
from tickdeck.bootstrap import resume_run, start_run
from tickdeck.domain.events import TradingHalted, TradingResumed
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.logs import LOG
from tickdeck.interfaces.cli.job import drive
from tickdeck.interfaces.cli.live import Progress, can_show
from tickdeck.interfaces.cli.live.panel import live_lines
from tickdeck.interfaces.cli.live.state import LiveOrder, LiveState, LiveSymbol, LiveWatch

D = Decimal
NOON = 1_723_118_400_000_000_000


def symbol(name: str = "BTCUSDT") -> LiveSymbol:
    return LiveSymbol(
        symbol=name,
        price=D("61836.8"),
        bid=D("61836.79"),
        ask=None,
        position=D("0.01"),
        average=D("61000"),
        unrealized=D("8.37"),
    )


ORDER = LiveOrder(
    side="buy",
    symbol="BTCUSDT",
    quantity=D("0.02"),
    filled=D("0.01"),
    limit=D(61000),
    average=D(61000),
    status="partially_filled",
)
STATE = LiveState(
    run="20240808-120000-abcdef",
    strategies=("ema-cross",),
    ts=NOON,
    wall_s=3.6,
    speed=10.0,
    symbols=(symbol(),),
    currency="USDT",
    equity=D("100001.5"),
    pnl=D("1.5"),
    fees=D("0.5"),
    orders=3,
    orders_open=1,
    in_doubt=0,
    last_orders=(ORDER,) * 8,
    decisions=3,
    last_decisions=((NOON, "ema-cross BTCUSDT buy 0.01 at market: fast above slow"),) * 8,
    problems=1,
    last_problems=((NOON, "mine.on_trade raised KeyError: 'gone'\nsecond line"),),
    events=12_345,
    events_per_s=2_000.4,
    p50_us=2.1,
    p99_us=170.4,
    lanes=(0, 1, 2, 0),
    tape_waiting=23,
    halted=False,
)


def shown(state: LiveState, width: int, height: int) -> list[str]:
    return [line.plain for line in live_lines(state, width, height)]


def test_a_wide_terminal_shows_everything():
    text = "\n".join(shown(STATE, 110, 40))

    for part in (
        "2024-08-08 12:00:00  10.0x  run 20240808-120000-abcdef  ema-cross",
        "61,836.80   61,836.79           -        0.01   61,000.00       +8.37",
        "pnl +1.50  fees 0.50  equity 100,001.50 USDT",
        "orders 3, 1 open",
        "buy  0.02 BTCUSDT @ 61,000 partially filled 0.01 at 61,000",
        "12:00:00.000 ema-cross BTCUSDT buy 0.01 at market: fast above slow",
        "problems 1",
        "mine.on_trade raised KeyError: 'gone' second line",
        "12,345 events  2,000/s  median 2 µs per input, p99 170  waiting: P0 0 P1 1 P2 2 P3 0, for the disk 23  3.6 s",
    ):
        assert part in text


@pytest.mark.parametrize("width", [30, 43, 44, 59, 60, 79, 84, 200])
@pytest.mark.parametrize("height", [5, 6, 8, 12, 23, 50])
@pytest.mark.parametrize("symbols", [1, 3, 40])
def test_it_fits_whatever_the_terminal(width, height, symbols):
    state = replace(STATE, symbols=tuple(symbol(f"SYMBOL{n}USDT") for n in range(symbols)))

    lines = live_lines(state, width, height)

    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    assert not any("\n" in line.plain for line in lines)
    assert "2024-08-08" in lines[0].plain


def test_on_80_by_24_prices_pnl_orders_decisions_and_pace_have_room():
    text = "\n".join(shown(STATE, 79, 23))

    for part in (
        "bid",
        "unrealized",
        "pnl +1.50",
        "orders 3",
        "decisions 3",
        "problems 1",
        "2,000/s",
        "for the disk 23",
    ):
        assert part in text


def test_of_many_symbols_the_first_are_shown_and_the_others_counted():
    state = replace(STATE, symbols=tuple(symbol(f"S{n}USDT") for n in range(40)))

    text = "\n".join(shown(state, 110, 24))

    assert "S7USDT" in text
    assert "S8USDT" not in text
    assert "+32 more" in text


def test_before_the_first_price_and_trade_there_are_dashes():
    empty = replace(symbol(), price=None, bid=None, average=D(0), position=D(0), unrealized=D(0))
    state = replace(
        STATE, symbols=(empty,), p50_us=None, p99_us=None, last_orders=(), last_decisions=(), last_problems=()
    )

    lines = shown(state, 110, 24)

    assert lines[2].split() == ["BTCUSDT", "-", "-", "-", "0", "-", "-"]
    assert "per input" not in lines[-1]
    assert len(lines) == 5


def test_a_halt_is_in_the_first_line_at_any_width():
    assert "HALTED" in shown(replace(STATE, halted=True), 32, 6)[0]
    assert "2 IN DOUBT" in shown(replace(STATE, in_doubt=2), 32, 6)[0]


def test_the_state_is_the_run_s_own(tmp_path: Path):
    run = start_run(RunConfig(duration=D(20)), tmp_path)
    watch = LiveWatch(run)

    summary = drive(run, None, details=False).summary
    state = watch.state(summary.last_ts)

    assert (state.events, state.orders, state.decisions) == (summary.events, summary.orders, summary.decisions)
    assert (state.pnl, state.fees, state.equity) == (summary.pnl, summary.fees, summary.equity)
    assert state.symbols[0].position == summary.position["BTCUSDT"]
    assert len(state.last_orders) == len(state.last_decisions) == min(8, summary.orders)
    assert state.last_orders[0].status == "filled"
    assert (state.problems, state.halted, state.orders_open) == (0, False, 0)


def test_errors_refusals_and_halts_are_listed_newest_first(tmp_path: Path):
    (tmp_path / "mine.py").write_text(STRATEGY)
    strategies = (StrategyConfig(spec=f"{tmp_path}/mine.py:Mine", parameters={"what": "raise"}),)
    run = start_run(RunConfig(duration=D(20), strategies=strategies), tmp_path)
    watch = LiveWatch(run)

    drive(run, None, details=False)
    failed = watch.state(NOON)
    watch._on_problem(TradingHalted(reason="daily loss", ts_ingress=NOON))
    halted = watch.state(NOON)
    watch._on_resumed(TradingResumed())
    resumed = watch.state(NOON)

    assert [text for _, text in failed.last_problems] == ["Mine.on_trade raised KeyError: 'gone'"]
    assert (halted.last_problems[-1][1], halted.problems) == ("trading is halted: daily loss", 2)
    assert (resumed.last_problems, resumed.problems) == (failed.last_problems, 1)


@pytest.mark.parametrize(
    ("by", "halted"), [(HaltedBy.NOBODY, False), (HaltedBy.LIMIT, True), (HaltedBy.FAULT, True), (HaltedBy.END, False)]
)
def test_a_halt_is_shown_whichever_process_saw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: HaltedBy, halted: bool
):
    run = start_run(RunConfig(duration=D(20)), tmp_path)
    run.core.accounts[0].risk.gate.halted_by = by  # as a snapshot restores it

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "120")

    Progress(run, terminal)(NOON)

    assert LiveWatch(run).state(NOON).halted == halted
    assert ("HALTED" in terminal.getvalue()) == halted
    run.close()


def test_a_log_that_cannot_be_opened_ends_the_run_early_and_closes_its_tape(tmp_path: Path):
    run = start_run(RunConfig(duration=D(20)), tmp_path)
    (run.folder / LOG).mkdir()

    with pytest.raises(ConfigError, match=r"log\.jsonl cannot be written"):
        drive(run, None, details=False)
    (run.folder / LOG).rmdir()

    assert drive(resume_run(run.folder), None, details=False).summary.status == "completed"


def test_without_a_capable_terminal_there_is_no_live_view(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "dumb")
    assert not can_show(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "24")
    assert not can_show(Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    assert can_show(Terminal())
    assert not can_show(io.StringIO())


# -- on a terminal ----------------------------------------------------------------------------------------------

STRATEGY = """
import os, signal
from tickdeck import Strategy

class Mine(Strategy):
    what: str = ""
    n: int = 0
    at: int = 40

    def on_trade(self, trade):
        self.n += 1
        if self.n == 40 and self.what == "log":
            self.log.warning("look here", n=self.n)
            print("printed by the strategy")
        if self.n == 40 and self.what == "raise":
            raise KeyError("gone")
        if self.n == self.at and self.what.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.what))
"""


def on_terminal(tmp_path: Path, *words: str, columns: int = 80, lines: int = 24) -> tuple[int, str]:
    """The exit code of ``tickdeck run ...`` and everything that was sent to its terminal."""
    (tmp_path / "mine.py").write_text(STRATEGY)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    before = termios.tcgetattr(slave)
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "tickdeck", "run", "--strategy", "mine.py:Mine", "--for", "20", *words]
    parts = []
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=slave, env=environment | {"TERM": "xterm"}
    ) as process:
        while process.poll() is None:
            parts.append(_waiting(master))
    parts.append(_waiting(master))
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)
    return process.returncode, b"".join(parts).decode()


def _waiting(master: int) -> bytes:
    import select

    found = b""
    while select.select([master], [], [], 0.05)[0]:
        found += os.read(master, 65_536)
    return found


@pytest.mark.parametrize(
    ("what", "code"),
    [("", 0), ("log", 0), ("raise", 3), ("SIGINT", 128 + signal.SIGINT), ("SIGTERM", 128 + signal.SIGTERM)],
)
def test_the_terminal_is_restored_however_the_run_ends(tmp_path, what, code):
    ended, sent = on_terminal(tmp_path, "--speed", "20", "--param", f"what={what}")

    assert ended == code
    assert "\x1b[?25l" in sent
    assert sent.count("\x1b[?25h") >= 1
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
    assert "\x1b[?1049h" not in sent
    assert "equity" in sent
    assert "Traceback" not in sent
    if what == "log":
        assert "look here" in sent
        assert "printed by the strategy" in sent
    if what == "raise":
        assert "KeyError:'gone'(mine.py,line" in re.sub(r"\s+", "", sent)  # a long line is wrapped


def test_a_run_that_is_ended_by_ctrl_backslash_gives_the_cursor_back_before_its_last_line(tmp_path):
    ended, sent = on_terminal(tmp_path, "--speed", "20", "--param", "what=SIGQUIT", "--param", "at=400")

    assert ended == 128 + signal.SIGQUIT
    assert "\x1b[?25l" in sent
    assert "\n\x1b[?25htickdeck: run 2" in re.sub(r"\r", "", sent[sent.rindex("\x1b[?25l") :])
    assert "was ended immediately, by SIGQUIT" in " ".join(sent.split())


def test_plain_and_small_terminals_get_one_line_and_json_too(tmp_path):
    for words, size in ((("--plain",), {}), (("--json",), {}), ((), {"columns": 28}), ((), {"lines": 4})):
        code, sent = on_terminal(tmp_path, "--speed", "max", *words, **size)

        assert code == 0
        assert "\x1b[?25l" not in sent
        assert re.search(r"\r\x1b\[2K2024-01-01", sent)
