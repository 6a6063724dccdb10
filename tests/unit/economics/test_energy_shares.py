import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.economics.energy_shares import (
    ActiveRequest,
    batch_of,
    share_by_token_steps,
    share_energy,
    split_exactly,
)

SECONDS = st.floats(0, 100)


@st.composite
def requests(draw):
    start_s, first_s, end_s = sorted(draw(st.tuples(SECONDS, SECONDS, SECONDS)))
    seen = draw(st.booleans())
    return ActiveRequest(
        start_s, end_s, first_s if seen else None, draw(st.integers(0, 500)), draw(st.integers(0, 500))
    )


@st.composite
def readings(draw):
    times = sorted(draw(st.sets(SECONDS, min_size=2, max_size=8)))
    wh = sorted(draw(st.lists(st.floats(0, 1000), min_size=len(times), max_size=len(times))))
    return list(zip(times, wh, strict=True))


@given(readings(), st.lists(requests(), max_size=6))
def test_shares_and_idle_energy_add_up_to_the_span_to_the_last_bit(span, active):
    found = share_energy(span, active)
    assert found.idle_wh + sum(found.request_wh) == found.total_wh == span[-1][1] - span[0][1]
    assert min([*found.request_wh, found.idle_wh]) >= 0


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_parts_add_up_in_any_order(total, weights):
    parts = split_exactly(total, weights)
    assert sum(parts) == sum(reversed(parts)) == total


@given(st.floats(1e-6, 1e6), st.lists(requests(), min_size=1, max_size=6))
def test_a_span_read_only_at_its_ends_is_shared_whole(span_wh, active):
    assert sum(share_by_token_steps(span_wh, active)) == span_wh


def test_decode_steps_are_shared_equally_and_prefill_by_prompt_tokens():
    """Simulated steps with known energy: 2 Wh of prefill, then 10 steps of 1 Wh in which A is in all, B in the first 5."""
    a, b = ActiveRequest(0, 12, 2, 300, 11), ActiveRequest(0, 7, 2, 100, 6)
    shares = share_energy([(0, 0), (2, 2), (12, 12)], [a, b])
    assert shares.request_wh == pytest.approx((2 * 0.75 + 5 * 0.5 + 5, 2 * 0.25 + 5 * 0.5))
    assert shares.idle_wh == 0


def test_a_simulated_server_with_continuous_batching_is_recovered():
    """Every step costs 1 Wh and takes 1 s, shared by those who decode in it; a reading after each step."""
    rng = random.Random(3)
    active = [ActiveRequest(start, start + steps, start, 0, steps + 1) for start, steps in _arrivals(rng)]
    last = int(max(request.end_s for request in active))
    truth = [0.0] * len(active)
    for step in range(last):
        inside = [i for i, request in enumerate(active) if request.start_s <= step < request.end_s]
        for i in inside:
            truth[i] += 1 / len(inside)
    found = share_energy([(step, float(step)) for step in range(last + 1)], active)
    assert found.request_wh == pytest.approx(truth)
    assert share_energy([(0, 0.0), (last, float(last))], active).request_wh == pytest.approx(truth)


def test_a_prompt_that_joins_a_decoding_batch_takes_part_by_its_tokens():
    decoding, joining = ActiveRequest(0, 10, 0, 0, 11), ActiveRequest(4, 6, 5, 9, 2)
    shares = share_energy([(0, 0), (10, 10)], [decoding, joining])
    # alone 0..4 and 6..10; 4..5 one step beside nine prompt tokens; 5..6 a step each
    assert shares.request_wh == pytest.approx((8 + 0.1 + 0.5, 0.9 + 0.5))


def test_energy_while_nobody_is_active_is_idle():
    shares = share_energy([(0, 0), (10, 5), (20, 6)], [ActiveRequest(2, 8, 3, 5, 6)])
    assert shares.request_wh == pytest.approx((3.0,))
    assert shares.idle_wh == pytest.approx(3.0)


def test_requests_without_a_first_token_share_by_all_their_tokens():
    pair = [ActiveRequest(0, 1, None, 10, 20), ActiveRequest(0, 1, None, 30, 60)]
    assert share_by_token_steps(4.0, pair) == [1.0, 3.0]


def test_rows_of_a_batch_are_active_until_their_own_last_token():
    rows = batch_of([10, 10], [11, 6], latency_s=12, ttft_s=2)
    assert [row.end_s for row in rows] == [12, 7]
    assert share_by_token_steps(12.0, rows) == pytest.approx([1 + 2.5 + 5, 1 + 2.5])


def test_a_batch_that_took_no_time_is_shared_equally():
    assert share_by_token_steps(1.0, batch_of([5, 9], [1, 1], latency_s=0.0, ttft_s=0.0)) == [0.5, 0.5]


def test_energy_of_a_batch_whose_rows_all_failed_is_not_lost():
    assert sum(share_by_token_steps(1.0, batch_of([0, 0], [0, 0], latency_s=2.0, ttft_s=None))) == 1.0


@pytest.mark.parametrize("span", [[], [(0, 1.0)], [(1, 0.0), (1, 1.0)], [(0, 1.0), (1, 0.5)]])
def test_readings_that_do_not_go_forward_are_refused(span):
    with pytest.raises(ConfigError, match=r"reading"):
        share_energy(span, [])


def test_a_request_that_ends_before_it_starts_is_refused():
    with pytest.raises(ConfigError, match="in this order"):
        ActiveRequest(5, 4)


def _arrivals(rng):
    return [(rng.randint(0, 20), rng.randint(1, 15)) for _ in range(12)]
