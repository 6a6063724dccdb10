from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from workbench.core import ConfigError
from workbench.evaluation.statistics import (
    bootstrap_mean,
    bootstrap_means,
    clustered_mean,
    clustered_se,
    mean_score,
    paired_difference,
    resampled_weights,
    sign_flip_p,
    wilson_interval,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grouped_scores(generator: np.random.Generator, n_groups: int, size: int, spread: float) -> np.ndarray:
    """Binary scores whose groups share a chance of success: Beta around 0.7."""
    chance = generator.beta(0.7 * spread, 0.3 * spread, size=n_groups)
    return (generator.random((n_groups, size)) < chance[:, None]).astype(float).ravel()


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (50, 100), (10, 10), (1, 1)])
def test_wilson_agrees_with_scipy(successes: int, n: int):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_singleton_groups_give_the_ordinary_standard_error(values):
    expected = np.std(values, ddof=1) / np.sqrt(len(values))
    assert clustered_se(values, range(len(values))) == pytest.approx(expected, abs=1e-12)


def test_copies_of_a_value_within_a_group_add_no_certainty():
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    copied, groups = np.repeat(values, 4), np.repeat(range(5), 4)
    assert clustered_se(copied, groups) == pytest.approx(clustered_se(values, range(5)))


def test_the_t_interval_is_that_of_a_one_sample_t_test():
    values = rng().normal(size=12)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert clustered_mean(values, range(12)).ci == pytest.approx((expected.low, expected.high))


def test_one_group_has_no_interval():
    assert np.isnan(clustered_mean([1.0, 2.0], ["a", "a"]).ci).all()


def test_no_values_are_an_error_that_says_so():
    with pytest.raises(ConfigError, match="no values to average"):
        clustered_mean([], [])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 10))
def test_the_interval_of_a_score_stays_in_range_and_holds_the_mean(values, n_groups):
    found = mean_score(values, [i % n_groups for i in range(len(values))])
    assert 0 <= found.ci[0] <= found.value + 1e-9
    assert found.value - 1e-9 <= found.ci[1] <= 1


@pytest.mark.parametrize("interval", [mean_score, clustered_mean])
def test_intervals_cover_the_truth_as_often_as_they_say_when_groups_are_correlated(interval):
    generator, hits, trials = rng(1), 0, 600
    groups = np.repeat(np.arange(60), 5)
    for _ in range(trials):
        low, high = interval(grouped_scores(generator, 60, 5, spread=2.0), groups).ci
        hits += low <= 0.7 <= high
    assert 0.92 <= hits / trials <= 0.975


def test_ignoring_the_groups_covers_far_too_rarely():
    generator, hits, trials = rng(1), 0, 300
    for _ in range(trials):
        low, high = mean_score(grouped_scores(generator, 60, 5, spread=2.0), range(300)).ci
        hits += low <= 0.7 <= high
    assert hits / trials < 0.85


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    generator, hits, trials = rng(2), 0, 300
    groups = np.repeat(np.arange(60), 5)
    for _ in range(trials):
        found = bootstrap_mean(grouped_scores(generator, 60, 5, spread=2.0), groups, generator, n_resamples=500)
        hits += found.ci[0] <= 0.7 <= found.ci[1]
    assert 0.91 <= hits / trials <= 0.98


@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 60))
def test_every_resample_draws_as_many_groups_as_there_are(n_groups, n_resamples, max_chunk):
    weights = np.concatenate(list(resampled_weights(n_groups, n_resamples, rng(), max_chunk)))
    assert weights.shape == (n_resamples, n_groups)
    assert (weights.sum(axis=1) == n_groups).all()


def test_the_bootstrap_spread_is_the_clustered_standard_error():
    values, groups = grouped_scores(rng(3), 80, 4, 2.0), np.repeat(np.arange(80), 4)
    draws = bootstrap_means(values, groups, rng(4), 4000)[:, 0]
    assert draws.std() == pytest.approx(clustered_se(values, groups), rel=0.05)


def test_columns_are_resampled_together_so_that_their_difference_is_paired():
    values = rng(5).random(50)
    draws = bootstrap_means(np.stack([values, values - 0.1], axis=1), range(50), rng(6), 200)
    assert np.ptp(draws[:, 0] - draws[:, 1]) < 1e-12


def test_the_same_seed_gives_the_same_interval():
    values, groups = rng(7).random(40), np.arange(40) // 2
    assert bootstrap_mean(values, groups, rng(8)) == bootstrap_mean(values, groups, rng(8))


def test_the_sign_flip_p_is_the_share_of_all_patterns():
    sums = [3.0, -1.0, 2.0, 4.0, 1.0]
    patterns = [abs(np.dot(signs, sums)) for signs in product((1, -1), repeat=5)]
    expected = np.mean([total >= abs(sum(sums)) for total in patterns])
    assert sign_flip_p(sums, range(5), rng()) == pytest.approx(expected)


def test_the_sampled_sign_flip_p_is_near_the_exact_one():
    differences = rng(9).normal(0.4, 1, size=13)
    exact = sign_flip_p(differences, range(13), rng(), n_flips=2**13)
    sampled = sign_flip_p(differences, range(13), rng(), n_flips=8000)
    assert sampled == pytest.approx(exact, abs=0.015)


def test_the_p_value_is_uniform_when_nothing_differs():
    generator, groups = rng(10), np.repeat(np.arange(30), 2)
    ps = [sign_flip_p(generator.normal(size=60), groups, generator, 500) for _ in range(400)]
    assert np.mean(np.array(ps) < 0.05) < 0.085
    assert 0.4 < np.mean(ps) < 0.6


def test_equal_answers_differ_by_nothing_with_certainty_of_nothing():
    found = paired_difference([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], ["a", "b", "c"], rng())
    assert (found.value, found.p) == (0.0, 1.0)


def test_a_clear_difference_is_found():
    a, b = rng(11).random(200), rng(12).random(200) - 0.3
    found = paired_difference(a, b, np.arange(200) // 2, rng(13))
    assert found.ci[0] < 0.3 < found.ci[1]
    assert found.p < 0.001


def test_values_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        clustered_mean([1.0, float("nan")], ["a", "b"])
