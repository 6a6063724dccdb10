import datetime
from pathlib import Path

import pytest

from workbench.core import ConfigError
from workbench.economics import load_price_book
from workbench.economics.overrides import OverrideList, check_overrides

DAY = datetime.date(2026, 11, 23)
EXAMPLE = Path(__file__).parents[3] / "data" / "prices.example.yaml"
GOOD = "input_usd_per_1m: 1, output_usd_per_1m: 2"
PROOF = "as_of: 2026-11-01, source: test"


def write(folder: Path, entry: str, name: str = "acme/one") -> Path:
    path = folder / "prices.yaml"
    path.write_text(f"prices:\n  {name}: {{{entry}}}\n")
    return path


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (GOOD, r"prices.yaml: prices.acme/one.as_of is missing \(and 1 more\)"),
        (f"{GOOD}, as_of: 2026-11-01", "prices.acme/one.source is missing"),
        (f"{GOOD}, as_of: 2026-11-01, source: ''", "prices.acme/one.source: string should have at least 1 character"),
        (f"{GOOD}, as_of: soon, source: x", "prices.acme/one.as_of: input should be a valid date"),
        (f"input_usd_per_1m: 1, {PROOF}", "prices.acme/one.output_usd_per_1m is missing"),
        (
            f"input_usd_per_1m: -1, output_usd_per_1m: 2, {PROOF}",
            "input_usd_per_1m: input should be greater than or equal",
        ),
        (f"input_usd_per_1m: .nan, output_usd_per_1m: 2, {PROOF}", "prices.acme/one.input_usd_per_1m: input should be"),
        (f"input_usd_per_1m: .inf, output_usd_per_1m: 2, {PROOF}", "input_usd_per_1m: input should be a finite number"),
        (
            f"input_usd_per_1m: yes, output_usd_per_1m: 2, {PROOF}",
            "input_usd_per_1m: a price is a number, not yes or no",
        ),
        (f"input_usd_per_1m: 0, output_usd_per_1m: 2, {PROOF}", "input_usd_per_1m is 0; say is_free: true"),
        (
            f"{GOOD}, batch: {{input_usd_per_1m: 1, output_usd_per_1m: 0}}, {PROOF}",
            "output_usd_per_1m is 0; say is_free",
        ),
        (f"{GOOD}, is_free: true, {PROOF}", "is_free is true, but input_usd_per_1m is 1"),
        (
            f"input_usd_per_1M: 1, output_usd_per_1m: 2, {PROOF}",
            "unknown key 'input_usd_per_1M'; did you mean 'input_usd",
        ),
        (f"{GOOD}, batch: {{input_usd_per_1m: 1}}, {PROOF}", "prices.acme/one.batch.output_usd_per_1m is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_entry(tmp_path, entry, message):
    with pytest.raises(ConfigError, match=message):
        OverrideList(write(tmp_path, entry))


@pytest.mark.parametrize("name", ["gpt-5", "'acme/'", "'a b/c'"])
def test_a_name_is_seller_and_model(tmp_path, name):
    with pytest.raises(ConfigError, match="string should match pattern"):
        OverrideList(write(tmp_path, f"{GOOD}, {PROOF}", name))


@pytest.mark.parametrize("text", ["", "prices: {}", "prices: []", "pricse: {}", "- 1", "prices:\n  a/b: 3"])
def test_a_file_without_prices_is_refused(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"prices.yaml"):
        OverrideList(path)


def test_an_entry_given_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(f"prices:\n  a/b: {{{GOOD}, {PROOF}}}\n  a/b: {{{GOOD}, {PROOF}}}\n")
    with pytest.raises(ConfigError, match="the key 'a/b' is given twice at line 3"):
        OverrideList(path)


def test_free_is_said_and_then_costs_nothing(tmp_path):
    path = write(tmp_path, f"input_usd_per_1m: 0, output_usd_per_1m: 0, is_free: true, {PROOF}")
    assert load_price_book(path, as_of=DAY).price("acme/one").input_usd_per_1m == 0


def test_tiers_and_long_prompts_of_ones_own(tmp_path):
    rates = "{input_usd_per_1m: 0.5, output_usd_per_1m: 1}"
    long = "[{above_prompt_tokens: 1000, input_usd_per_1m: 3, output_usd_per_1m: 6}]"
    path = write(tmp_path, f"{GOOD}, batch: {rates}, flex: {rates}, long_prompt: {long}, {PROOF}")
    book = load_price_book(path, as_of=DAY)
    price = book.price("acme/one")
    assert price.batch.input_usd_per_1m == book.price("acme/one", "flex").input_usd_per_1m == 0.5
    assert price.long_prompt[0].input_usd_per_1m == 3
    with pytest.raises(ConfigError, match=r"acme/one has no priority price in prices.yaml"):
        book.price("acme/one", "priority")


def test_the_shipped_example_can_be_used_and_says_what_it_changes():
    entries = {e["model"]: e for e in check_overrides(EXAMPLE, load_price_book(as_of=DAY))["entries"]}
    known = entries["openai/gpt-5-mini"]
    assert (known["input_usd_per_1m"], known["list_input_usd_per_1m"], known["remark"]) == (0.20, 0.25, None)
    assert "unknown: an error to use" in entries["acme/contract-reader-preview"]["remark"]
    assert "not in the list" in entries["acme/contract-reader"]["remark"]
    assert "free" in entries["acme/internal"]["remark"]


def test_an_override_of_tomorrow_is_marked(tmp_path):
    path = write(tmp_path, f"{GOOD}, as_of: 2026-12-01, source: x")
    assert "not in force yet" in check_overrides(path, load_price_book(as_of=DAY))["entries"][0]["remark"]
