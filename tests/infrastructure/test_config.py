"""Configuration files: the meaning of their values, and all mistakes at once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tickdeck.bootstrap import start_run
from tickdeck.domain.accounts import MarginTerms
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, load_config, require_strategy

D = Decimal
MS = 1_000_000
SYMBOL = "give one such as BTCUSDT, without blanks"
SHARE = "give a share such as 0.001, or a percentage such as '0.1%'"


def load(tmp_path: Path, text: str) -> RunConfig:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return load_config(path)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    lines = str(caught.value).split("\n")
    assert caught.value.mistakes == tuple(lines)
    start = f"{tmp_path / 'run.toml'}: "
    assert all(line.startswith(start) for line in lines)
    return [line.removeprefix(start) for line in lines]


def test_durations_and_shares_may_have_units(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        'duration = "1h"\nheartbeat = "10 s"\n[risk]\nprice_band = "5 %"\n'
        '[paper]\nleverage = 5\nmaintenance = "0.5%"\nmargin_call = "200%"\n'
        'maker_fee = "0.1%"\ntaker_fee = 0.002\nfeed_latency = "10 ms"\norder_latency_ns = "1.5ms"\n'
        'jitter_ns = 7\nack_latency = "1s"\n',
    )

    assert config.duration == 3_600
    assert config.risk.price_band == D("0.05")
    assert (config.paper.maker_fee, config.paper.taker_fee) == (D("0.001"), D("0.002"))
    assert config.paper.margin == MarginTerms(leverage=D(5), maintenance=D("0.005"), margin_call=D(2))
    latencies = (config.paper.feed_latency_ns, config.paper.order_latency_ns, config.paper.ack_latency_ns)
    assert (*latencies, config.paper.jitter_ns) == (10 * MS, 1_500_000, 1_000 * MS, 7)


def test_a_duration_in_seconds_stays_a_number(tmp_path: Path) -> None:
    assert load(tmp_path, "duration = 0.5").duration == D("0.5")


def test_all_mistakes_are_reported_at_once_each_with_key_value_and_correction(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        'candels = "1h"\nseed = "x"\nsnapshot_depth = 0\nstale_after = "soon"\n'
        "[risk]\nmax_daily_loss = -3\n"
        '[paper]\nseed = 3\ntaker_fee = "120%"\norder_latency = "soon"\nbalances = { USDT = "lots", BTC = 1 }\n'
        "[[tapes]]\npath = 3\n"
        '[[tapes]]\nformat = "candles"\n'
        '[instruments.BTCUSDT]\nsymbol = "BTCUSDT"\nbase = "BTC"\n'
        '[instruments.ETHUSDT]\nsymbol = "ETHUSDT"\nbase = "ETH"\nquote = "USDT"\ntick_size = 0\n',
    )

    assert sorted(told) == sorted(
        [
            "there is no key 'candels'; did you mean 'candles'?",
            "seed is 'x': give a whole number",
            "snapshot_depth is 0; give a whole number of at least 1",
            "stale_after is 'soon': 'soon' is not a duration; give a number with a unit: 250ms, 1.5s, 5m, 1h, 1d",
            "risk.max_daily_loss is -3; give a decimal above 0, or none for no limit",
            "there is no key 'seed' in paper; it belongs at the top, before the first table",
            "paper.taker_fee is 1.20; give a share below 1, such as 0.001",
            "paper.order_latency_ns is 'soon': give a duration such as '10 ms', or whole nanoseconds",
            "paper.balances.USDT is 'lots': give a decimal number",
            "tapes[0].path is 3: give text",
            "tapes[1] has no path; add it",
            "instruments.BTCUSDT has no quote; add it",
            "instruments.ETHUSDT: tick_size, lot_size, contract_size and fee_step must be greater than 0",
        ]
    )


def test_contradicting_values_are_reported_with_the_other_mistakes(tmp_path: Path) -> None:
    told = mistakes(tmp_path, '[paper]\nfeed_latency = "10 ms"\nack_latency = "1 ms"\nshort_selling = "perhaps"\n')

    assert told[0] == "paper.short_selling is 'perhaps': give true or false"
    assert told[1].startswith("paper.ack_latency_ns is 1000000, less than feed_latency_ns (10000000)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("paper = 3", "paper is 3: give a table"),
        ("tapes = 3", "tapes is 3: give a list of tables, [[tapes]]"),
        ("signals = 3", "signals is 3: give tables, [signals.NAME]"),
        ('[paper]\nmaker_fee = "cheap"', f"paper.maker_fee is 'cheap': {SHARE}"),
        ("[paper]\nfeed_latency = 5", "there is no key 'feed_latency' in paper; did you mean 'feed_latency_ns'?"),
        ('duration = "a while"', "duration is 'a while': give seconds above 0, or a duration such as '1h'"),
        ('symbols = ["BTC USDT"]', "symbols is ['BTC USDT']: 'BTC USDT' is not a symbol; " + SYMBOL),
        ('symbols = "BTCUSDT"', "symbols is 'BTCUSDT': give a list"),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_line(tmp_path: Path, text: str, told: str) -> None:
    assert mistakes(tmp_path, text) == [told]


def test_accounts_name_the_source_of_their_keys_and_never_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[accounts.main]\nexchange = "binance"\nowner = "Ada"\ncredentials = "file:keys.toml"\n')

    account = load_config(path).accounts["main"]
    assert (account.owner, account.credentials) == ("Ada", f"file:{tmp_path / 'keys.toml'}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('credentials = "hidden-secret"', "accounts.main.credentials must be 'env:PREFIX', 'file:PATH' or 'keyring:"),
        ('credentials = "env:X"\napi_secret = "hidden-secret"', "there is no key 'api_secret' in accounts.main"),
        ("credentials = 3", "accounts.main.credentials is 3: give text"),
        ('credentials = "env:X"\nurl = "localhost"', "accounts.main.url is 'localhost'"),
        (
            'credentials = "env:X"\nurl = "http://localhost"\ntestnet = true',
            "accounts.main.testnet is true, but there is a url",
        ),
    ],
)
def test_an_invalid_account_is_reported_without_possible_secrets(tmp_path: Path, text: str, told: str) -> None:
    found = mistakes(tmp_path, f'[accounts.main]\nexchange = "binance"\n{text}\n')

    assert found[0].startswith(told)
    assert not any("hidden-secret" in line for line in found)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("symbols", "BTCUSDT", "symbols is 'BTCUSDT'; give tuple[str, ...]"),
        ("symbols", (5,), "symbols is a tuple; give tuple[str, ...]"),
        ("strategies", ["ema-cross"], "strategies is a list; give tuple[StrategyConfig, ...]"),
        ("tapes", "btc.csv", "tapes is 'btc.csv'; give tuple[TapeConfig, ...]"),
        ("log_events", "order.*", "log_events is 'order.*'; give tuple[str, ...]"),
        ("duration", "1s", "duration is '1s'; give Decimal | None"),
        ("seed", "1", "seed is '1'; give int"),
        ("candles", 5, "candles is 5; give str | None"),
        ("risk", None, "risk is None; give RiskLimits"),
        ("instruments", {"BTCUSDT": 5}, "instruments is a dict; give dict[str, Instrument]"),
        ("max_cascade", True, "max_cascade is True; give int"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_python_too(field: str, value: Any, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(**{field: value})
    assert str(caught.value) == f"RunConfig: {why}"


def test_values_that_can_stand_for_the_right_type_are_converted() -> None:
    config = RunConfig(symbols=["BTCUSDT"], duration=1.5, strategies=[{"spec": "ema-cross"}])  # type: ignore[arg-type]
    assert (config.symbols, config.duration) == (("BTCUSDT",), D("1.5"))
    assert config.strategies == (StrategyConfig(spec="ema-cross"),)


def test_start_run_refuses_a_live_exchange(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start_run: exchange is 'binance', whose market data is live"):
        start_run(RunConfig(exchange="binance"), tmp_path)


def test_real_orders_need_a_strategy_that_the_file_names(tmp_path: Path) -> None:
    file = tmp_path / "live.toml"
    settings = 'exchange = "binance"\nlive = true\n'
    file.write_text(settings)
    with pytest.raises(ConfigError, match=r"real orders need a strategy .* give --strategy, or \[\[strategies\]\]"):
        require_strategy(load_config(file))

    file.write_text(settings + '[[strategies]]\nspec = "ema-cross"\n')
    require_strategy(load_config(file))


ACCOUNTS = """
[[strategies]]
spec = "rules"
name = "dip"
account = "{account}"
enter = "price < 60000"
quantity = 0.01
[accounts.alice]
exchange = "paper"
[accounts.eve]
exchange = "paper"
"""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            '[[copy]]\nleader = "account:eve"\nfollower = "eve"\n',
            "copy[0]: account eve cannot follow itself; name another leader or follower",
        ),
        ("nonsense = 1\n", "there is no key 'nonsense' in accounts.eve"),
        ("[paper]\nleverage = 1000\n", "paper: with a leverage of 1000, a new position"),
    ],
)
def test_a_mistake_beside_accounts_is_told_alone(tmp_path: Path, more: str, told: str) -> None:
    (mistake,) = mistakes(tmp_path, ACCOUNTS.format(account="alice") + more)
    assert told in mistake


def test_an_account_that_is_not_described_is_told_with_the_name_of_its_strategy(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, ACCOUNTS.format(account="zoe"))
    assert "strategy dip has the account 'zoe'; describe it under [accounts.zoe]" in mistake


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_that_no_event_can_hold_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="give a whole number that fits into 64 bits"):
        RunConfig(seed=seed)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size = { share = 2 }", "share is 2; give at most 1, which is 100%"),
        ('size = { risk = "150%" }', "risk is 1.50; give at most 1, which is 100%"),
        ('size = { fixed = "2%" }', "copy[0]: size.fixed is '2%'; give an amount in quote, or share = '2%'"),
        ("size = { fixed = 1e40 }", "fixed is 1E+40; give a number from 1E-12 to 1E+12"),
        ("size = { multiple = nan }", "copy[0]: size.multiple is "),
        ("min_notional = 1e13", "copy[0].min_notional is 1E+13; give a number from 1E-12 to 1E+12"),
        ("attempts = 101", "copy[0].attempts is 101; give a whole number from 1 to 100"),
        ('name = "a b"', "copy[0].name is 'a b'; use letters, digits, '-' and '_', beginning with a letter"),
        ('name = "risk"', "copy[0].name is 'risk', that of the run's own orders; give another one"),
    ],
)
def test_a_copy_that_makes_no_sense_is_one_clear_line(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        '[[strategies]]\nspec = "ema-cross"\naccount = "ada"\n[accounts.ada]\nexchange = "paper"\n'
        '[accounts.bob]\nexchange = "paper"\n'
        f'[[copy]]\nleader = "strategy:ema-cross"\nfollower = "bob"\n{line}\n'
    )

    with pytest.raises(ConfigError) as error:
        load_config(file)

    [found] = error.value.lines
    assert message in found


def test_a_strategy_has_no_name_of_the_runs_own_orders() -> None:
    with pytest.raises(ConfigError, match="name is 'operator', that of the run's own orders; give another one"):
        StrategyConfig(spec="ema-cross", name="operator")


def test_all_mistakes_of_one_trigger_and_of_one_copy_are_told(tmp_path: Path) -> None:
    text = """
