import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.routing import CostAware, LearnedPredictor, Policy, Queries, make_predictor, predictor_kinds
from workbench.routing.exact import COARSE, coarse_rows, fine_rows, grid_weights, unit_rows
from workbench.routing.predictors.folds import folds_of
from workbench.routing.predictors.means import TaskMeans


@pytest.mark.parametrize("kind", predictor_kinds())
def test_a_request_is_predicted_the_same_alone_and_in_any_batch(kind, embedder, measured):
    queries = measured[0]
    predictor = make_predictor(kind, embedder).fit(*measured)
    together = predictor.predict(queries)
    for rows in ([7], [7, 3], list(range(0, 120, 7)), list(range(119, -1, -1))):
        part = predictor.predict(queries[rows])
        assert np.array_equal(part.quality, together.quality[rows])
        assert np.array_equal(part.cost_usd, together.cost_usd[rows])


@given(rows=st.lists(st.integers(0, 119), min_size=1, max_size=40), dim=st.integers(1, 700))
@settings(max_examples=20, deadline=None)
def test_products_on_the_grid_do_not_depend_on_the_batch(rows, dim):
    rng = np.random.default_rng(dim)
    vectors, others = rng.standard_normal((120, dim)), rng.standard_normal((50, dim))
    weights, _ = grid_weights(rng.standard_normal((dim, 5)) * 10.0 ** rng.integers(-8, 8))
    coarse, fine = coarse_rows(vectors), fine_rows(vectors)
    assert np.array_equal((coarse @ coarse_rows(others).T)[rows], coarse[rows] @ coarse_rows(others).T)
    assert np.array_equal((fine @ weights)[rows], np.concatenate([fine[[row]] @ weights for row in rows]))


def test_products_on_the_grid_are_exact_integers_in_any_order():
    rng = np.random.default_rng(1)
    a, b = coarse_rows(rng.standard_normal((40, 512))), coarse_rows(rng.standard_normal((40, 512)))
    exact = a.astype(np.int64) @ b.astype(np.int64).T
    assert np.array_equal((a @ b.T).astype(np.int64), exact)
    assert np.abs(exact / COARSE**2 - unit_rows(a) @ unit_rows(b).T).max() < 1e-3


def test_a_product_with_grid_weights_is_the_product():
    rng = np.random.default_rng(2)
    vectors, weights = rng.standard_normal((30, 64)), rng.standard_normal((64, 3))
    integers, scale = grid_weights(weights)
    assert np.allclose(fine_rows(vectors) @ integers * scale, unit_rows(vectors) @ weights, atol=1e-5)


def test_a_zero_vector_has_no_direction_and_no_nan():
    assert not coarse_rows(np.zeros((1, 8))).any()


@pytest.mark.parametrize("kind", predictor_kinds())
def test_missing_scores_and_unmeasured_latency_are_no_obstacle(kind, embedder, measured):
    queries, quality, cost, latency = measured
    quality, cost = quality.copy(), cost.copy()
    quality[::5, 0] = cost[::5, 0] = np.nan
    found = make_predictor(kind, embedder).fit(queries, quality, cost, latency).predict(queries)
    assert np.isfinite(found.quality).all()
    assert np.isfinite(found.cost_usd).all()
    assert np.isnan(found.latency_s).all()


def test_a_model_without_scores_or_cost_is_refused(measured):
    queries, quality, cost, latency = measured
    blank = quality.copy()
    blank[:, 1] = np.nan
    with pytest.raises(ConfigError, match=r"columns \[1\] have no score"):
        make_predictor("constant").fit(queries, blank, cost, latency)
    with pytest.raises(ConfigError, match=r"columns \[1\] have no cost"):
        make_predictor("constant").fit(queries, quality, blank, latency)


def test_unknown_and_incomplete_predictors_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'ridge'"):
        make_predictor("rigde")
    with pytest.raises(ConfigError, match="needs an embedder"):
        make_predictor("knn")
    with pytest.raises(ConfigError, match="never fitted"):
        make_predictor("constant").predict(Queries.of(["a"]))


