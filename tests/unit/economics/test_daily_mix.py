import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.economics.break_even import Configuration, Machine
from workbench.economics.daily_mix import best_mix, bill_alone, bill_with_machines
from workbench.economics.daily_profile import LoadProfile

RATES = st.lists(st.floats(0.0, 20.0), min_size=24, max_size=24).filter(lambda rates: max(rates) > 0.01)


def by_hand(local, n_machines, api, profile):
    """USD an hour, hour by hour over a week."""
    (machine,) = local.machines
    bill = 0.0
    for rates, days in ((profile.weekday, 5), (profile.weekend, 2)):
        for rate in rates:
            here = min(rate, n_machines * machine.capacity_rps)
            hour = n_machines * machine.usd_per_hour + 3600 * (
                here * local.variable_usd + (rate - here) * api.variable_usd
            )
            bill += days * hour
    return bill / 168


@given(RATES, RATES, st.floats(0.1, 5.0), st.floats(0.5, 8.0), st.floats(0.0001, 0.002))
def test_the_best_mix_is_the_best_of_all_numbers_of_machines_counted_by_hand(
    weekday, weekend, hourly, capacity, api_usd
):
    profile = LoadProfile(tuple(weekday), tuple(weekend), "drawn")
    local, api = Configuration("l", 0.0001, (Machine(hourly, capacity),)), Configuration("a", api_usd)
    most = int(profile.peak_rps / capacity) + 1
    bills = [by_hand(local, n, api, profile) for n in range(most + 1)]
    found = best_mix(local, api, profile)
    assert found.usd_per_hour == pytest.approx(min(bills), rel=1e-9)
    assert found.usd_per_hour <= min(bill_alone(api, profile).usd_per_hour, bill_alone(local, profile).usd_per_hour) * (
        1 + 1e-9
    )


def test_an_idle_night_is_paid_for_and_utilisation_says_so():
    day = tuple(10.0 if 9 <= hour < 17 else 0.0 for hour in range(24))
    profile = LoadProfile(day, (0.0,) * 24, "office hours")
    bill = bill_alone(Configuration("l", 0.0, (Machine(3.0, 10.0),)), profile)
    assert bill.usd_per_month == pytest.approx(3.0 * 730.5)
    assert bill.usd_per_year == pytest.approx(3.0 * 8766)
    assert bill.utilisation == pytest.approx(8 / 24 * 5 / 7)


def test_base_load_stays_local_and_the_peak_overflows():
    peak = tuple(20.0 if hour == 12 else 2.0 for hour in range(24))
    profile = LoadProfile(peak, peak, "one busy hour")
    local, api = Configuration("l", 0.0, (Machine(1.8, 4.0),)), Configuration("a", 0.0005)
    found = best_mix(local, api, profile)
    assert found.n_machines == (1,)
    assert found.local_share == pytest.approx((23 * 2.0 + 4.0) / (23 * 2.0 + 20.0))
    assert found.usd_per_hour == pytest.approx(1.8 + 3600 * 16 / 24 * 0.0005)


def test_a_machine_whose_requests_cost_more_than_the_api_stays_off():
    local, api = Configuration("l", 0.001, (Machine(0.0, 4.0),)), Configuration("a", 0.0005)
    assert best_mix(local, api, LoadProfile.flat(1.0)).local_share == 0.0


def test_one_machine_at_least_is_bought_where_that_is_asked():
    local, api = Configuration("l", 0.0, (Machine(9.0, 4.0),)), Configuration("a", 0.0005)
    profile = LoadProfile.flat(1.0)
    assert best_mix(local, api, profile).n_machines == (0,)
    forced = best_mix(local, api, profile, least_machines=1)
    assert (forced.n_machines, forced.usd_per_hour) == ((1,), 9.0)
    assert forced == bill_with_machines(local, 1, api, profile)


def test_two_kinds_of_machine_are_counted_each_for_the_rate_they_carry():
    local = Configuration("l", 0.0, (Machine(1.0, 2.0), Machine(0.5, 5.0)))
    api, profile = Configuration("a", 0.0005), LoadProfile.flat(6.0)
    found = best_mix(local, api, profile)
    options = [
        a * 1.0 + b * 0.5 + 1.8 * max(0.0, 6.0 - min(2.0 * a, 5.0 * b))
        for a, b in itertools.product(range(5), range(3))
    ]
    assert found.usd_per_hour == pytest.approx(min(options))


def test_overflow_into_something_with_a_limit_is_refused():
    local = Configuration("l", 0.0, (Machine(1.0, 2.0),))
    with pytest.raises(ConfigError, match="overflow must go where any rate is carried"):
        best_mix(local, Configuration("other", 0.0, (Machine(1.0, 2.0),)), LoadProfile.flat(1.0))


def test_a_mix_of_a_million_machines_is_found_as_well():
    local, api = Configuration("l", 0.0, (Machine(0.001, 0.001),)), Configuration("a", 0.1)
    assert best_mix(local, api, LoadProfile.flat(1000.0)).n_machines == (1_000_000,)
