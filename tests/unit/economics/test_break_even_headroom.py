import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.economics.break_even_headroom import rate_within_wait, waiting_share


def test_one_slot_waits_as_often_as_it_is_busy():
    assert [waiting_share(1, load) for load in (0.0, 0.3, 0.9)] == pytest.approx([0.0, 0.3, 0.9])


def test_two_slots_follow_the_closed_form():
    load = 1.2
    share = load / 2
    assert waiting_share(2, load) == pytest.approx(2 * share**2 / (1 + share))


def test_a_simulated_queue_at_that_rate_holds_the_promise_and_little_more():
    slots, service_s, wait_s, share = 4, 0.5, 0.2, 0.9
    rate = rate_within_wait(slots, service_s, wait_s, share)
    rng, free = np.random.default_rng(0), np.zeros(slots)
    starts = np.cumsum(rng.exponential(1 / rate, 60_000))
    waits = np.empty(len(starts))
    for index, (start, work) in enumerate(zip(starts, rng.exponential(service_s, len(starts)), strict=True)):
        slot = int(np.argmin(free))
        begun = max(start, free[slot])
        waits[index] = begun - start
        free[slot] = begun + work
    assert np.mean(waits <= wait_s) == pytest.approx(share, abs=0.01)


def test_more_patience_never_allows_less():
    rates = [rate_within_wait(8, 1.0, wait) for wait in (0.0, 0.1, 1.0, 10.0)]
    assert rates == sorted(rates)
    assert rates[-1] < 8.0


def test_an_slo_that_the_answers_themselves_miss_allows_nothing():
    assert rate_within_wait(8, 1.0, -0.1) == 0.0


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"service_s": 0.0}, {"share": 1.0}, {"service_s": float("nan")}])
def test_a_queue_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="at least 1 slot"):
        rate_within_wait(**{"slots": 2, "service_s": 1.0, "wait_s": 0.1, **wrong})
