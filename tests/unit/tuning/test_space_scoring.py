import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.routing import Capability, Circumstances, CostAware, Hybrid, LatencyAware, Predictions, ServiceCurve
from workbench.tuning.space import Scorer

TASKS = ("a", "b")
NUMBERS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 1e17])
LIMITS = st.none() | st.sampled_from([0.1, 0.25, 0.6, 1.0])
FLOORS = st.dictionaries(st.sampled_from(TASKS), NUMBERS, max_size=2)
OBJECTIVES = st.one_of(
    st.builds(CostAware, NUMBERS),
    st.builds(Capability, NUMBERS, FLOORS),
    st.builds(
        Hybrid,
        exchange=NUMBERS,
        per_second=NUMBERS,
        floor=st.sampled_from([-np.inf, 0.25, 0.5, 1.5]),
        floors=FLOORS,
        slo_s=LIMITS,
        cost_limit_usd=LIMITS,
    ),
)


def scorer_of(rng, n, m, *, coarse, wants_p95=True):
    def drawn():
        return rng.integers(0, 4, (n, m)) / 4 if coarse else rng.random((n, m))

    task = rng.integers(0, 3, n)
    names = tuple((*TASKS, None)[t] for t in task)
    predictions = Predictions(drawn(), drawn(), drawn())
    return Scorer(predictions, drawn(), drawn(), drawn(), TASKS, task, wants_p95), Circumstances(names)


def served(scorer, objective, given):
    return objective.choose(scorer.predictions, np.ones(scorer.score.shape, np.bool_), given)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 6)),
    coarse=st.booleans(),
    objectives=st.lists(OBJECTIVES, min_size=1, max_size=12),
)
def test_choices_are_those_of_the_objective_that_serves_ties_and_limits_included(seed, shape, coarse, objectives):
    scorer, given_ = scorer_of(np.random.default_rng(seed), *shape, coarse=coarse)
    choices = scorer.choices(objectives)
    for objective, chosen in zip(objectives, choices, strict=True):
        assert (served(scorer, objective, given_) == chosen).all(), objective


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 6)),
    objectives=st.lists(OBJECTIVES, min_size=1, max_size=12),
)
def test_what_is_realised_is_the_mean_over_those_choices(seed, shape, objectives):
    scorer, given_ = scorer_of(np.random.default_rng(seed), *shape, coarse=True)
    rows, n = np.arange(shape[0]), shape[0]
    for objective, found in zip(objectives, scorer.realised(objectives), strict=True):
        chosen = served(scorer, objective, given_)
        able = chosen >= 0
        assert found.score == pytest.approx(np.where(able, scorer.score[rows, chosen], 0).mean())
        assert found.cost_usd == pytest.approx(np.where(able, scorer.cost_usd[rows, chosen], 0).mean())
        assert found.unserved == pytest.approx(1 - able.mean())
        if able.all():
            seconds = np.sort(scorer.latency_s[rows, chosen])
            assert found.latency_s == pytest.approx(seconds.mean())
            assert found.latency_p95_s == seconds[int(np.ceil(0.95 * n)) - 1]
        else:
            assert found.latency_s is None
            assert found.latency_p95_s is None


def test_rows_beyond_one_block_are_counted_once_and_threads_change_nothing():
    scorer, given_ = scorer_of(np.random.default_rng(0), 9001, 4, coarse=False, wants_p95=False)
    objectives = [Hybrid(exchange=0.1 * k, per_second=0.07 * k) for k in range(21)]
    one, two = scorer.realised(objectives, threads=1), scorer.realised(objectives, threads=2)
    assert one == two
    rows = np.arange(9001)
    for objective, found in zip(objectives, one, strict=True):
        assert found.score == pytest.approx(scorer.score[rows, served(scorer, objective, given_)].mean())
        assert found.latency_p95_s is None


def test_a_configuration_is_scored_the_same_alone_and_in_company():
    scorer, _ = scorer_of(np.random.default_rng(1), 500, 5, coarse=False)
    objectives = [CostAware(0.3), Hybrid(0.3, 0.2), Capability(0.4), Hybrid(0.1, 0.2, floor=0.2, slo_s=0.7)]
    together = scorer.realised(objectives)
    assert [scorer.realised([objective])[0] for objective in objectives] == together


def test_latency_that_was_not_measured_is_unknown_and_cannot_be_weighed():
    rng = np.random.default_rng(0)
    unknown = np.full((10, 2), np.nan)
    scorer = Scorer(
        Predictions(rng.random((10, 2)), rng.random((10, 2)), unknown),
        rng.random((10, 2)),
        rng.random((10, 2)),
        unknown,
        (),
        np.zeros(10, np.intp),
    )
    assert scorer.realised([CostAware(1.0)])[0].latency_s is None
    with pytest.raises(ConfigError, match="no latency was measured"):
        scorer.realised([Hybrid(1.0, 0.5)])


def test_objectives_that_hang_on_the_moment_are_refused():
    scorer, _ = scorer_of(np.random.default_rng(0), 5, 2, coarse=True)
    with pytest.raises(ConfigError, match="latency-aware"):
        scorer.realised([LatencyAware(1.0)])
    with pytest.raises(ConfigError, match="service curves"):
        scorer.realised([Hybrid(1.0, curves=(ServiceCurve((1,), (1.0,)), None))])
