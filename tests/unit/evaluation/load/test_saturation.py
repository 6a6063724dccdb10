import numpy as np
import pytest

from workbench.evaluation.load.saturation import saturation, slope_of


def queue_seen(utilisation: float, n: int, rng: np.random.Generator, rate_rps: float = 10.0):
    """What a bench sees of a single server from empty: starts, numbers in flight at each, first tokens, their seconds."""
    starts = np.cumsum(rng.exponential(1 / rate_rps, n))
    service = rng.exponential(utilisation / rate_rps, n)
    ends = np.empty(n)
    free_s = 0.0
    for i in range(n):
        free_s = max(free_s, starts[i]) + service[i]
        ends[i] = free_s
    in_flight = [int(np.sum((starts[: i + 1] <= starts[i]) & (ends[: i + 1] > starts[i]))) for i in range(n)]
    seen = ends <= starts[-1]
    return starts, in_flight, ends[seen], (ends - starts)[seen], rate_rps


def test_an_overloaded_queue_is_told_within_half_a_minute():
    rng = np.random.default_rng(0)
    found = [saturation(*queue_seen(1.5, 300, rng)) for _ in range(40)]
    assert sum(because is not None for because in found) >= 38
    assert "over-saturated" in next(filter(None, found))


@pytest.mark.parametrize("utilisation", [0.3, 0.7, 0.9])
def test_a_stable_queue_is_left_to_run(utilisation):
    rng = np.random.default_rng(1)
    stopped = sum(saturation(*queue_seen(utilisation, 300, rng)) is not None for _ in range(60))
    assert stopped <= (
        6 if utilisation == 0.9 else 1
    )  # at 0.9 a queue that fills from empty looks the same for a while


def test_a_short_run_says_nothing():
    starts = np.linspace(0, 5, 100)
    assert saturation(starts, range(100), starts, starts, 20.0) is None


def test_the_slope_of_a_line_is_its_slope():
    at = np.linspace(3, 9, 200)
    assert slope_of(at, 1 + 0.5 * at).per_s == pytest.approx(0.5)
    assert slope_of([1.0], [1.0]) is None
    assert slope_of([1.0] * 50, range(50)) is None
