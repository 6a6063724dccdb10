import datetime
import json
import os
from pathlib import Path

import pytest

from workbench.core import ConfigError
from workbench.economics import load_price_book
from workbench.economics.litellm_list import LiteLLMList

DAY = datetime.date(2026, 11, 23)
PLAIN = {"mode": "chat", "litellm_provider": "acme", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06}


def book(folder: Path, **entries: dict):
    path = folder / "prices.json"
    path.write_text(json.dumps({"sample_spec": {"mode": "one of: chat, …", "input_cost_per_token": 0.0}, **entries}))
    return load_price_book(litellm=path, as_of=DAY)


def test_prices_a_token_become_prices_a_million(tmp_path):
    more = {"cache_read_input_token_cost": 2.5e-07, "cache_creation_input_token_cost": 1.25e-06}
    more |= {"cache_creation_input_token_cost_above_1hr": 2e-06, "output_cost_per_reasoning_token": 3e-06}
    price = book(tmp_path, one=PLAIN | more).price("one")
    assert (price.input_usd_per_1m, price.output_usd_per_1m, price.cached_input_usd_per_1m) == (1.0, 4.0, 0.25)
    assert (price.cache_write_usd_per_1m, price.cache_write_1h_usd_per_1m, price.reasoning_usd_per_1m) == (
        1.25,
        2.0,
        3.0,
    )


def test_a_model_is_found_by_its_name_and_with_its_seller(tmp_path):
    listed = book(tmp_path, one=PLAIN)
    assert listed.price("acme/one").source.listed == listed.price("one").source.listed == "one"


def test_the_file_is_known_by_its_hash(tmp_path):
    told = book(tmp_path, one=PLAIN).provenance
    assert (told["source"], told["version"], len(told["sha256"])) == ("litellm", None, 64)


def test_long_prompts_and_batches_have_their_own_rates_and_missing_ones_are_the_dearer_standard(tmp_path):
    entry = PLAIN | {
        "cache_read_input_token_cost": 1e-07,
        "input_cost_per_token_above_200k_tokens": 2e-06,
        "output_cost_per_token_above_200k_tokens": 6e-06,
        "input_cost_per_token_batches": 5e-07,
        "output_cost_per_token_batches": 2e-06,
    }
    price = book(tmp_path, one=entry).price("one")
    long = price.long_prompt[0]
    assert (long.above_prompt_tokens, long.input_usd_per_1m, long.cached_input_usd_per_1m) == (200_000, 2.0, 0.1)
    assert (price.batch.input_usd_per_1m, price.batch.cached_input_usd_per_1m) == (0.5, 0.1)
    assert price.batch.long_prompt[0].input_usd_per_1m == 2.0  # no batch rate for long prompts is listed


def test_a_one_hour_write_of_a_long_prompt_is_found(tmp_path):
    entry = PLAIN | {
        "cache_creation_input_token_cost_above_1hr": 2e-06,
        "cache_creation_input_token_cost_above_1hr_above_100k_tokens": 1e-05,
    }
    long = book(tmp_path, one=entry).price("one").long_prompt[0]
    assert (long.above_prompt_tokens, long.cache_write_1h_usd_per_1m) == (100_000, 10.0)


@pytest.mark.parametrize("key", ["input_cost_per_token", "output_cost_per_token"])
def test_a_price_of_zero_is_unknown_and_counted(tmp_path, key):
    listed = book(tmp_path, one=PLAIN | {key: 0.0}, two=PLAIN)
    assert listed.listed.n_unknown == 1
    with pytest.raises(
        ConfigError, match=f"one has no price in litellm: {key} is 0, which does not tell free from unknown"
    ):
        listed.price("one")


def test_a_missing_price_is_unknown(tmp_path):
    entry = {key: value for key, value in PLAIN.items() if key != "output_cost_per_token"}
    with pytest.raises(ConfigError, match="it does not list output_cost_per_token"):
        book(tmp_path, one=entry).price("one")


def test_a_cached_price_of_zero_does_not_make_cached_tokens_free(tmp_path):
    price = book(tmp_path, one=PLAIN | {"cache_read_input_token_cost": 0}).price("one")
    assert price.cached_input_usd_per_1m is None


@pytest.mark.parametrize("bad", [-1e-06, float("inf"), "cheap"])
def test_a_wrong_price_is_named_with_its_entry(tmp_path, bad):
    with pytest.raises(ConfigError, match=r"prices.json: one: input_cost_per_token is"):
        book(tmp_path, one=PLAIN | {"input_cost_per_token": bad})


@pytest.mark.parametrize("text", ["[]", "{}", '{"a": 1}', "not json"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"prices.json"):
        LiteLLMList(path)


def test_a_model_past_its_date_is_deprecated(tmp_path):
    listed = book(
        tmp_path, old=PLAIN | {"deprecation_date": "2026-01-01"}, new=PLAIN | {"deprecation_date": "2027-01-01"}
    )
    assert listed.model("old").is_deprecated
    assert not listed.model("new").is_deprecated


def test_what_tokens_do_not_pay_for_is_said(tmp_path):
    price = book(tmp_path, one=PLAIN | {"input_cost_per_image": 0.01, "input_cost_per_request": 0.005}).price("one")
    assert price.source.not_billed == ("input_cost_per_image",)
    assert price.request_usd == 0.005


def test_models_that_are_no_chat_models_are_left_out(tmp_path):
    listed = book(tmp_path, one=PLAIN, picture=PLAIN | {"mode": "image_generation"})
    assert list(listed.names()) == ["one"]


@pytest.mark.data
def test_every_priced_chat_model_of_the_public_file_has_a_price_above_zero():
    folder = os.environ.get("WORKBENCH_DATA")
    path = Path(folder or ".") / "prices" / "model_prices_and_context_window.json"
    if folder is None or not path.exists():
        pytest.skip("the public data sets are not here: set WORKBENCH_DATA")
    entries = {n: e for n, e in json.loads(path.read_text()).items() if e.get("mode") == "chat" and n != "sample_spec"}
    listed = LiteLLMList(path)
    models = {name: listed.model(name, DAY) for name in entries}
    has_input = {name for name, entry in entries.items() if entry.get("input_cost_per_token")}
    priced = {name for name, model in models.items() if model.tiers}
    assert len(has_input) == 2790
    assert priced <= has_input
    assert all("output_cost_per_token" in models[name].unknown_because for name in has_input - priced)
    for name in priced:
        for rates in models[name].tiers.values():
            every = [rates, *rates.long_prompt]
            assert all(r.input_usd_per_1m > 0 and r.output_usd_per_1m > 0 for r in every), name
            assert all(value is None or value > 0 for r in every for key, value in r if key.endswith("_usd_per_1m")), (
                name
            )
