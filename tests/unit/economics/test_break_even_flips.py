import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.economics.break_even import Configuration, Machine
from workbench.economics.break_even_flips import Lever, flip_point, flips
from workbench.economics.daily_mix import best_mix, bill_alone
from workbench.economics.daily_profile import LoadProfile


@given(st.floats(0.1, 100), st.floats(-50, 50), st.floats(0.01, 20))
def test_a_straight_line_is_solved_exactly(slope, offset, now):
    found = flip_point(lambda x: slope * x + offset, now, 0.0, 1000.0)
    crossing = -offset / slope
    if abs(crossing) < 1e-9 or abs(crossing - 1000) < 1e-6 or slope * now + offset == 0:
        return
    if 0 < crossing < 1000:
        assert found == pytest.approx(crossing, rel=1e-9)
    else:
        assert found is None


def test_of_two_changes_of_sign_the_nearer_one_counts():
    assert flip_point(lambda x: (x - 1) * (x - 10), now=2.0, least=0.1, most=100.0) == pytest.approx(1.0)
    assert flip_point(lambda x: (x - 1) * (x - 10), now=8.0, least=0.1, most=100.0) == pytest.approx(10.0)


def test_a_jump_is_found_where_it_is():
    assert flip_point(lambda x: 1.0 if x < math.pi else -1.0, 1.0, 0.0, 10.0) == pytest.approx(math.pi, rel=1e-11)


def test_an_input_that_cannot_change_the_answer_has_no_flip():
    assert flip_point(lambda x: 5.0, 1.0, 0.0, 10.0) is None
    assert flip_point(lambda x: 1.0 + x * x, 1.0, 0.0, 10.0) is None


def test_an_answer_on_the_edge_flips_here():
    assert flip_point(lambda x: x - 3.0, 3.0, 0.0, 10.0) == 3.0


def test_flipping_the_price_of_the_machine_moves_the_bill_to_a_tie():
    api, profile = Configuration("api", 0.0005), LoadProfile.flat(3.0)

    def margin(usd_per_hour):
        local = Configuration("local", 0.0, (Machine(usd_per_hour, 4.0),))
        return bill_alone(api, profile).usd_per_month - best_mix(local, api, profile, 1).usd_per_month

    found = flip_point(margin, 1.8, 0.0, 100.0)
    assert found == pytest.approx(3600 * 3.0 * 0.0005)
    assert margin(found * 0.999) > 0 > margin(found * 1.001)


def test_the_input_that_moves_most_comes_first_and_a_factor_of_zero_is_none():
    small = Lever("small", 1.0, 0.9, 1.1, "measured", 0.0, 10.0, lambda x: x)
    large = Lever("large", 0.0, -5.0, 5.0, "stated", -10.0, 10.0, lambda x: 2 * x - 1)
    found = flips([small, large])
    assert [flip.lever.name for flip in found] == ["large", "small"]
    assert (found[0].flips_at, found[0].factor) == (0.5, None)
    assert (found[1].flips_at, found[1].factor) == (0.0, 0.0)
    assert found[0].swing_usd == 20.0
