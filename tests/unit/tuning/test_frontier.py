import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.core import ConfigError
from workbench.routing import Capability, CostAware, Predictions
from workbench.tuning import Frontier, capability_switches, cost_aware_switches

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 6))


@st.composite
def problems(draw):
    """Small integers make ties, equal costs, zero costs, dominated models and identical rows common."""
    shape = draw(SHAPES)
    quality = draw(arrays(np.float64, shape, elements=st.integers(0, 8).map(lambda v: v / 8)))
    cost = draw(arrays(np.float64, shape, elements=st.integers(0, 5).map(float)))
    if draw(st.booleans()):
        quality[:] = quality[0]
    if draw(st.booleans()):
        cost[:] = cost[0]
    score = draw(arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 1.0])))
    return quality, cost, score


def brute_force(objective, quality, cost, score):
    chosen = objective.choose(Predictions(quality, cost, cost), np.ones(quality.shape, bool))
    rows = np.arange(len(quality))
    return score[rows, chosen].mean(), cost[rows, chosen].mean()


@given(problems())
@settings(max_examples=100, deadline=None)
def test_the_exact_frontier_is_brute_force_at_every_distinct_threshold(problem):
    quality, cost, score = problem
    frontier = Frontier.of(cost_aware_switches(quality, cost), score, cost)
    for entry in range(len(frontier)):
        expected = brute_force(CostAware(frontier.middle(entry)), quality, cost, score)
        assert (frontier.score[entry], frontier.cost_usd[entry]) == pytest.approx(expected)
    ends = [(0.0, 0), (np.inf, -1)]
    for exchange, entry in ends:
        expected = brute_force(CostAware(exchange), quality, cost, score)
        assert (frontier.score[entry], frontier.cost_usd[entry]) == pytest.approx(expected)


@given(problems())
@settings(max_examples=40, deadline=None)
def test_brute_force_never_changes_between_two_thresholds_of_the_frontier(problem):
    """The thresholds are all there are: a fine grid of brute force finds nothing that the frontier lacks."""
    quality, cost, score = problem
    frontier = Frontier.of(cost_aware_switches(quality, cost), score, cost)
    for exchange in np.linspace(0, 1.1, 45) + 1e-4:  # slopes are k/8 divided by 1..5; none of the grid is one
        entry = frontier.index_at(exchange)
        expected = brute_force(CostAware(exchange), quality, cost, score)
        assert (frontier.score[entry], frontier.cost_usd[entry]) == pytest.approx(expected)


@given(problems())
@settings(max_examples=40, deadline=None)
def test_the_capability_frontier_is_brute_force_at_every_floor(problem):
    quality, cost, score = problem
    frontier = Frontier.of(capability_switches(quality, cost), score, cost)
    floors = np.concatenate([frontier.thresholds, np.unique(quality), np.unique(quality) + 1 / 16])
    for floor in floors[floors >= frontier.thresholds[0]]:
        entry = frontier.index_at(floor)
        expected = brute_force(Capability(float(floor)), quality, cost, score)
        assert (frontier.score[entry], frontier.cost_usd[entry]) == pytest.approx(expected)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_many_requests_in_blocks_and_threads_give_the_same_frontier(seed):
    rng = np.random.default_rng(seed)
    quality, cost, score = rng.random((3, 200, 5))
    one = cost_aware_switches(quality, cost, threads=1)
    repeated = cost_aware_switches(
        np.tile(quality, (170, 1)), np.tile(cost, (170, 1)), threads=2
    )  # more than two blocks
    assert np.array_equal(repeated.distinct, one.distinct)
    assert np.allclose(repeated.realised(np.tile(score, (170, 1))), one.realised(score))


def test_a_hand_made_request_switches_at_its_hull_slopes():
    # (cost, quality): (0, .2), (1, .6), (2, .7), (4, .8): slopes from the top .05, .1, .4.
    quality, cost = np.array([[0.2, 0.6, 0.7, 0.8]]), np.array([[0.0, 1.0, 2.0, 4.0]])
    frontier = Frontier.of(cost_aware_switches(quality, cost), quality, cost)
    assert frontier.thresholds == pytest.approx([0.0, 0.05, 0.1, 0.4])
    assert frontier.cost_usd == pytest.approx([4, 2, 1, 0])
    assert frontier.middle(1) == pytest.approx(0.075)
    assert frontier.middle(3) == pytest.approx(0.8)


def test_weights_count_requests_again():
    rng = np.random.default_rng(0)
    quality, cost, score = rng.random((3, 30, 4))
    twice = np.r_[np.arange(30), np.arange(10)]
    weights = np.where(np.arange(30) < 10, 2.0, 1.0)
    repeated = cost_aware_switches(quality[twice], cost[twice]).realised(score[twice])
    assert np.allclose(cost_aware_switches(quality, cost).realised(score, weights), repeated)


def test_a_thinned_frontier_keeps_both_ends():
    rng = np.random.default_rng(0)
    quality, cost = rng.random((2, 3000, 3))
    frontier = Frontier.of(cost_aware_switches(quality, cost), quality, cost)
    kept = frontier.thinned(50)
    assert len(kept) <= 50
    assert {0, len(frontier) - 1} <= set(kept.tolist())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_predictions_that_are_no_costs_are_refused(bad):
    with pytest.raises(ConfigError, match=r"must be (finite|0 or more)"):
        cost_aware_switches(np.ones((2, 2)), np.array([[1.0, 2.0], [bad, 1.0]]))


def test_shapes_must_match_and_not_be_empty():
    with pytest.raises(ConfigError, match="not empty"):
        cost_aware_switches(np.ones((0, 2)), np.ones((0, 2)))
    with pytest.raises(ConfigError, match="shapes"):
        cost_aware_switches(np.ones((3, 2)), np.ones((2, 2)))
