"""Routing over time, replayed: a burst, a paced budget, conversations and an explored log, with known answers where there are some."""

import numpy as np
import pytest

from workbench.core import ConfigError, NotCertifiable
from workbench.core.price import TokenPrice
from workbench.routing import ServiceCurve
from workbench.tuning import OutcomeMatrix, SweepConfig
from workbench.tuning.routing_figures import (
    cascades_figure,
    outage_figure,
    pacing_figure,
    service_curves_figure,
    strategies_figure,
)
from workbench.tuning.routing_replays import ConversationConfig, burst, conversations, explored_log, paced
from workbench.tuning.strategy_settings import cost_aware_settings, latency_aware_settings
from workbench.tuning.strategy_trials import try_strategy
from workbench.tuning.sweeps import sweep_state

CURVES = tuple(ServiceCurve((1, 8), seconds) for seconds in ((0.3, 2.4), (0.3, 2.4), (0.29, 2.32)))
TOKENS = {"input_usd_per_1m": 1.0, "output_usd_per_1m": 1.0}
CACHED = TokenPrice(**TOKENS, cached_input_usd_per_1m=0.1)
UNCACHED = TokenPrice(**TOKENS)


@pytest.fixture(scope="module")
def state(specialists):
    config = SweepConfig(predictors=("task-mean",), n_bootstrap=200)
    return sweep_state(OutcomeMatrix.from_outcomes(specialists), config, lambda line: None)


@pytest.fixture(scope="module")
def cost_aware(state):
    return try_strategy("cost-aware", cost_aware_settings(state), state, n_bootstrap=200)


@pytest.fixture(scope="module")
def latency_aware(state):
    settings = latency_aware_settings(state, CURVES)[:1]  # the lowest floor: anybody may answer
    return try_strategy("latency-aware", settings, state, by="latency_s", n_bootstrap=200)


def test_stale_routers_rush_to_one_model_and_two_by_lot_spread(latency_aware):
    rows = {row["routers"]: row for row in burst(latency_aware, 24).to_dicts()}
    rushed, spread = rows["stale, the best of all"], rows["stale, the better of two by lot"]
    assert rushed["tiny"] == 24
    assert spread["tiny"] < 24
    assert rushed["slowest_s"] == pytest.approx(2.32 * 24 / 8)
    assert rows["up to date"]["slowest_s"] <= spread["slowest_s"] < rushed["slowest_s"]


def test_a_burst_and_a_budget_ask_their_own_strategy(latency_aware, cost_aware):
    with pytest.raises(ConfigError, match="a burst asks a latency-aware objective"):
        burst(cost_aware, 3)
    with pytest.raises(ConfigError, match="λ is paced"):
        paced(latency_aware, 1.0)


def test_a_paced_budget_lasts_longer_than_a_held_exchange(cost_aware):
    total_usd = cost_aware.comparison.cost_usd.mean * cost_aware.comparison.n
    found = paced(cost_aware, 0.7 * total_usd)
    assert len(found.elapsed) == cost_aware.comparison.n
    assert (np.diff(found.spent) > 0).all()
    assert found.spent[-1] < 1.1
    assert np.searchsorted(found.spent, 1.0) > np.searchsorted(found.unpaced, 1.0)
    assert found.cheapest_score < found.score
    assert found.fixed_spent <= 1.0
    assert found.table()["share_of_budget_spent"][0] == found.spent[-1]


def test_a_budget_that_is_never_short_is_spent_as_without_one(cost_aware):
    total_usd = cost_aware.comparison.cost_usd.mean * cost_aware.comparison.n
    found = paced(cost_aware, 50 * total_usd)
    assert found.unpaced_score == pytest.approx(cost_aware.comparison.score.mean)


def test_pricing_the_lost_cache_lowers_the_bill_and_the_switches(cost_aware):
    config = ConversationConfig(turns=6, exchange=200.0)
    rows = {r["conversations"]: r for r in conversations(cost_aware.replay, [CACHED] * 3, config).to_dicts()}
    alone, priced, kept = rows.values()
    assert kept["switches_per_conversation"] == 0
    assert 0 < priced["switches_per_conversation"] < alone["switches_per_conversation"]
    assert kept["usd_per_1k_turns"] < priced["usd_per_1k_turns"] < alone["usd_per_1k_turns"]
    assert alone["worth_gained"] == 0


