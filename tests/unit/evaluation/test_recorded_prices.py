"""A cost stays traceable: the manifest holds what it was made of, also after books and machines cost something else."""

from pathlib import Path

import pytest

from workbench.core import ConfigError, Usage
from workbench.economics import HardwareProfile, load_price_book, load_profiles, token_cost_usd
from workbench.evaluation import Outcomes, Suite, record
from workbench.evaluation.recording import describe_card
from workbench.models import ModelCard
from workbench.testing import FakeClock, ScriptedModel
from workbench.tuning.matrix import OutcomeMatrix

SUITE = Suite.from_rows([(n, {"id": f"q{n}", "prompt": f"{n}?", "answer": "x"}) for n in range(3)], "three")
SERVER = {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1/v1"}


def recorded(folder: Path, card: ModelCard, profiles: dict[str, HardwareProfile] | None = None) -> Outcomes:
    model = ScriptedModel("paid", "x", card=card, clock=FakeClock())
    return record(SUITE, {"paid": model}, folder, profiles=profiles)


def test_the_manifest_holds_rates_and_edition_of_a_listed_price(tmp_path):
    card = ModelCard(**SERVER, price={"listed": "openai/gpt-5-mini"})
    outcomes = recorded(tmp_path, card)
    frozen = Outcomes.read(tmp_path).manifest.models["paid"]["price"]
    told = load_price_book().provenance
    assert frozen["input_usd_per_1m"] == 0.25
    assert (frozen["source"]["version"], frozen["source"]["sha256"]) == (told["version"], told["sha256"])
    row = outcomes.frame.row(0, named=True)
    usage = Usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"])
    assert row["cost_usd"] == pytest.approx(token_cost_usd(usage, card.price))


def test_the_manifest_holds_the_profile_of_a_compute_price(tmp_path):
    recorded(tmp_path, ModelCard(**SERVER, price={"hardware": "h100"}))
    frozen = Outcomes.read(tmp_path).manifest.models["paid"]["price"]
    assert frozen["profile"]["usd_per_hour"] == load_profiles()["h100"].usd_per_hour
    assert frozen["profile"]["as_of"] == load_profiles()["h100"].as_of.isoformat()


def test_a_sweeps_matrix_knows_what_its_costs_were_made_of(tmp_path):
    outcomes = recorded(tmp_path, ModelCard(**SERVER, price={"listed": "openai/gpt-5-mini"}))
    matrix = OutcomeMatrix.from_outcomes(outcomes)
    assert matrix.prices["paid"]["source"]["listed"] == "openai/gpt-5-mini"
    assert matrix.take([0, 1]).prices == matrix.prices


def test_without_a_price_there_is_nothing_to_hold(tmp_path):
    assert recorded(tmp_path, ModelCard(**SERVER)).manifest.models["paid"]["price"] is None


def test_another_edition_with_the_same_prices_is_the_same_model():
    """An upgrade of the book must not refuse to go on with a recording; another price must."""
    price = load_price_book().price("openai/gpt-5-mini")
    newer = price.model_copy(update={"source": price.source.model_copy(update={"version": "9.9.9"})})
    dearer = price.model_copy(update={"output_usd_per_1m": 3.0})
    first, second, third = (describe_card(ModelCard(**SERVER, price=p))["card_hash"] for p in (price, newer, dearer))
    assert first == second != third


def test_hardware_that_nobody_knows_is_refused_before_anything_is_asked(tmp_path):
    model = ScriptedModel("paid", "x", card=ModelCard(**SERVER, price={"hardware": "h10"}), clock=FakeClock())
    with pytest.raises(ConfigError, match="unknown hardware profile 'h10': did you mean 'h100'"):
        record(SUITE, {"paid": model}, tmp_path)
    assert model.history == []


def test_a_recording_does_not_go_on_with_hardware_that_costs_something_else(tmp_path):
    card = ModelCard(**SERVER, price={"hardware": "box"})
    box = HardwareProfile(usd_per_hour=1.0, flop_per_s=1e12, as_of="2026-11-01", source="offer")
    recorded(tmp_path, card, {"box": box})
    recorded(tmp_path, card, {"box": box.model_copy(update={"source": "the same offer, better described"})})
    dearer = HardwareProfile(usd_per_hour=1.5, flop_per_s=1e12, as_of="2026-12-01", source="offer")
    with pytest.raises(ConfigError, match=r"model 'paid' with another card \(usd_per_hour of hardware 'box' differ\)"):
        recorded(tmp_path, card, {"box": dearer})


def test_a_recording_does_not_go_on_with_another_price(tmp_path):
    price = load_price_book().price("openai/gpt-5-mini")
    recorded(tmp_path, ModelCard(**SERVER, price=price))
    with pytest.raises(ConfigError, match=r"with another card \(price differ\)"):
        recorded(tmp_path, ModelCard(**SERVER, price=price.model_copy(update={"output_usd_per_1m": 3.0})))
