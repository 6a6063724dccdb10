import dataclasses

import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.tuning import OutcomeMatrix, SweepConfig, sweep, sweep_matrix, three_way_split
from workbench.tuning.evidence import (
    Comparison,
    Measured,
    adjusted_interval,
    compare,
    hull_of_singles,
    judge,
    needed_prompts,
)
from workbench.tuning.metrics import hull_score_at

QUICK = {"predictors": ("prompt-length", "task-mean"), "n_bootstrap": 300}
BOTH = [("a", 0.5), ("b", 0.5)]


GAIN, DEARER, SPENT = Measured(0.05, (0.03, 0.07)), Measured(0.5, (0.4, 0.6)), Measured(1.5, (1.4, 1.6))


def comparison(over, score=GAIN):
    return Comparison(Measured(0.8, (0.7, 0.9)), SPENT, None, score, DEARER, 0.75, 1.0, 400, 400, over)


def test_a_gain_at_a_higher_cost_is_a_trade_off_and_not_a_free_one():
    found = comparison(Measured(0.03, (0.01, 0.05)))
    assert judge(found, "stack", "tiny", BOTH).answer == "do_not_route"
    verdict = judge(found, "stack", "tiny", BOTH, 1.0, rule="trade-off")
    assert verdict.answer == "route"
    assert "above the best mix of single models at its cost by +0.0300 [+0.0100, +0.0500]" in verdict.because


def test_a_trade_off_that_a_mix_of_singles_gives_too_is_none():
    verdict = judge(comparison(Measured(0.01, (-0.01, 0.03))), "stack", "tiny", BOTH, 1.0, rule="trade-off")
    assert verdict.answer == "do_not_route"
    assert "reaches 0" in verdict.because


def test_a_spending_limit_is_a_limit_on_the_interval():
    found = comparison(Measured(0.03, (0.01, 0.05)))
    assert judge(found, "stack", "tiny", BOTH, 1.0, spend_usd=1.7).answer == "route"
    verdict = judge(found, "stack", "tiny", BOTH, 1.0, spend_usd=1.5)
    assert verdict.answer == "do_not_route"
    assert "above 1500" in verdict.because


def test_what_may_be_given_up_is_a_limit_too():
    lossy = comparison(Measured(0.03, (0.01, 0.05)), score=Measured(-0.03, (-0.05, -0.01)))
    assert judge(lossy, "stack", "big", BOTH, 0.02, rule="trade-off").answer == "do_not_route"
    assert judge(lossy, "stack", "big", BOTH, 0.06, rule="trade-off").answer == "route"


def test_the_hull_of_singles_is_the_concave_hull_on_every_resample():
    rng = np.random.default_rng(0)
    score, cost = rng.random((40, 5)), rng.random((40, 5))
    at = rng.random(40) * 1.2
    expected = [hull_score_at(c, s, a) for c, s, a in zip(cost, score, at, strict=True)]
    assert np.allclose(hull_of_singles(score, cost, at), expected, equal_nan=True)


def test_power_is_the_usual_formula_and_says_when_more_prompts_are_no_help():
    measured = Measured(0.02, (0.02 - 0.0196, 0.02 + 0.0196))  # standard error 0.01
    power = needed_prompts(comparison(None), measured, 0.0, 0.4)
    assert power.report == pytest.approx(400 * (2.8016 * 0.01 / 0.02) ** 2, abs=1)
    assert power.total == pytest.approx(power.report / 0.4, abs=1)
    hopeless = needed_prompts(comparison(None), Measured(-0.02, (-0.03, -0.01)), 0.0, 0.4)
    assert hopeless.report is None
    assert "would not help" in hopeless.because


def test_few_differing_answers_widen_the_interval_as_one_more_either_way_would():
    groups = [str(i) for i in range(300)]
    four_better = np.zeros(300)
    four_better[:4] = 1.0
    low, _ = adjusted_interval(four_better, groups)
    assert low < 0  # four to nothing has probability 1/16: no proof


