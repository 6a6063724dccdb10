import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.core import Completion, ConfigError, InconsistentUsage, Timing, Usage
from workbench.core.price import LongPromptRates, TieredRates
from workbench.economics import (
    ComputePrice,
    HardwareProfile,
    TokenPrice,
    UnknownCost,
    priced,
    token_cost_usd,
)

PRICE = TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=4.0, cached_input_usd_per_1m=0.1)
FULL = TokenPrice(
    input_usd_per_1m=1.0,
    output_usd_per_1m=4.0,
    cached_input_usd_per_1m=0.1,
    cache_write_usd_per_1m=1.25,
    cache_write_1h_usd_per_1m=2.0,
    reasoning_usd_per_1m=3.0,
    long_prompt=(LongPromptRates(above_prompt_tokens=1000, input_usd_per_1m=2.0, output_usd_per_1m=6.0),),
    batch=TieredRates(input_usd_per_1m=0.5, output_usd_per_1m=2.0),
)
PROFILES = {"box": HardwareProfile(usd_per_hour=3.6, flop_per_s=1e9, as_of="2026-01-01", source="test")}


def answer(usage: Usage | None = None, compute_flop: float | None = None, cost_usd: float | None = None) -> Completion:
    return Completion("x", "m", "stop", usage or Usage(), Timing(1.0), compute_flop=compute_flop, cost_usd=cost_usd)


def cost(completion: Completion, price) -> float | None:
    return priced(completion, price, PROFILES).cost_usd


def test_uncached_cached_and_answer_tokens_have_their_own_prices():
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)
    assert cost(answer(usage), PRICE) == pytest.approx(0.6 * 1.0 + 0.4 * 0.1 + 0.5 * 4.0)


def test_every_kind_of_token_has_its_own_price():
    usage = Usage(1000, 500, cached_tokens=300, cache_write_tokens=200, cache_write_1h_tokens=50, reasoning_tokens=100)
    micro_usd = 500 * 1.0 + 300 * 0.1 + 150 * 1.25 + 50 * 2.0 + 400 * 4.0 + 100 * 3.0
    assert token_cost_usd(usage, FULL) == pytest.approx(micro_usd / 1e6)


def test_cached_tokens_without_a_cached_price_cost_as_much_as_the_others():
    usage = Usage(1_000_000, 0, 400_000)
    assert cost(answer(usage), TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=4.0)) == pytest.approx(1.0)


def test_written_tokens_without_prices_of_their_own_cost_as_much_as_the_others():
    usage = Usage(1_000_000, 0, 0, cache_write_tokens=400_000, cache_write_1h_tokens=100_000)
    assert token_cost_usd(usage, PRICE) == pytest.approx(1.0)
    only_short = PRICE.model_copy(update={"cache_write_usd_per_1m": 1.25})
    assert token_cost_usd(usage, only_short) == pytest.approx(0.6 + 0.4 * 1.25)


@pytest.mark.parametrize("usage", [Usage(None, 5), Usage(5, None), Usage()])
def test_an_unknown_count_gives_an_unknown_cost_and_not_zero(usage):
    assert cost(answer(usage), PRICE) is None


def test_unknown_cached_tokens_are_priced_as_uncached():
    assert token_cost_usd(Usage(1000, 0), PRICE) == token_cost_usd(Usage(1000, 0, cached_tokens=0), PRICE)


def test_unknown_reasoning_has_a_cost_only_where_it_costs_as_much_as_output():
    assert token_cost_usd(Usage(10, 20), PRICE) == pytest.approx((10 + 80) / 1e6)
    assert token_cost_usd(Usage(10, 20), FULL) is None


def test_above_the_limit_all_tokens_have_the_rates_of_long_prompts():
    kinds = {"cached_tokens": 600, "reasoning_tokens": 0}
    at_limit, above = Usage(1000, 10, **kinds), Usage(1001, 10, **kinds)
    assert token_cost_usd(at_limit, FULL) == pytest.approx((400 * 1.0 + 600 * 0.1 + 10 * 4.0) / 1e6)
    assert token_cost_usd(above, FULL) == pytest.approx((1001 * 2.0 + 10 * 6.0) / 1e6)


