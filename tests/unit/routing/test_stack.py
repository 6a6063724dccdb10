import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.routing import CostAware, Policy, Queries, load_policy, make_predictor
from workbench.routing.exact import coarse_rows
from workbench.routing.predictors.clusters import WHOLE, Clusters, spherical_kmeans
from workbench.routing.predictors.spectrum import PENALTIES, Spectrum, validated
from workbench.routing.predictors.stack import best_choosing, convex_weights
from workbench.routing.predictors.worth import choice_area


class Vectors:
    """An embedder that looks a text's number up in a table."""

    def __init__(self, table):
        self.table, self.fingerprint, self.dim = table.astype(np.float32), f"table:{table.shape[1]}", table.shape[1]

    def embed(self, texts):
        return self.table[[int(text) for text in texts]]


def world(n=600, m=3, seed=0, regions=6, within=0.3):
    """Prompts in a few regions with a best model each: queries, embedder, chances, drawn scores."""
    rng = np.random.default_rng(seed)
    home = rng.integers(0, regions, n)
    vectors = rng.standard_normal((regions, 16))[home] + within * rng.standard_normal((n, 16))
    chance = rng.uniform(0.1, 0.9, (regions, m))[home]
    score = (rng.random((n, m)) < chance).astype(float)
    return Queries.of(map(str, range(n)), [f"t{r}" for r in home]), Vectors(vectors), chance, score


def fitted(kind, queries, embedder, score):
    ones = np.ones(score.shape) * np.arange(1.0, score.shape[1] + 1)
    return make_predictor(kind, embedder).fit(queries, score, ones, ones)


def unlabelled(queries):
    return Queries.of(queries.texts)


def test_convex_weights_find_the_truth_and_never_do_worse_than_the_best_member_on_the_rows_they_saw():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((500, 3))
    estimates = {"good": truth + 0.3 * rng.standard_normal((500, 3)), "bad": rng.standard_normal((500, 3))}
    estimates["other"] = truth + 0.3 * rng.standard_normal((500, 3))
    weights = convex_weights(estimates, truth)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights.get("bad", 0.0) < 0.05
    assert weights["good"] == pytest.approx(0.5, abs=0.05)
    mixed = sum(w * estimates[k] for k, w in weights.items())
    assert ((mixed - truth) ** 2).sum() <= min(((e - truth) ** 2).sum() for e in estimates.values())


def test_the_stack_is_not_worse_than_its_best_member_on_fresh_prompts_beyond_noise():
    """Mean over 12 worlds of its squared error less the best member's, on unseen rows: below a twentieth of the constant's."""
    excess = []
    for seed in range(12):
        queries, embedder, chance, score = world(seed=seed, within=0.2 + 0.1 * (seed % 5))
        half, rest = slice(0, 400), slice(400, 600)
        kinds = ("constant", "prompt-length", "task-mean", "ridge", "local", "local-task", "stack")
        error = {}
        for kind in kinds:
            quality = fitted(kind, queries[half], embedder, score[half]).predict(queries[rest]).quality
            centred = quality - quality.mean(axis=1, keepdims=True)
            target = chance[rest] - chance[rest].mean(axis=1, keepdims=True)
            error[kind] = float(((centred - target) ** 2).mean())
        best = min(error[kind] for kind in kinds[:-1])
        excess.append((error["stack"] - best) / error["constant"])
    assert np.mean(excess) < 0.05


def test_where_nothing_helps_the_stack_hardly_differs_from_the_constant():
    rng = np.random.default_rng(3)
    queries, embedder, _, _ = world(seed=3)
    score = (rng.random((600, 3)) < [0.5, 0.6, 0.7]).astype(float)
    quality = fitted("stack", queries, embedder, score).predict(queries).quality
    uplift = quality[:, 2] - quality[:, 0]
    assert uplift.std() < 0.1
    assert uplift.mean() == pytest.approx(score[:, 2].mean() - score[:, 0].mean(), abs=0.02)


