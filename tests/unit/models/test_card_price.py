import json
import subprocess
import sys

import pytest

from workbench.core import ConfigError
from workbench.core.price import ComputePrice, ListedPrice, TokenPrice
from workbench.models import ModelCard, load_lab

CARD = {"kind": "openai-compatible", "model": "gpt-5-mini", "base_url": "http://127.0.0.1:1/v1"}


def lab_file(folder, price: str, top: str = "", name: str = "lab.yaml"):
    path = folder / name
    path.write_text(
        f"{top}\nmodels:\n  paid: {{kind: openai-compatible, model: m, base_url: 'http://x/v1', price: {price}}}\n"
    )
    return path


def test_a_card_that_names_a_listed_price_holds_what_was_found():
    for price in ({"listed": "openai/gpt-5-mini"}, ListedPrice(listed="openai/gpt-5-mini")):
        found = ModelCard(**CARD, price=price).price
        assert isinstance(found, TokenPrice)
        assert (found.input_usd_per_1m, found.source.listed) == (0.25, "openai/gpt-5-mini")


def test_the_card_written_and_read_again_is_the_same_card_whatever_the_book_says_then():
    card = ModelCard(**CARD, price={"listed": "google/gemini-2.5-pro", "tier": "batch"})
    assert ModelCard.model_validate(json.loads(card.model_dump_json())) == card


def test_typed_prices_are_left_as_they_are():
    assert ModelCard(**CARD, price={"hardware": "h100"}).price == ComputePrice(hardware="h100")
    typed = ModelCard(**CARD, price={"input_usd_per_1m": 1, "output_usd_per_1m": 2}).price
    assert (typed.input_usd_per_1m, typed.source) == (1, None)
    assert ModelCard(**CARD).price is None


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ("{listed: openai/gpt-5-mni}", r"models.paid.price: unknown model 'openai/gpt-5-mni' .* openai/gpt-5-mini"),
        ("{listed: gpt-5-mini}", r"models.paid.price: unknown model 'gpt-5-mini' .* openai/gpt-5-mini"),
        ("{listed: openai/gpt-5-mini, tier: bach}", r"tier: input should be 'standard', 'batch'.* found 'bach'"),
        ("{listed: openai/gpt-5-mini, teir: batch}", "unknown key 'teir'; did you mean 'tier'"),
        ("{lsted: openai/gpt-5-mini}", "models.paid.price: unknown key 'lsted'; did you mean 'listed'"),
        ("{hardwar: h100}", "models.paid.price: unknown key 'hardwar'; did you mean 'hardware'"),
        ("{listed: github-copilot/gpt-4o}", "models.paid.price: github-copilot/gpt-4o has no price in genai-prices"),
        ("{input_usd_per_1m: -1, output_usd_per_1m: 1}", "models.paid.price.input_usd_per_1m: input should be greater"),
    ],
)
def test_a_price_that_cannot_be_found_fails_when_the_lab_is_read(tmp_path, price, message):
    with pytest.raises(ConfigError, match=message):
        load_lab(lab_file(tmp_path, price))


def test_a_lab_names_a_file_of_prices_that_come_first(tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "prices:\n  acme/one: {input_usd_per_1m: 3, output_usd_per_1m: 9, as_of: 2026-01-01, source: offer}\n"
    )
    lab = load_lab(lab_file(tmp_path, "{listed: acme/one}", f"prices: {prices}"))
    assert (lab.card("paid").price.input_usd_per_1m, lab.card("paid").price.source.note) == (3, "offer")
    with pytest.raises(ConfigError, match=r"lab.yaml: models.paid.price: unknown model 'acme/two' .* acme/one"):
        load_lab(lab_file(tmp_path, "{listed: acme/two}", f"prices: {prices}"))
    with pytest.raises(ConfigError, match="no override file at"):
        load_lab(lab_file(tmp_path, "{listed: acme/one}", f"prices: {tmp_path / 'none.yaml'}"))


def test_reading_cards_without_a_listed_price_does_not_open_the_book():
    code = (
        "import sys; from workbench.models import ModelCard;"
        " ModelCard(kind='transformers', model='x', price={'hardware': 'h100'}); print('genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
