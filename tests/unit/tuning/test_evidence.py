"""Intervals of money, seconds and scores on simulated truths; who is refused although the best single model is beaten."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.evaluation.statistics import bootstrap_moments, clustered_se, percentile_interval, studentised_interval
from workbench.tuning import OutcomeMatrix, SweepConfig, sweep_matrix
from workbench.tuning.evidence import compare, judge

BOTH = [("a", 0.5), ("b", 0.5)]


def matrix_of(make_outcomes, score, cost, groups=None):
    return OutcomeMatrix.from_outcomes(make_outcomes(score, cost, groups=groups))


def test_resampled_errors_are_those_of_the_resample():
    rng = np.random.default_rng(0)
    values, groups = rng.lognormal(0, 1, 30) + 1e6, [str(i // 3) for i in range(30)]
    means, errors = bootstrap_moments(values[:, None], groups, np.random.default_rng(1), 1)
    drawn = np.random.default_rng(1).integers(0, 10, 10)
    rows = np.concatenate([np.arange(3 * g, 3 * g + 3) for g in drawn])
    labels = [str(i // 3) for i in range(30)]  # a group drawn twice counts as two
    assert means[0, 0] == pytest.approx(values[rows].mean())
    assert errors[0, 0] == pytest.approx(clustered_se(values[rows], labels), rel=1e-6)


def test_resamples_of_equal_rows_do_not_blow_the_studentised_interval_up():
    """Two rows of 29 differ: a seventh of the resamples holds neither, and its error is rounding."""
    saved, groups = np.array([-1.0] * 2 + [0.0] * 27), [str(i) for i in range(29)]
    means, errors = bootstrap_moments(saved[:, None], groups, np.random.default_rng(0), 2000)
    low, high = studentised_interval(saved.mean(), clustered_se(saved, groups), means[:, 0], errors[:, 0])
    assert -1 < low < saved.mean() < high < 1


def test_long_tails_are_missed_half_as_often_by_the_studentised_interval():
    sigma, missed = 1.8, np.zeros(2)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        cost, groups = rng.lognormal(-(sigma**2) / 2, sigma, 100), np.arange(100)  # the true mean is 1
        means, errors = bootstrap_moments(cost[:, None], groups, rng, 400)
        error = clustered_se(cost, groups)
        tailed = studentised_interval(cost.mean(), error, means[:, 0], errors[:, 0])
        missed += [percentile_interval(means[:, 0])[1] < 1, tailed[1] < 1]
    assert missed[1] < 0.7 * missed[0]


def test_with_normal_costs_and_twelve_groups_the_interval_covers_as_it_says(make_outcomes):
    hits = 0
    plain = matrix_of(make_outcomes, np.ones((48, 2)), [[10.0, 10.0]] * 48, [f"g{i // 4}" for i in range(48)])
    tiny = plain.models.index("tiny")
    for seed in range(200):
        rng = np.random.default_rng(seed)
        by_group = rng.normal(0, 1, 12)
        cost = np.full((48, 2), 10.0)
        cost[:, 1 - tiny] += np.repeat(by_group, 4) + rng.normal(0, 0.3, 48)
        matrix = replace(plain, cost_usd=cost)
        low, high = compare(matrix, np.full(48, 1 - tiny), tiny, rng, 300).cost_difference.ci
        hits += low <= 0 <= high
    assert hits / 200 >= 0.91


def test_constant_scores_leave_an_interval_with_a_width(make_outcomes):
    matrix = matrix_of(make_outcomes, np.ones((40, 2)), [[1.0, 2.0]] * 40)
    found = compare(matrix, np.zeros(40, int), 0, np.random.default_rng(0), 200)
    assert found.score.mean == found.score.ci[1] == 1.0
    assert 0.85 < found.score.ci[0] < 0.95
    assert found.score_difference.ci[0] < -0.05 < 0.05 < found.score_difference.ci[1]
    assert found.cost_difference.ci == (found.cost_difference.mean, found.cost_difference.mean)


def test_a_policy_that_another_single_model_equals_for_less_is_not_recommended(make_outcomes):
    score = np.tile([0.5, 0.9, 0.9], (400, 1))
    matrix = matrix_of(make_outcomes, score, [[9.0, 1.0, 2.0]] * 400)
    base, spec, tiny = (matrix.models.index(name) for name in ("base", "spec", "tiny"))
    found = compare(matrix, np.where(np.arange(400) % 2, base, spec), tiny, np.random.default_rng(0), 200)
    assert found.score_difference.ci[0] > 0 > found.cost_difference.ci[1]
    assert found.dominated_by == "base"
    verdict = judge(found, "stack", "tiny", BOTH)
    assert verdict.answer == "do_not_route"
    assert "base alone scored no less on the same prompts for no more money" in verdict.because


def test_a_policy_cheaper_than_every_single_model_is_measured_against_the_cheapest(make_outcomes):
    rows = np.arange(300)
    cost = np.where((rows[:, None] % 2) == np.array([0, 1]), 1.0, 9.0)  # each model is dear on half of the requests
    matrix = matrix_of(make_outcomes, np.full((300, 2), 0.8), cost.tolist())
    found = compare(matrix, matrix.cost_usd.argmin(axis=1), 0, np.random.default_rng(0), 200)
    assert found.cost_usd.mean == 1.0
    assert found.over_singles.mean == pytest.approx(0.0)


def test_sending_all_to_the_cheapest_model_survives_rounding_in_resamples(make_outcomes):
    rng = np.random.default_rng(0)
    cost = rng.lognormal(-7, 2, (97, 3))
    matrix = matrix_of(make_outcomes, np.full((97, 3), 0.7), cost.tolist())
    cheapest = int(matrix.cost_usd.mean(axis=0).argmin())
    found = compare(matrix, np.full(97, cheapest), (cheapest + 1) % 3, rng, 300)
    assert np.isfinite(found.over_singles.ci).all()


def test_constant_scores_never_end_in_route(make_outcomes):
    for n in (60, 400):
        for value in (0.0, 0.5, 1.0):
            matrix = matrix_of(make_outcomes, np.full((n, 3), value), [[1.0, 5.0, 3.0]] * n)
            for rule in ("no-worse", "trade-off"):
                config = SweepConfig(predictors=("task-mean", "ridge"), n_bootstrap=200, rule=rule)
                assert sweep_matrix(matrix, config).document["verdict"] == "do_not_route"


def test_a_saving_never_exceeds_what_was_spent(make_outcomes):
    rng = np.random.default_rng(0)
    cost = np.column_stack([rng.lognormal(0, 1, 80), 1e-3 * rng.lognormal(0, 1, 80)])
    matrix = matrix_of(make_outcomes, np.ones((80, 2)), cost.tolist())
    tiny = matrix.models.index("tiny")
    found = compare(matrix, np.full(80, 1 - tiny), tiny, rng, 300)
    low, high = found.cost_share.ci
    assert -1.0 <= low <= found.cost_share.mean <= high < -0.99
    free = matrix_of(make_outcomes, np.ones((80, 2)), [[0.0, 1.0]] * 80)
    assert compare(free, np.zeros(80, int), free.models.index("tiny"), rng, 300).cost_share is None
