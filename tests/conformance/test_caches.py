"""What every cache of answers promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.caching import ExactCache, ExactCacheConfig
from workbench.testing import FakeClock


def make(clock, max_entries=3, ttl_s=10.0):
    return ExactCache(ExactCacheConfig(max_entries=max_entries, ttl_s=ttl_s), clock)


@pytest.fixture
def clock():
    return FakeClock(manual=True)


def test_gives_back_what_was_stored_with_its_age(clock):
    cache = make(clock)
    cache.put("a", "answer")
    clock.advance(4)
    assert cache.get("a").value == "answer"
    assert cache.get("a").age_s == 4


def test_misses_what_was_never_stored(clock):
    assert make(clock).get("a") is None


def test_being_read_does_not_keep_a_stale_answer_alive(clock):
    cache = make(clock)
    cache.put("a", 1)
    clock.advance(6)
    assert cache.get("a") is not None
    clock.advance(4)
    assert cache.get("a") is None
    assert len(cache) == 0


def test_without_a_time_to_live_answers_stay(clock):
    cache = make(clock, ttl_s=None)
    cache.put("a", 1)
    clock.advance(1e9)
    assert cache.get("a").value == 1


def test_the_longest_unused_answer_goes_first(clock):
    cache = make(clock)
    for key in "abc":
        cache.put(key, key)
    cache.get("a")
    cache.put("d", "d")
    assert [cache.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_storing_again_replaces_and_begins_a_new_life(clock):
    cache = make(clock)
    cache.put("a", 1)
    clock.advance(9)
    cache.put("a", 2)
    clock.advance(9)
    assert cache.get("a").value == 2


@given(st.lists(st.tuples(st.sampled_from("pgw"), st.integers(0, 5))))
def test_never_holds_more_than_allowed_and_never_answers_for_another_key(steps):
    clock = FakeClock(manual=True)
    cache = make(clock)
    for what, number in steps:
        if what == "p":
            cache.put(str(number), number)
        elif what == "w":
            clock.advance(number)
        else:
            hit = cache.get(str(number))
            assert hit is None or (hit.value == number and hit.age_s < 10)
        assert len(cache) <= 3