def test_without_a_price_for_cached_tokens_nothing_is_saved_by_staying(cost_aware):
    rows = conversations(cost_aware.replay, [UNCACHED] * 3, ConversationConfig(turns=4)).to_dicts()
    alone, priced = rows[0], rows[1]
    assert {**alone, "conversations": ""} == {**priced, "conversations": ""}


def test_conversations_need_a_price_a_model_and_rows_for_one(cost_aware):
    with pytest.raises(ConfigError, match="2 prices for the models"):
        conversations(cost_aware.replay, [CACHED] * 2, ConversationConfig())
    with pytest.raises(ConfigError, match="make no conversation of 9999 turns"):
        conversations(cost_aware.replay, [CACHED] * 3, ConversationConfig(turns=9999))


def test_an_explored_log_covers_the_truth_that_it_never_saw(cost_aware):
    covered = [
        row["covers"]
        for seed in range(20)
        for row in explored_log(cost_aware, 0.5, repeats=2, seed=seed).to_dicts()
        if row["estimate"] == "SNIPS"
    ]
    assert sum(covered) >= 17
    found = explored_log(cost_aware, 0.5, repeats=2)
    assert found["estimate"].to_list() == ["IPS", "SNIPS", "DR"]
    assert found["n_logged"][0] == 2 * cost_aware.comparison.n
    assert found["truth"][0] == pytest.approx(cost_aware.comparison.score.mean)


def test_a_log_that_hardly_explores_certifies_nothing(cost_aware):
    with pytest.raises(NotCertifiable, match="explore more, or log longer"):
        explored_log(cost_aware, 0.01)


def test_the_figures_have_units_and_intervals(cost_aware, latency_aware):
    pytest.importorskip("matplotlib")
    (axes,) = strategies_figure([cost_aware, latency_aware]).axes
    assert axes.get_xlabel() == "mean cost (USD per 1,000 requests)"
    assert {text.get_text() for text in axes.texts} == {"tiny", "base", "spec"}
    assert len(axes.containers) == 5, "three models and two strategies, each with its interval"
    (seconds,) = strategies_figure([cost_aware, latency_aware], "latency_s").axes
    assert "ms" in seconds.get_xlabel()
    total_usd = cost_aware.comparison.cost_usd.mean * cost_aware.comparison.n
    (pace,) = pacing_figure(paced(cost_aware, total_usd)).axes
    assert pace.get_ylabel() == "share of the budget spent"
    (curve,) = service_curves_figure({"tiny": CURVES[0]}, 50).axes
    assert "p50, ms" in curve.get_ylabel()


def test_the_outage_figure_tells_who_answered():
    pytest.importorskip("matplotlib")
    import polars as pl

    rows = pl.DataFrame({"at_s": [0.0, 1.0], "latency_s": [0.1, 0.5], "model": ["api", "tiny"]})
    (axes,) = outage_figure({"circuits watched": rows}, 0.5, 2.0, 0.4).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "circuits watched, answered by tiny (n = 1)" in labels


def test_the_cascades_figure_draws_every_threshold_and_the_chosen_one(make_outcomes):
    pytest.importorskip("matplotlib")
    import polars as pl

    from workbench.evaluation import Outcomes
    from workbench.tuning import cascade_sweep

    rng = np.random.default_rng(0)
    found = make_outcomes((rng.random((60, 2)) < 0.6).astype(float), np.tile([1e-6, 5e-6], (60, 1)))
    logprob = pl.Series("logprob", -rng.random(found.frame.height))
    frame = found.frame.with_columns(logprob, pl.lit(1).alias("completion_tokens"))
    outcomes = Outcomes.from_frames(frame, found.prompts, found.manifest)
    (axes,) = cascades_figure({"sure": cascade_sweep(outcomes, ["tiny", "base"], n_bootstrap=200)}).axes
    assert axes.get_ylabel() == "mean score (0 to 1)"
    assert len(axes.containers) == 1
