import math
import random
import statistics

import pytest

from workbench.routing.breaker import BreakerConfig
from workbench.routing.hedging import HedgeConfig, Hedger
from workbench.routing.live import LiveState
from workbench.testing import FakeClock


def answered(live, model, *latencies_s):
    for latency_s in latencies_s:
        live.answered(live.begin(model), latency_s)


def test_calls_in_flight_are_counted_however_they_end():
    live = LiveState(["a", "b"], FakeClock(), BreakerConfig())
    calls = [live.begin("a") for _ in range(4)]
    assert live.in_flight(["b", "a"]) == [0, 4]
    live.answered(calls[0], 1.0)
    live.failed(calls[1])
    live.abandoned(calls[2])
    assert live.in_flight(["a"]) == [1]


def test_the_moving_average_begins_with_the_first_answer_and_follows():
    live = LiveState(["a"], FakeClock())
    answered(live, "a", 1.0)
    assert live.models["a"].latency_s == 1.0
    answered(live, "a", 2.0)
    assert live.models["a"].latency_s == 1.1


def test_an_old_average_is_not_recent_so_that_a_slow_moment_is_forgiven():
    clock = FakeClock()
    live = LiveState(["a", "b"], clock)
    live.answered(live.begin("a"), 30.0, 5.0)
    assert live.recent_s(["a", "b"]) == [30.0, pytest.approx(math.nan, nan_ok=True)]
    clock.advance(61)
    assert math.isnan(live.recent_s(["a"])[0])
    assert live.recent_s(["a"], is_ttft=True) == [5.0]


def test_a_percentile_is_unknown_before_there_are_enough_answers():
    live = LiveState(["a"], FakeClock())
    answered(live, "a", *range(19))
    assert live.latency_percentile_s("a", 50, min_calls=20) is None
    answered(live, "a", 19)
    assert live.latency_percentile_s("a", 50, min_calls=20) == 10.0


def test_a_call_given_up_counts_as_longer_than_every_answer():
    live = LiveState(["a"], FakeClock())
    answered(live, "a", *[1.0] * 19)
    live.abandoned(live.begin("a"), is_given_up=True)
    assert live.latency_percentile_s("a", 90, min_calls=20) == 1.0
    assert live.latency_percentile_s("a", 99, min_calls=20) is None
    assert live.models["a"].latency_s == 1.0, "how long it would have taken is not known"


def test_giving_up_at_the_percentile_neither_lowers_it_nor_runs_away():
    live, rng = LiveState(["a"], FakeClock()), random.Random(3)
    answered(live, "a", *[rng.expovariate(1.0) for _ in range(200)])
    limits, n_given_up = [], 0
    for _ in range(20_000):
        limit, latency_s, call = live.latency_percentile_s("a", 95, 20), rng.expovariate(1.0), live.begin("a")
        is_given_up = limit is not None and latency_s > limit
        n_given_up += is_given_up
        limits += [] if limit is None else [limit]
        live.abandoned(call, True) if is_given_up else live.answered(call, latency_s)
    truth = math.log(20)  # of the exponential distribution
    assert abs(statistics.median(limits) - truth) < 0.5
    assert 0.01 < n_given_up / 20_000 < 0.07


def test_the_last_resort_is_asked_in_spite_of_its_circuit():
    live = LiveState(["a"], FakeClock(), BreakerConfig(consecutive_failures=1))
    live.failed(live.begin("a"))
    assert live.begin("a") is None
    call = live.begin("a", in_spite=True)
    live.answered(call, 1.0)
    assert not live.may_answer("a"), "only a probe closes a circuit"


def test_hedges_stay_within_their_share_of_calls():
    live = LiveState(["a"], FakeClock())
    answered(live, "a", *[1.0] * 20)
    hedger = Hedger(HedgeConfig(most_share=0.1), live)
    taken = 0
    for _ in range(100):
        assert hedger.delay_s("a") == 1.0
        taken += hedger.take()
    assert taken == 10
