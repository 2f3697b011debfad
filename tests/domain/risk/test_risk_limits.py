"""Limits: what they refuse and what they let pass."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import ActionIntent, RiskApprovedEvent, RiskDayStarted
from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.domain.risk import DEFAULT_LIMITS, Breach, DailyLoss, OrderRate, RiskLimits, check_order
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
BTC = instrument_for("BTCUSDT")
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


def check(
    limits: RiskLimits,
    side: Side,
    quantity: str,
    *,
    limit: str | None = None,
    reference: str | None = "60000",
    position: str = "0",
    working: str = "0",
) -> str | None:
    breach = check_order(
        limits,
        BTC,
        side=side,
        quantity=D(quantity),
        limit=None if limit is None else D(limit),
        reference=None if reference is None else D(reference),
        position=D(position),
        working=D(working),
    )
    return None if breach is None else breach.limit


# -- the limits as values -------------------------------------------------------------------------------------------


def test_unset_limits_limit_nothing() -> None:
    assert check(RiskLimits(), BUY, "1000000", limit="1000000") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_order_notional", D(0)),
        ("max_position_notional", D(-1)),
        ("max_daily_loss", D("NaN")),
        ("price_band", 0.05),
        ("max_orders_per_second", 0),
        ("max_orders_per_second", 2.5),
    ],
)
def test_invalid_limit_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"risk limits: {name} is .*give a"):
        RiskLimits(**{name: value})


def test_default_limits_let_a_tenth_of_a_bitcoin_pass_and_stop_a_whole_one() -> None:
    assert check(DEFAULT_LIMITS, BUY, "0.1") is None
    assert check(DEFAULT_LIMITS, BUY, "1") == "max_order_notional"


# -- one order ------------------------------------------------------------------------------------------------------


def test_order_cannot_be_valued_before_a_price_was_seen() -> None:
    assert check(RiskLimits(), BUY, "1", reference=None) == "reference_price"


def test_venues_filters_are_checked_with_a_readable_reason() -> None:
    breach = check_order(
        RiskLimits(), BTC, side=BUY, quantity=D("0.000001"), limit=None, reference=D(60000), position=D(0)
    )

    assert breach == Breach("instrument", "quantity 0.000001 is not a multiple of the lot size 0.00001")


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("limit", "expected"),
    [("63000", None), ("57000", None), ("63000.01", "price_band"), ("56999.99", "price_band"), (None, None)],
)
def test_limit_price_must_be_within_the_band(side: Side, limit: str | None, expected: str | None) -> None:
    assert check(RiskLimits(price_band=D("0.05")), side, "1", limit=limit) == expected


@pytest.mark.parametrize(
    ("quantity", "limit", "said"),
    [
        ("1", "66000", "limit 66000 is 10 % from the last price, 60000; at most 5 %"),
        ("1", "63000.01", "limit 63000.01 is 5.001 % from the last price, 60000; at most 5 %"),
        ("0", "60000", "quantity 0 is not positive: it was rounded down to the lot size, 0.00001"),
    ],
)
def test_a_refusal_says_value_and_limit(quantity: str, limit: str, said: str) -> None:
    limits = RiskLimits(price_band=D("0.05"))
    breach = check_order(
        limits, BTC, side=BUY, quantity=D(quantity), limit=D(limit), reference=D("60000"), position=D(0)
    )
    assert breach is not None
    assert breach.detail == said


@pytest.mark.parametrize(("quantity", "expected"), [("1", None), ("1.00001", "max_order_notional")])
def test_order_notional_may_reach_its_limit_but_not_exceed_it(quantity: str, expected: str | None) -> None:
    limits = RiskLimits(max_order_notional=D(60000))

    assert check(limits, BUY, quantity) == expected
    assert check(limits, SELL, quantity) == expected


def test_purchase_is_valued_at_its_limit_and_sale_at_no_less_than_the_last_price() -> None:
    limits = RiskLimits(max_order_notional=D(60000))

    assert check(limits, BUY, "1", limit="59000", reference="61000") is None
    assert check(limits, SELL, "1", limit="59000", reference="61000") == "max_order_notional"
    assert check(limits, SELL, "1", limit="61000", reference="59000") == "max_order_notional"


# -- the position ---------------------------------------------------------------------------------------------------

POSITION = RiskLimits(max_position_notional=D(120000))  # 2 BTC at 60,000


@pytest.mark.parametrize(("side", "sign"), [(BUY, ""), (SELL, "-")])
def test_position_may_grow_to_its_limit_either_way(side: Side, sign: str) -> None:
    assert check(POSITION, side, "0.5", position=f"{sign}1.5") is None
    assert check(POSITION, side, "0.50001", position=f"{sign}1.5") == "max_position_notional"


def test_open_orders_of_the_same_side_count_as_filled() -> None:
    assert check(POSITION, BUY, "0.5", position="1", working="0.5") is None
    assert check(POSITION, BUY, "0.5", position="1", working="0.50001") == "max_position_notional"


@pytest.mark.parametrize(("side", "position"), [(SELL, "10"), (BUY, "-10")])
def test_position_over_its_limit_can_always_be_brought_down(side: Side, position: str) -> None:
    assert check(POSITION, side, "0.00100", position=position) is None
    assert check(POSITION, side, "10", position=position) is None
    assert check(POSITION, side.opposite, "0.00100", position=position) == "max_position_notional"


def test_flip_is_bound_by_the_limit_on_the_other_side() -> None:
    assert check(POSITION, SELL, "3", position="1") is None
    assert check(POSITION, SELL, "3.1", position="1") == "max_position_notional"


def test_position_over_its_limit_cannot_be_flipped_to_the_same_size() -> None:
    assert check(POSITION, SELL, "12", position="10") is None
    assert check(POSITION, SELL, "12.1", position="10") == "max_position_notional"
    assert check(POSITION, SELL, "20", position="10") == "max_position_notional"


def test_stop_may_go_while_an_order_to_close_the_same_position_rests() -> None:
    assert check(POSITION, SELL, "10", position="10", working="10") is None


def test_reducing_orders_in_flight_cannot_add_up_to_more_than_one_flip() -> None:
    assert check(POSITION, SELL, "1", position="1", working="2") is None
    assert check(POSITION, SELL, "1", position="1", working="2.1") == "max_position_notional"
    assert check(POSITION, SELL, "10", position="10", working="10.1") == "max_position_notional"


eights = st.integers(-400, 400).map(lambda n: D(n) / 8)


@given(eights, st.integers(1, 400).map(lambda n: D(n) / 8), st.sampled_from(Side))
def test_order_passes_the_position_limit_exactly_if_it_stays_within_or_reduces(
    position: Decimal, quantity: Decimal, side: Side
) -> None:
    after = position + side.sign * quantity

    breach = check(POSITION, side, str(quantity), position=str(position))

    assert (breach is None) == (abs(after) <= 2 or min(0, position) <= after <= max(0, position))


# -- orders per second ----------------------------------------------------------------------------------------------


def test_orders_beyond_the_rate_wait_until_the_oldest_is_a_second_old() -> None:
    rate = OrderRate(2)
    assert rate.take(0) is None
    assert rate.take(10) is None

    breach = rate.take(SECOND - 1)

    assert breach == Breach("max_orders_per_second", "2 orders in the last second; at most 2")
    assert rate.take(SECOND) is None
    assert rate.take(SECOND + 9) is not None
    assert rate.take(SECOND + 10) is None


def test_refused_order_does_not_count() -> None:
    rate = OrderRate(1)
    rate.take(0)
    for now in range(1, 100):
        assert rate.take(now) is not None

    assert rate.take(SECOND) is None


def test_rate_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="order rate"):
        OrderRate(0)


@given(st.lists(st.integers(0, SECOND // 2), max_size=60), st.integers(1, 5))
def test_no_window_of_a_second_holds_more_orders_than_the_rate(gaps: list[int], most: int) -> None:
    rate = OrderRate(most)
    now, passed = 0, []
    for gap in gaps:
        now += gap
        recent = [t for t in passed if now - t < SECOND]
        breach = rate.take(now)
        assert (breach is None) == (len(recent) < most)
        if breach is None:
            passed.append(now)


# -- daily loss -----------------------------------------------------------------------------------------------------


def day(equity: str) -> RiskDayStarted:
    return RiskDayStarted(equity=D(equity))


def test_loss_breaches_from_the_limit_on() -> None:
    loss = DailyLoss.fold(D(5000), [day("100000")])
    assert loss.judge(D("95000.01")) is None

    breach = loss.judge(D(95000))

    assert breach == Breach("max_daily_loss", "equity fell by 5000 since the start of the day; at most 5000")
    assert loss.judge(D(94000)) is not None
    assert loss.judge(D(96000)) is None


def test_amounts_in_refusals_have_no_zeros_at_the_end() -> None:
    breach = DailyLoss.fold(D("100.00"), [day("100000.0000")]).judge(D("99855.5020841000000000"))

    assert breach == Breach("max_daily_loss", "equity fell by 144.4979159 since the start of the day; at most 100")


def test_loss_counts_from_the_newest_days_start() -> None:
    loss = DailyLoss.fold(D(5000), [day("100000"), day("96000")])

    assert loss.start_equity == 96000
    assert loss.judge(D(92000)) is None
    assert loss.judge(D(91000)) is not None


def test_before_the_first_day_nothing_is_lost() -> None:
    assert DailyLoss(D(1)).judge(D(-100)) is None


def test_the_rate_folds_from_approved_orders_and_amends() -> None:
    order = ActionIntent(action="order", symbol="B", side=Side.BUY, quantity=D(1))
    cancel = ActionIntent(action="cancel", symbol="B", order_id="o")
    approved = [
        RiskApprovedEvent(strategy_id="s", intent=intent, ts_ingress=n)
        for n, intent in enumerate((order, cancel, order, order))
    ]

    assert OrderRate.fold(2, approved).sent == (2, 3)


# -- the limits' currency --------------------------------------------------------------------------------------------

XRPETH = Instrument(symbol="XRPETH", base="XRP", quote="ETH")


def judge_xrp(limits: RiskLimits, quantity: str, position: str = "0") -> str | None:
    breach = check_order(
        limits,
        XRPETH,
        side=Side.BUY if Decimal(position) <= 0 else Side.SELL,
        quantity=Decimal(quantity),
        limit=None,
        reference=Decimal("0.0002"),
        position=Decimal(position),
    )
    return breach.limit if breach is not None else None


def test_an_order_in_a_currency_without_a_rate_is_refused_unless_it_only_reduces() -> None:
    limits = RiskLimits(max_order_notional=Decimal(10_000))
    assert judge_xrp(limits, "40000000") == "currency"
    assert judge_xrp(limits, "1") == "currency"
    assert judge_xrp(limits, "40000000", position="40000000") is None
    assert judge_xrp(RiskLimits(price_band=Decimal("0.1")), "40000000") is None  # no limit applies to its amount


def test_a_rate_converts_the_order_into_the_limits_currency() -> None:
    limits = RiskLimits(max_order_notional=Decimal(10_000), rates={"ETH": Decimal(2_500)})
    assert judge_xrp(limits, "20000") is None  # 4 ETH
    assert judge_xrp(limits, "20001") == "max_order_notional"
    limits = RiskLimits(max_position_notional=Decimal(10_000), rates={"ETH": Decimal(2_500)})
    assert judge_xrp(limits, "20001") == "max_position_notional"
    assert judge_xrp(RiskLimits(currency="ETH", max_order_notional=Decimal(4)), "20000") is None


def test_dollars_count_as_equal_unless_a_rate_says_otherwise() -> None:
    limits = RiskLimits(rates={"USDC": Decimal("0.9")})
    assert [limits.rate(quote) for quote in ("USDT", "USD", "FDUSD", "USDC", "EUR", "JPY")] == [
        *(Decimal(1),) * 3,
        Decimal("0.9"),
        None,
        None,
    ]
    assert RiskLimits(currency="EUR").rate("USDT") is None


@pytest.mark.parametrize("worth", [Decimal(0), Decimal(-1), Decimal("NaN"), 1.5])
def test_an_invalid_rate_is_refused(worth: object) -> None:
    with pytest.raises(ConfigError, match=r"rates\['ETH'\]"):
        RiskLimits(rates={"ETH": worth})  # type: ignore[dict-item]
