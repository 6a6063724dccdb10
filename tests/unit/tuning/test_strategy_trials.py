"""Strategies on the splits of a sweep: what is picked, what it realises, and when nothing may be concluded."""

import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.routing import Capability, CostAware, Hybrid, LatencyAware, ServiceCurve
from workbench.tuning import OutcomeMatrix, SweepConfig
from workbench.tuning.routing_tables import because, cascades_table, strategies_table, which_when
from workbench.tuning.strategy_settings import (
    capability_settings,
    cost_aware_settings,
    hybrid_settings,
    latency_aware_settings,
    recorded_curves,
)
from workbench.tuning.strategy_trials import by_seconds, try_strategy
from workbench.tuning.sweeps import sweep_state

CURVES = (ServiceCurve((1, 8), (0.3, 1.5)), ServiceCurve((1, 8), (0.3, 0.9)), ServiceCurve((1, 8), (0.1, 0.4)))
"""Of base, spec and tiny: the matrix sorts its models."""


@pytest.fixture(scope="module")
def state(specialists):
    config = SweepConfig(predictors=("task-mean",), n_bootstrap=200)
    return sweep_state(OutcomeMatrix.from_outcomes(specialists), config, lambda line: None)


@pytest.fixture(scope="module")
def trials(state):
    return {
        "capability": try_strategy("capability", capability_settings(state), state, n_bootstrap=200),
        "cost-aware": try_strategy("cost-aware", cost_aware_settings(state), state, n_bootstrap=200),
        "latency-aware": try_strategy(
            "latency-aware", latency_aware_settings(state, CURVES), state, by="latency_s", n_bootstrap=200
        ),
        "hybrid": try_strategy("hybrid", hybrid_settings(state, CURVES, per_second=0.1, slo_s=0.2), state),
    }


def test_a_cost_aware_trial_picks_and_realises_what_the_sweep_itself_does(state, trials):
    trial, chosen = trials["cost-aware"], state.chosen
    assert trial.points.score[trial.picked] == pytest.approx(trial.comparison.score.mean)
    assert trial.choice.tolist() == state.choice.tolist(), "the same rule on the same frontier"
    assert trial.objective.exchange == pytest.approx(chosen.threshold)


def test_the_points_of_a_trial_are_the_means_of_its_policies_choices(trials):
    trial, matrix = trials["capability"], trials["capability"].replay.matrix
    entry = len(trial.settings) // 2
    chosen = trial.with_objective(trial.settings[entry]).choose(matrix.queries)
    rows = np.arange(len(matrix))
    assert trial.points.score[entry] == pytest.approx(matrix.score[rows, chosen].mean())
    assert trial.points.cost_usd[entry] == pytest.approx(matrix.cost_usd[rows, chosen].mean())
    assert trial.points.latency_s[entry] == pytest.approx(matrix.latency_s[rows, chosen].mean())


def test_where_specialists_exist_money_and_seconds_can_be_saved(trials):
    assert trials["cost-aware"].verdict.answer == "route"
    assert trials["latency-aware"].seconds.cost_difference.ci[1] < 0


def test_sooner_is_not_enough_where_the_score_may_be_lower(trials):
    verdict = trials["latency-aware"].verdict
    assert verdict.answer == "do_not_route"
    assert "the score interval reaches below" in verdict.because


def test_a_hard_limit_hands_a_request_on_and_the_share_is_told(state, trials):
    trial = trials["hybrid"]
    assert set(trial.choice.tolist()) == {state.matrix.models.index("tiny")}, "only tiny is within 0.2 s"
    impossible = try_strategy("none", [Hybrid(slo_s=0.01, curves=CURVES)], state)
    assert impossible.points.unserved.tolist() == [1.0]
    assert set(impossible.choice.tolist()) == {state.single}
    assert impossible.verdict.answer == "do_not_route"


def test_settings_come_from_the_choose_split_and_are_different_from_each_other(state, trials):
    floors = [setting.floor for setting in trials["capability"].settings]
    assert floors == sorted(floors)
    assert len(set(floors)) == len(floors)
    assert all(isinstance(setting, LatencyAware) for setting in trials["latency-aware"].settings)
    assert capability_settings(state, {"add": 0.9})[0].floors == {"add": 0.9}


