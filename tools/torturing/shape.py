"""What a tortured run trades with: its accounts, strategies, copies and triggers, drawn from a seed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from torturing.copies import Followed

__all__ = ["CASH", "COINS", "LEADER", "SYMBOLS", "Shape", "drawn_shape"]

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LEADER = "main"
CASH = {"bob": "100000", "carol": "3000"}
"""The followers, with their USDT at the start. Bob copies what the strategy buys and sells. Carol copies what the
leader's account buys, and her stops and targets sell it; her money does not last."""
COINS = {"BTC": "0.1", "ETH": "2"}
"""What followers have besides, because the leader begins with coins and sells them, too."""
_AT_EXCHANGE = {LEADER: "demo"}  # the names of accounts there, where they are others

_OF_LEADER = f'account = "{LEADER}"\n'  # of a run with several accounts
_HEAD = """\
exchange = "binance"
exchange_url = "{url}"
live = true
symbols = ["BTCUSDT", "ETHUSDT"]
tape_format = "{form}"
state_every = {state_every}

[risk]
max_order_notional = 100_000
max_position_notional = 10_000_000
max_daily_loss = 1_000_000
"""
_ACCOUNT = """
[accounts.{name}]
exchange = "binance"
credentials = "env:{key}"
owner = "torture"
self_trade_prevention = "EXPIRE_MAKER"
"""
_STRATEGY = """
[[strategies]]
spec = "{path}:{strategy}"

[strategies.parameters]
pause = {pause}
exits = "{exits}"
"""
_RULES = """
[[strategies]]
name = "dip"
spec = "rules"
symbol = "BTCUSDT"
enter = "rsi(3, 1s) < 60 and position == 0"
exit = "rsi(3, 1s) > 55"
quantity = "0.002"
cooldown = "1s"
stop_loss = "0.05%"
take_profit = "0.1%"
trailing = "0.05%"

[[triggers]]
name = "wild"
{account}
when = "price(BTCUSDT) crosses_above ema(BTCUSDT, 3, 1s)"
then = "notify"
once = false

[[triggers]]
name = "order"
{account}
when = "price(ETHUSDT) crosses_below ema(ETHUSDT, 3, 1s)"
then = "buy ETHUSDT 0.01"
once = false
every = "2s"

[[triggers]]
name = "pause"
when = "rsi(BTCUSDT, 3, 1s) > 80"
then = "pause dip"
once = false

[[triggers]]
name = "again"
when = "rsi(BTCUSDT, 3, 1s) < 60"
then = "activate dip"
once = false
"""
_COPIES = """
[[copy]]
leader = "strategy:{strategy}"
follower = "bob"
name = "bob-copies"
size = {{ multiple = 1 }}
timeout = "5s"
{bob}

[[copy]]
leader = "account:main"
follower = "carol"
name = "carol-copies"
size = {{ fixed = 100 }}
exits = "own"
{carol}
"""
_OF_BOB = ("", 'trailing = "0.1%"')
_OF_CAROL = ('stop_loss = "0.05%"\ntake_profit = "0.05%"', 'trailing = "0.05%"')


class Shape(NamedTuple):
    """``exits``: the stops and targets of the strategy's purchases, see ``trader.EXITS``. ``rules``: a strategy without
    code and triggers trade as well. ``copies``: the protection of Bob's copies and of Carol's; ``None``: one account
    trades alone. ``state_every``: events between two snapshots of the whole run.
    """

    strategy: str
    exits: str
    rules: bool
    copies: tuple[str, str] | None
    state_every: int

    @property
    def accounts(self) -> dict[str, str]:
        """The names of the run's accounts, with their names at the exchange."""
        names = (LEADER, *CASH) if self.copies is not None else (LEADER,)
        return {name: _AT_EXCHANGE.get(name, name) for name in names}

    @property
    def leaders(self) -> dict[str, Followed]:
        """Whom the followers copy."""
        if self.copies is None:
            return {}
        return {"bob": Followed(LEADER, self.strategy, each=True), "carol": Followed(LEADER, "", each=False)}

    @property
    def about(self) -> str:
        parts = (
            self.strategy,
            f"state_every={self.state_every}",
            f"exits: {self.exits}",
            "rules" * self.rules,
            "copies" * (self.copies is not None),
        )
        return ", ".join(filter(None, parts))

    def config(self, url: str, form: str, source: Path, pause: int) -> str:
        """The configuration of the run."""
        accounts = self.accounts.items()
        text = (_OF_LEADER if self.copies is not None else "") + _HEAD.format(
            url=url, form=form, state_every=self.state_every
        )
        text += "".join(_ACCOUNT.format(name=name, key=there.upper()) for name, there in accounts)
        text += _STRATEGY.format(path=source, strategy=self.strategy, pause=pause, exits=self.exits)
        text += _RULES.format(account=_OF_LEADER if self.copies is not None else "") if self.rules else ""
        if self.copies is not None:
            text += _COPIES.format(strategy=self.strategy, bob=self.copies[0], carol=self.copies[1])
        return text


def drawn_shape(seed: int, accounts: int | None = None) -> Shape:
    """The shape of a case. ``accounts``: 1, or 3 with copies; ``None`` draws it, too."""
    rng = random.Random(f"shape {seed}")
    several = rng.random() < 0.5
    shape = Shape(
        strategy=rng.choice(("Tireless", "Remembering")),
        exits=rng.choice(("none", "pairs", "trailing", "mixed")),
        rules=rng.random() < 0.5,
        copies=(rng.choice(_OF_BOB), rng.choice(_OF_CAROL)),
        state_every=rng.choice((1_000, 5_000, 100_000)),
    )
    return shape if (several if accounts is None else accounts > 1) else shape._replace(copies=None)
