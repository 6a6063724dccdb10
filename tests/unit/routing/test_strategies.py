"""The four strategies: what they choose, why they say so, and that a request decides the same alone and in a batch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.routing import (
    Capability,
    Circumstances,
    CostAware,
    Hybrid,
    LatencyAware,
    Policy,
    Predictions,
    Queries,
    ServiceCurve,
    make_predictor,
)
from workbench.routing.circumstances import draws_of
from workbench.routing.latency_aware import two_of
from workbench.routing.objective_json import objective_from_json, objective_to_json

MODELS = ("tiny", "base", "large")
CURVES = (ServiceCurve((1, 8), (0.2, 0.9)), None, ServiceCurve((1, 2, 4), (1.0, 1.2, 2.0)))
OBJECTIVES = [
    CostAware(0.5),
    CostAware(math.inf),
    Capability(0.6, {"sum": 0.9, "list": 0.2}),
    LatencyAware(floor=0.4, curves=CURVES),
    LatencyAware(target_s=1.0, floors={"sum": 0.5}, curves=CURVES, power_of_two=True),
    Hybrid(exchange=0.3, per_second=0.1, floor=0.3, slo_s=1.5, cost_limit_usd=2.5, curves=CURVES),
    Hybrid(),
]


def predictions(quality, cost, latency=None):
    quality = np.atleast_2d(np.array(quality, float))
    cost = np.atleast_2d(np.array(cost, float))
    latency = np.full(quality.shape, np.nan) if latency is None else np.atleast_2d(np.array(latency, float))
    return Predictions(quality, cost, latency)


def choose(objective, p, **known):
    n = len(p.quality)
    tasks = known.pop("tasks", (None,) * n)
    arrays = {name: np.atleast_2d(np.array(value, float)) for name, value in known.items()}
    return objective.choose(p, np.ones(p.quality.shape, bool), Circumstances(tasks, **arrays)).tolist()


class Constant:
    """Predicts the same arrays for every request."""

    kind = "constant"

    def __init__(self, quality, cost, latency):
        self.rows = [np.array([row], float) for row in (quality, cost, latency)]

    def predict(self, queries):
        return Predictions(*(np.repeat(row, len(queries), axis=0) for row in self.rows))


def because(objective, given=None, quality=(0.42, 0.91, 0.95), cost=(0.1, 0.4, 1.0), latency=(0.3, 0.8, 2.0)):
    policy = Policy(MODELS, Constant(quality, cost, latency), objective)
    return policy.decide(Queries.of(["a"]), None, given)[0].because


# capability


def test_each_task_has_its_own_floor():
    p = predictions([[0.5, 0.7, 0.9]] * 3, [[1, 2, 3]] * 3)
    assert choose(Capability(0.6, {"sum": 0.8, "chat": 0.1}), p, tasks=("sum", "chat", None)) == [2, 0, 1]


def test_capability_explains_itself_in_one_line():
    assert because(Capability(0.85)) == "base: 0.91 ≥ 0.85 floor at 0.4× the cost of large"
    assert because(Capability(0.99)) == "large: 0.95 is the best predicted, none reaches the floor 0.99"
    given = Circumstances(("sum",))
    assert "0.95 ≥ 0.93 floor of task sum" in because(Capability(0.5, {"sum": 0.93}), given)


# cost-aware


def test_an_exchange_rate_that_comes_with_the_request_stands_in():
    p = predictions([[0.5, 0.9]] * 3, [[1.0, 3.0]] * 3)
    given = Circumstances((None,) * 3, exchange=np.array([0.19, 0.21, math.inf]))
    assert CostAware(9.9).choose(p, np.ones((3, 2), bool), given).tolist() == [1, 0, 0]
    line = because(CostAware(9.9), Circumstances((None,), exchange=np.array([0.25])))
    assert line == "base: 0.91 predicted vs large 0.95 at λ=0.25 score per USD, paced, 0.4× the cost of large"


def test_what_a_warm_cache_saves_is_taken_off_the_cost():
    policy = Policy(("a", "b"), Constant((0.5, 0.5), (1.0, 1.2), (1, 1)), CostAware(1.0))
    queries = Queries.of(["x", "y"])
    given = Circumstances((None, None), discount_usd=np.array([[0.0, 0.0], [0.0, 0.3]]))
    assert policy.choose(queries, None, given).tolist() == [0, 1]


# latency-aware


def test_a_service_curve_is_read_at_one_more_than_what_is_in_flight():
    curve = ServiceCurve((1, 2, 4), (1.0, 1.2, 2.0))
    p = predictions([0.9, 0.9], [1, 1], [9, 9])
    objective = LatencyAware(curves=(curve, ServiceCurve((1,), (1.5,))))
    assert objective.expected_s(p, Circumstances((None,), in_flight=np.array([[2.0, 0.0]]))).tolist() == [[1.6, 1.5]]
    assert choose(objective, p, in_flight=[1, 0]) == [0]
    assert choose(objective, p, in_flight=[2, 0]) == [1]
    assert choose(objective, p, in_flight=[5, 1]) == [0], "both are full: 2 s · 6 / 4 = 3 s each; the first of equals"


def test_without_a_curve_the_recent_average_counts_and_without_that_the_prediction():
    p = predictions([0.9, 0.9], [1, 1], [1.0, 2.0])
    assert choose(LatencyAware(), p) == [0]
    assert choose(LatencyAware(), p, recent_s=[3.0, math.nan]) == [1]


def test_first_tokens_are_not_guessed_from_whole_answers():
    p = predictions([0.9, 0.9], [1, 1], [1.0, 2.0])
    assert choose(LatencyAware(measure="ttft"), p, recent_s=[math.nan, 0.5]) == [1]


def test_a_model_of_unknown_latency_is_the_last_choice():
    assert choose(LatencyAware(), predictions([0.9, 0.1], [1, 1], [math.nan, 50.0])) == [1]


def test_the_cheapest_within_the_target_else_the_fastest():
    p = predictions([0.9] * 3, [3, 2, 1], [0.5, 0.9, 4.0])
    assert choose(LatencyAware(target_s=1.0), p) == [1]
    assert choose(LatencyAware(target_s=5.0), p) == [2]
    assert choose(LatencyAware(target_s=0.1), p) == [0]
    assert choose(LatencyAware(), p) == [0]


def test_the_floor_comes_before_speed_and_is_dropped_when_none_reaches_it():
    p = predictions([0.4, 0.9], [1, 1], [0.1, 5.0])
    assert choose(LatencyAware(floor=0.8), p) == [1]
    assert choose(LatencyAware(floor=0.95), p) == [0]
    assert because(LatencyAware(floor=0.99)).startswith(
        "tiny: 0.3 s expected, none reaches the floor 0.99; base 0.8 s, at "
    )


def test_latency_aware_explains_itself_in_one_line():
    given = Circumstances((None,), in_flight=np.array([[0.0, 3.0, 1.0]]))
    line = because(LatencyAware(target_s=1.0, floor=0.8), given)
    rival = "large 2 s with 1 in flight, at 0.4× the cost of large"
    assert line == f"base: 0.8 s expected with 3 in flight ≤ 1 s target; {rival}"
    assert because(LatencyAware(floor=0.93)) == "large: 2 s expected, the only model above the floor 0.93"
    assert "the fastest; none meets the target of 0.01 s" in because(LatencyAware(target_s=0.01))


def test_two_are_drawn_by_lot_evenly_and_only_among_the_able():
    able = np.array([[True, False, True, True, True]] * 4000)
    drawn = two_of(able, draws_of(tuple(map(str, range(4000)))))
    assert (drawn.sum(axis=1) == 2).all()
    assert not drawn[:, 1].any()
    shares = drawn.mean(axis=0)[[0, 2, 3, 4]]
    assert np.abs(shares - 0.5).max() < 0.03
    few = np.array([[True, False, True], [False, False, True], [False, False, False]])
    assert (two_of(few, np.array([[0.99, 0.99]] * 3)) == few).all()


def test_two_choices_spread_a_rush_that_the_best_of_stale_state_would_not():
    """64 clients see the same stale state: always-the-best sends all of them to one server, two choices spreads them."""
    p = predictions([[0.9] * 8] * 64, [[1] * 8] * 64, [[1.0 + 0.01 * j for j in range(8)]] * 64)
    given = Circumstances((None,) * 64, draws=draws_of(tuple(map(str, range(64)))))
    everyone = np.ones((64, 8), bool)
    assert np.bincount(LatencyAware().choose(p, everyone, given)).max() == 64
    assert np.bincount(LatencyAware(power_of_two=True).choose(p, everyone, given)).max() < 26


@pytest.mark.parametrize(
    ("concurrency", "seconds", "message"),
    [
        ((1, 2), (1.0,), "as many of each"),
        ((), (), "at least one"),
        ((2, 1), (1.0, 2.0), "must ascend"),
        ((1, 2), (1.0, math.nan), "finite"),
        ((0, 1), (1.0, 2.0), "positive"),
    ],
)
def test_a_curve_that_is_none_is_refused(concurrency, seconds, message):
    with pytest.raises(ConfigError, match=message):
        ServiceCurve(concurrency, seconds)


# hybrid


def test_limits_are_hard_and_weights_decide_within_them():
    p = predictions([0.5, 0.8, 0.9], [0.1, 1.0, 3.0], [0.2, 1.0, 2.0])
    assert choose(Hybrid(), p) == [2]
    assert choose(Hybrid(exchange=0.1), p) == [1]
    assert choose(Hybrid(per_second=1.0), p) == [0]
    assert choose(Hybrid(slo_s=1.5), p) == [1]
    assert choose(Hybrid(cost_limit_usd=0.5), p) == [0]
    assert choose(Hybrid(floor=0.85), p) == [2]
    assert choose(Hybrid(floor=0.85, slo_s=1.5), p) == [-1], "no near misses"


def test_what_is_left_of_a_budget_is_a_limit():
    p = predictions([[0.5, 0.9]] * 3, [[0.1, 1.0]] * 3)
    given = Circumstances((None,) * 3, left_usd=np.array([2.0, 0.5, 0.01]))
    assert Hybrid().choose(p, np.ones((3, 2), bool), given).tolist() == [1, 0, -1]


def test_unknown_seconds_are_within_no_limit_on_seconds():
    assert choose(Hybrid(slo_s=100), predictions([0.9, 0.5], [1, 1], [math.nan, 1.0])) == [1]


def test_hybrid_explains_itself_in_one_line():
    line = because(Hybrid(exchange=0.1, per_second=0.05, slo_s=1.5))
    assert (
        line
        == "base: 0.91 predicted, 0.4 USD, 0.8 s: worth 0.830, 1 outside the limits; tiny 0.395, at 4× the cost of tiny"
    )
    refused = Policy(MODELS, Constant((0.4, 0.9, 0.95), (0.1, 0.4, 1.0), (1, 1, 1)), Hybrid(floor=0.99))
    decision = refused.decide(Queries.of(["a"]))[0]
    assert decision.model is None
    assert decision.because == "none of tiny, base, large is within the limits of the hybrid objective"


# all


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(seed=st.integers(0, 10_000))
def test_a_request_decides_the_same_alone_and_in_a_batch(objective, seed):
    rng = np.random.default_rng(seed)
    n = 12
    p = Predictions(rng.random((n, 3)), rng.random((n, 3)) * 3, rng.random((n, 3)) * 2)
    eligible = rng.random((n, 3)) < 0.8
    state = Circumstances(
        tuple(rng.choice(["sum", "list", "other"], n)),
        in_flight=rng.integers(0, 9, (n, 3)).astype(float),
        recent_s=np.where(rng.random((n, 3)) < 0.5, np.nan, rng.random((n, 3))),
        exchange=rng.random(n),
        left_usd=rng.random(n) * 3,
        draws=rng.random((n, 2)),
    )
    together = objective.choose(p, eligible, state)
    alone = [objective.choose(p[i : i + 1], eligible[i : i + 1], state[i : i + 1])[0] for i in range(n)]
    assert together.tolist() == alone
    chosen = together[together >= 0]
    assert eligible[together >= 0, chosen].all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_survives_json(objective):
    import json

    assert objective_from_json(json.loads(json.dumps(objective_to_json(objective)))) == objective


@pytest.mark.parametrize(
    "make",
    [
        lambda: LatencyAware(target_s=0.0),
        lambda: Hybrid(exchange=math.inf),
        lambda: Hybrid(slo_s=-1.0),
        lambda: Capability(0.5, {"sum": math.nan}),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_circumstances_of_another_length_are_refused():
    with pytest.raises(ConfigError, match="2 requests come with 1 rows of in_flight"):
        Circumstances((None, None), in_flight=np.zeros((1, 3)))


def test_a_strategy_is_saved_with_the_policy(tmp_path, measured):
    queries = measured[0]
    policy = Policy(("a", "b", "c"), make_predictor("task-mean").fit(*measured), OBJECTIVES[5])
    policy.save(tmp_path)
    again = Policy.load(tmp_path)
    assert again.objective == OBJECTIVES[5]
    assert again.decide(queries) == policy.decide(queries)
