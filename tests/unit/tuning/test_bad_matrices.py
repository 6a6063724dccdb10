"""Matrices that say little or nothing, through the Python interface: refused with a sentence, or a stated fallback and wide intervals."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.evaluation import Manifest, Outcomes
from workbench.tuning import OutcomeMatrix, SweepConfig, sweep, sweep_matrix
from workbench.tuning.baselines import corrected_oracle, oracle

QUICK = {"predictors": ("task-mean", "ridge"), "n_bootstrap": 200}
NAMES = ("tiny", "base", "spec")


def right(n, m, seed=0):
    return (np.random.default_rng(seed).random((n, m)) < 0.6).astype(float)


def test_one_model_alone_is_refused(make_outcomes):
    with pytest.raises(ConfigError, match="only tiny was measured; a sweep compares at least two"):
        sweep(make_outcomes(right(60, 1), [[1.0]] * 60), **QUICK)


def test_half_of_a_models_rows_missing_halves_the_prompts_says_so_and_widens_the_intervals(make_outcomes):
    score = right(400, 2)
    whole = sweep(make_outcomes(score, [[1.0, 2.0]] * 400), **QUICK).document
    score[::2, 1] = np.nan
    half = sweep(make_outcomes(score, [[1.0, 2.0]] * 400), **QUICK).document
    assert half["n_prompts"] == 200
    assert half["notes"] == ["200 of 400 prompts were left out: not every model has a score on them"]
    width = [high - low for low, high in (d["baselines"]["tiny"]["score_ci"] for d in (whole, half))]
    assert width[1] > 1.2 * width[0]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_scores_are_no_reason_to_route_and_no_certainty(make_outcomes, value):
    document = sweep(make_outcomes(np.full((100, 3), value), [[1.0, 2.0, 3.0]] * 100), **QUICK).document
    assert document["verdict"] == "do_not_route"
    for low, high in (document["chosen"]["score_ci"], document["chosen"]["score_difference_ci"]):
        assert high - low > 0.05


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_impossible_costs_are_refused_by_cell_before_anything_is_fitted(make_outcomes, cost):
    with pytest.raises(ConfigError, match="cost_usd must be finite and not negative"):
        make_outcomes(right(60, 2), [[1.0, cost]] * 60)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(right(60, 2), [[1.0, 2.0]] * 60))
    costs = matrix.cost_usd.copy()
    costs[7, 0] = cost
    with pytest.raises(ConfigError, match=r"cost_usd of model 'base' on prompt 'p00007' is .*finite and 0 or more"):
        sweep_matrix(dataclasses.replace(matrix, cost_usd=costs), SweepConfig(**QUICK))


def test_scores_outside_their_range_and_arrays_of_other_shapes_are_refused(make_outcomes):
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(right(60, 2), [[1.0, 2.0]] * 60))
    with pytest.raises(
        ConfigError, match=r"score of model 'base' on prompt 'p00000' is 90.0; it must be between 0 and 1"
    ):
        sweep_matrix(dataclasses.replace(matrix, score=np.full((60, 2), 90.0)), SweepConfig(**QUICK))
    with pytest.raises(ConfigError, match=r"score has shape \(59, 2\)"):
        sweep_matrix(dataclasses.replace(matrix, score=matrix.score[:59]), SweepConfig(**QUICK))


def test_sums_of_costs_that_overflow_are_refused(make_outcomes):
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(right(60, 2), [[1.0, 1e308]] * 60))
    with pytest.raises(ConfigError, match="cost_usd of model 'base'"):
        sweep_matrix(matrix, SweepConfig(**QUICK))


@pytest.mark.parametrize("cost", [[0.0, 0.0, 0.0], [0.0, 1e-3, 2e-3], [1e-9, 1.0, 1e3], [1e-3, 1e-3, 1e-3]])
@pytest.mark.parametrize("rule", ["no-worse", "trade-off"])
def test_free_equal_and_wildly_different_prices_end_in_a_verdict(make_outcomes, cost, rule):
    document = sweep(make_outcomes(right(90, 3), [cost] * 90), rule=rule, **QUICK).document
    assert document["verdict"] == "do_not_route"
    assert np.isfinite(document["chosen"]["cost_usd_per_1k"])


def test_five_prompts_are_refused_and_so_are_many_prompts_of_one_group(make_outcomes):
    with pytest.raises(ConfigError, match="5 independent prompts"):
        sweep(make_outcomes(right(5, 2), [[1.0, 2.0]] * 5), **QUICK)
    with pytest.raises(ConfigError, match="1 independent prompts"):
        sweep(make_outcomes(right(90, 2), [[1.0, 2.0]] * 90, groups=["g"] * 90), **QUICK)


def test_few_groups_make_wide_intervals(make_outcomes):
    score, cost = right(400, 2), [[1.0, 2.0]] * 400
    many = sweep(make_outcomes(score, cost), **QUICK).document["chosen"]
    few = sweep(make_outcomes(score, cost, groups=[f"g{i % 35}" for i in range(400)]), **QUICK).document["chosen"]
    assert few["n_groups"] < 20 < many["n_groups"]
    width = [high - low for low, high in (many["score_difference_ci"], few["score_difference_ci"])]
    assert width[1] > 1.5 * width[0]


def outcomes_of_texts(texts, groups=None):
    n = len(texts)
    prompts = {"prompt_id": [f"p{i}" for i in range(n)], "prompt": texts}
    if groups is not None:
        prompts["group"] = groups
    rows = [
        {"prompt_id": f"p{i}", "model": model, "score": float(i % 2), "cost_usd": cost}
        for i in range(n)
        for model, cost in (("tiny", 1.0), ("base", 2.0))
    ]
    return Outcomes.from_frames(pl.DataFrame(rows), pl.DataFrame(prompts), Manifest("made up"))


def test_one_text_under_two_ids_is_one_group_so_that_none_is_tuned_and_reported_on():
    matrix = OutcomeMatrix.from_outcomes(outcomes_of_texts([f"Question {i // 2}" for i in range(120)]))
    assert len(set(matrix.groups)) == 60
    assert matrix.notes == ("60 of 120 prompts repeat the text of another; the same text counts as one group",)


def test_groups_that_share_a_text_are_joined_in_a_chain():
    matrix = OutcomeMatrix.from_outcomes(
        outcomes_of_texts(["a", "b", "b", "c", "c", "d"], ["x", "x", "y", "y", "z", "w"])
    )
    assert len(set(matrix.groups[:5])) == 1
    assert len(set(matrix.groups)) == 2


def test_a_label_for_each_prompt_and_one_seen_only_in_the_report_are_taken(make_outcomes):
    outcomes = make_outcomes(right(120, 2), [[1.0, 2.0]] * 120, tasks=[f"t{i}" for i in range(120)])
    assert sweep(outcomes, n_bootstrap=200).document["verdict"] == "do_not_route"


def test_two_hundred_models_end_in_a_verdict(make_outcomes):
    names = tuple(f"m{j:03d}" for j in range(200))
    outcomes = make_outcomes(right(60, 200), [list(np.linspace(1, 9, 200))] * 60, models=names)
    document = sweep(outcomes, n_bootstrap=100, predictors=("task-mean",)).document
    assert document["n_models"] == 200
    assert document["verdict"] == "do_not_route"


def ten_samples(n, m, seed, counts=None):
    """True chances and drawn samples (n, m, 10), NaN beyond each cell's own count."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(1.0, 1.0, (n, m))
    score = (rng.random((n, m, 10)) < chance[:, :, None]).astype(float)
    if counts is not None:
        score[np.arange(10) >= rng.choice(counts, (n, m))[:, :, None]] = np.nan
    return chance, score


