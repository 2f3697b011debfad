"""``tickdeck doctor`` with a configuration: mistakes in it are reported with their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_kit import not_ok

from tickdeck.infrastructure.tape import SqliteTape


def settings(text: str) -> Path:
    path = Path("run.toml")
    path.write_text(text)
    return path


def test_a_correct_configuration_is_ready(looked, trades):
    file = settings(
        '[[strategies]]\nspec = "ema-cross"\nparameters = { fast = 3 }\n'
        f'[[tapes]]\npath = "{trades.name}"\n[risk]\nmax_order_notional = 10\n'
    )

    code, findings = looked("--config", file)

    assert code == 0
    assert findings["configuration"]["detail"] == "run.toml loads"
    assert "fast=3, slow=26" in findings["strategy ema-cross"]["detail"]
    assert findings[f"input {trades.name}"]["detail"].endswith(": binance-trades of BTCUSDT")
    assert findings["run"]["detail"] == "can start: ema-cross on BTCUSDT"


def test_a_tape_of_a_run_is_an_input_too(looked, tickdeck, trades):
    tickdeck("import", "binance-trades", trades, "--out", "btc.db")

    code, findings = looked("--config", settings('[[tapes]]\npath = "btc.db"\n'))

    assert code == 0
    assert findings["input btc.db"]["detail"].endswith(": tickdeck of BTCUSDT")


def test_a_tape_without_market_data_is_reported(looked):
    with SqliteTape(Path("empty.db")):
        pass

    code, findings = looked("--config", settings('[[tapes]]\npath = "empty.db"\n'))

    assert (code, not_ok(findings)) == (1, ["input empty.db"])
    assert "contains no market data" in findings["input empty.db"]["detail"]


@pytest.mark.parametrize(
    ("text", "check", "told"),
    [
        ("sed = 1", "configuration", "there is no key 'sed'; did you mean 'seed'?"),
        ("seed = ", "configuration", "run.toml: not TOML"),
        ('[[strategies]]\nspec = "ema-kross"', "strategy ema-kross", "is not known"),
        ('[[strategies]]\nspec = "gone.py:Mine"', "strategy Mine", "there is no file"),
        (
            '[[strategies]]\nspec = "ema-cross"\nparameters = { fsat = 1 }',
            "strategy ema-cross",
            "strategy EmaCross has no parameter 'fsat'; it has: fast, quantity, slow",
        ),
        (
            '[[strategies]]\nspec = "ema-cross"\nparameters = { fast = "soon" }',
            "strategy ema-cross",
            "parameter fast='soon'",
        ),
        ('[[tapes]]\npath = "gone.csv"', "input gone.csv", "No such file or directory"),
        ('[[tapes]]\npath = "run.toml"', "input run.toml", "match no known format"),
        (
            '[[tapes]]\npath = "BTCUSDT-trades.csv"\nsymbol = "BTCUSDT"\nformat = "trades"',
            "input BTCUSDT-trades.csv",
            "",
        ),
        (
            'symbols = ["ETHUSDT", "XRPUSDT"]\n[[tapes]]\npath = "BTCUSDT-trades.csv"',
            "run",
            "no input file has market data of ETHUSDT",
        ),
    ],
)
def test_mistakes_in_a_configuration_are_reported_with_their_place(looked, trades, text, check, told):
    code, findings = looked("--config", settings(text + "\n"))

    assert (code, not_ok(findings)) == (1, [check])
    assert told in findings[check]["detail"]


def test_all_problems_are_reported_at_once(looked):
    file = settings(
        '[[strategies]]\nspec = "gone.py:One"\n[[strategies]]\nspec = "gone.py:Two"\n[[tapes]]\npath = "x"\n'
    )

    assert not_ok(looked("--config", file)[1]) == ["strategy One", "strategy Two", "input x"]


def test_an_unknown_signal_is_found_by_building_the_run(looked):
    Path("mine.py").write_text(
        "from tickdeck import Strategy\n"
        "class Mine(Strategy):\n"
        "    def required_signals(self):\n"
        "        return ('moon-3',)\n"
    )

    code, findings = looked("--config", settings('[[strategies]]\nspec = "mine.py:Mine"\n'))

    assert (code, not_ok(findings)) == (1, ["run"])
    assert "moon-3" in findings["run"]["detail"]


def test_selling_short_without_short_selling_is_remarked(looked):
    rules = '[[strategies]]\nspec = "rules"\nname = "dip"\nenter = "price > 1"\nquantity = "1"\nside = "sell"\n'

    assert "short_selling = true" in looked("--config", settings(rules))[1]["strategy dip"]["detail"]
    found = looked("--config", settings(rules + "[paper]\nshort_selling = true\n"))[1]
    assert found["strategy dip"]["ok"] is True


def test_secrets_are_not_shown(looked):
    Path("mine.py").write_text("from tickdeck import Strategy\nclass Mine(Strategy):\n    api_key: str = ''\n")

    file = settings('[[strategies]]\nspec = "mine.py:Mine"\nparameters = { api_key = "hunter2" }\n')

    assert looked("--config", file)[1]["strategy Mine"]["detail"].endswith("mine.py:Mine: api_key=[redacted]")


def test_a_tape_and_a_strategy_can_be_checked_without_a_configuration(looked, tmp_path):
    (tmp_path / "mine.py").write_text("from tickdeck import Strategy\n\n\nclass Mine(Strategy):\n    size: int = 3\n")

    code, findings = looked("--strategy", "mine.py:Mine", "--tape", "absent.csv")

    assert code == 1
    assert "size=3" in findings["strategy Mine"]["detail"]
    assert not_ok(findings) == ["input absent.csv"]


def test_each_mistake_of_the_configuration_is_a_finding(tickdeck, lines):
    Path("run.toml").write_text('seed = "x"\n[paper]\nmaker_fee = 2\n')

    found = [finding["detail"] for finding in lines(tickdeck("doctor", "--config", "run.toml", "--json"))]

    assert "run.toml: seed is 'x': give a whole number" in found
    assert "run.toml: paper.maker_fee is 2; give a share below 1, such as 0.001" in found


LIVE = """
exchange = "binance"
live = true
symbols = ["BTCUSDT"]
[[strategies]]
spec = "market-maker"
[risk]
max_order_notional = 500
max_position_notional = 2_000
max_daily_loss = 100
[accounts.main]
exchange = "binance"
credentials = "env:MAIN"
"""


def test_a_live_configuration_is_ready_without_using_the_network(looked, monkeypatch):
    monkeypatch.setenv("MAIN_API_KEY", "a")
    monkeypatch.setenv("MAIN_API_SECRET", "b")

    code, findings = looked("--config", settings(LIVE))

    assert (code, not_ok(findings)) == (0, [])
    assert findings["input"]["detail"] == "live market data of binance; orders are sent there"
    assert "orders leave this process and are sent to binance" in findings["venue binance"]["detail"]
    assert "venue paper" not in findings
    assert findings["run"]["detail"] == "can start: market-maker on BTCUSDT"


def test_live_market_data_with_paper_orders_is_ready_without_a_key(looked):
    code, findings = looked("--config", settings(LIVE.replace("live = true", "")))

    assert (code, not_ok(findings)) == (0, [])
    assert findings["input"]["detail"] == "live market data of binance; orders are filled on paper"
    assert "no order leaves it" in findings["venue paper"]["detail"]


def test_a_live_configuration_without_its_key_or_limits_is_not_ready(looked, monkeypatch):
    monkeypatch.delenv("MAIN_API_KEY", raising=False)

    code, findings = looked("--config", settings(LIVE))

    assert (code, not_ok(findings)) == (1, ["run"])
    assert "the environment has no MAIN_API_KEY" in findings["run"]["detail"]
    monkeypatch.setenv("MAIN_API_KEY", "a")
    monkeypatch.setenv("MAIN_API_SECRET", "b")
    without = LIVE.replace("max_daily_loss = 100\n", "")
    assert "max_daily_loss" in looked("--config", settings(without))[1]["run"]["detail"]


def test_unknown_names_are_reported_together_with_the_other_mistakes(tickdeck):
    names = 'exchange = "binanse"\n[[strategies]]\nspec = "market-makr"\n'
    for text, more in ((names, ()), (f'seed = "x"\n{names}[risk]\nprice_band = "500%"\n', ("seed", "price_band is 5"))):
        result = tickdeck("run", "--config", settings(text))

        assert result.exit_code == 2
        for mistake in ("exchange is 'binanse'; give one of paper", "strategy 'market-makr' is not known", *more):
            assert result.stderr.count(mistake) == 1, result.stderr
        assert len(result.stderr.splitlines()) == 2 + len(more)


def test_a_name_that_the_run_does_not_have_hides_no_other(looked, trades):
    file = settings(
        f"""
