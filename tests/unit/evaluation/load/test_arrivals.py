import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.evaluation.load import BenchConfig
from workbench.evaluation.load.arrivals import drawn_gaps_s, intended_starts_s


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("arrivals", "burstiness"), [("poisson", 1.0), ("gamma", 0.25), ("gamma", 4.0), ("constant", 1.0)]
)
def test_gaps_have_the_mean_of_the_rate_and_the_spread_of_the_burstiness(arrivals, burstiness):
    gaps = drawn_gaps_s(arrivals, 8.0, 100_000, rng(), burstiness)
    variation = 0.0 if arrivals == "constant" else 1 / np.sqrt(burstiness)
    assert gaps.mean() == pytest.approx(1 / 8, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.03)


def test_the_number_of_poisson_arrivals_varies_as_it_does_in_life():
    counts = [len(intended_starts_s("poisson", 10.0, 10.0, rng(seed))) for seed in range(400)]
    assert np.mean(counts) == pytest.approx(100, rel=0.03)
    assert np.var(counts) == pytest.approx(100, rel=0.25)  # a Poisson count's variance is its mean


def test_rescaled_gaps_give_exactly_rate_times_duration_requests_and_end_on_time():
    starts = intended_starts_s("poisson", 7.0, 10.0, rng(), rescaled=True)
    assert len(starts) == 70
    assert starts[-1] == pytest.approx(10.0)


@pytest.mark.parametrize("rescaled", [False, True])
def test_starts_ascend_stay_inside_the_horizon_and_repeat_with_the_seed(rescaled):
    one, same, other = (
        intended_starts_s("gamma", 20.0, 30.0, rng(s), burstiness=0.5, rescaled=rescaled) for s in (1, 1, 2)
    )
    assert np.all(np.diff(one) >= 0)
    assert one[0] >= 0
    assert one[-1] <= 30.0
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate_rps": 0}, "above 0, found 0"),
        ({"rate_rps": float("nan")}, "above 0, found nan"),
        ({"rate_rps": 1e9}, "one generator holds"),
        ({"rate_rps": 1, "arrivals": "poison"}, "did you mean 'poisson'"),
        ({"rate_rps": 1, "arrivals": "gamma", "burstiness": -1}, "found -1"),
        ({"rate_rps": 1, "burstiness": 2}, "needs gamma arrivals"),
        ({"rate_rps": 1, "think_s": 1}, "for a closed loop"),
        ({"rate_rps": 1, "duration_s": 0}, "duration is a number of seconds above 0, found 0"),
        ({"rate_rps": 1, "duration_s": float("inf")}, "found inf"),
        ({"rate_rps": 1, "warm_up_s": -1}, "warm-up is a number of seconds of at least 0, found -1"),
        ({"rate_rps": 1, "target_share": 95}, "between 0 and 1, found 95"),
        ({"concurrency": 0}, "at least 1 request in flight, found 0"),
        ({}, "a rate (open loop) or a concurrency (closed loop)"),
    ],
)
def test_a_load_that_cannot_be_is_refused_in_a_sentence(settings, message):
    with pytest.raises(ConfigError) as refused:
        BenchConfig(**settings)
    assert message in str(refused.value)
