"""The exchange, its journal, its faults and its other traders."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.domain.events import OrderBookDeltaEvent, OrderBookEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError, InputError, TickdeckError
from tickdeck.infrastructure.venue import Account, Exchange, Faults
from tickdeck.infrastructure.venue.admin import AdminApi
from tickdeck.infrastructure.venue.faults import FAULTS
from tickdeck.infrastructure.venue.journal import Journal
from tickdeck.infrastructure.venue.markets import market_of
from tickdeck.infrastructure.venue.matching import NewOrder, OrderRefused, Status
from tickdeck.infrastructure.venue.traders import Traders

D = Decimal
NOW = 1_795_210_440_000_000_000


def exchange(log: Journal | None = None) -> Exchange:
    venue = Exchange([market_of("BTCUSDT")], log)
    if log is not None:
        venue.restore(log.read())
    return venue


def buy(venue: Exchange, quantity: str, price: str, client_id: str) -> None:
    order = NewOrder(
        account="ann", symbol="BTCUSDT", is_buy=True, quantity=D(quantity), price=D(price), client_id=client_id
    )
    venue.place(order, NOW)


def state(venue: Exchange) -> object:
    orders = [
        (o.number, o.client_id, o.status, o.filled, o.spent, o.remaining) for o in venue.engine.orders("ann", "BTCUSDT")
    ]
    return orders, venue.engine.balances.of("ann"), venue.engine.depth("BTCUSDT", 100), list(venue.fills.get("ann", ()))


# -- the journal ------------------------------------------------------------------------------------------------------


def test_an_exchange_is_restored_from_its_journal(tmp_path: Path) -> None:
    log = Journal(tmp_path / "journal")
    venue = exchange(log)
    venue.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100_000))
    traders = Traders(venue, NOW)
    traders.quote("BTCUSDT", False, D(20_000), D("0.5"), NOW)
    buy(venue, "1", "20000", "a")
    buy(venue, "1", "19000", "b")
    venue.cancel(venue.engine.open_orders("ann")[1], NOW, "cancel")
    with pytest.raises(OrderRefused):
        buy(venue, "100", "20000", "too-much")
    before = state(venue)
    log.close()

    log = Journal(tmp_path / "journal")
    again = exchange(log)
    log.close()

    assert state(again) == before
    assert again.account_of_key("k") == venue.accounts["ann"]
    assert again.history["BTCUSDT"].update_id == venue.history["BTCUSDT"].update_id


def test_an_incomplete_last_line_is_dropped_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    log = Journal(path)
    venue = exchange(log)
    venue.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100_000))
    log.close()
    whole = path.read_bytes()

    path.write_bytes(whole + b"0123")
    log = Journal(path)
    assert len(list(log.read())) == 2
    log.close()
    assert path.read_bytes() == whole

    path.write_bytes(whole.replace(b"USDT", b"USDC"))
    log = Journal(path)
    with pytest.raises(InputError, match=r"journal:2: the journal is damaged"):
        list(log.read())
    log.close()


@pytest.mark.parametrize("content", [b"symbol,price", b"\x89PNG", b"{}", b"0123456789", b"0123abcd {}"])
def test_a_file_that_is_not_a_journal_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    log = Journal(path)
    with pytest.raises(InputError, match="not a journal of a venue"):
        list(log.read())
    log.close()
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\x00" * 50, b"0123", b"0123abcd ", b'0123abcd [12,["move"'])
def test_a_journal_whose_first_line_was_never_finished_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    log = Journal(path)
    assert list(log.read()) == []
    log.close()
    assert path.read_bytes() == b""


def test_two_venues_do_not_share_a_journal(tmp_path: Path) -> None:
    log = Journal(tmp_path / "journal")
    with pytest.raises(ConfigError, match="another venue has this journal open"):
        Journal(tmp_path / "journal")
    log.close()


def test_after_a_journal_error_nothing_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Journal(tmp_path / "journal")
    venue = exchange(log)
    venue.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.write", full)
        with pytest.raises(TickdeckError, match="cannot write the journal: No space left"):
            venue.move("ann", "USDT", D(1), NOW)
    with pytest.raises(TickdeckError, match="could not be written before"):
        venue.move("ann", "USDT", D(1), NOW)
    assert len(list(log.read())) == 2
    log.close()


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("drop_akc=0.1", "did you mean 'drop_ack'"),
        ("drop_ack", "is not NAME=VALUE"),
        ("drop_ack=2", "not a probability"),
        ("drop_ack=x", "not a probability"),
        ("drop_ack=nan", "not a probability"),
        ("disconnect_every=30", "not a duration"),
        ("disconnect_every=0s", "above 0"),
        ("late_fill=0.1:-2s", "above 0"),
        ("late_fill=0.1:2s:3s", "too many parts"),
        ("halt_symbol=BTCUSDT:1s", "SYMBOL:EVERY:DURATION"),
        ("seed=x", "give an integer"),
        ("zzz=1", "the faults are"),
    ],
)
def test_an_invalid_fault_is_refused_with_advice(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Faults.parse(spec)


def test_faults_repeat_by_their_seed_and_do_not_move_each_other() -> None:
    def draws(spec: str, name: str) -> list[bool]:
        faults = Faults.parse(spec)
        return [faults.happens(name) is not None for _ in range(200)]

    one = draws("seed=7 gap=0.2", "gap")
    assert draws("seed=7 drop_ack=0.5 gap=0.2", "gap") == one
    assert draws("seed=8 gap=0.2", "gap") != one
    assert 20 < sum(one) < 60


def test_every_fault_has_a_line_that_says_what_it_does() -> None:
    page = (Path(__file__).parents[3] / "docs" / "venue.md").read_text()
    assert [name for name in FAULTS if f"| `{name}` |" not in page] == []


# -- other traders ----------------------------------------------------------------------------------------------------


def book(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> OrderBookEvent:
    return OrderBookEvent(
        symbol="BTCUSDT",
        ts=1,
        ts_ingress=1,
        last_update_id=1,
        bids=tuple((D(p), D(q)) for p, q in bids),
        asks=tuple((D(p), D(q)) for p, q in asks),
    )


def test_a_recorded_book_and_its_trades_are_played() -> None:
    venue = exchange()
    traders = Traders(venue, NOW)
    traders.play(book([("100", "1"), ("99", "2")], [("101", "1")]), NOW)
    delta = OrderBookDeltaEvent(
        symbol="BTCUSDT", ts=2, ts_ingress=2, first_update_id=2, last_update_id=2, bids=((D(99), D(0)),), asks=()
    )
    traders.play(delta, NOW)
    trade = TradeEvent(symbol="BTCUSDT", ts=3, ts_ingress=3, price=D(101), quantity=D("1.5"), side=Side.BUY)
    traders.play(trade, NOW)

    assert venue.engine.depth("BTCUSDT", 5) == ([(D(100), D(1))], [])
    assert sum(t.quantity for t in venue.history["BTCUSDT"].trades) == D("1.5")
    assert {t.price for t in venue.history["BTCUSDT"].trades} == {D(101)}


def test_a_clients_order_is_filled_by_the_trade_that_reaches_it_and_keeps_its_place() -> None:
    venue = exchange()
    venue.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100_000))
    traders = Traders(venue, NOW)
    traders.play(book([("100", "1")], [("101", "1")]), NOW)
    buy(venue, "0.5", "100", "mine")
    sell = TradeEvent(symbol="BTCUSDT", ts=3, ts_ingress=3, price=D(100), quantity=D("1.2"), side=Side.SELL)

    traders.play(sell, NOW)

    (order,) = venue.engine.orders("ann", "BTCUSDT")
    assert (order.status, order.filled) == (Status.PARTIALLY_FILLED, D("0.2"))


def test_a_book_that_moves_through_a_clients_order_fills_it() -> None:
    venue = exchange()
    venue.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100_000))
    traders = Traders(venue, NOW)
    traders.play(book([("100", "1")], [("101", "1")]), NOW)
    buy(venue, "0.5", "100", "mine")

    traders.play(book([("98", "1")], [("99", "1")]), NOW)

    (order,) = venue.engine.orders("ann", "BTCUSDT")
    assert (order.status, venue.engine.best("BTCUSDT")) == (Status.FILLED, ((D(98), D(1)), (D(99), D("0.5"))))


# -- the admin address ------------------------------------------------------------------------------------------------


class FakeDoor:
    def __init__(self, venue: Exchange) -> None:
        self.exchange, self.faults, self.requests, self.late_orders, self.offset = venue, Faults(), 0, 0, 0
        self.asked: dict[str, int] = {}

    def now(self) -> int:
        return NOW + self.offset

    def advance(self, by_ns: int) -> None:
        self.offset += by_ns


def admin() -> tuple[AdminApi, Exchange]:
    venue = exchange()
    venue.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100))
    return AdminApi(FakeDoor(venue), Traders(venue, NOW)), venue  # type: ignore[arg-type]


def test_the_ground_truth_has_orders_fills_balances_and_faults() -> None:
    api, venue = admin()
    buy(venue, "0.001", "20000", "mine")
    status, truth = api.handle("GET", "state", {})
    assert status == 200
    assert [order["client_id"] for order in truth["orders"]] == ["mine"]
    assert truth["balances"]["ann"]["USDT"] == {"free": "80.000", "locked": "20.000"}
    assert truth["faults"]["counts"] == {}


def test_amounts_of_the_ground_truth_are_plain_decimals_however_small() -> None:
    api, venue = admin()
    venue.move("ann", "BTC", D("0.0000001"), NOW)
    venue.move("ann", "BTC", D("-0.0000001"), NOW)
    assert api.handle("GET", "balances", {})[1]["ann"]["BTC"]["free"] == "0.0000000"


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("deposit", {"account": "ann", "asset": "btc", "amount": "1"}, 200),
        ("withdraw", {"account": "ann", "asset": "USDT", "amount": "1000"}, 409),
        ("deposit", {"account": "bob", "asset": "BTC", "amount": "1"}, 400),
        ("deposit", {"account": "ann", "asset": "BTC", "amount": "NaN"}, 400),
        ("convert", {"account": "ann", "from": "USDT", "spent": "101", "to": "BTC", "received": "1"}, 409),
        ("convert", {"account": "ann", "from": "BTC", "spent": "1", "to": "BTC", "received": "1"}, 400),
        ("convert", {"account": "ann", "from": "BTC", "spent": "1", "to": "ETH", "received": "1", "dust": True}, 400),
        ("convert", {"account": "ann", "from": "BTC", "spent": "1", "to": "ETH"}, 400),
        ("market", {"symbol": "BTCUSDT", "status": "HALT"}, 200),
        ("market", {"symbol": "BTCUSDT", "step_size": "0.1"}, 200),
        ("market", {"symbol": "BTCUSDT", "status": "SLEEPY"}, 400),
        ("market", {"symbol": "BTCUSDT", "colour": "red"}, 400),
        ("market", {"symbol": "NOPE", "status": "HALT"}, 400),
        ("faults", {"drop_ack": 0.5}, 200),
        ("faults", {"drop_akc": 0.5}, 400),
        ("advance", {"by": "5s"}, 200),
        ("advance", {"by": "5"}, 400),
        ("nothing", {}, 404),
    ],
)
def test_the_admin_address_acts_or_reports_the_mistake(path: str, values: dict[str, object], status: int) -> None:
    api, _ = admin()
    got, answer = api.handle("POST", path, dict(values))
    assert got == status, answer
    assert (status == 200) or "error" in answer


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"gap": 0.3, "nonsense": 3}, "there is no fault 'nonsense'"),
        ({"gap": 0.3, "stall": "often"}, "stall=often"),
        ({"http_500": 0.3, "seed": 3}, "the seed can be given at the venue's start only"),
        ({"clear": True, "nonsense": 3}, "there is no fault 'nonsense'"),
    ],
)
def test_faults_change_all_at_once_or_not_at_all(values: dict[str, object], why: str) -> None:
    api, _ = admin()
    _, before = api.handle("POST", "faults", {"drop_ack": 0.5, "gap": 0.1})

    status, answer = api.handle("POST", "faults", values)

    assert (status, why in answer["error"]) == (400, True), answer
    assert api.handle("GET", "faults", {}) == (200, before)
    assert list(before["active"]) == ["drop_ack", "gap"]