def test_of_several_limits_the_highest_that_is_exceeded_counts():
    longer = [LongPromptRates(above_prompt_tokens=n, input_usd_per_1m=n, output_usd_per_1m=0.5) for n in (10, 100)]
    price = TokenPrice(input_usd_per_1m=1, output_usd_per_1m=0.5, long_prompt=tuple(longer))
    assert [token_cost_usd(Usage(n, 0), price) * 1e6 / n for n in (10, 11, 100, 101)] == pytest.approx([1, 10, 10, 100])


def test_limits_that_do_not_rise_are_refused():
    same = [LongPromptRates(above_prompt_tokens=10, input_usd_per_1m=2, output_usd_per_1m=1)] * 2
    with pytest.raises(ValidationError, match="long_prompt limits must rise, found 10, 10"):
        TokenPrice(input_usd_per_1m=1, output_usd_per_1m=1, long_prompt=tuple(same))


def test_a_batch_has_its_own_rates():
    assert token_cost_usd(Usage(1000, 500), FULL, batch=True) == pytest.approx((1000 * 0.5 + 500 * 2.0) / 1e6)


def test_batch_rates_that_are_not_known_are_an_error_and_not_a_guess():
    with pytest.raises(ConfigError, match="has no batch rates"):
        token_cost_usd(Usage(1000, 500), PRICE, batch=True)


def test_a_fee_a_request_comes_on_top():
    price = TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=1.0, request_usd=0.012)
    assert token_cost_usd(Usage(0, 0), price) == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        (Usage(100, 5, cached_tokens=400), "cached_tokens 400 is more than prompt_tokens 100"),
        (Usage(100, 5, cached_tokens=60, cache_write_tokens=60), "cached_tokens 60 \\+ cache_write_tokens 60 is more"),
        (Usage(100, 5, reasoning_tokens=6), "reasoning_tokens 6 is more than completion_tokens 5"),
        (Usage(100, 5, cache_write_tokens=5, cache_write_1h_tokens=6), "cache_write_1h_tokens 6 is more than"),
        (Usage(-1, 5), "prompt_tokens is -1; a count of tokens is 0 or more"),
        (Usage(None, 5, cached_tokens=-3), "cached_tokens is -3"),
    ],
)
def test_counts_that_contradict_each_other_are_named_and_never_a_negative_cost(usage, message):
    with pytest.raises(InconsistentUsage, match=message):
        token_cost_usd(usage, PRICE)


def test_an_answer_with_contradicting_counts_is_kept_without_a_cost_and_says_why():
    with pytest.warns(UnknownCost, match="model 'm': cached_tokens 400 is more than prompt_tokens 100"):
        kept = priced(answer(Usage(100, 5, cached_tokens=400)), PRICE, PROFILES)
    assert (kept.text, kept.cost_usd) == ("x", None)


def test_sound_counts_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cost(answer(Usage(100, 5, cached_tokens=100, reasoning_tokens=5)), PRICE)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_price_is_a_number_from_zero_up(bad):
    with pytest.raises(ValidationError):
        TokenPrice(input_usd_per_1m=bad, output_usd_per_1m=1.0)


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


RATE = st.floats(0, 100)


@given(st.integers(0, 10**6), st.integers(0, 10**6), RATE, st.data())
def test_with_one_rate_for_everything_only_the_total_counts(prompt, completion, rate, data):
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    usage = Usage(
        prompt, completion, cached, written, data.draw(st.integers(0, completion)), data.draw(st.integers(0, written))
    )
    rates = {name: rate for name in TieredRates.model_fields if name.endswith("_usd_per_1m")}
    assert token_cost_usd(usage, TokenPrice(**rates)) == pytest.approx((prompt + completion) * rate / 1e6)
