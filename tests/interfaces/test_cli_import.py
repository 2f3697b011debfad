"""``tickdeck import``: a run on imported data decides as on the file itself."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_record
from tickdeck.infrastructure.readers import InputFile, open_input
from tickdeck.infrastructure.runs import find_run
from tickdeck.infrastructure.tape import SqliteTapeReader
from tickdeck.interfaces.cli.commands.import_ import RowCount

TARDIS = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n" + "".join(
    f"binance,BTCUSDT,{1_723_161_600_000_000 + n * 100_000},{1_723_161_600_004_000 + n * 100_000},{n},"
    f"{'buy' if n % 2 else 'sell'},{60_000 + n % 17 * 3}.5,0.01\n"
    for n in range(1, 301)
)


@pytest.fixture
def tardis(tmp_path: Path) -> Path:
    path = tmp_path / "binance_trades_2024-08-09_BTCUSDT.csv.gz"
    path.write_bytes(gzip.compress(TARDIS.encode()))
    return path


def decided(data: Path) -> list[dict[str, Any]]:
    """All decisions, orders and bookings of the last run, without the ids that depend on the run."""
    folder = find_run(data, "last")
    wanted = TapeQuery(types=("strategy.*", "order.*", "position.*", "balance.*", "market.gap_detected", "venue.*"))
    listed = []
    for event in open_record(folder, wanted):
        fields = event.to_dict()
        for intent in [*fields.get("intents", ()), *[fields[name] for name in ("intent",) if fields.get(name)]]:
            intent.pop("order_id", None)
        named_after_the_run = ("order_id", "aggregate_id", "opened_by_orders", "closed_by_orders")
        listed.append({name: value for name, value in fields.items() if name not in named_after_the_run})
    return listed


def test_the_tape_contains_the_events_of_the_file_with_their_times(tickdeck, tardis):
    result = tickdeck("import", "tardis-trades", tardis, "--symbol", "BTCUSDT", "--out", "btc.db", "--json")

    assert sorted(Path.cwd().iterdir()) == sorted([tardis, Path.cwd() / "btc.db"])
    with SqliteTapeReader(Path("btc.db")) as tape:
        events = list(tape.read())
    original = list(open_input(InputFile(tardis)))
    told = json.loads(result.stdout)
    assert result.exit_code == 0, result.stderr
    assert [(e.seq, e.event_id, e.ts, e.ts_ingress, e.payload) for e in events] == [
        (n, str(n), e.ts, e.ts_ingress, e.payload) for n, e in enumerate(original, 1)
    ]
    assert (told["rows"], told["out"]) == (300, "btc.db")
    assert (told["first_ts"], told["last_ts"]) == (original[0].ts_ingress, original[-1].ts_ingress)


def test_people_see_what_was_imported_and_the_next_command(tickdeck, tardis):
    result = tickdeck("import", "auto", tardis, "--out", "btc.db")

    assert "300 events (BTCUSDT 300) within 29.9 s, the first at 2024-08-09 00:00:00.104 UTC" in result.stdout
    assert "tickdeck backtest --tape btc.db" in result.stdout


@pytest.mark.slow
def test_a_backtest_over_the_tape_decides_as_one_over_the_file(tickdeck, capture):
    tickdeck("import", "binance-raw", capture, "--out", "btc.db")

    over = {}
    for tape in (capture, "btc.db"):
        words = ("--strategy", "ema-cross", "--param", "quantity=0.02", "--data", f"of-{len(over)}", "--json")
        result = tickdeck("backtest", "--tape", tape, *words)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["orders"] > 0
        over[tape] = decided(Path(words[-2]))

    assert over[capture] == over["btc.db"]


@pytest.mark.parametrize("name", ["trades-merged-20240808.csv.gz", "candles-1m-BTCUSDT-20250101-20250204.csv.gz"])
def test_every_kind_of_recorded_file_is_imported_as_it_is_read(tickdeck, shared, name):
    file = shared / "market-data" / name

    result = tickdeck("import", "auto", file, "--symbol", "BTCUSDT", "--out", "btc.db", "--json")

    rows = sum(1 for _ in open_input(InputFile(file, symbol="BTCUSDT")))
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rows"] == rows > 0


def test_a_run_on_an_imported_tape_is_proven(tickdeck, trades):
    tickdeck("import", "binance-trades", trades, "--out", "btc.db")

    assert tickdeck("backtest", "--tape", "btc.db", "--strategy", "ema-cross").exit_code == 0
    assert tickdeck("verify", "last").exit_code == 0


def test_receive_times_that_go_back_stay_as_they_are(tickdeck, tmp_path):
    lines = TARDIS.splitlines()
    lines[2], lines[3] = lines[3], lines[2]
    file = tmp_path / "BTCUSDT.csv"
    file.write_text("\n".join(lines) + "\n")

    tickdeck("import", "tardis", file, "--out", "btc.db")

    with SqliteTapeReader(Path("btc.db")) as tape:
        times = [event.ts_ingress for event in tape.read(TapeQuery(last_seq=3))]
    assert times[1] > times[2] > times[0]


def test_a_feed_latency_makes_the_receive_times_of_files_without_any(tickdeck, trades):
    tickdeck("import", "binance-trades", trades, "--out", "btc.db", "--feed-latency", "250ms")

    with SqliteTapeReader(Path("btc.db")) as tape:
        (first,) = tape.read(TapeQuery(last_seq=1))
    assert first.ts_ingress - first.ts == 250_000_000


@pytest.mark.parametrize("word", ["aggTrades", "AGG_TRADES", "binance-aggtrades", "auto"])
def test_formats_have_aliases(tickdeck, tmp_path, word):
    file = tmp_path / "BTCUSDT.csv"
    file.write_text("1,60000.5,0.01,1,1,1723161600000,true,true\n")

    result = tickdeck("import", word.replace("_TRADES", "TRADES"), file, "--out", "btc.db", "--json")

    assert json.loads(result.stdout)["format"] == "binance-aggtrades"


def test_skipped_rows_are_counted_and_reported(tickdeck, tmp_path):
    file = tmp_path / "trades.csv"
    file.write_text(TARDIS + TARDIS.splitlines()[1].replace("buy", "unknown") + "\n")

    result = tickdeck("import", "tardis", file, "--out", "btc.db", "--json")

    assert json.loads(result.stdout)["skipped"] == {"trade without a side": 1}
    assert "skipped 1 x trade without a side" in result.stderr


def test_one_of_several_venues_is_chosen(tickdeck, tmp_path):
    file = tmp_path / "trades.csv"
    file.write_text(TARDIS + TARDIS.splitlines()[1].replace("binance", "kraken") + "\n")

    result = tickdeck("import", "tardis", file, "--out", "btc.db", "--venue", "kraken", "--json")

    assert json.loads(result.stdout)["rows"] == 1


def refused(result) -> str:
    """The one line with which a wrong call ends."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_an_existing_file_is_not_overwritten(tickdeck, tardis):
    Path("btc.db").write_text("mine")

    told = refused(tickdeck("import", "tardis", tardis, "--out", "btc.db"))

    assert "btc.db: already exists" in told
    assert Path("btc.db").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("excel", "trades.csv", "--out", "x.db"), "'excel' is not a format; use one of binance-raw"),
        (("auto", "absent.csv", "--out", "x.db"), "absent.csv: No such file or directory"),
        (("tardis", "absent.csv", "--out", "x.db"), "absent.csv: No such file or directory"),
        (("auto", "trades.csv", "--out", "tape"), "tape: the name of a tape ends in .db; name it tape.db"),
        (("auto", "trades.csv", "--out", "no/x.db"), "no/x.db: there is no folder no; create it"),
        (("auto", "trades.csv", "--out", "trades.csv/x.db"), "trades.csv/x.db: cannot be created: Not a directory"),
        (("auto", "trades.csv", "--out", "x.db", "--symbol", "XRPUSDT"), "it has no trades of binance XRPUSDT"),
        (("auto", "trades.csv", "--out", "x.db", "--feed-latency", "soon"), "'soon' is not a duration"),
        (("auto", "trades.csv"), "Missing option '--out'"),
    ],
)
def test_a_wrong_call_is_reported_in_one_line(tickdeck, words, told):
    Path("trades.csv").write_text(TARDIS)

    assert told in refused(tickdeck("import", *words))
    assert [path.name for path in Path.cwd().iterdir()] == ["trades.csv"]


