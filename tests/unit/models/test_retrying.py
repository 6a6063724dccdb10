import random

import pytest

from workbench.core import BadResponse, RateLimited, Unavailable
from workbench.models.retrying import Retrying

DOWN = Unavailable("down", model="m")


def pause(error, n_failed=1, left_s=None, attempts=3):
    return Retrying(attempts).pause_s(error, n_failed, left_s, random.Random(1))


def test_pauses_double_with_jitter_between_half_and_whole():
    for n_failed in (1, 2, 3):
        full_s = 0.5 * 2 ** (n_failed - 1)
        assert full_s / 2 <= pause(DOWN, n_failed) <= full_s


def test_a_servers_own_wish_comes_first():
    assert pause(RateLimited("slow", model="m", retry_after_s=7.0)) == 7.0


@pytest.mark.parametrize(
    ("error", "n_failed", "left_s"),
    [
        (BadResponse("no", model="m"), 1, None),  # would fail again
        (DOWN, 4, None),  # attempts used up
        (DOWN, 1, 0.1),  # the deadline comes first
        (RateLimited("slow", model="m", retry_after_s=3600), 1, None),  # longer than anybody waits
    ],
)
def test_nothing_is_tried_again_in_vain(error, n_failed, left_s):
    assert pause(error, n_failed, left_s) is None
