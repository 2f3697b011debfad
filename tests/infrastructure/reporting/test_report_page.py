"""The page of a report, and mistakes in its call."""

from __future__ import annotations

import decimal
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reporting_kit import D, Tape, begun, manifest, session_of

from tickdeck.domain.events import (
    ActionIntent,
    OrderRejectedEvent,
    RiskLimitBreachedEvent,
    RunStopped,
    TradingHalted,
)
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.reporting import missing_extra, write_report


@pytest.fixture
def traded() -> Tape:
    tape = begun()
    tape.fill(1, Side.BUY, "1", "100", fee=D("0.1"))
    tape.trade(2, "110")
    tape.fill(3, Side.SELL, "1", "110", fee=D("0.1"))
    tape.add(RunStopped, 4, reason="end of market data")
    return tape


def test_the_report_is_one_page_that_loads_nothing_and_a_picture(traded, tmp_path: Path):
    written = write_report(manifest(), traded.events, tmp_path / "new" / "folder")

    page = Path(written.html).read_text()
    assert Path(written.png).read_bytes().startswith(b"\x89PNG")
    assert re.findall(r"https?://|src=\"(?!data:)|href=|@import|url\(", page) == []
    assert "+9.80" in page
    assert "2024-08-09 00:00:01.000" in page
    assert "f" * 64 in page
    assert "maker 0.1 %" in page
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["report.html", "report.png"]


def test_the_report_has_the_same_bytes_whenever_it_is_made(traded, tmp_path: Path):
    one = write_report(manifest(), traded.events, tmp_path / "one")
    two = write_report(manifest(), traded.events, tmp_path / "two")
    again = write_report(manifest(), traded.events, tmp_path / "two")

    assert Path(one.html).read_bytes() == Path(two.html).read_bytes() == Path(again.html).read_bytes()
    assert Path(one.png).read_bytes() == Path(two.png).read_bytes()


def test_the_report_does_not_depend_on_the_decimal_context_of_its_caller(traded, tmp_path: Path):
    one = write_report(manifest(), traded.events, tmp_path / "one")
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP, capitals=0)):
        session = session_of(traded)
        other = write_report(manifest(), traded.events, tmp_path / "other")

    assert Path(one.html).read_bytes() == Path(other.html).read_bytes()
    assert Path(one.png).read_bytes() == Path(other.png).read_bytes()
    assert session == session_of(traded)


def test_the_page_shows_names_as_text_and_neither_folders_nor_secrets(traded, tmp_path: Path):
    settings = {"seed": 1, "venue": {"api_key": "S3CRET"}}
    page = Path(write_report(manifest(config={"seed": 1}), traded.events, tmp_path).html).read_text()

    from tickdeck.infrastructure.reporting.page import page as render

    rendered = render(session_of(traded), manifest(config=settings), (), b"")
    assert "<b>mine" not in page
    assert "&lt;i&gt;" in page
    assert "/home/me" not in page
    assert "secret-folder" not in page
    assert "S3CRET" not in rendered


def test_a_run_without_fills_and_with_a_halt_says_so(tmp_path: Path):
    tape = begun()
    tape.add(TradingHalted, 3, cause="1", reason="daily loss")

    page = Path(write_report(manifest(inputs=()), tape.events, tmp_path).html).read_text()

    assert "no order was filled" in page
    assert "Trading was halted: daily loss" in page
    assert "not completed" in page
    assert "simulated market, made from the seed 1" in page


def test_the_page_says_why_orders_were_refused_and_rejected(tmp_path: Path):
    tape = begun()
    intent = ActionIntent(action="order", symbol="BTCUSDT", side=Side.BUY, quantity=D(1))
    for second, limit in enumerate(("max_order_notional", "currency", "max_order_notional")):
        tape.add(RiskLimitBreachedEvent, 3 + second, cause="1", strategy_id="s", limit=limit, detail="", intent=intent)
    tape.add(OrderRejectedEvent, 9, cause="1", order_id="o", symbol="BTCUSDT", reason="not enough USDT: 1 of 2")

    page = Path(write_report(manifest(), tape.events, tmp_path).html).read_text()

    assert '<td>refused by risk: max_order_notional</td><td class="n">2</td>' in page
    assert '<td>refused by risk: currency</td><td class="n">1</td>' in page
    assert '<td>rejected by the venue: not enough USDT</td><td class="n">1</td>' in page


def test_symbols_without_room_are_not_drawn(tmp_path: Path):
    symbols = tuple(f"S{n}USDT" for n in range(14))
    tape = begun()

    written = write_report(manifest(symbols=symbols), tape.events, tmp_path)

    assert Path(written.png).stat().st_size > 10_000


def test_a_place_that_cannot_be_written_is_reported_in_one_line(traded, tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="name another folder"):
        write_report(manifest(), traded.events, tmp_path / "file")


def test_missing_packages_are_named_with_the_install_command(traded, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tickdeck.infrastructure.reporting.report.find_spec", lambda name: None)

    assert missing_extra() == ("jinja2", "matplotlib")
    with pytest.raises(ConfigError, match=r"pip install 'tickdeck\[report\]'"):
        write_report(manifest(), traded.events, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_packages_are_loaded_only_for_a_report():
    code = (
        "import sys, tickdeck.infrastructure.reporting\n"
        "print([name for name in ('jinja2', 'matplotlib') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert shown == "[]\n"
