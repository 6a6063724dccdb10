import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.routing.breaker import BreakerConfig, CircuitBreaker


def breaker(**settings):
    known = {"consecutive_failures": 3, "cooldown_s": 10, "jitter": 0, "window": 4}
    return CircuitBreaker(BreakerConfig(**{**known, **settings}), random.Random(0))


def fail(circuit, now_s=0.0, times=1):
    for _ in range(times):
        circuit.failed(circuit.ask(now_s), now_s)


def test_failures_in_a_row_open_it():
    circuit = breaker()
    fail(circuit, times=2)
    assert circuit.state(0) == "closed"
    fail(circuit)
    assert circuit.state(0) == "open"
    assert circuit.ask(9.9) is None
    assert (circuit.wait_s(4.0), circuit.because) == (6.0, "3 failures in a row")


def test_an_answer_in_between_begins_the_row_anew():
    circuit = breaker(window=100)
    for _ in range(5):
        fail(circuit, times=2)
        circuit.succeeded(circuit.ask(0))
    assert circuit.state(0) == "closed"


def test_a_share_of_failures_opens_it_once_the_window_is_full():
    circuit = breaker(consecutive_failures=99, failure_rate=0.5)
    fail(circuit)
    circuit.succeeded(circuit.ask(0))
    fail(circuit)
    assert circuit.state(0) == "closed", "three of four calls are known"
    circuit.succeeded(circuit.ask(0))
    fail(circuit)
    assert (circuit.state(0), circuit.because) == ("open", "2 of its last 4 calls failed")


def test_after_the_cooldown_one_probe_goes_through_and_closes_it():
    circuit = breaker()
    fail(circuit, times=3)
    probe = circuit.ask(10.0)
    assert probe.is_probe
    assert circuit.ask(10.0) is None, "one probe at a time"
    circuit.succeeded(probe)
    assert circuit.state(10.0) == "closed"
    fail(circuit, now_s=10.0, times=2)
    assert circuit.state(10.0) == "closed", "what was before the outage is forgotten"


def test_failed_probes_double_the_cooldown_up_to_its_bound():
    circuit, now_s, waits = breaker(longest_cooldown_s=35), 0.0, []
    fail(circuit, times=3)
    for _ in range(4):
        waits.append(circuit.wait_s(now_s))
        now_s += circuit.wait_s(now_s)
        fail(circuit, now_s)
    assert waits == [10, 20, 35, 35]


def test_a_probe_that_was_cancelled_leaves_its_place_to_another():
    circuit = breaker()
    fail(circuit, times=3)
    circuit.abandoned(circuit.ask(10.0))
    assert circuit.ask(10.0).is_probe


def test_a_servers_retry_after_is_honoured_at_once_and_bounded():
    circuit = breaker()
    circuit.failed(circuit.ask(0), 0.0, retry_after_s=2.0)
    assert (circuit.ask(1.9), circuit.wait_s(0.0)) == (None, 2.0)
    assert circuit.ask(2.0).is_probe
    other = breaker(longest_cooldown_s=60)
    other.failed(other.ask(0), 0.0, retry_after_s=86400.0)
    assert other.wait_s(0.0) == 60


def test_calls_begun_before_it_opened_no_longer_count():
    circuit = breaker()
    early = [circuit.ask(0) for _ in range(5)]
    fail(circuit, times=3)
    for permit in early[:2]:
        circuit.failed(permit, 0.0)
    circuit.succeeded(early[2])
    assert (circuit.state(0), circuit.wait_s(0)) == ("open", 10)


def test_jitter_only_makes_the_cooldown_longer():
    waits = set()
    for seed in range(20):
        circuit = CircuitBreaker(BreakerConfig(consecutive_failures=1, cooldown_s=10, jitter=0.5), random.Random(seed))
        fail(circuit)
        waits.add(circuit.wait_s(0.0))
    assert min(waits) >= 10
    assert max(waits) <= 15
    assert len(waits) == 20


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "cancel"]), st.floats(0, 30)), max_size=60))
def test_however_calls_end_at_most_one_probe_is_out_and_it_never_stays_shut(steps):
    circuit, now_s, out = breaker(), 0.0, []
    for how, pause_s in steps:
        now_s += pause_s
        permit = circuit.ask(now_s)
        if permit is not None:
            out.append(permit)
        assert sum(p.is_probe and p.era == circuit._era for p in out) <= 1
        if out and how != "cancel":
            done = out.pop(0)
            circuit.succeeded(done) if how == "ok" else circuit.failed(done, now_s)
        elif out:
            circuit.abandoned(out.pop(0))
    for permit in out:
        circuit.abandoned(permit)
    assert circuit.ask(now_s + circuit.wait_s(now_s)) is not None


@pytest.mark.parametrize("wrong", [{"cooldown_s": 0}, {"failure_rate": 1.5}, {"jitter": 1.0}, {"window": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerConfig(**wrong)