def test_a_bad_line_is_reported_and_no_tape_is_left(tickdeck, tmp_path):
    file = tmp_path / "trades.csv"
    file.write_text(TARDIS + TARDIS.splitlines()[-1].replace("0.01", "much") + "\n")

    assert "trades.csv, line 302: amount is 'much'" in refused(tickdeck("import", "auto", file, "--out", "btc.db"))
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_cut_short_is_reported_and_no_tape_is_left(tickdeck, tardis):
    tardis.write_bytes(tardis.read_bytes()[:-40])

    assert "cut short" in refused(tickdeck("import", "tardis", tardis, "--out", "btc.db"))
    assert list(Path.cwd().iterdir()) == [tardis]


def test_a_file_without_matching_events_gives_no_tape(tickdeck, tmp_path):
    file = tmp_path / "trades.csv"
    rows = TARDIS.splitlines()
    file.write_text("\n".join([rows[0], rows[1].replace("buy", "unknown")]) + "\n")

    told = refused(tickdeck("import", "auto", file, "--out", "btc.db"))

    assert "no market data of any symbol in it (skipped: 1 x trade without a side)" in told


def test_a_file_that_is_not_of_tardis_is_not_imported_as_one(tickdeck, tmp_path):
    file = tmp_path / "BTCUSDT.csv"
    file.write_text("date,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\n2024-01-02,1,1,1,1,1\n")

    told = refused(tickdeck("import", "tardis", file, "--out", "btc.db"))

    assert "not a file of tardis.dev, its format is candles; give candles or auto" in told


class Terminal:
    """Accepts writes and claims to be a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_on_a_terminal_the_number_of_rows_is_shown():
    terminal = Terminal()
    count = RowCount(terminal)

    for rows in (1, 1_024, 2_048):
        count(rows)
    count.close()

    assert terminal.text == "\r\x1b[2K1,024 rows\r\x1b[2K"
