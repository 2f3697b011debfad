"""The acceptance cards: each is played, a sound client passes its checks, and the faults it is about fail them."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from card_client import Client

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

ALL = load_scenarios(CARDS)
QUOTE = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1"}


def c01(client: Client) -> None:
    assert client.order("BUY", "1", newClientOrderId="a")[0].lost
    client.wait(2)
    assert client.query("a")["status"] == "FILLED"


def c01_twice(client: Client) -> None:
    client.order("BUY", "1", newClientOrderId="a")
    client.order("BUY", "1", newClientOrderId="b")
    client.wait(2)


def c02(client: Client) -> None:
    response, _ = client.order("BUY", "0.1", "40000", newClientOrderId="a")
    assert response.status in (400, 503)
    client.wait(4)


def c02_twice(client: Client) -> None:
    c02(client)
    client.order("BUY", "0.1", "40000", newClientOrderId="b")


def c03a(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    assert client.query("a")["code"] == -2013
    client.wait(4)
    assert client.query("a")["status"] == "NEW"


def c03a_twin(client: Client) -> None:
    c03a(client)
    client.order("BUY", "0.1", "40000", newClientOrderId="b")


def c03b(client: Client) -> None:
    assert client.order("BUY", "0.1", "40000", newClientOrderId="a")[0].lost
    for _ in range(5):
        client.wait(3)
        assert client.query("a")["code"] == -2013


def c03b_for_ever(client: Client) -> None:
    c03b(client)
    for _ in range(100):
        client.query("a")


def c06(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    client.wait(1)
    assert client.query("a")["status"] == "FILLED"
    client.order("SELL", "0.1", newClientOrderId="a-exit")


def c06_twice(client: Client) -> None:
    c06(client)
    client.order("SELL", "0.1", newClientOrderId="a-exit")  # the first one has filled, so the venue takes its id again


def c08(client: Client, rest: str = "0.7") -> None:
    client.order("BUY", "1", "40000", newClientOrderId="a")
    assert client.cancel("a")["executedQty"] == "0.30000000"
    client.wait(1)
    client.order("BUY", rest, "41000", newClientOrderId="b")


def c07a(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    assert client.cancel("a")["code"] == -2011
    client.wait(26)
    assert client.query("a")["status"] == "FILLED"


def c07a_again(client: Client) -> None:
    c07a(client)
    client.order("BUY", "0.1", "40000", newClientOrderId="b")


def c07b(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    client.cancel("a")
    assert client.cancel("a")["code"] == -2011
    client.wait(6)


def c09(client: Client) -> None:
    client.order("BUY", "0.5", "40000", type="LIMIT_MAKER", newClientOrderId="a")
    new = {"symbol": client.symbol, "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.3", "price": "41000"}
    half = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "a"}
    response, answer = client.send("POST", "order/cancelReplace", **new, **half)
    assert (response.status, answer["code"]) == (409, -2021)
    assert answer["data"]["cancelResponse"]["executedQty"] == "0.20000000"


def c12(client: Client) -> None:
    placed = client.order("BUY", "0.55", "40000")[1]
    which = {"symbol": client.symbol, "orderId": placed["orderId"]}
    assert client.send("PUT", "order/amend/keepPriority", newQty="0.5", **which)[0].lost
    assert client.send("GET", "order", **which)[1]["origQty"] == "0.50000000"


def c13(client: Client) -> None:
    client.order("BUY", "0.3", "40000")
    client.wait(1)
    assert len(client.send("GET", "myTrades", symbol=client.symbol)[1]) == 3


def c16(client: Client) -> None:
    client.order("SELL", "0.3", "40000")
    client.order("BUY", "1", "40000", selfTradePreventionMode="DECREMENT")


def c18(client: Client) -> None:
    client.order("BUY", "2")
    client.order("SELL", "1")


def c18_gross(client: Client) -> None:
    client.order("BUY", "2")
    client.order("SELL", "2")


def c21(client: Client) -> None:
    client.order("BUY", "0.61")
    client.wait(1)
    assert client.order("SELL", "0.61")[1]["msg"] == "Filter failure: LOT_SIZE"
    client.order("SELL", "0.6")


def c28(client: Client) -> None:
    for number in range(2):
        params = {"symbol": "币安人生USDT", "newClientOrderId": str(number)}
        assert client.order("BUY", "10", "1", **params)[0].status == 200


def c30(client: Client) -> None:
    while client.send("GET", "exchangeInfo")[0].status == 200:
        pass


def c30_goes_on(client: Client) -> None:
    c30(client)
    assert client.send("GET", "exchangeInfo")[0].status == 418


def c31(client: Client) -> None:
    for number in range(100):
        response, _ = client.order("BUY", "0.001", "40000", newClientOrderId=str(number))
        if response.status == 429:
            client.wait(int(response.headers["retry-after"]))
            client.order("BUY", "0.001", "40000", newClientOrderId=str(number))
    client.send("DELETE", "openOrders", symbol=client.symbol)


def c32(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    client.wait(0.5)
    for _ in range(6):
        if client.cancel("a").get("status") == "CANCELED":
            break
        client.wait(1)
    client.wait(5)


def c20(client: Client) -> None:
    client.order("BUY", "2.36", symbol="BNBUSDT")
    for _ in range(10):
        client.order("BUY", "0.5", symbol="BTCUSDT")
    balances = {row["asset"]: Decimal(row["free"]) for row in client.send("GET", "account")[1]["balances"]}
    assert balances["BNB"] < Decimal("2.2")
    client.order("SELL", str(balances["BNB"] // Decimal("0.001") * Decimal("0.001")), symbol="BNBUSDT")


def c20_gross(client: Client) -> None:
    client.order("BUY", "2.36", symbol="BNBUSDT")
    client.order("BUY", "0.5", symbol="BTCUSDT")
    client.order("SELL", "2.36", symbol="BNBUSDT")


def c24(client: Client) -> None:
    stop = {"type": "STOP_LOSS", "stopPrice": "45000"}
    client.server.admin.handle("POST", "quote", QUOTE | {"price": "46000"})
    client.server.admin.handle("POST", "trade", QUOTE | {"side": "SELL", "price": "46000"})
    client.order("SELL", "0.1", newClientOrderId="a", **stop)
    client.cancel("a")
    client.wait(1)
    refused = client.order("SELL", "0.1", **stop | {"stopPrice": "44000"})[1]
    assert refused["code"] in (-2010, -1013)
    client.order("SELL", "0.1")


def c24_loop(client: Client) -> None:
    c24(client)
    for _ in range(5):
        client.order("SELL", "0.1", type="STOP_LOSS", stopPrice="44000")
        client.server.admin.handle("POST", "deposit", {"account": "demo", "asset": "BTC", "amount": "0.1"})


def c23(client: Client, times: int = 5) -> None:
    for number in range(times):
        assert client.order("BUY", "0.1", "40000", newClientOrderId=str(number))[1]["code"] == -2010
        client.wait(0.1)


def c26(client: Client, *, measures: bool = True) -> None:
    offset = 0
    client.clock = lambda: client.time + offset
    for number in range(10):
        _, answer = client.order("BUY", "0.001", "40000", newClientOrderId=str(number))
        if answer.get("code") == -1021 and measures:
            offset = client.send("GET", "time")[1]["serverTime"] * 1_000_000 - client.time
        client.wait(1)


def c25(client: Client) -> None:
    stop = {"type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "stopPrice": "49500"}
    client.order("SELL", "0.1", "49400", newClientOrderId="a", **stop)
    assert client.query("a")["isWorking"] is False
    client.wait(1)
    order = client.query("a")
    assert (order["isWorking"], order["status"], order["executedQty"]) == (True, "NEW", "0.00000000")
    client.cancel("a")
    client.order("SELL", "0.1")


def c25_twice(client: Client) -> None:
    stop = {"type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "stopPrice": "49500"}
    client.order("SELL", "0.1", "49400", newClientOrderId="a", **stop)
    client.wait(1)
    client.order("SELL", "0.1")


def c29(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    client.wait(1)
    assert client.order("BUY", "0.1", "40000")[1]["code"] == -2015


def c35(client: Client) -> None:
    depth = client.send("GET", "depth", symbol=client.symbol, limit=1000)[1]
    assert len(depth["asks"]) == 1000
    client.wait(2)
    depth = client.send("GET", "depth", symbol=client.symbol, limit=1000)[1]
    assert depth["asks"][0][0] == "51051.00000000"


def c47(client: Client) -> None:
    for number in range(14):
        client.order("BUY", "0.1", str(40_000 + number), newClientOrderId=str(number))
    assert len(client.send("GET", "openOrders", symbol=client.symbol)[1]) == 14


def c52(client: Client) -> None:
    client.order("BUY", "26", "50")
    client.wait(1)
    fills: list[int] = []
    while page := client.send("GET", "myTrades", symbol=client.symbol, fromId=len(fills) + 1, limit=1000)[1]:
        fills += [row["id"] for row in page]
    assert fills == list(range(1, 2_601))


def c51(client: Client) -> None:
    client.wait(4)


SOUND: dict[str, Callable[[Client], None]] = {
    "C01": c01,
    "C02a": c02,
    "C02b": c02,
    "C02c": c02,
    "C03a": c03a,
    "C03b": c03b,
    "C06": c06,
    "C07a": c07a,
    "C07b": c07b,
    "C08": c08,
    "C09": c09,
    "C12": c12,
    "C13": c13,
    "C16": c16,
    "C18": c18,
    "C20": c20,
    "C21": c21,
    "C23": c23,
    "C24a": c24,
    "C24b": c24,
    "C25": c25,
    "C26": c26,
    "C28": c28,
    "C29": c29,
    "C30": c30,
    "C31": c31,
    "C32": c32,
    "C35": c35,
    "C47": c47,
    "C51": c51,
    "C52": c52,
}
FAULTY = [
    ("C01", c01_twice, "requests.place"),
    ("C02b", c02_twice, "requests.place"),
    ("C03a", c03a_twin, "orders"),
    ("C03b", c03b_for_ever, "requests.query"),
    ("C06", c06_twice, "sold"),
    ("C07a", c07a_again, "orders"),
    ("C08", lambda client: c08(client, "1"), "errors.-2010"),
    ("C18", c18_gross, "errors.-2010"),
    ("C20", c20_gross, "errors.-2010"),
    ("C23", lambda client: c23(client, 30), "requests.place"),
    ("C24a", c24_loop, "errors.-2010"),
    ("C25", c25_twice, "errors.-2010"),
    ("C26", lambda client: c26(client, measures=False), "errors.-1021"),
    ("C30", c30_goes_on, "requests.limited"),
]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_client_passes_the_card(name: str) -> None:
    client = Client(ALL[name])

    SOUND[name](client)

    assert client.player.problems == []
    assert client.player.finished
    assert client.failed() == []


@pytest.mark.parametrize(("name", "conduct", "figure"), FAULTY, ids=[f"{n}-{f}" for n, _, f in FAULTY])
def test_a_faulty_client_fails_the_card(name: str, conduct: Callable[[Client], None], figure: str) -> None:
    client = Client(ALL[name])
    conduct(client)
    assert figure in client.failed()


@pytest.mark.parametrize("name", ALL)
def test_every_step_of_a_card_is_something_that_the_venue_can_do(name: str) -> None:
    card = ALL[name]
    client = Client(card)
    for step in card.steps:
        status, answer = client.server.admin.handle("POST", step.do, dict(step.values))
        assert status == 200, answer  # 404 for an action that does not exist


def test_the_scenario_of_the_documentation_can_be_played(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "venue.md").read_text()
    (text,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    client = Client(load_scenarios(tmp_path / "mine.toml")["late"])
    client.order("BUY", "0.1", "40000")
    client.wait(2)
    assert client.player.finished
    assert client.failed() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing required field `scenario`"),
        ('[[scenario]]\nname="a"\ntitle="b"\ncolour="red"', "colour"),
        ('[[scenario]]\nname="a"\ntitle="b"\nfaults="drop_akc=1"', "did you mean 'drop_ack'"),
        ('[[scenario]]\nname="a"\ntitle="b"\nsteps=[{do="quote",on="never"}]', "waits for 'never'"),
        ('[[scenario]]\nname="a"\ntitle="b"\ndeposits={BTC="lots"}', "deposits.BTC is 'lots'; give a decimal"),
        ('[[scenario]]\nname="a"\ntitle="b"\ndeposits={BTC="1e999999"}', "deposits.BTC is '1e999999'"),
        ('[[scenario]]\nname="a"\ntitle="b"\nbook=[["BTCUSDT","buy","1","1"]]', "give BUY or SELL"),
        ('[[scenario]]\nname="a"\ntitle="b"\nbook=[["BTCUSDT","BUY","-1","1"]]', "the price of BTCUSDT is '-1'"),
        ('[[scenario]]\nname="a"\ntitle="b"\nsymbols=[]', "symbols is empty"),
        ('[[scenario]]\nname="a"\ntitle="b"\nsteps=[{do="quote",on="place",nth=0}]', "give 1 or more"),
        ('[[scenario]]\nname="a"\ntitle="b"\nchecks=[{figure="x",why="y",equals="NaN"}]', "the bound of x is 'NaN'"),
        ('[[scenario]]\nname="a"\ntitle="b"\n[[scenario]]\nname="a"\ntitle="b"', "the name is used twice"),
    ],
)
def test_a_bad_scenario_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_scenarios(file)