def test_no_setting_and_seconds_that_nobody_measured_are_refused(state, make_outcomes):
    with pytest.raises(ConfigError, match="has no setting to try"):
        try_strategy("empty", [], state)
    rng = np.random.default_rng(0)
    blind = OutcomeMatrix.from_outcomes(make_outcomes(rng.random((60, 2)) < 0.5, np.tile([1e-6, 2e-6], (60, 1))))
    with pytest.raises(ConfigError, match="latency_s was not measured"):
        by_seconds(blind)
    unmeasured = sweep_state(blind, SweepConfig(predictors=("constant",), n_bootstrap=100), lambda line: None)
    with pytest.raises(ConfigError, match="save seconds"):
        try_strategy("quick", [CostAware(1.0)], unmeasured, by="latency_s")


def test_recordings_at_two_loads_make_one_curve_a_model(make_outcomes):
    alone, loaded = (recorded_at(make_outcomes, n, seconds) for n, seconds in ((1, (0.1, 0.2)), (8, (0.4, 0.3))))
    curves = recorded_curves([alone, loaded], ("base", "tiny"))
    assert [curve.concurrency for curve in curves] == [(1.0, 8.0), (1.0, 8.0)]
    assert curves[0].seconds == pytest.approx((0.2, 0.3))
    assert curves[1].seconds == pytest.approx((0.1, 0.4))
    with pytest.raises(ConfigError, match="no seconds were recorded for spec"):
        recorded_curves([alone], ("base", "spec"))


def recorded_at(make_outcomes, concurrency, latency):
    import polars as pl

    from workbench.evaluation import Outcomes

    found = make_outcomes(np.ones((10, 2)), np.full((10, 2), 1e-6), latency=latency)
    frame = found.frame.with_columns(pl.lit(concurrency).alias("concurrency"))
    return Outcomes.from_frames(frame, found.prompts, found.manifest)


def test_the_table_holds_every_strategy_and_baseline_and_compares_with_the_task_label(trials):
    table = strategies_table(list(trials.values()))
    assert table["strategy"].to_list() == [
        "capability",
        "cost-aware",
        "latency-aware",
        "hybrid",
        "always base (best single)",
        "prompt length alone",
        "task label alone",
    ]
    assert table["pays"].to_list()[:2] == ["yes", "yes"]
    low, high = table["against_task_label"][1]
    assert low <= 0 <= high, "the predictor is the task label"
    assert table["change"][2] < 0


def test_a_reason_names_the_load_when_it_is_known(trials):
    policy = trials["latency-aware"].policy
    chosen = trials["latency-aware"].chosen_for("add word 1", "add")
    assert because(policy, "add word 1", "add", {}).startswith(f"{chosen}: ")
    assert "with 8 in flight" in because(policy, "add word 1", "add", {"tiny": 8, "base": 8, "spec": 8})
    own = trials["capability"].with_objective(Capability(2.0, {"add": 0.0}))
    assert "0 floor of task add" in because(own, "add word 1", "add")


def test_which_when_says_no_where_nothing_was_shown(trials, make_outcomes):
    from workbench.tuning import cascade_sweep

    rng = np.random.default_rng(1)
    outcomes = cascaded(make_outcomes, (rng.random((90, 3)) < 0.5).astype(float))
    cascades = {"coin": cascade_sweep(outcomes, ["tiny", "base"], "logprob", n_bootstrap=200)}
    answer = which_when(trials, cascades)
    assert answer["take"].to_list() == [*trials, "cascade (coin)"]
    assert answer["pays here"][-1] == "no"
    assert cascades_table(cascades)["pays"].to_list() == ["no"]


def cascaded(make_outcomes, score):
    import polars as pl

    from workbench.evaluation import Outcomes

    found = make_outcomes(score, np.tile([1e-6, 5e-6, 6e-6], (len(score), 1)), latency=[0.1, 0.2, 0.2])
    frame = found.frame.with_columns(pl.lit(-0.5).alias("logprob"), pl.lit(2).alias("completion_tokens"))
    return Outcomes.from_frames(frame, found.prompts, found.manifest)
