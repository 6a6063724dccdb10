import numpy as np
import pytest

from workbench.evaluation.load.series import (
    autocorrelation_time,
    effective_n,
    percentiles,
    quantile_interval,
    rate_interval,
    share_interval,
)


def covers(interval, truth: float) -> bool:
    low, high = interval
    return (low is None or low <= truth) and (high is None or truth <= high)


def test_independent_values_are_worth_themselves():
    values = np.random.default_rng(0).normal(size=5000)
    assert autocorrelation_time(values) == pytest.approx(1.0, abs=0.15)
    assert effective_n(100, 1.0) == 100


@pytest.mark.parametrize("phi", [0.5, 0.9])
def test_the_autocorrelation_time_of_a_known_process_is_found(phi):
    noise = np.random.default_rng(1).normal(size=200_000)
    series = np.zeros(len(noise))
    for i in range(1, len(noise)):
        series[i] = phi * series[i - 1] + noise[i]
    assert autocorrelation_time(series) == pytest.approx((1 + phi) / (1 - phi), rel=0.1)


@pytest.mark.parametrize(("utilisation", "n", "least"), [(0.0, 200, 0.92), (0.5, 600, 0.90), (0.8, 2000, 0.84)])
@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantile_intervals_cover_the_known_quantiles_of_a_queue(mm1_sojourns, utilisation, n, least, q):
    """The truth is known: time in an M/M/1 queue is exponential. Taking requests as independent covers far too little."""
    rng = np.random.default_rng(2)
    truth = -np.log(1 - q) / (1 - utilisation)
    queues = [mm1_sojourns(n, utilisation, rng) for _ in range(200)]
    covered = np.mean([covers(quantile_interval(queue, q), truth) for queue in queues])
    assert covered >= least
    if utilisation == 0.8:
        shuffled = [rng.permutation(queue) for queue in queues]  # the same values as if neighbours were strangers
        assert np.mean([covers(quantile_interval(queue, q), truth) for queue in shuffled]) < covered - 0.2


def test_share_intervals_cover_the_share_of_good_requests_of_a_queue(mm1_sojourns):
    rng, bound = np.random.default_rng(3), -np.log(1 - 0.95) / (1 - 0.7)  # 95 % are quicker
    queues = [mm1_sojourns(800, 0.7, rng) for _ in range(300)]
    covered = np.mean([covers(share_interval(queue <= bound, queue), 0.95) for queue in queues])
    naive = np.mean([covers(share_interval(rng.permutation(queue <= bound)), 0.95) for queue in queues])
    assert covered >= 0.9
    assert naive < covered - 0.1


def test_few_requests_leave_the_end_of_a_high_percentile_open():
    values = np.random.default_rng(4).exponential(size=100)
    found = percentiles(values)
    assert found["ci"]["p99"][1] is None  # any larger value might be missing
    assert found["ci"]["p50"][0] < found["p50"] < found["ci"]["p50"][1]
    assert percentiles([])["p50"] is None
    assert quantile_interval([1.0], 0.5) == (None, None)


def test_a_thousand_independent_requests_bound_their_p99():
    low, high = quantile_interval(np.random.default_rng(5).exponential(size=1000), 0.99)
    assert low < -np.log(0.01) < high


def test_that_every_request_was_good_is_worth_less_when_neighbours_are_alike(mm1_sojourns):
    rng = np.random.default_rng(6)
    alone = share_interval(np.ones(200), rng.exponential(size=200))
    busy = share_interval(np.ones(200), mm1_sojourns(200, 0.9, rng))
    assert busy[0] < alone[0] < 1 == alone[1] == busy[1]


def test_a_rate_counts_what_lies_inside_the_window_and_nothing_else():
    mean, (low, high) = rate_interval([-1, 0.0, 0.5, 9.99, 10.0, 11], [100, 1, 2, 3, 100, 100], 0.0, 10.0)
    assert mean == pytest.approx(0.6)
    assert low < mean < high


def test_rate_intervals_cover_the_rate_of_poisson_events():
    rng = np.random.default_rng(7)
    runs = [np.sort(rng.uniform(0, 100, rng.poisson(300))) for _ in range(400)]
    covered = np.mean([covers(rate_interval(run, np.ones(len(run)), 0, 100)[1], 3.0) for run in runs])
    assert 0.9 <= covered <= 0.99
