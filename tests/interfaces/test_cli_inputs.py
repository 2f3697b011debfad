"""``--tape``: what is refused, what is noted, and the figures about the market data."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

DATA = "market-data"
HEADER = "local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms\n"
SECOND = 1_000_000_000
START = 1_723_161_255 * SECOND
MS = 1_723_161_255_000


@pytest.fixture
def two_venues(tmp_path: Path) -> Path:
    """Trades of BTCUSDT on two alternating venues in one file."""
    path = tmp_path / "merged.csv"
    rows = (
        f"{START + SECOND * n},{('spot', 'usdm')[n % 2]},BTCUSDT,{n},60000,0.01,true,{MS + n * 1000},{MS + n * 1000}\n"
        for n in range(1, 41)
    )
    path.write_text(HEADER + "".join(rows))
    return path


def test_two_venues_under_one_symbol_are_refused(tickdeck, shared):
    tapes = [shared / DATA / f"binance-{venue}-BTCUSDT-20240808.raw.gz" for venue in ("spot", "usdm")]

    result = tickdeck("run", "--tape", tapes[0], "--tape", tapes[1], "--symbol", "BTCUSDT")

    assert result.exit_code == 2
    assert "BTCUSDT of binance, " in result.stderr
    assert "BTCUSDT of binance-usdm" in result.stderr
    assert "run them separately" in result.stderr
    assert not Path("tickdeck-data").exists()


def test_one_venue_of_a_file_is_read_and_the_others_are_named(tickdeck, two_venues):
    first = tickdeck("backtest", "--tape", two_venues, "--json")
    other = tickdeck("backtest", "--tape", two_venues, "--venue", "spot", "--json")

    assert "merged.csv: only usdm is read, not spot; choose another with --venue" in first.stderr
    assert "merged.csv: only spot is read, not usdm" in other.stderr
    assert json.loads(first.stdout)["ticks"] == json.loads(other.stdout)["ticks"] == 20


def test_a_venue_that_the_file_does_not_have_is_refused(tickdeck, two_venues):
    result = tickdeck("backtest", "--tape", two_venues, "--venue", "okx")

    assert result.exit_code == 2
    assert "there is no data of venue okx; it has usdm, spot" in result.stderr


def test_a_venue_without_a_file_is_a_wrong_call(tickdeck):
    assert "--tape" in tickdeck("run", "--venue", "spot").stderr


def test_the_same_data_twice_is_refused_under_any_name(tickdeck, trades, tmp_path):
    copy = tmp_path / "BTCUSDT-copy.csv"
    copy.write_bytes(trades.read_bytes())

    result = tickdeck("backtest", "--tape", trades, "--tape", copy)

    assert result.exit_code == 2
    assert "is the same data as" in result.stderr


def test_two_venues_of_one_file_may_be_two_inputs_if_their_symbols_differ(tickdeck, tmp_path):
    path = tmp_path / "merged.csv"
    rows = (("spot", "BTCUSDT"), ("usdm", "ETHUSDT")) * 10
    path.write_text(
        HEADER + "".join(f"{START + SECOND * n},{v},{s},{n},100,1,true,{MS},1\n" for n, (v, s) in enumerate(rows, 1))
    )
    Path("run.toml").write_text("".join(f'[[tapes]]\npath = "{path}"\nvenue = "{v}"\n' for v in ("spot", "usdm")))

    result = tickdeck("backtest", "--config", "run.toml", "--json")

    assert json.loads(result.stdout)["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_a_symbol_that_appears_late_in_a_file_is_found(tickdeck, tmp_path):
    path = tmp_path / "merged.csv"
    rows = [f"{START + n},spot,BTCUSDT,{n},100,1,true,{MS},1\n" for n in range(2_500)]
    path.write_text(HEADER + "".join(rows) + f"{START + SECOND},spot,ETHUSDT,1,100,1,true,{MS},1\n")

    result = tickdeck("backtest", "--tape", path, "--symbol", "ETHUSDT", "--json")

    assert json.loads(result.stdout)["ticks"] == 1


@pytest.mark.parametrize("symbol", ["", " ", "BTC USDT"])
def test_a_blank_symbol_is_refused(tickdeck, symbol):
    result = tickdeck("run", "--symbol", symbol)

    assert result.exit_code == 2
    assert "is not a symbol" in result.stderr


def test_an_instrument_under_another_symbol_is_refused(tickdeck):
    Path("run.toml").write_text('[instruments.BTCUSDT]\nsymbol = "ETHUSDT"\nbase = "ETH"\nquote = "USDT"\n')

    result = tickdeck("run", "--config", "run.toml")

    assert result.exit_code == 2
    assert "instruments.BTCUSDT: its symbol is ETHUSDT; the two must be the same" in result.stderr


def test_a_pipe_is_refused(spawn, trades):
    result = spawn("run", "--tape", "/dev/stdin", input=trades.read_text(), stdin=None)

    assert result.returncode == 2
    assert "pipes are not supported" in result.stderr


def test_a_broken_line_is_reported_with_its_consequences_for_the_run(tickdeck, trades):
    lines = trades.read_text().splitlines(keepends=True)
    trades.write_text("".join([*lines[:100], "nonsense\n", *lines[101:]]))

    result = tickdeck("backtest", "--tape", trades)

    assert result.exit_code == 2
    assert "line 101" in result.stderr
    assert "then start a new run" in result.stderr


def test_an_input_that_is_broken_from_the_start_leaves_no_run(tickdeck, trades):
    trades.write_text(trades.read_text().replace("1,60", "1,x60", 1))

    result = tickdeck("backtest", "--tape", trades)

    assert result.exit_code == 2
    assert tickdeck("runs", "--json").stdout == ""


# -- gaps -------------------------------------------------------------------------------------------------------------


def test_a_whole_capture_has_no_gaps_and_a_usable_book(captured):
    figures = json.loads((captured / "figures.json").read_text())

    assert figures["gaps"] == {}
    assert figures["books"]["BTCUSDT"]["usable"] is True
    assert figures["books"]["BTCUSDT"]["since"] == 1723161254206652067
    assert figures["books"]["BTCUSDT"]["unusable_ns"] == 0


@pytest.fixture
def lines_of(capture: Path) -> list[bytes]:
    with gzip.open(capture) as file:
        return file.readlines()


def test_gaps_are_counted_and_noted(tickdeck, lines_of, tmp_path):
    (tmp_path / "cut.raw").write_bytes(b"".join(lines_of[:20_000] + lines_of[20_100:]))

    result = tickdeck("backtest", "--tape", "cut.raw", "--json")

    figures = json.loads(result.stdout)
    assert figures["gaps"] == {"BTCUSDT": 2}  # trades, and the book
    assert figures["books"]["BTCUSDT"]["usable"] is False
    assert figures["books"]["BTCUSDT"]["unusable_ns"] > SECOND
    listed = f"`tickdeck events {figures['run']} --type market.gap_detected` lists them"
    assert f"BTCUSDT: 2 gaps in the market data; {listed}" in result.stderr  # not `last`: another run may be newer
    assert "still is not usable at the end" in result.stderr


def test_people_see_gaps_and_books_in_the_summary(tickdeck, lines_of, tmp_path):
    (tmp_path / "cut.raw").write_bytes(b"".join(lines_of[:5_000] + lines_of[5_100:6_000]))

    result = tickdeck("backtest", "--tape", "cut.raw")

    assert re.search(r"^data  gaps: BTCUSDT 2; book of BTCUSDT not usable since \d\d:\d\d:\d\d$", result.stdout, re.M)


def test_the_figures_fit_a_small_terminal(tickdeck, trades):
    shown = tickdeck("backtest", "--tape", trades).stdout.splitlines()

    figures = shown[next(n for n, line in enumerate(shown) if line.startswith("run ")) :]
    assert len(figures) <= 22  # with the prompt and the line above it, 24
    free = ("tape", "fills", "report", "next")  # paths and the assumptions may be long
    assert max(len(line.rstrip()) for line in figures if not line.startswith(free)) <= 80


def test_a_capture_without_a_snapshot_has_no_usable_book_and_says_so(tickdeck, lines_of, tmp_path):
    (tmp_path / "cut.raw").write_bytes(b"".join(line for line in lines_of[:2_000] if b"lastUpdateId" not in line))

    result = tickdeck("backtest", "--tape", "cut.raw", "--json")

    assert json.loads(result.stdout)["books"]["BTCUSDT"] == {"usable": False, "since": None, "unusable_ns": 0}
    assert "BTCUSDT: no usable order book in the whole run" in result.stderr


def test_a_book_pasted_back_at_its_own_time_is_the_same(tickdeck, captured):
    shown = json.loads(tickdeck("book", "last", "--data", captured, "--json").stdout)

    again = tickdeck("book", "last", "--data", captured, "--at", shown["ts"], "--json")

    assert json.loads(again.stdout) == shown


def test_a_symbol_that_appears_late_in_a_file_is_traded(tickdeck, tmp_path):
    path = tmp_path / "late.csv"
    rows = (
        f"{START + n * 1_000_000},spot,{'BTCUSDT' if n < 2_500 else 'ETHUSDT'},{n},100,1,true,{MS + n},{MS + n}\n"
        for n in range(2_510)
    )
    path.write_text(HEADER + "".join(rows))

    result = tickdeck("backtest", "--tape", path, "--json")
    asked = tickdeck("backtest", "--tape", path, "--symbol", "BTCUSDT", "--json")

    assert json.loads(result.stdout)["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert json.loads(result.stdout)["ticks"] == 2_510
    assert json.loads(asked.stdout)["symbols"] == ["BTCUSDT"]
    assert json.loads(asked.stdout)["ticks"] == 2_500


def test_a_symbol_that_appears_late_is_refused_at_the_start_if_its_currencies_are_not_certain(tickdeck, tmp_path):
    path = tmp_path / "late.csv"
    rows = (
        f"{START + n * 1_000_000},spot,{'BTCUSDT' if n < 2_500 else 'DOTUSD'},{n},100,1,true,{MS + n},{MS + n}\n"
        for n in range(2_510)
    )
    path.write_text(HEADER + "".join(rows))

    result = tickdeck("backtest", "--tape", path)

    assert result.exit_code == 2
    assert "DOTUSD has no unambiguous base and quote currency" in result.stderr


def test_instruments_come_from_the_venues_description_and_tables_override_it(tickdeck, tmp_path):
    rows = "".join(f"2024-11-{n:02d},10,10,10,10,5\n" for n in range(1, 20))
    tape = tmp_path / "DOTUSD-1d.csv"
    tape.write_text("date,open,high,low,close,volume\n" + rows)
    lot = {"filterType": "LOT_SIZE", "stepSize": "0.5", "minQty": "0.5", "maxQty": "100"}
    symbol = {"symbol": "DOTUSD", "baseAsset": "DOT", "quoteAsset": "USD", "filters": [lot]}
    Path("info.json").write_text(json.dumps({"symbols": [symbol]}))
    Path("run.toml").write_text('[instruments.DOTUSD]\nsymbol = "DOTUSD"\nbase = "DOT"\nquote = "USD"\nlot_size = 2\n')

    refused = tickdeck("backtest", "--tape", tape)
    told = tickdeck("backtest", "--tape", tape, "--instruments", "info.json", "--json")
    config = tickdeck("backtest", "--tape", tape, "--instruments", "info.json", "--config", "run.toml", "--json")

    assert "--instruments exchangeInfo.json" in refused.stderr
    assert json.loads(told.stdout)["currency"] == "USD"
    steps = [json.loads((path / "manifest.json").read_text())["config"]["instruments"]["DOTUSD"]["lot_size"]
             for path in sorted(Path("tickdeck-data").iterdir(), key=lambda path: path.stat().st_mtime_ns)]  # fmt: skip
    assert (config.exit_code, steps) == (0, ["0.5", "2"])


def test_a_file_that_describes_no_instruments_is_refused(tickdeck, tmp_path):
    Path("info.json").write_text("[]")

    result = tickdeck("run", "--instruments", "info.json")

    assert result.exit_code == 2
    assert "info.json: not the body of a venue's exchangeInfo" in result.stderr
