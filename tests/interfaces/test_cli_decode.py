"""``tickdeck decode``: decoding messages of an exchange."""

from __future__ import annotations

import gzip
import json
from pathlib import Path


def test_a_rest_body_becomes_its_result(tickdeck, shared: Path) -> None:
    result = tickdeck(
        "decode", "binance", shared / "exchanges" / "binance" / "nt_new_order_full_response.json", "--json"
    )
    (order,) = map(json.loads, result.stdout.splitlines())

    assert result.exit_code == 0
    assert (order["result"], order["status"], len(order["fills"])) == ("OrderResult", "filled", 5)


def test_every_line_of_a_session_becomes_its_event(tickdeck, shared: Path) -> None:
    result = tickdeck("decode", "binance", shared / "exchanges" / "binance" / "jk_ws_trades.jsonl", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]

    assert lines[-1]["event_type"] == "market.trade"
    assert lines[-1]["trade_id"] == 12345


def test_a_raw_capture_is_decoded_with_its_receive_times(tickdeck, tmp_path: Path) -> None:
    capture = tmp_path / "frames.raw.gz"
    message = b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}}'
    capture.write_bytes(gzip.compress(b"1790000000000000000 " + message + b"\n"))
    result = tickdeck("decode", "binance", capture, "--json")
    (tick,) = map(json.loads, result.stdout.splitlines())

    assert tick["ts_ingress"] == 1790000000000000000
    assert tick["ask_price"] == "3"


def test_an_error_body_is_shown_as_its_exception(tickdeck, shared: Path) -> None:
    result = tickdeck("decode", "binance", shared / "exchanges" / "binance" / "error_bodies.jsonl")

    assert result.exit_code == 0
    assert "InsufficientFunds" in result.stdout


def test_a_document_that_cannot_be_read_is_reported_in_one_line_and_the_others_are_shown(
    tickdeck, tmp_path: Path
) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text('{"serverTime":1}\n{"serverTime":\n{"serverTime":2}\n')
    result = tickdeck("decode", "binance", file)

    assert result.exit_code == 1
    assert result.stdout.count("ServerTime") == 2
    assert "line 2" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_order_list_becomes_the_pair_with_its_orders(tickdeck, tmp_path: Path) -> None:
    names = {"symbol": "LTCBTC", "orderId": 2, "clientOrderId": "a"}
    body = {"orderListId": 0, "contingencyType": "OCO", "listStatusType": "ALL_DONE", "listOrderStatus": "ALL_DONE"}
    body |= {"listClientOrderId": "C3", "transactionTime": 1574040868128, "symbol": "LTCBTC", "orders": [names]}
    (tmp_path / "list.json").write_text(json.dumps(body))

    result = tickdeck("decode", "binance", tmp_path / "list.json", "--json")
    (pair,) = map(json.loads, result.stdout.splitlines())

    assert (pair["result"], pair["done"], pair["venue_order_ids"]) == ("OrderPairResult", True, ["2"])


def test_every_recorded_payload_is_decoded_if_its_symbol_is_given(tickdeck, shared: Path) -> None:
    for file in sorted((shared / "exchanges" / "binance").glob("*.json*")):
        if file.name != "index.json":
            result = tickdeck("decode", "binance", file, "--symbol", "BTCUSDT")
            assert (result.exit_code, result.stderr) == (0, ""), file.name
            assert result.stdout


def test_a_body_without_a_symbol_asks_for_it(tickdeck, shared: Path) -> None:
    for name in ("nt_depth_response.json", "nt_klines_response.json", "nt_trades_response.json"):
        result = tickdeck("decode", "binance", shared / "exchanges" / "binance" / name)
        assert result.exit_code == 1
        assert "give one, such as --symbol BTCUSDT" in result.stderr