[[strategies]]
spec = "rules"
name = "dip"
enter = "price(ZZZ) > 1"
quantity = "1"
account = "alice"
[[triggers]]
name = "ok"
when = "price(FOO) > 1 and pnl(x) > 3"
then = "pause y"
account = "q"
[[copy]]
leader = "strategy:nobody"
follower = "bob"
[[copy]]
leader = "event:market.trad"
follower = "bob"
name = "dip"
[[tapes]]
path = "{trades.name}"
[accounts.alice]
exchange = "paper"
[accounts.bob]
exchange = "paper"
"""
    )

    code, findings = looked("--config", file)

    assert (code, not_ok(findings)) == (1, ["run"])
    assert findings["run"]["detail"].split("\n") == [
        "strategy dip: 'ZZZ' is not a symbol of this run; its symbols are BTCUSDT",
        "trigger ok: when: price(FOO): 'FOO' is not a symbol of this run; its symbols are BTCUSDT",
        "trigger ok: when: pnl(x): this run has no strategy 'x'; it has: dip",
        "trigger ok: then: this run has no strategy 'y'; it has: dip",
        "trigger ok: account: this run has no account 'q'; it has: alice, bob",
        "copy copy-bob: the run has no strategy 'nobody'; it has: dip",
        "copy dip: there is no event of type 'market.trad'; did you mean 'market.trade'?",
        "copy dip: a strategy has the same name; give the copy another",
    ]


def test_rules_on_opposite_sides_of_one_account_with_a_stop_are_told_in_one_line(looked):
    text = """
[[strategies]]
spec = "rules"
name = "up"
enter = "price > 1"
quantity = "1"
stop_loss = "2%"
[[strategies]]
spec = "rules"
name = "down"
enter = "price > 1"
quantity = "1"
side = "sell"
"""
    code, findings = looked("--config", settings(text))

    assert (code, not_ok(findings)) == (1, ["run"])
    assert findings["run"]["detail"].startswith("strategies up and down trade BTCUSDT of one account on opposite sides")
    assert "\n" not in findings["run"]["detail"]

    code, findings = looked("--config", settings(text.replace('stop_loss = "2%"', "")))
    assert "opposite" not in findings["run"]["detail"]
