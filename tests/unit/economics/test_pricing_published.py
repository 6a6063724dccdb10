"""Bills that others published, and bugs that others had: the arithmetic written out, the source named."""

import pytest

from workbench.core import Usage
from workbench.core.price import LongPromptRates, TokenPrice
from workbench.economics import token_cost_usd

SONNET = TokenPrice(  # https://platform.claude.com/docs/en/about-claude/pricing, Claude Sonnet
    input_usd_per_1m=3.0,
    cache_write_usd_per_1m=3.75,
    cache_write_1h_usd_per_1m=6.0,
    cached_input_usd_per_1m=0.3,
    output_usd_per_1m=15.0,
)
HAIKU = TokenPrice(
    input_usd_per_1m=1.0, cache_write_usd_per_1m=1.25, cached_input_usd_per_1m=0.1, output_usd_per_1m=5.0
)
GPT_4O = TokenPrice(input_usd_per_1m=2.5, cached_input_usd_per_1m=1.25, output_usd_per_1m=10.0)


def test_the_usage_of_openais_guide_to_prompt_caching():
    """https://platform.openai.com/docs/guides/prompt-caching: 2,006 prompt tokens, 1,920 of them cached, 300 answer tokens."""
    usage = Usage(prompt_tokens=2006, completion_tokens=300, cached_tokens=1920, reasoning_tokens=0)
    assert token_cost_usd(usage, GPT_4O) == pytest.approx((86 * 2.5 + 1920 * 1.25 + 300 * 10) / 1e6)
    assert token_cost_usd(usage, GPT_4O) == pytest.approx(0.005615)


def test_a_prompt_written_to_anthropics_cache_costs_what_its_console_billed():
    """https://github.com/BerriAI/litellm/issues/9812: input 3, cache creation 12,304, output 550; the console says 0.05439 USD.

    A gateway said 0.091311 = (12307 * 3 + 12304 * 3.75 + 550 * 15) / 1e6: it billed what was written as plain input, too.
    """
    usage = Usage(prompt_tokens=3 + 12304, completion_tokens=550, cached_tokens=0, cache_write_tokens=12304)
    assert token_cost_usd(usage, SONNET) == pytest.approx((3 * 3 + 12304 * 3.75 + 550 * 15) / 1e6)
    assert token_cost_usd(usage, SONNET) == pytest.approx(0.05439, abs=1e-5)


def test_anthropics_multipliers_five_minutes_one_hour_and_read():
    """https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing: 1.25, 2 and 0.1 times the input price."""
    million = 1_000_000
    assert token_cost_usd(Usage(million, 0, 0, million, 0), SONNET) == pytest.approx(1.25 * 3)
    assert token_cost_usd(Usage(million, 0, 0, million, 0, million), SONNET) == pytest.approx(2 * 3)
    assert token_cost_usd(Usage(million, 0, million, 0, 0), SONNET) == pytest.approx(0.1 * 3)


def test_writes_of_both_lives_in_one_request_have_their_own_prices():
    usage = Usage(
        prompt_tokens=2048 + 1800 + 556,
        completion_tokens=503,
        cached_tokens=1800,
        cache_write_tokens=556,
        cache_write_1h_tokens=100,
    )
    micro_usd = 2048 * 3 + 1800 * 0.3 + 456 * 3.75 + 100 * 6 + 503 * 15
    assert token_cost_usd(usage, SONNET) == pytest.approx(micro_usd / 1e6)


