import numpy as np
import pytest

from workbench.tuning import OutcomeMatrix
from workbench.tuning.baselines import best_single, cheapest_single, corrected_oracle, oracle, random_mix


def test_best_and_cheapest_break_ties_by_the_other(make_outcomes):
    score = np.tile([0.5, 1.0, 1.0], (10, 1))
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 3.0, 2.0]] * 10))
    assert matrix.models[best_single(matrix)] == "spec"
    assert matrix.models[cheapest_single(matrix)] == "tiny"
    free = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 1.0, 1.0]] * 10))
    assert free.score[0, cheapest_single(free)] == 1.0


def test_a_random_mix_is_the_expected_value_of_drawing(make_outcomes):
    rng = np.random.default_rng(0)
    score, cost, shares = rng.random((200, 3)), rng.random((200, 3)), np.array([0.2, 0.5, 0.3])
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, cost.tolist()))
    drawn = [matrix.score[np.arange(200), rng.choice(3, 200, p=shares)].mean() for _ in range(2000)]
    assert random_mix(matrix, shares).score.mean() == pytest.approx(
        np.mean(drawn), abs=5 * np.std(drawn) / np.sqrt(2000)
    )


@pytest.mark.parametrize("samples", [1, 2, 8])
def test_the_true_oracle_lies_between_the_cross_fitted_and_the_plain_one(make_outcomes, samples):
    rng = np.random.default_rng(1)
    chance = rng.beta(1, 1, (600, 3))
    groups = [f"g{i // 4}" for i in range(600)]
    chance = chance[np.arange(600) // 4 * 4]  # a group's wordings share their chances
    score = (rng.random((600, 3, samples)) < chance[:, :, None]).astype(float)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0, 3.0]] * 600, groups=groups))
    true = chance.max(axis=1).mean()
    assert corrected_oracle(matrix).score.mean() < true < oracle(matrix).score.mean() + 0.02
    assert oracle(matrix).score.mean() > corrected_oracle(matrix).score.mean()


def test_with_one_sample_the_oracle_is_flagged_and_without_groups_it_cannot_be_corrected(make_outcomes):
    rng = np.random.default_rng(2)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(rng.integers(0, 2, (50, 3)), [[1.0, 2.0, 3.0]] * 50))
    assert "inflated" in oracle(matrix).note
    assert corrected_oracle(matrix) is None


def test_models_that_only_guess_have_no_oracle_gain_once_corrected(make_outcomes):
    rng = np.random.default_rng(3)
    score = rng.integers(0, 2, (2000, 3, 2)).astype(float)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0, 3.0]] * 2000))
    assert oracle(matrix).score.mean() > 0.75
    assert corrected_oracle(matrix).score.mean() == pytest.approx(0.5, abs=0.04)