@pytest.mark.parametrize("counts", [None, (1, 3, 10)])
def test_with_samples_the_oracle_on_means_is_inflated_no_more_than_its_definition_and_the_other_is_below(
    make_outcomes, counts
):
    names = tuple(f"m{j}" for j in range(7))
    chance, score = ten_samples(800, 7, 3, counts)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0] * 7] * 800, models=names))
    column = [int(name[1:]) for name in matrix.models]
    true = chance[:, column].max(axis=1).mean()
    on_one = np.nanmax(score[:, :, 0], axis=1).mean()
    assert matrix.score == pytest.approx(np.nanmean(score[:, column], axis=2))
    assert corrected_oracle(matrix).score.mean() < true < oracle(matrix).score.mean()
    assert oracle(matrix).score.mean() < on_one
    if counts is None:  # of ten samples: a twentieth of the way to certainty, and below by as little
        assert oracle(matrix).score.mean() - true < 0.05
        assert true - corrected_oracle(matrix).score.mean() < 0.05
    assert "mean over samples" in oracle(matrix).note


def test_equal_models_with_ten_samples_have_no_cross_fitted_oracle_gain(make_outcomes):
    rng = np.random.default_rng(5)
    chance = np.repeat(rng.beta(1, 1, (600, 1)), 7, axis=1)
    score = (rng.random((600, 7, 10)) < chance[:, :, None]).astype(float)
    matrix = OutcomeMatrix.from_outcomes(
        make_outcomes(score, [[1.0] * 7] * 600, models=tuple(f"m{j}" for j in range(7)))
    )
    assert oracle(matrix).score.mean() > chance.mean() + 0.05
    assert corrected_oracle(matrix).score.mean() == pytest.approx(matrix.score.mean(), abs=0.02)


def test_more_samples_narrow_the_intervals_and_never_count_as_more_prompts(make_outcomes):
    _, score = ten_samples(300, 2, 7)
    one, ten = (
        sweep(make_outcomes(part, [[1.0, 2.0]] * 300), **QUICK).document["baselines"]["tiny"]["score_ci"]
        for part in (score[:, :, :1], score)
    )
    ratio = (ten[1] - ten[0]) / (one[1] - one[0])
    assert 0.5 < ratio < 0.95  # the prompts' own spread (variance 1/12 + 1/60 against 1/4) stays
