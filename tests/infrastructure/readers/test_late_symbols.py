"""A symbol that begins late in a file is found, in every format whose lines name their symbols."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tickdeck.infrastructure.readers import InputFile, open_input, peek_symbols

START = 1_723_161_600_000_000_000
MS = START // 1_000_000
MANY = 2_500
"""More lines than the first ones, which tell the format."""


def _symbol(n: int) -> str:
    return "BTCUSDT" if n < MANY else "ETHUSDT"


def _frame(n: int, spaces: str = "", wrapped: bool = True) -> str:
    time, symbol = MS + n, f'{spaces}"{_symbol(n)}"'
    trade = f'{{"e":{spaces}"trade","E":{time},"s":{symbol},"t":{n},"p":"100","q":"1","T":{time},"m":true}}'
    stream = f'{{"stream":{spaces}"{_symbol(n).lower()}@trade","data":{trade}}}'
    return f"{START + n * 1_000_000} {stream if wrapped else trade}"


FILES = {
    "trades": (
        "local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms",
        lambda n: f"{START + n * 1_000_000},spot,{_symbol(n)},{n},100,1,true,{MS + n},{MS + n}",
    ),
    "named": ("symbol,side,size,price,timestamp", lambda n: f'"{_symbol(n)}",buy,1,100,{MS + n}'),
    "semicolons": ("symbol;side;size;price;timestamp", lambda n: f"{_symbol(n)};buy;1;100;{MS + n}"),
    "tardis": (
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
        lambda n: f"binance,{_symbol(n)},{(MS + n) * 1000},{(MS + n) * 1000},{n},buy,100,1",
    ),
    "quotes": (
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount",
        lambda n: f"binance,{_symbol(n)},{(MS + n) * 1000},{(MS + n) * 1000},1,101,100,1",
    ),
    "capture": (None, _frame),
    "capture with spaces": (None, lambda n: _frame(n, spaces=" ")),
    "bare capture": (None, lambda n: _frame(n, wrapped=False)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_symbol_that_begins_late_is_found(tmp_path: Path, name: str, packed: bool) -> None:
    header, row = FILES[name]
    text = "".join(f"{line}\n" for line in ([] if header is None else [header]) + [row(n) for n in range(MANY + 3)])
    path = tmp_path / "market"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())

    assert peek_symbols(InputFile(path)) == ["BTCUSDT", "ETHUSDT"]
    assert [event.symbol for event in open_input(InputFile(path))].count("ETHUSDT") == 3


def test_a_file_that_changed_is_looked_into_again(tmp_path: Path) -> None:
    header, row = FILES["named"]
    path = tmp_path / "market.csv"
    path.write_text("\n".join([header, *(row(n) for n in range(10))]))
    assert peek_symbols(InputFile(path)) == ["BTCUSDT"]

    path.write_text("\n".join([header, *(row(n) for n in range(MANY + 1))]))
    assert peek_symbols(InputFile(path)) == ["BTCUSDT", "ETHUSDT"]
