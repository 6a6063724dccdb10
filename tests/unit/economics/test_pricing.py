import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import Completion, ConfigError, Timing, Usage
from workbench.economics import ComputePrice, HardwareProfile, TokenPrice, priced

PRICE = TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=4.0, cached_input_usd_per_1m=0.1)
PROFILES = {"box": HardwareProfile(usd_per_hour=3.6, flop_per_s=1e9, as_of="2026-01-01", source="test")}


def answer(usage: Usage | None = None, compute_flop: float | None = None, cost_usd: float | None = None) -> Completion:
    return Completion("x", "m", "stop", usage or Usage(), Timing(1.0), compute_flop=compute_flop, cost_usd=cost_usd)


def cost(completion: Completion, price) -> float | None:
    return priced(completion, price, PROFILES).cost_usd


def test_uncached_cached_and_answer_tokens_have_their_own_prices():
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)
    assert cost(answer(usage), PRICE) == pytest.approx(0.6 * 1.0 + 0.4 * 0.1 + 0.5 * 4.0)


def test_cached_tokens_without_a_cached_price_cost_as_much_as_the_others():
    usage = Usage(1_000_000, 0, 400_000)
    assert cost(answer(usage), TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=4.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("usage", [Usage(None, 5), Usage(5, None), Usage()])
def test_an_unknown_count_gives_an_unknown_cost_and_not_zero(usage):
    assert cost(answer(usage), PRICE) is None


def test_compute_is_priced_by_the_hour_of_its_hardware():
    assert cost(answer(compute_flop=2e9), ComputePrice(hardware="box")) == pytest.approx(2 * 3.6 / 3600)


def test_unknown_compute_gives_an_unknown_cost():
    assert cost(answer(Usage(5, 5)), ComputePrice(hardware="box")) is None


def test_an_unknown_profile_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown hardware profile 'bx': did you mean 'box'"):
        cost(answer(compute_flop=1.0), ComputePrice(hardware="bx"))


def test_without_a_price_a_recorded_cost_is_kept():
    assert cost(answer(cost_usd=0.5), None) == 0.5
    assert cost(answer(), None) is None


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.data())
def test_a_cache_never_makes_an_answer_dearer_when_its_price_is_lower(prompt, completion, data):
    cached = data.draw(st.integers(0, prompt))
    with_cache = cost(answer(Usage(prompt, completion, cached)), PRICE)
    assert with_cache <= cost(answer(Usage(prompt, completion, 0)), PRICE) + 1e-12