def test_cached_tokens_are_not_billed_twice_and_a_long_prompt_has_its_own_rates():
    """https://github.com/BerriAI/litellm/issues/14849: Gemini 2.5 Pro, 262,960 prompt tokens, 257,955 cached, 1,744 answer tokens.

    The gateway said 0.7642 = (262960 * 2.5 + 257955 * 0.3125 + 1744 * 15) / 1e6: cached tokens billed as input and as cached.
    The reporter's 0.1849 = (5005 * 1.25 + 257955 * 0.625 + 1744 * 10) / 1e6 leaves out that a prompt above 200,000 tokens is
    billed at the rates for long prompts throughout.
    """
    usage = Usage(prompt_tokens=262_960, completion_tokens=1_744, cached_tokens=257_955, reasoning_tokens=0)
    reporters = TokenPrice(input_usd_per_1m=1.25, cached_input_usd_per_1m=0.625, output_usd_per_1m=10.0)
    assert token_cost_usd(usage, reporters) == pytest.approx(0.1849, abs=5e-5)

    long = LongPromptRates(
        above_prompt_tokens=200_000, input_usd_per_1m=2.5, cached_input_usd_per_1m=0.625, output_usd_per_1m=15.0
    )
    listed = reporters.model_copy(update={"long_prompt": (long,)})
    assert token_cost_usd(usage, listed) == pytest.approx((5005 * 2.5 + 257_955 * 0.625 + 1744 * 15) / 1e6)
    assert token_cost_usd(usage, listed) == pytest.approx(0.1999, abs=5e-5)


def test_a_call_that_reads_and_writes_the_cache_is_not_priced_at_an_eighth():
    """https://github.com/BerriAI/litellm/issues/11364: Opus 4.5, 98,805 prompt tokens (66,360 read, 32,435 written), 5,120 out.

    The gateway said 0.04708 USD.
    """
    opus = TokenPrice(
        input_usd_per_1m=5.0, cache_write_usd_per_1m=6.25, cached_input_usd_per_1m=0.5, output_usd_per_1m=25.0
    )
    usage = Usage(98_805, 5_120, cached_tokens=66_360, cache_write_tokens=32_435, reasoning_tokens=1_710)
    micro_usd = 10 * 5 + 66_360 * 0.5 + 32_435 * 6.25 + 5_120 * 25
    assert token_cost_usd(usage, opus) == pytest.approx(micro_usd / 1e6)
    assert token_cost_usd(usage, opus) > 7.7 * 0.04708


def test_a_fully_cached_call_is_not_ten_times_too_dear():
    """https://github.com/Aider-AI/aider/issues/5516: 17,111 prompt tokens of which 17,102 were read; billed on top, 10.9 times too much."""
    cost_usd = token_cost_usd(Usage(17_111, 0, cached_tokens=17_102), HAIKU)
    assert cost_usd == pytest.approx((9 * 1.0 + 17_102 * 0.1) / 1e6)
    billed_twice_usd = (17_111 * 1.0 + 17_102 * 0.1) / 1e6
    assert billed_twice_usd / cost_usd == pytest.approx(10.9, abs=0.05)


def test_reasoning_is_part_of_the_answer_and_the_rest_of_the_answer_is_billed_too():
    """https://github.com/BerriAI/litellm/issues/18599: gpt-5-nano, 17 in, 482 out of which 448 reasoning; only those were billed."""
    nano = TokenPrice(input_usd_per_1m=0.05, cached_input_usd_per_1m=0.005, output_usd_per_1m=0.4)
    usage = Usage(17, 482, cached_tokens=0, reasoning_tokens=448)
    assert token_cost_usd(usage, nano) == pytest.approx((17 * 0.05 + 482 * 0.4) / 1e6)


def test_reasoning_is_not_billed_on_top_of_the_answer_it_is_part_of():
    """https://github.com/anomalyco/opencode/issues/17566: 14,746 in at 30, 1,944 out at 180 (1,360 reasoning) are 0.7923, not 1.04."""
    pro = TokenPrice(input_usd_per_1m=30.0, output_usd_per_1m=180.0)
    assert token_cost_usd(Usage(14_746, 1_944, reasoning_tokens=1_360), pro) == pytest.approx(0.7923)


def test_reasoning_with_a_price_of_its_own():
    """https://github.com/comet-ml/opik/pull/7777: sonar-deep-research, output 8, reasoning 3 USD per million."""
    sonar = TokenPrice(input_usd_per_1m=2.0, output_usd_per_1m=8.0, reasoning_usd_per_1m=3.0)
    assert token_cost_usd(Usage(1000, 5000, reasoning_tokens=4000), sonar) == pytest.approx(
        (1000 * 2 + 1000 * 8 + 4000 * 3) / 1e6
    )