def test_length_routing_orders_requests_by_length_in_the_direction_of_the_data():
    queries = Queries.of(["x" * n for n in range(1, 101)])
    quality = np.column_stack([np.linspace(1, 0, 100), np.full(100, 0.5)])  # the first model fails on long prompts
    found = make_predictor("prompt-length").fit(queries, quality, np.ones((100, 2)), np.ones((100, 2))).predict(queries)
    uplift = found.quality[:, 1] - found.quality[:, 0]
    assert (np.diff(uplift) > 0).all()
    assert np.allclose(found.quality, quality, atol=1e-9)


def test_a_task_mean_is_kept_when_tasks_differ_and_dropped_when_they_do_not():
    queries = Queries.of(["x"] * 400, ["a", "b"] * 200)
    rng = np.random.default_rng(0)
    apart = np.where(np.arange(400) % 2, 0.2, 0.8)[:, None] + rng.normal(0, 0.05, (400, 1))
    kept = TaskMeans.fit(queries, apart, pooled=True)
    assert kept.table[:2, 0] == pytest.approx([0.8, 0.2], abs=0.02)
    same = np.tile([[0.0], [0.0], [1.0], [1.0]], (100, 1))
    assert TaskMeans.fit(queries, same, pooled=True).table[:, 0].tolist() == [0.5, 0.5, 0.5]


def test_shrinkage_matches_the_closed_form():
    # Two tasks of two rows: means 0 and 1, variance within 0.02, so τ² = (between − within)/n0 with n0 = 2.
    queries = Queries.of(["x"] * 4, ["a", "a", "b", "b"])
    values = np.array([[-0.1], [0.1], [0.9], [1.1]])
    within, between = 0.02, 2 * 0.25 + 2 * 0.25
    tau2 = (between - within) / 2
    share = 2 / (2 + within / tau2)
    table = TaskMeans.fit(queries, values, pooled=True).table[:, 0]
    assert table == pytest.approx([0.5 - share * 0.5, 0.5 + share * 0.5, 0.5])


def test_an_unseen_task_and_an_unknown_task_get_the_overall_mean(measured):
    quality = measured[1]
    found = make_predictor("task-mean").fit(*measured).predict(Queries.of(["a", "b"], ["never seen", None]))
    assert np.allclose(found.quality, quality.mean(axis=0))


def test_ridge_finds_a_linear_uplift(embedder):
    rng = np.random.default_rng(3)
    queries = Queries.of([f"text {i}" for i in range(600)])
    vectors = unit_rows(embedder.embed(list(queries.texts)))
    uplift = vectors @ rng.standard_normal(16)
    quality = np.column_stack([0.5 - uplift, 0.5 + uplift]) + rng.normal(0, 0.05, (600, 2))
    ones = np.ones((600, 2))
    found = (
        make_predictor("ridge", embedder)
        .fit(queries[:400], quality[:400], ones[:400], ones[:400])
        .predict(queries[400:])
    )
    assert np.corrcoef(found.quality[:, 1] - found.quality[:, 0], uplift[400:])[0, 1] > 0.98


def test_cross_validation_never_splits_a_paraphrase_group():
    queries = Queries.of(["x"] * 60, groups=tuple(f"g{i // 3}" for i in range(60)))
    folds = folds_of(queries)
    assert all(len(set(folds[i : i + 3])) == 1 for i in range(0, 60, 3))
    assert set(folds) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("kind", predictor_kinds())
def test_state_restores_the_same_bits(kind, embedder, measured):
    queries = measured[0]
    predictor = make_predictor(kind, embedder).fit(*measured)
    again = LearnedPredictor.from_state(predictor.to_state(), embedder)
    assert np.array_equal(again.predict(queries).quality, predictor.predict(queries).quality)


def test_an_empty_batch_has_no_decisions(embedder, measured):
    for kind in predictor_kinds():
        policy = Policy(("a", "b", "c"), make_predictor(kind, embedder).fit(*measured), CostAware(0.1))
        assert policy.decide(Queries.of([])) == []
