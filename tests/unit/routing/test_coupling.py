import numpy as np

from workbench.routing.predictors.additive import AdditiveQuality, Terms
from workbench.routing.predictors.coupling import Coupling
from workbench.routing.queries import Queries

FOLDS = np.arange(600) % 5


def test_difficulty_that_hurts_one_model_more_is_joined_to_its_difference():
    """True quality is 1.6, 1.1 and 0.6 times the difficulty; the estimates know the difficulty and no difference."""
    rng = np.random.default_rng(0)
    hard = rng.standard_normal((600, 1))
    steep = np.array([1.6, 1.1, 0.6])
    quality = hard * steep + 0.2 * rng.standard_normal((600, 3))
    estimates = np.repeat(1.1 * hard, 3, axis=1)
    found = Coupling.fit(estimates, quality, FOLDS)
    assert np.abs(found.corrected(estimates) - hard * steep).mean() < 0.05
    assert np.abs(estimates - hard * steep).mean() > 0.2


def test_without_anything_to_learn_estimates_stay_as_they_are():
    """Estimates are the truth; only noise is left over. What the correction adds is a small part of that noise."""
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((600, 4))
    found = Coupling.fit(truth, truth + rng.standard_normal((600, 4)), FOLDS)
    added = found.corrected(truth) - truth
    assert np.sqrt((added**2).mean()) < 0.15


def test_a_correction_of_differences_does_not_change_what_they_sum_to():
    rng = np.random.default_rng(2)
    estimates, quality = rng.standard_normal((600, 3)), rng.standard_normal((600, 3))
    by_differences = Coupling.fit(estimates, quality, FOLDS).matrix
    level = by_differences.mean(axis=1, keepdims=True)
    assert np.allclose((by_differences - level).sum(axis=1), 0.0)


def test_folded_terms_say_what_the_corrected_sum_says():
    rng = np.random.default_rng(3)
    lengths = np.sort(rng.integers(1, 40, 50)).astype(float)
    terms = Terms(
        offset=rng.standard_normal(3),
        mean=rng.standard_normal((3, 3)),
        lengths=lengths,
        length=rng.standard_normal((2, 3)),
        tasks=("a", "b"),
        task=rng.standard_normal((3, 3)),
    )
    coupling = Coupling(rng.standard_normal(4), rng.standard_normal((4, 3)))
    queries = Queries.of(["x" * n for n in (1, 9, 30, 99)], ["a", "b", "other", None])
    plain, folded = (AdditiveQuality(None, t).estimate(queries) for t in (terms, coupling.folded(terms)))
    assert np.allclose(folded, coupling.corrected(plain))


def test_estimates_that_are_one_constant_and_rounding_are_left_alone():
    constant = np.full((600, 3), 1.0 / 3.0) + 1e-16 * np.random.default_rng(4).standard_normal((600, 3))
    found = Coupling.fit(constant, np.random.default_rng(5).standard_normal((600, 3)), FOLDS)
    assert not found.matrix.any()