def test_the_interval_for_all_policies_together_is_wider(make_outcomes):
    rng = np.random.default_rng(0)
    score = (rng.random((300, 2)) < 0.6).astype(float)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0]] * 300))
    found = compare(matrix, np.arange(300) % 2, 0, np.random.default_rng(0), 1000, n_compared=8)
    (low, high), (low_all, high_all) = found.score_difference.ci, found.score_difference_ci_all
    assert low_all < low < high < high_all


def cheap_and_dear(make_outcomes, n=900):
    """A cheap best single model and a dear specialist for one task: routing gains much and costs more."""
    rng = np.random.default_rng(0)
    task = rng.integers(0, 2, n)
    score = (rng.random((n, 2)) < np.array([[0.9, 0.85], [0.6, 0.95]])[task]).astype(float)
    return make_outcomes(score, [[1.0, 9.0]] * n, tasks=["easy" if t == 0 else "hard" for t in task])


def test_a_sweep_by_trade_off_routes_where_no_worse_does_not(make_outcomes):
    outcomes = cheap_and_dear(make_outcomes)
    document = sweep(outcomes, rule="trade-off", **QUICK).document
    assert document["verdict"] == "route"
    assert document["rule"] == "trade-off"
    assert document["chosen"]["over_singles_ci"][0] > 0
    assert "furthest above" in document["selection_rule"]


def test_a_sweep_with_a_spending_limit_chooses_below_it_and_routes_only_if_the_cost_interval_is(make_outcomes):
    outcomes = cheap_and_dear(make_outcomes)
    document = sweep(outcomes, spend_usd_per_1k=4000.0, **QUICK).document
    assert document["chosen"]["choose_cost_usd_per_1k"] < 4000.0
    assert document["spend_usd_per_1k"] == 4000.0
    assert document["verdict"] == "do_not_route" or document["chosen"]["cost_ci"][1] <= 4000.0


def test_a_limit_below_every_model_is_no_reason_to_route(make_outcomes):
    document = sweep(cheap_and_dear(make_outcomes), spend_usd_per_1k=100.0, **QUICK).document
    assert document["verdict"] == "do_not_route"


def test_impossible_rules_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'trade-off'"):
        SweepConfig(rule="tradeoff")
    with pytest.raises(ConfigError, match="above 0"):
        SweepConfig(spend_usd_per_1k=-1.0)
    with pytest.raises(ConfigError, match="did you mean 'platt'"):
        SweepConfig(calibration="plat")


def test_a_swept_floor_is_calibrated_and_weighing_is_not(specialists):
    floor = sweep(specialists, objective="capability", **QUICK).document
    assert floor["calibration"] == "isotonic"
    assert sweep(specialists, **QUICK).document["calibration"] is None
    for curve in floor["reliability"].values():
        assert 0 <= curve["ece"] < 0.2
        assert curve["ece_ci"][0] <= curve["ece_ci"][1]
        assert sum(count for _, _, count in curve["bins"]) == floor["split"]["report"]


def test_the_default_predictor_is_the_stack_and_it_finds_the_specialists(specialists):
    document = sweep(specialists, n_bootstrap=300).document
    assert document["chosen"]["policy"] == "stack"
    assert document["verdict"] == "route"
    assert document["policies"]["stack"]["aiq"] > document["policies"]["task-mean"]["aiq"] - 0.01


def test_a_task_seen_only_in_the_report_is_answered_like_the_mean(specialists):
    matrix = OutcomeMatrix.from_outcomes(specialists)
    report = set(three_way_split(matrix, 0).report.tolist())
    tasks = tuple("new" if i in report else t for i, t in enumerate(matrix.queries.tasks))
    renamed = dataclasses.replace(matrix, queries=dataclasses.replace(matrix.queries, tasks=tasks))
    document = sweep_matrix(renamed, SweepConfig(**QUICK)).document
    assert document["verdict"] in ("route", "do_not_route")
    assert np.isfinite(document["chosen"]["score"])
