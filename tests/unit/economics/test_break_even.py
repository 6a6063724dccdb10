import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.economics.break_even import (
    BreakEven,
    Configuration,
    Machine,
    break_even,
    usd_per_year,
    winning_rates,
)

PRICE = st.floats(0.0, 1e-2)
HOUR = st.floats(0.0, 50.0)
CAPACITY = st.floats(0.1, 50.0)


def local(usd_per_hour=1.8, capacity_rps=4.0, variable_usd=0.0, **more):
    return Configuration("local", variable_usd, (Machine(usd_per_hour, capacity_rps),), **more)


def api(usd):
    return Configuration("api", usd)


def test_a_hundred_dollars_a_day_are_36525_a_year():
    assert usd_per_year(100.0) == 36_525.0


@pytest.mark.parametrize(
    ("in_usd", "out_usd", "at_2_usd"),
    [(0.04, 0.1, 13.89), (0.15, 0.6, 2.85), (0.25, 2.0, 1.06), (1.0, 5.0, 0.37), (5.0, 25.0, 0.07)],
)
def test_list_prices_of_500_in_and_200_out_break_even_where_arithmetic_says(in_usd, out_usd, at_2_usd):
    a_request = (500 * in_usd + 200 * out_usd) / 1e6
    found = break_even(local(2.0, None), api(a_request))
    assert found.rate_rps == pytest.approx(at_2_usd, abs=0.005)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (local(1.8), api(0.0005), BreakEven("above", 1.0)),
        (api(0.0005), local(1.8), BreakEven("below", 1.0)),
        (local(0.0), api(0.0005), BreakEven("always", None)),
        (local(1.8, variable_usd=0.0005), api(0.0005), BreakEven("never", None)),
        (local(1.8, variable_usd=0.001), api(0.0005), BreakEven("never", None)),
        (api(0.0), api(0.0), BreakEven("same", None)),
        (api(0.0004), api(0.0005), BreakEven("always", None)),
        (local(1.0), local(2.0), BreakEven("always", None)),
        (local(2.0), api(1e-308), BreakEven("never", None)),
        (api(1e-308), local(2.0), BreakEven("always", None)),
    ],
)
def test_every_case_of_sign_has_its_answer(a, b, expected):
    assert break_even(a, b) == expected


def test_what_wins_above_is_the_mirror_of_what_wins_below():
    assert break_even(local(1.8), api(0.0005)).rate_rps == break_even(api(0.0005), local(1.8)).rate_rps


@pytest.mark.parametrize(("capacity", "within"), [(0.9, False), (1.0, True), (None, True)])
def test_a_break_even_beyond_the_capacity_is_none(capacity, within):
    assert break_even(local(1.8, capacity), api(0.0005)).is_within(capacity) is within


@given(HOUR, CAPACITY, PRICE, PRICE)
def test_at_the_break_even_rate_both_cost_the_same(usd_per_hour, capacity, variable, api_usd):
    a, b = local(usd_per_hour, None, variable), api(api_usd)
    found = break_even(a, b)
    if found.rate_rps is not None:
        assert a.usd_per_hour(found.rate_rps) == pytest.approx(b.usd_per_hour(found.rate_rps), rel=1e-6)


@given(HOUR, CAPACITY, PRICE, PRICE, st.floats(0.1, 100.0), st.floats(0.0, 1.0))
def test_winning_rates_are_exactly_those_where_the_bill_is_smaller(
    usd_per_hour, capacity, variable, api_usd, limit, share
):
    a, b = local(usd_per_hour, capacity, variable), api(api_usd)
    rate = limit * share
    difference = a.usd_per_hour(rate) - b.usd_per_hour(rate)
    if rate == 0 or abs(difference) < 1e-6 or abs(rate / capacity - round(rate / capacity)) < 1e-6:
        return
    assert any(low < rate <= high for low, high in winning_rates(a, b, limit)) is (difference < 0)


@pytest.mark.parametrize("n_machines", [1, 2, 3, 5, 8])
def test_with_n_machines_local_wins_between_n_times_the_break_even_and_n_times_the_capacity(n_machines):
    found = winning_rates(local(1.8, 1.5), api(0.0005), up_to_rps=n_machines * 1.5)
    expected = [(1.0, 1.5), (2.0, 3.0)]  # the second range ends where the third begins: 2 · 1.5 = 3 · 1
    if n_machines == 1:
        expected = expected[:1]
    elif n_machines > 2:
        expected[1] = (2.0, n_machines * 1.5)
    assert [end for ends in found for end in ends] == pytest.approx([end for ends in expected for end in ends])


def test_a_machine_that_is_full_before_it_pays_never_pays_however_many():
    assert winning_rates(local(1.8, 0.9), api(0.0005), up_to_rps=100.0) == ()


def test_a_shared_server_is_paid_once_and_is_worth_it_only_with_several_machines():
    a = local(1.8, 1.2, shared_usd_per_hour=0.5)
    assert not break_even(a, api(0.0005)).is_within(a.capacity_rps)
    first = winning_rates(a, api(0.0005), up_to_rps=10.0)[0]
    assert first == (pytest.approx((0.5 + 2 * 1.8) / 1.8), pytest.approx(2.4))


def test_two_kinds_of_machine_step_each_at_its_own_capacity():
    whole = Configuration("both", 0.0, (Machine(1.0, 2.0), Machine(3.0, 5.0)))
    assert whole.capacity_rps == 2.0
    assert whole.fixed_usd_per_hour == 4.0
    assert whole.usd_per_hour(4.5) == 3 * 1.0 + 3.0
    assert whole.usd_per_hour(5.5) == 3 * 1.0 + 2 * 3.0


@pytest.mark.parametrize("capacity", [0.0, -1.0, math.nan, math.inf])
def test_a_capacity_that_holds_nothing_is_refused(capacity):
    with pytest.raises(ConfigError, match="a number above 0 is expected"):
        Machine(1.0, capacity)


@pytest.mark.parametrize("usd", [-0.01, math.nan, math.inf])
def test_a_price_that_is_no_price_is_refused(usd):
    with pytest.raises(ConfigError, match="price of at least 0"):
        api(usd)
    with pytest.raises(ConfigError, match="price of at least 0"):
        Machine(usd)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.inf, math.nan])
def test_a_limit_that_is_no_rate_is_refused(limit):
    with pytest.raises(ConfigError, match="above 0"):
        winning_rates(local(), api(0.1), limit)


def test_a_limit_that_takes_a_million_machines_is_refused():
    with pytest.raises(ConfigError, match="1000000 machines"):
        winning_rates(local(1.0, 0.001), api(0.1), 1000.0)
