import dataclasses
import json

import numpy as np
import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.routing import FixedPolicy, Policy, Queries
from workbench.tuning import OutcomeMatrix, SweepConfig, sweep, sweep_matrix
from workbench.tuning.evidence import Comparison, Measured, compare, judge

QUICK = {"predictors": ("prompt-length", "task-mean"), "n_bootstrap": 300}


@pytest.fixture(scope="module")
def result(specialists):
    return sweep(specialists, **QUICK)


def test_specialists_are_routed_to_and_the_interval_says_so(result):
    document = result.document
    assert document["verdict"] == "route"
    assert document["chosen"]["policy"] == "task-mean"
    assert document["chosen"]["score_difference_ci"][0] > 0
    low, high = document["chosen"]["score_difference_ci"]
    assert f"[{low:+.4f}, {high:+.4f}]" in document["because"]
    assert document["chosen"]["score"] > document["baselines"]["best single (base)"]["score"] + 0.1


def test_the_document_keeps_its_contract_and_is_json(result):
    document = json.loads(json.dumps(result.document, allow_nan=False))
    assert {"run_id", "n_prompts", "n_models", "split", "baselines", "policies", "chosen", "verdict", "because"} <= set(
        document
    )
    assert set(document["split"]) == {"tune", "choose", "report"}
    assert sum(document["split"].values()) == document["n_prompts"] == 600
    assert {"policy", "threshold", "score", "score_ci", "cost_usd_per_1k", "cost_ci", "optimism"} <= set(
        document["chosen"]
    )
    for policy in document["policies"].values():
        assert {"aiq", "apgr", "points"} <= set(policy)
        assert all(len(point) == 3 for point in policy["points"])
    for baseline in document["baselines"].values():
        assert {"score", "cost_usd_per_1k"} <= set(baseline)
    assert document["chosen"]["latency_ci"][0] <= document["chosen"]["latency_s"] <= document["chosen"]["latency_ci"][1]


def test_the_policy_decides_live_exactly_what_the_report_says(result):
    report = result.report
    queries = Queries.of(report["prompt"].to_list(), report["task"].to_list())
    alone = [result.policy.decide(queries[i : i + 1])[0].model for i in range(len(queries))]
    assert alone == report["choice"].to_list()
    assert report["score"].mean() == pytest.approx(result.document["chosen"]["score"])
    assert 1000 * report["cost_usd"].mean() == pytest.approx(result.document["chosen"]["cost_usd_per_1k"])


def test_report_and_pilot_share_no_group(result):
    assert not set(result.report["group"]) & set(result.pilot["group"])
    assert result.report.height == result.document["split"]["report"]
    assert {"prompt_id", "prompt", "messages", "task", "choice"} <= set(result.pilot.columns)


def test_the_chosen_threshold_realises_its_point_of_the_exact_curve(result):
    chosen = result.document["chosen"]
    curve = result.curves[chosen["policy"]]
    entry = curve.index_at(chosen["threshold"])
    assert curve.score[entry] == pytest.approx(chosen["score"])
    assert 1000 * curve.cost_usd[entry] == pytest.approx(chosen["cost_usd_per_1k"])


def test_the_same_seed_gives_the_same_document(specialists, result):
    assert sweep(specialists, **QUICK).document == result.document


def test_a_saved_policy_of_a_sweep_loads_and_decides_the_same(result, tmp_path):
    result.policy.save(tmp_path)
    queries = Queries.of(result.report["prompt"].to_list(), result.report["task"].to_list())
    assert Policy.load(tmp_path).decide(queries) == result.policy.decide(queries)


def test_the_capability_objective_sweeps_its_floor(specialists):
    found = sweep(specialists, objective="capability", **QUICK)
    assert found.document["threshold_unit"] == "least predicted score"
    assert found.policy.objective.kind == "capability"
    assert found.document["verdict"] == "route"


def test_a_model_that_is_best_and_cheapest_leaves_nothing_to_route(make_outcomes):
    rng = np.random.default_rng(0)
    score = (rng.random((400, 2)) < [0.5, 0.9]).astype(float)
    found = sweep(make_outcomes(score, [[2.0, 1.0]] * 400), predictors=("prompt-length",), n_bootstrap=300)
    assert found.document["verdict"] == "do_not_route"
    assert found.policy == FixedPolicy("base", ("base", "tiny"))
    assert set(found.report["choice"]) == {"base"}


def test_constant_scores_are_no_reason_to_route(make_outcomes):
    found = sweep(make_outcomes(np.ones((100, 2)), [[1.0, 2.0]] * 100), predictors=("prompt-length",), n_bootstrap=300)
    assert found.document["verdict"] == "do_not_route"
    assert found.best_single == "tiny"


@pytest.mark.parametrize("models", [1])
def test_one_model_cannot_be_compared(make_outcomes, models):
    with pytest.raises(ConfigError, match="at least two models"):
        sweep(make_outcomes(np.ones((100, models)), [[1.0]] * 100))


def test_trivial_baselines_stand_in_every_table_but_are_not_chosen_unasked(specialists):
    document = sweep(specialists, predictors=("constant",), n_bootstrap=200).document
    assert {"prompt length", "task label", "random at the same mix", "oracle"} <= set(document["baselines"])
    assert document["chosen"]["policy"] == "constant"
    assert document["baselines"]["task label"]["score"] > document["chosen"]["score"]