def test_the_blend_is_chosen_by_what_its_choices_are_worth():
    quality = np.array([[1.0, 0.0], [0.0, 1.0]] * 50)
    cost = np.tile([1.0, 2.0], (100, 1))
    estimates = {"knows": 0.1 * (quality - 0.5), "wrong": -0.4 * (quality - 0.5)}
    assert best_choosing({"wrong": 1.0}, estimates, quality, cost) == {"knows": 1.0}
    assert best_choosing({"wrong": 1.0}, estimates, quality, None) == {"wrong": 1.0}


def test_the_worth_of_perfect_predictions_is_the_oracles():
    score = np.array([[1.0, 0.0], [0.0, 1.0]] * 50)
    cost = np.tile([1.0, 2.0], (100, 1))
    # Half the prompts need the dear model: from cost 1 (score 0.5) the curve jumps to (1.5, 1.0) and stays.
    assert choice_area(score, score, cost) == pytest.approx(0.5 * 0.75 + 0.5 * 1.0, abs=0.02)


def test_local_learns_regions_that_a_line_cannot():
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((900, 2))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    angle = np.arctan2(vectors[:, 1], vectors[:, 0])
    uplift = np.where(np.sin(3 * angle) > 0, 0.4, -0.4)  # six sectors in turn: no direction explains it
    score = np.column_stack([0.5 - uplift, 0.5 + uplift])
    queries, embedder = Queries.of(map(str, range(900))), Vectors(vectors)
    found = {
        k: fitted(k, queries[:600], embedder, score[:600]).predict(queries[600:]).quality
        for k in ("ridge", "local", "kmeans")
    }
    right = {k: float(np.corrcoef(q[:, 1] - q[:, 0], uplift[600:])[0, 1]) for k, q in found.items()}
    assert right["ridge"] < 0.4
    assert right["local"] > 0.8
    assert right["kmeans"] > 0.8


def test_a_request_without_a_label_gets_the_tasks_that_are_usual_near_it():
    queries, embedder, chance, score = world(n=900, within=0.15, seed=1)
    predictor = fitted("stack", queries[:600], embedder, score[:600])
    told = predictor.predict(queries[600:]).quality
    guessed = predictor.predict(unlabelled(queries)[600:]).quality
    baseline = np.abs(score[:600].mean(axis=0) - chance[600:]).mean()
    assert np.abs(told - chance[600:]).mean() < 0.5 * baseline
    assert np.abs(guessed - chance[600:]).mean() < 0.6 * baseline


def test_a_task_seen_only_live_is_predicted_and_finite():
    queries, embedder, _, score = world()
    predictor = fitted("stack", queries, embedder, score)
    found = predictor.predict(Queries.of(["0", "0"], ["never seen", None])).quality
    assert np.isfinite(found).all()
    assert (np.abs(found) < 2).all()


@pytest.mark.parametrize("kind", ["local", "stack", "kmeans"])
def test_a_prompt_unlike_all_recorded_ones_gets_each_models_mean_and_the_decision_says_so(kind):
    queries, embedder, _, score = world()
    embedder.table = np.vstack([embedder.table, -embedder.table.sum(axis=0)]).astype(np.float32)
    predictor = fitted(kind, queries, embedder, score)
    strange = Queries.of(["600"])
    found = predictor.predict(strange)
    assert found.unfamiliar.tolist() == [True]
    assert np.allclose(found.quality, score.mean(axis=0))
    assert predictor.predict(queries).unfamiliar.mean() < 0.02
    decision = Policy(("a", "b", "c"), predictor, CostAware(0.0)).decide(strange)[0]
    assert decision.model == "abc"[int(score.mean(axis=0).argmax())]
    assert "unlike all recorded prompts" in decision.because


def test_the_stack_is_saved_as_json_and_arrays_and_decides_the_same(tmp_path):
    queries, embedder, _, score = world()
    policy = Policy(("a", "b", "c"), fitted("stack", queries, embedder, score), CostAware(0.05))
    policy.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npz"}
    assert load_policy(tmp_path, embedder).decide(queries) == policy.decide(queries)


def test_a_saved_stack_refuses_another_embedder(tmp_path):
    queries, embedder, _, score = world()
    Policy(("a", "b", "c"), fitted("stack", queries, embedder, score), CostAware(0.05)).save(tmp_path)
    embedder.fingerprint = "another"
    with pytest.raises(ConfigError, match="fitted on the embedder table:16"):
        load_policy(tmp_path, embedder)


