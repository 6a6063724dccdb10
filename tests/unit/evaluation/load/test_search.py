import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.evaluation.load.search import RateBracket, RateSearch


def searched(limit: float, doubt: float = 1.0, **settings) -> tuple[RateBracket, int]:
    """A search against a server that holds up to a limit, breaks above `doubt` times it, and is undecided between."""
    bracket, tries = RateBracket(RateSearch(**settings)), 0
    while (rate := bracket.next_rps()) is not None:
        bracket.add(rate, "holds" if rate <= limit else "breaks" if rate > doubt * limit else "undecided")
        tries += 1
    return bracket, tries


@given(limit=st.floats(0.02, 1500), start=st.floats(0.05, 500), tolerance=st.floats(0.02, 0.5))
def test_the_limit_lies_between_the_rate_that_holds_and_the_one_that_breaks(limit, start, tolerance):
    bracket, tries = searched(limit, start_rps=start, tolerance=tolerance)
    held, broken = bracket.holds_rps, bracket.breaks_rps
    assert held <= limit < broken
    assert broken / held <= 1 + tolerance + 1e-9
    assert tries < 40


@given(limit=st.floats(0.1, 100), doubt=st.floats(1.0, 2.0))
def test_an_undecided_rate_is_never_claimed(limit, doubt):
    answer = searched(limit, doubt, start_rps=1.0)[0].answer()
    low, high = answer["ci"]
    assert answer["rate_rps"] == low <= limit
    assert high is None or high > doubt * limit


def test_a_server_that_holds_no_rate_is_told_so():
    answer = searched(0.001, start_rps=1.0)[0].answer()
    assert answer["rate_rps"] is None
    assert answer["ci"][0] == 0.0
    assert "no rate was shown to hold" in answer["because"]


def test_a_server_that_holds_every_rate_has_no_upper_end():
    answer = searched(1e9, start_rps=1.0, most_rps=64.0)[0].answer()
    assert (answer["rate_rps"], answer["ci"][1]) == (64.0, None)
    assert "none shown to break" in answer["because"]


@pytest.mark.parametrize("settings", [{"start_rps": 0}, {"start_rps": 1e6}, {"tolerance": 0}, {"repeats": 0}])
def test_a_search_that_cannot_be_is_refused(settings):
    with pytest.raises(ConfigError):
        RateSearch(**settings)
