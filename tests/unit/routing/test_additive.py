"""Sums of terms: equal to the plain formula, and to themselves in any batch."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.routing import Queries
from workbench.routing.exact import FINE, coarse_rows, fine_rows, grid_factors, scaled_rows, unit_rows
from workbench.routing.predictors.additive import AdditiveQuality, Terms
from workbench.routing.predictors.clusters import Clusters
from workbench.routing.predictors.prompt_length import rank_among

TASKS = ("add", "sort")
LABELS = (*TASKS, "never seen", None)


class Numbered:
    """An embedder that looks the number before a text's first space up in a table."""

    fingerprint = "numbered"

    def __init__(self, table):
        self.table, self.dim = table.astype(np.float32), table.shape[1]

    def embed(self, texts):
        return self.table[[int(text.partition(" ")[0]) for text in texts]]


def a_sum(seed=0, rows=1200, m=3, d=24, *, guesses=True, tasks=TASKS):
    """Random terms over random vectors: estimator, requests of random lengths and labels."""
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((rows, d))
    clusters = Clusters.fit(coarse_rows(table[:400]))
    k = len(clusters)
    terms = Terms(
        offset=rng.random(m),
        mean=rng.random((len(tasks) + 1, m)),
        lengths=np.sort(rng.integers(5, 60, 300)).astype(float),
        length=rng.standard_normal((2, m)),
        tasks=tasks,
        task=rng.standard_normal((len(tasks) + 1, m)) if tasks else np.empty((0, 0)),
        weights=rng.standard_normal((d, m)),
        clusters=clusters,
        at_centre=rng.standard_normal((k, m)),
        task_at_centre=rng.standard_normal((k, m)) if tasks and guesses else np.empty((0, 0)),
    )
    texts = [f"{i} {'x' * int(n)}" for i, n in enumerate(rng.integers(0, 70, rows))]
    queries = Queries.of(texts, [LABELS[i] for i in rng.integers(0, 4, rows)])
    return AdditiveQuality(Numbered(table), terms), queries


def by_the_formula(estimator, queries):
    """The same in plain floating point, term by term."""
    terms, vectors = estimator.terms, estimator.embedder.embed(list(queries.texts))
    r = rank_among(np.array([len(text) for text in queries.texts], float), terms.lengths)[:, None] - 0.5
    total = terms.offset + r * terms.length[0] + (r * r - 1 / 12) * terms.length[1] + unit_rows(vectors) @ terms.weights
    shares = terms.clusters.shares_of(coarse_rows(vectors))
    total = total + shares @ terms.at_centre
    for row, task in enumerate(queries.tasks):
        known = terms.tasks.index(task) if task in terms.tasks else -1
        guessed = task is None and len(terms.task_at_centre)
        total[row] += shares[row] @ terms.task_at_centre if guessed else terms.task[known] if terms.tasks else 0.0
    nearest = terms.clusters.similarities(coarse_rows(vectors)).max(axis=1)
    strange = nearest < terms.clusters.border
    for row in np.flatnonzero(strange):
        task = queries.tasks[row]
        total[row] = terms.mean[terms.tasks.index(task) if task in terms.tasks else -1]
    return total, strange


@pytest.mark.parametrize(("tasks", "guesses"), [(TASKS, True), (TASKS, False), ((), False)])
def test_a_sum_of_terms_is_what_the_formula_says(tasks, guesses):
    estimator, queries = a_sum(tasks=tasks, guesses=guesses)
    found, strange = estimator.assess(queries)
    expected, expected_strange = by_the_formula(estimator, queries)
    assert np.abs(found - expected).max() < 1e-4, "weights meet coordinates in steps of 2^-20"
    assert np.array_equal(strange, expected_strange)
    assert 0 < strange.sum() < len(queries), "some of the requests are unlike the recorded ones"


@given(st.lists(st.integers(0, 1199), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_with_and_without_labels_a_request_has_the_same_bits_alone_and_in_any_batch(rows):
    estimator, queries = SHARED
    found, strange = estimator.assess(queries[rows])
    assert np.array_equal(found, TOGETHER[0][rows])
    assert np.array_equal(strange, TOGETHER[1][rows])
    alone = estimator.assess(queries[rows[:1]])
    assert np.array_equal(alone[0], found[:1])


SHARED = a_sum(seed=1)
TOGETHER = SHARED[0].assess(SHARED[1])


def test_a_length_lies_on_between_below_and_above_the_recorded_ones():
    terms = Terms(np.zeros(1), np.zeros((1, 1)), np.array([3.0, 3.0, 5.0, 9.0]), np.array([[1.0], [0.0]]))
    queries = Queries.of(["x" * n for n in (0, 3, 4, 5, 6, 9, 10)])
    found = AdditiveQuality(None, terms).estimate(queries)[:, 0] + 0.5
    assert found.tolist() == [0.0, 0.25, 0.5, 0.625, 0.75, 0.875, 1.0]


def test_an_estimate_may_be_written_to_without_harm():
    estimator, queries = a_sum()
    before = estimator.estimate(queries[:1]).copy()
    estimator.estimate(queries[:1])[:] = 7.0
    constant = AdditiveQuality(None, Terms.constant(np.array([0.25, 0.5])))
    constant.estimate(queries[:1])[:] = 7.0
    assert np.array_equal(estimator.estimate(queries[:1]), before)
    assert constant.estimate(queries[:1]).tolist() == [[0.25, 0.5]]


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e9])
def test_products_with_grid_factors_are_exact_and_close(size):
    rng = np.random.default_rng(0)
    features, factors = fine_rows(rng.standard_normal((50, 64))), size * rng.standard_normal((64, 2))
    bound = float(np.sqrt((factors**2).sum(axis=0)).max())
    steps = grid_factors(factors, bound)
    exact = [
        [sum(Fraction(a) * Fraction(b) for a, b in zip(row, column, strict=True)) for column in steps.T]
        for row in features
    ]
    assert [[Fraction(value) for value in row] for row in features @ steps] == exact
    assert np.abs(features @ steps - features / FINE @ factors).max() < 1e-8 * bound


def test_factors_of_nothing_stay_nothing():
    assert not grid_factors(np.zeros((4, 2)), 0.0).any()


def test_both_grids_are_rounded_from_the_same_rows():
    vectors = np.random.default_rng(0).standard_normal((20, 48))
    vectors[3] = 0.0
    scaled = scaled_rows(vectors)
    assert np.array_equal(scaled / FINE, unit_rows(vectors))
    assert np.allclose(np.linalg.norm(np.delete(scaled, 3, axis=0), axis=1), FINE)
    assert not scaled[3].any()