def test_bad_settings_are_refused_before_any_work(make_outcomes):
    with pytest.raises(ConfigError, match="did you mean 'ridge'"):
        SweepConfig(predictors=("rigde",))
    with pytest.raises(ConfigError, match="did you mean 'capability'"):
        SweepConfig(objective="capable")
    with pytest.raises(ConfigError, match="at least 100"):
        SweepConfig(n_bootstrap=10)
    with pytest.raises(ConfigError, match="margin"):
        SweepConfig(margin=-0.1)


def with_scores(matrix, score):
    return dataclasses.replace(matrix, score=score, samples=score[:, :, None])


def comparison(score, score_ci, cost, cost_ci):
    return Comparison(
        Measured(0.8, (0.7, 0.9)),
        Measured(1.0, (0.9, 1.1)),
        None,
        Measured(score, score_ci),
        Measured(cost, cost_ci),
        0.8,
        2.0,
        400,
        400,
    )


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (comparison(0.05, (0.01, 0.09), -0.5, (-0.6, -0.4)), "route"),
        (comparison(0.05, (0.01, 0.09), 0.0, (0.0, 0.0)), "route"),
        (comparison(0.05, (0.01, 0.09), 0.1, (-0.1, 0.3)), "do_not_route"),
        (comparison(0.00, (-0.005, 0.005), -0.5, (-0.6, -0.4)), "route"),
        (comparison(0.00, (-0.02, 0.02), -0.5, (-0.6, -0.4)), "do_not_route"),
        (comparison(0.00, (-0.005, 0.005), -0.1, (-0.3, 0.1)), "do_not_route"),
    ],
)
def test_only_an_interval_decides_to_route(found, answer):
    verdict = judge(found, "ridge", "base", [("base", 0.5), ("tiny", 0.5)])
    assert verdict.answer == answer
    assert f"[{found.score_difference.ci[0]:+.4f}" in verdict.because


def test_a_policy_that_sends_everything_to_one_model_is_no_routing():
    found = comparison(0.05, (0.01, 0.09), -0.5, (-0.6, -0.4))
    verdict = judge(found, "ridge", "base", [("base", 0.0), ("tiny", 1.0)])
    assert verdict.answer == "do_not_route"
    assert "every request to tiny" in verdict.because


def test_no_difference_on_few_prompts_is_no_proof_of_equality(make_outcomes):
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((100, 2)), [[1.0, 2.0]] * 100))
    found = compare(matrix, np.zeros(100, np.intp), 1, np.random.default_rng(0), 200)
    assert found.score_difference.ci == pytest.approx((-0.0369, 0.0369), abs=1e-4)


def test_paired_intervals_cover_the_true_difference(make_outcomes):
    """Nominal 95 %; with 200 repetitions fewer than 179 hits have probability below 1e-3."""
    rng = np.random.default_rng(0)
    base = OutcomeMatrix.from_outcomes(
        make_outcomes(np.ones((300, 2)), [[1.0, 2.0]] * 300, groups=[f"g{i // 2}" for i in range(300)])
    )
    hits = 0
    for _ in range(200):
        hard = np.repeat(rng.random(150), 2)
        score = np.column_stack([rng.random(300) < 0.3 + 0.5 * hard, rng.random(300) < 0.2 + 0.5 * hard]).astype(float)
        ci = compare(with_scores(base, score), np.zeros(300, np.intp), 1, rng, 300).score_difference.ci
        hits += ci[0] <= 0.1 <= ci[1]
    assert hits >= 179


def test_a_score_gain_that_does_not_exist_is_found_no_more_often_than_the_confidence_allows(make_outcomes):
    """Two models equally good and equally dear on every prompt: whatever is chosen, the true difference is 0.

    The score interval lies above 0 with probability 2.5 %; of 40 sweeps more than 5 would have probability below 1e-3.
    """
    base = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((300, 2)), [[1.0, 1.0]] * 300))
    config = SweepConfig(predictors=("prompt-length",), n_bootstrap=200)
    wrong = 0
    for seed in range(40):
        score = (np.random.default_rng(seed).random((300, 2)) < 0.7).astype(float)
        wrong += sweep_matrix(with_scores(base, score), config).is_routing
    assert wrong <= 5


def test_a_saving_that_costs_the_whole_margin_is_rarely_recommended(make_outcomes):
    """Half of the requests go to a model that is 2 points worse, so the true difference is exactly the margin of 1 point.

    "Route" has probability 2.5 % by design; of 200 reports more than 14 would have probability below 1e-3.
    """
    base = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((800, 2)), [[2.0, 1.0]] * 800))
    choice = np.arange(800) % 2
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        luck = rng.random(800)[:, None]
        score = (luck < [0.7, 0.68]).astype(float)  # the same luck for both: few answers differ, the interval is narrow
        found = compare(with_scores(base, score), choice, 0, rng, 200)
        wrong += judge(found, "policy", "base", [("base", 0.5), ("tiny", 0.5)]).answer == "route"
    assert wrong <= 14


def test_report_rows_of_a_no_are_the_best_single_model(make_outcomes):
    rng = np.random.default_rng(1)
    score = (rng.random((300, 2)) < 0.5).astype(float)
    found = sweep(make_outcomes(score, [[1.0, 1.0]] * 300), predictors=("prompt-length",), n_bootstrap=200)
    assert found.document["verdict"] == "do_not_route"
    assert found.report.filter(pl.col("score") != pl.col("best_single_score")).height == 0
