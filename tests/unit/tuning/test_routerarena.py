"""RouterArena's score, oracle and policies, on worlds whose best answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tuning.conftest import outcomes_of
from workbench.core import ConfigError
from workbench.embedding import load_embedder
from workbench.tuning import OutcomeMatrix
from workbench.tuning.routerarena import (
    LEAST_USD_PER_1K,
    MOST_USD_PER_1K,
    arena_row,
    arena_score,
    oracle_choice,
    policy_choice,
    score_difference,
)

SHARES = st.floats(0.01, 1.0)
COSTS = st.floats(LEAST_USD_PER_1K, MOST_USD_PER_1K * 0.99)


@pytest.fixture(scope="module")
def by_task() -> OutcomeMatrix:
    """400 prompts: each of two models is right on its own task, at the same price."""
    tasks = ["sums" if i % 2 else "rivers" for i in range(400)]
    right = np.arange(400) % 2
    score = np.stack([right, 1 - right], axis=1)
    return OutcomeMatrix.from_outcomes(outcomes_of(score, np.full((400, 2), 1e-5), tasks=tasks, models=("a", "b")))


@given(SHARES, SHARES, COSTS)
def test_the_score_rises_with_accuracy(low: float, high: float, cost: float):
    low, high = sorted((low, high))
    assert arena_score(low, cost) <= arena_score(high, cost) + 1e-12


@given(SHARES, COSTS, COSTS)
def test_the_score_falls_with_cost(accuracy: float, cheap: float, dear: float):
    cheap, dear = sorted((cheap, dear))
    assert arena_score(accuracy, cheap) >= arena_score(accuracy, dear) - 1e-12


def test_costs_beyond_both_ends_count_as_the_ends():
    assert arena_score(0.7, 1e-9) == arena_score(0.7, LEAST_USD_PER_1K)
    assert arena_score(0.7, 5000) == arena_score(0.7, MOST_USD_PER_1K) == 0
    assert arena_score(0.0, MOST_USD_PER_1K) == 0


@pytest.mark.parametrize(
    ("accuracy", "cost"), [(1.2, 1.0), (-0.1, 1.0), (0.5, 0.0), (float("nan"), 1.0), (0.5, float("nan"))]
)
def test_impossible_figures_are_refused(accuracy: float, cost: float):
    with pytest.raises(ConfigError, match="are needed"):
        arena_score(accuracy, cost)


def test_the_score_is_the_published_one_for_the_published_models():
    assert arena_score(0.5234, 0.17599) == pytest.approx(0.5332, abs=1e-4)
    assert arena_score(0.6901, 0.04749) == pytest.approx(0.6973, abs=1e-4)


def test_the_oracle_takes_the_cheapest_of_the_best():
    score = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0.5]])
    cost = np.array([[3, 2, 1], [3, 2, 1], [1, 9, 1]]) / 1e6
    assert oracle_choice(OutcomeMatrix.from_outcomes(outcomes_of(score, cost, models=("a", "b", "c")))).tolist() == [
        1,
        2,
        1,
    ]


def test_a_policy_finds_what_is_there_to_find(by_task: OutcomeMatrix):
    choice = policy_choice("task-mean", by_task, load_embedder("static"))
    row = arena_row("policy", by_task, choice, draws=200)
    assert (row.accuracy, row.shares) == (1.0, {"a": 0.5, "b": 0.5})
    assert row.accuracy_ci == (1.0, 1.0)
    over = score_difference(by_task, choice, np.zeros(400, np.intp), draws=200)
    assert over["ci"][0] > 0.3
    assert over["difference"] == pytest.approx(row.score - arena_row("a", by_task, np.zeros(400, np.intp), 200).score)


def test_a_policy_does_not_gain_from_noise():
    rng = np.random.default_rng(5)
    score = (rng.random((300, 2)) < [0.3, 0.7]).astype(float)
    matrix = OutcomeMatrix.from_outcomes(outcomes_of(score, np.tile([2e-5, 1e-5], (300, 1)), models=("a", "b")))
    choice = policy_choice("knn", matrix, load_embedder("static"))
    assert score_difference(matrix, choice, np.ones(300, np.intp), draws=200)["ci"][0] <= 0
