import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.budgets import RateLimit, RateLimitConfig
from workbench.core import BudgetExceeded
from workbench.testing import FakeClock


def make(per_minute=60.0, burst=2):
    clock = FakeClock(manual=True)
    return RateLimit(RateLimitConfig(requests_per_minute=per_minute, burst=burst), clock), clock


def test_after_the_burst_it_says_when_to_come_again():
    limit, clock = make()
    limit.take("t")
    limit.take("t")
    with pytest.raises(BudgetExceeded, match=r"try again in 1.0 s") as caught:
        limit.take("t")
    assert caught.value.scope == "rate"
    clock.advance(caught.value.retry_after_s)
    limit.take("t")


def test_a_refused_request_is_not_counted():
    limit, clock = make(burst=1)
    limit.take("t")
    for _ in range(5):
        with pytest.raises(BudgetExceeded):
            limit.take("t")
    clock.advance(1.0)
    limit.take("t")


def test_tenants_do_not_share_a_bucket():
    limit, _ = make(burst=1)
    limit.take("a")
    limit.take("b")


def test_less_than_one_a_minute_still_lets_the_first_pass():
    limit, _ = make(per_minute=0.5, burst=None)
    limit.take("t")
    with pytest.raises(BudgetExceeded) as caught:
        limit.take("t")
    assert caught.value.retry_after_s == pytest.approx(120)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_window_holds_more_than_burst_and_rate_allow(waits):
    limit, clock = make()
    passed = []
    for wait in waits:
        clock.advance(wait)
        try:
            limit.take("t")
        except BudgetExceeded:
            continue
        passed.append(clock.monotonic_s())
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= 2 + (passed[last] - passed[first]) * 1.0 + 1e-6
