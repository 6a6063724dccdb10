"""The largest utility among the eligible: one request alone takes another way through the code than a batch, and must end the same."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.routing import Circumstances, CostAware, Hybrid, Predictions
from workbench.routing.objectives import first_best

FEW = st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 0.5, 1.0, math.inf, math.nan])
"""Few values, so that ties are common."""


@st.composite
def batches(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 11)))
    return (
        draw(arrays(np.float64, shape, elements=FEW)),
        draw(arrays(np.float64, shape, elements=FEW)),
        draw(arrays(np.bool_, shape)),
    )


def by_definition(utility, then_least, eligible):
    """The first of the eligible columns in the order of the definition, unknown numbers last."""
    able = [j for j in range(len(eligible)) if eligible[j]]

    def place(j):
        worst_first = math.inf if math.isnan(utility[j]) else -utility[j]
        return worst_first, math.inf if math.isnan(then_least[j]) else then_least[j], j

    return min(able, key=place, default=-1)


@given(batches())
def test_a_batch_and_each_request_alone_choose_what_the_definition_says(batch):
    n = len(batch[0])
    expected = [by_definition(*(part[i] for part in batch)) for i in range(n)]
    doubled = first_best(*(np.concatenate([part, part]) for part in batch))
    assert doubled.tolist() == expected * 2
    assert [first_best(*(part[i : i + 1] for part in batch)).tolist() for i in range(n)] == [[c] for c in expected]


def test_no_requests_have_no_choice():
    assert first_best(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2), bool)).shape == (0,)


def test_an_ineligible_model_is_not_chosen_because_every_other_costs_without_end():
    eligible = np.array([[False, True]])
    cost = np.array([[1.0, math.inf]])
    for rows in (1, 2):
        assert (
            first_best(-np.repeat(cost, rows, 0), np.repeat(cost, rows, 0), np.repeat(eligible, rows, 0)).tolist()
            == [1] * rows
        )


def test_a_model_of_which_nothing_is_known_does_not_keep_others_from_being_chosen():
    p = Predictions(np.array([[math.nan, 0.4]]), np.ones((1, 2)), np.ones((1, 2)))
    assert CostAware(0.5).choose(p, np.ones((1, 2), bool)).tolist() == [1]
    assert Hybrid(0.5).choose(p, np.ones((1, 2), bool)).tolist() == [1]


@pytest.mark.parametrize("rates", [[0.1, 0.1], [math.inf, math.inf], [0.1, math.inf]])
def test_a_paced_batch_chooses_as_each_rate_alone(rates):
    p = Predictions(np.array([[0.5, 0.9]] * 2), np.array([[1.0, 3.0]] * 2), np.ones((2, 2)))
    given = Circumstances((None, None), exchange=np.array(rates))
    assert CostAware(9.0).choose(p, np.ones((2, 2), bool), given).tolist() == [
        1 if rate == 0.1 else 0 for rate in rates
    ]
