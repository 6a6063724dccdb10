import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.tuning import aiq, apgr, call_curve, cpt
from workbench.tuning.metrics import hull_of, hull_score_at

WEAK, STRONG = np.array([1.0, 0, 0, 1]), np.array([1.0, 1, 1, 0])


def test_random_and_perfect_and_reversed_signals_have_their_closed_forms():
    # strong − weak is (0, 1, 1, −1): the gap is 1/4. Perfect order gains 2 in the first half, then 0, then −1.
    perfect = call_curve(STRONG - WEAK, WEAK, STRONG)
    assert perfect.share.tolist() == [0, 0.5, 0.75, 1]
    assert perfect.recovered.tolist() == [0, 2, 2, 1]
    assert apgr(perfect) == pytest.approx(0.5 * 1 + 0.25 * 2 + 0.25 * 1.5)
    constant = call_curve(np.zeros(4), WEAK, STRONG)
    assert (apgr(constant), cpt(constant, 0.8)) == (0.5, 0.8)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_apgr_is_the_mean_over_all_orders_of_tied_requests(rows):
    signal = np.array([row[0] for row in rows], float)
    weak, strong = np.array([row[1] for row in rows], float), np.array([row[2] for row in rows], float)
    if strong.mean() == weak.mean():
        with pytest.raises(ConfigError, match="no gap"):
            apgr(call_curve(signal, weak, strong))
        return
    rng = np.random.default_rng(0)
    jitter = [apgr(call_curve(signal + rng.random(len(rows)) * 1e-3, weak, strong)) for _ in range(100)]
    assert apgr(call_curve(signal, weak, strong)) == pytest.approx(np.mean(jitter), abs=6 * np.std(jitter) / 10 + 1e-9)


def test_cpt_uses_the_first_crossing_of_a_curve_that_falls_again():
    curve = call_curve(np.array([4.0, 3, 2, 1]), np.array([0.0, 1, 0, 0]), np.array([1.0, 0, 1, 0]))
    assert curve.recovered.tolist() == [0, 1, 0, 1, 1]
    assert cpt(curve, 0.8) == pytest.approx(0.2)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        cpt(curve, 80)


def test_the_hull_is_concave_and_never_falls():
    rng = np.random.default_rng(0)
    cost, score = rng.random((2, 200))
    x, y = hull_of(cost, score)
    slopes = np.diff(y) / np.diff(x)
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 0).all()
    reached = [hull_score_at(cost, score, c) for c in cost]
    assert (np.array(reached) >= score - 1e-12).all()
    assert np.isnan(hull_score_at(cost, score, -1.0))


def test_aiq_counts_nothing_left_of_the_first_point_and_stays_level_after_the_last():
    point = (np.array([0.5]), np.array([0.8]))
    assert aiq(*point, least_cost=0.0, most_cost=1.0) == pytest.approx(0.4)
    assert aiq(*point, least_cost=0.5, most_cost=1.0) == pytest.approx(0.8)
    assert aiq(*point, least_cost=0.0, most_cost=0.4) == 0.0
    assert np.isnan(aiq(*point, least_cost=1.0, most_cost=1.0))
