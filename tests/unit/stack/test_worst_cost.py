import pytest

from workbench.core.price import TokenPrice
from workbench.models import ModelCard
from workbench.stack.promises import is_local
from workbench.stack.steps.worst_cost import most_usd

PRICE = {
    "input_usd_per_1m": 1.0,
    "output_usd_per_1m": 5.0,
    "cache_write_usd_per_1m": 1.25,
    "cache_write_1h_usd_per_1m": 2.0,
}


def card(options=None, **price):
    return ModelCard(kind="anthropic", model="m", price=TokenPrice(**{**PRICE, **price}), options=options or {})


@pytest.mark.parametrize(("cache_prompt", "usd_per_1m_prompt"), [(None, 1.0), ("5m", 1.25), ("1h", 2.0)])
def test_a_prompt_that_will_be_written_to_the_cache_is_bounded_at_that_price(cache_prompt, usd_per_1m_prompt):
    options = {"cache_prompt": cache_prompt} if cache_prompt else {}
    assert most_usd("m", card(options), 1000, 100, {}) == pytest.approx((1000 * usd_per_1m_prompt + 100 * 5.0) / 1e6)


def test_an_answer_may_be_all_reasoning():
    assert most_usd("m", card(reasoning_usd_per_1m=8.0), 0, 100, {}) == pytest.approx(800e-6)


def test_a_prompt_of_unknown_length_has_no_bound():
    assert most_usd("m", card(), None, 100, {}) is None


def test_a_vllm_server_of_ones_own_is_local_and_one_elsewhere_is_not():
    assert is_local(ModelCard(kind="vllm", model="reference:base"))
    assert not is_local(ModelCard(kind="vllm", model="base", base_url="http://far/v1"))