@pytest.mark.parametrize("kind", ["stack", "local", "kmeans", "logistic", "factors", "boosting"])
def test_five_prompts_are_few_but_no_crash(kind):
    queries, embedder, _, score = world(n=5)
    assert np.isfinite(fitted(kind, queries, embedder, score).predict(queries).quality).all()


@pytest.mark.parametrize("kind", ["stack", "local", "kmeans", "logistic", "factors", "boosting"])
def test_constant_scores_predict_the_constant(kind):
    queries, embedder, _, _ = world(n=120)
    score = np.tile([1.0, 0.5, 0.0], (120, 1))
    found = fitted(kind, queries, embedder, score).predict(queries).quality
    assert np.allclose(found, score, atol=0.02)


@pytest.mark.parametrize("kind", ["logistic", "factors", "boosting"])
def test_learned_kinds_find_an_uplift_that_is_there(kind):
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((1200, 8))
    chance = 1 / (1 + np.exp(-vectors[:, 0] * 2))
    score = (rng.random((1200, 2)) < np.column_stack([1 - chance, chance])).astype(float)
    queries, embedder = Queries.of(map(str, range(1200))), Vectors(vectors)
    found = fitted(kind, queries[:800], embedder, score[:800]).predict(queries[800:]).quality
    assert np.corrcoef(found[:, 1] - found[:, 0], (2 * chance - 1)[800:])[0, 1] > 0.85


def test_shares_are_whole_sum_to_one_in_each_set_and_do_not_hang_on_the_batch():
    vectors = coarse_rows(np.random.default_rng(0).standard_normal((400, 24)))
    clusters = Clusters.fit(vectors)
    shares = clusters.shares(clusters.similarities(vectors))
    assert np.array_equal(shares, np.rint(shares))
    sums = np.add.reduceat(shares, np.cumsum([0, *clusters.sizes[:-1]]), axis=1)
    assert np.abs(sums - WHOLE).max() <= max(clusters.sizes)
    alone = np.concatenate([clusters.shares(clusters.similarities(vectors[i : i + 1])) for i in range(50)])
    assert np.array_equal(alone, shares[:50])


def test_kmeans_finds_groups_that_are_there():
    rng = np.random.default_rng(0)
    home = np.repeat(np.arange(5), 40)
    vectors = coarse_rows(np.eye(5, 12)[home] * 4 + 0.2 * rng.standard_normal((200, 12)))
    nearest = (vectors @ spherical_kmeans(vectors, 5).T).argmax(axis=1)
    assert all(len(set(nearest[home == g])) == 1 for g in range(5))
    assert len(set(nearest)) == 5


def test_both_ways_to_decompose_give_the_closed_form():
    rng = np.random.default_rng(0)
    for n, p in ((50, 7), (12, 30)):
        x, y = rng.standard_normal((n, p)), rng.standard_normal((n, 2))
        spectrum = Spectrum.of(x, y)
        xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
        slope = np.linalg.solve(xc.T @ xc + 3.0 * spectrum.unit * np.eye(p), xc.T @ yc)
        assert np.allclose(spectrum.solved(np.array([3.0, 3.0])).slope, slope)


def test_held_out_estimates_are_those_of_a_fit_without_the_fold():
    rng = np.random.default_rng(1)
    x, y, folds = rng.standard_normal((80, 5)), rng.standard_normal((80, 3)), np.arange(80) % 5
    found = validated(x, y, folds)
    seen = folds != 2
    line = Spectrum.of(x[seen], y[seen]).solved(found.penalties)
    assert np.allclose(found.held_out[~seen], line.intercept + x[~seen] @ line.slope)
    assert set(found.penalties) <= set(PENALTIES)


def test_new_prompts_of_the_recorded_kind_are_as_familiar_as_stated():
    """2,000 fresh prompts around the homes of 400 recorded ones: well under one percent of them counts as unlike."""
    queries, embedder, _, score = world(n=2400, within=0.6, seed=4)
    found = fitted("stack", queries[:400], embedder, score[:400]).predict(queries[400:])
    assert found.unfamiliar.mean() < 0.012
