import datetime
import json
from pathlib import Path

import pytest

from workbench.core import ConfigError, Usage
from workbench.core.hashing import sha256_file
from workbench.economics import load_price_book, token_cost_usd
from workbench.economics.price_book import look_up

DAY = datetime.date(2026, 11, 23)


@pytest.fixture(scope="module")
def book():
    return load_price_book(as_of=DAY)


def overrides(folder: Path, text: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text("prices:\n" + text)
    return path


def entry(name: str, prices: str = "input_usd_per_1m: 9, output_usd_per_1m: 99", as_of: str = "2026-11-01") -> str:
    return f"  {name}: {{{prices}, as_of: {as_of}, source: test}}\n"


def test_a_listed_price_carries_where_it_was_found(book):
    price = book.price("openai/gpt-5-mini")
    assert (price.input_usd_per_1m, price.cached_input_usd_per_1m, price.output_usd_per_1m) == (0.25, 0.025, 2.0)
    source = price.source
    assert (source.listed, source.tier, source.book, source.as_of) == (
        "openai/gpt-5-mini",
        "standard",
        "genai-prices",
        DAY,
    )
    assert source.version == book.provenance["version"]
    assert source.sha256 == book.provenance["sha256"]


def test_the_books_hash_is_that_of_the_packages_data(book):
    from genai_prices import data

    assert book.provenance == {
        "source": "genai-prices",
        "version": book.listed.version,
        "sha256": sha256_file(Path(data.__file__)),
        "as_of": "2026-11-23",
        "overrides": None,
    }


def test_anthropics_prices_of_cache_writes_are_told_apart(book):
    price = book.price("anthropic/claude-haiku-4-5")
    ratio = 1 / price.input_usd_per_1m
    assert price.cache_write_usd_per_1m * ratio == pytest.approx(1.25)
    assert price.cache_write_1h_usd_per_1m * ratio == pytest.approx(2.0)
    assert price.cached_input_usd_per_1m * ratio == pytest.approx(0.1)


def test_a_tier_has_its_own_prices_and_the_standard_one_carries_the_batch_rates(book):
    standard, batch = book.price("openai/gpt-5-mini"), book.price("openai/gpt-5-mini", "batch")
    assert (batch.input_usd_per_1m, batch.output_usd_per_1m) == (0.125, 1.0)
    assert standard.batch.input_usd_per_1m == batch.input_usd_per_1m
    assert batch.batch is None
    usage = Usage(1000, 100, 0, None, 0)
    assert token_cost_usd(usage, standard, batch=True) == pytest.approx(token_cost_usd(usage, batch))


def test_a_tier_that_is_not_listed_is_an_error_and_says_what_is(book):
    with pytest.raises(ConfigError, match="has no flex price in genai-prices on 2026-11-23; it has standard, batch"):
        book.price("anthropic/claude-haiku-4-5", "flex")


def test_a_price_of_long_prompts_holds_for_the_whole_request(book):
    price = book.price("google/gemini-2.5-pro")
    long = price.long_prompt[0]
    assert (long.above_prompt_tokens, long.input_usd_per_1m, long.output_usd_per_1m) == (200_000, 2.5, 15.0)
    assert token_cost_usd(Usage(200_001, 10, 0, None, 0), price) == pytest.approx((200_001 * 2.5 + 10 * 15) / 1e6)


def test_our_bill_is_the_packages_own_bill():
    """For every listed model: the price book's cost is what genai-prices computes itself, below and above its limits."""
    from genai_prices import types
    from genai_prices.data import providers

    moment = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
    book, compared = load_price_book(as_of=DAY), 0
    for provider in providers:
        for model in provider.models:
            ours = book.model(f"{provider.id}/{model.id}")
            if "standard" not in ours.tiers or (ours.note or "").endswith("rates of the day"):
                continue
            price = book.price(ours.name)
            written_1h = 50 if price.cache_write_1h_usd_per_1m is not None else 0
            for prompt in (1_000, 150_000, 600_000):
                counts = {
                    "input_tokens": prompt,
                    "output_tokens": 700,
                    "cache_read_tokens": 300,
                    "cache_write_tokens": 200,
                }
                counts |= {"cache_write_1h_tokens": written_1h, "output_reasoning_tokens": 100}
                theirs = model.get_prices(moment).calc_price(types.Usage(**counts))["total_price"]
                cost_usd = token_cost_usd(Usage(prompt, 700, 300, 200, 100, written_1h), price)
                assert cost_usd == pytest.approx(float(theirs), rel=1e-9), ours.name
                compared += 1
    assert compared > 5_000


def test_a_price_that_depends_on_the_hour_is_the_dearest_of_the_day(book):
    price = book.price("deepseek/deepseek-chat")
    assert (price.input_usd_per_1m, price.output_usd_per_1m) == (0.27, 1.1)
    assert "the dearest of 2 rates of the day" in price.source.note


def test_the_day_decides_which_price_is_in_force():
    early, late = (load_price_book(as_of=datetime.date(2026, month, 1)) for month in (9, 11))
    assert early.price("quicksilverpro/claude-haiku-4-5").input_usd_per_1m == 0.8
    assert late.price("quicksilverpro/claude-haiku-4-5").input_usd_per_1m == 0.25
    assert early.price("openai/gpt-5-mini").batch is None  # listed since October


def test_a_name_that_the_package_matches_to_a_model_is_found_under_the_models_own(book):
    assert book.price("anthropic/claude-haiku-4-5-20251001").source.listed == "anthropic/claude-haiku-4-5"


def test_an_unknown_name_suggests_the_nearest_ones(book):
    with pytest.raises(ConfigError, match=r"unknown model 'openai/gpt-5-mni' .* did you mean openai/gpt-5-mini"):
        book.price("openai/gpt-5-mni")
    with pytest.raises(ConfigError, match=r"did you mean .*openai/gpt-5-mini"):
        book.price("gpt-5-mini")


@pytest.mark.parametrize("name", ["", "/", "openai/", "/gpt-5", "nobody/gpt-5"])
def test_half_a_name_is_unknown(book, name):
    with pytest.raises(ConfigError, match="unknown model"):
        book.price(name)


def test_a_model_without_a_price_is_an_error_and_not_free(book):
    with pytest.raises(
        ConfigError, match="has no price in genai-prices: it lists nothing for prompt and answer tokens"
    ):
        book.price("github-copilot/gpt-4o")


def test_what_tokens_do_not_pay_for_is_said(book):
    assert "web_searches_kcount" in book.price("anthropic/claude-haiku-4-5").source.not_billed


def test_a_fee_a_request_is_taken_along(book):
    assert book.price("perplexity/sonar").request_usd == pytest.approx(0.012)


def test_find_takes_words_in_any_order_of_name_and_title(book):
    names = [model.name for model in book.find("4.5 haiku")]
    assert "anthropic/claude-haiku-4-5" in names
    assert book.find("no such model") == []


def test_an_override_comes_before_the_list_and_says_so(tmp_path):
    path = overrides(tmp_path, entry("openai/gpt-5-mini"))
    book = load_price_book(path, as_of=DAY)
    price = book.price("openai/gpt-5-mini")
    assert (price.input_usd_per_1m, price.output_usd_per_1m) == (9, 99)
    assert (price.source.book, price.source.sha256) == ("prices.yaml", sha256_file(path))
    assert price.source.as_of == datetime.date(2026, 11, 1)
    assert book.provenance["overrides"] == {"name": "prices.yaml", "sha256": sha256_file(path)}
    assert book.price("openai/gpt-5").source.book == "genai-prices"


def test_an_override_holds_under_every_name_of_the_model(tmp_path):
    book = load_price_book(overrides(tmp_path, entry("openai/gpt-5-mini")), as_of=DAY)
    assert book.price("openai/gpt-5-mini-2025-08-07").input_usd_per_1m == 9


def test_before_its_day_an_override_is_not_in_force(tmp_path):
    path = overrides(tmp_path, entry("openai/gpt-5-mini", as_of="2026-11-24") + entry("acme/new", as_of="2026-11-24"))
    book = load_price_book(path, as_of=DAY)
    assert book.price("openai/gpt-5-mini").input_usd_per_1m == 0.25
    with pytest.raises(ConfigError, match="unknown model 'acme/new'"):
        book.price("acme/new")
    assert load_price_book(path, as_of=datetime.date(2026, 11, 24)).price("acme/new").input_usd_per_1m == 9


def test_an_override_that_says_unknown_is_an_error_to_use(tmp_path):
    path = overrides(tmp_path, entry("openai/gpt-5-mini", "input_usd_per_1m: null, output_usd_per_1m: 2"))
    with pytest.raises(ConfigError, match=r"has no price in prices.yaml: input_usd_per_1m is null"):
        load_price_book(path, as_of=DAY).price("openai/gpt-5-mini")


def test_what_a_card_names_is_looked_up_today_or_in_the_book_given(book):
    assert look_up({"listed": "openai/gpt-5-mini", "tier": "batch"}, book).source.tier == "batch"
    assert look_up({"listed": "openai/gpt-5-mini"}).source.as_of >= DAY
    with pytest.raises(ValueError, match="did you mean openai/gpt-5-mini"):
        look_up({"listed": "openai/gpt-5-mni"}, book)


def test_a_resolved_price_survives_json(book):
    from workbench.core.price import TokenPrice

    price = book.price("google/gemini-2.5-pro")
    assert TokenPrice.model_validate(json.loads(price.model_dump_json())) == price


def test_without_the_package_the_extra_is_named(monkeypatch):
    import sys

    from workbench.core import MissingExtra
    from workbench.economics.genai_list import GenaiList

    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingExtra, match=r"llm-workbench\[prices\]"):
        GenaiList()