[[triggers]]
name = "a b"
when = "prce > 1"
then = "selll"
every = "5"
expires = "never"
[[triggers]]
name = "c"
when = "price > 1"
then = "halt"
every = "1s"
expires = "x"
[[copy]]
leader = "strat:ema"
follower = "bob"
size = { multiple = -1, stop_distance = "x" }
max_slippage = "200%"
exits = "all"
attempts = 0
timeout = "1"
stop_loss = "x"
trailing = "-3%"
"""
    beginnings = [mistake[:28] for mistake in mistakes(tmp_path, text)]

    assert beginnings == [
        "triggers[0].name is 'a b'; u",
        "triggers[0]: when: condition",
        "triggers[0]: then: there is ",
        "triggers[0]: every: '5' is n",
        "triggers[0]: expires: 'never",
        "triggers[1].every is the lea",
        "triggers[1]: expires: 'x' is",
        "copy[0].leader is 'strat:ema",
        "copy[0].exits is 'all'; give",
        "copy[0].attempts is 0; give ",
        "copy[0].stop_loss is 'x'; gi",
        "copy[0].trailing is '-3%'; g",
        "copy[0]: timeout: '1' is not",
        "copy[0]: size.stop_distance ",
        "copy[0].size needs one of fi",
        "copy[0].max_slippage is 2.00",
    ]
