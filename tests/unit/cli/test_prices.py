import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workbench.cli import prices
from workbench.core import ConfigError

EXAMPLE = str(Path(__file__).parents[3] / "data" / "prices.example.yaml")
ON = ["--as-of", "2026-11-23"]


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)
    prices.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["prices", *arguments])


def test_show_prints_every_tier_of_a_model_as_one_document(run):
    document = json.loads(run("show", "openai/gpt-5-mini", *ON, "--json").stdout)
    tiers = document["prices"]["openai/gpt-5-mini"]["tiers"]
    assert tiers["standard"]["input_usd_per_1m"] == 0.25
    assert {"standard", "batch", "flex", "priority"} <= set(tiers)
    assert document["book"]["source"] == "genai-prices"
    assert document["book"]["as_of"] == "2026-11-23"
    assert len(document["book"]["sha256"]) == 64


def test_the_table_shows_limits_and_what_else_is_billed(run):
    done = run("show", "anthropic/claude-haiku-5-5", *ON)
    assert "above 100,000" in done.stdout
    assert "write 1 h" in done.stdout
    assert "web_searches_kcount" in done.stderr


def test_the_table_says_when_a_model_is_deprecated(run):
    found = json.loads(run("find", "a", *ON, "--json").stdout)["models"]
    old = next(model["listed"] for model in found if model["is_deprecated"] and model["tiers"])
    assert "is deprecated" in run("show", old, *ON).stderr


def test_a_name_that_stands_for_another_is_told(run):
    done = run("show", "anthropic/claude-haiku-4-5-20251001", *ON)
    assert "claude-haiku-4-5-20251001: listed as anthropic/claude-haiku-4-5" in done.stderr


def test_nothing_is_printed_when_one_of_several_models_has_no_price(run):
    done = run("show", "openai/gpt-5-mini", "github-copilot/gpt-4o", *ON, "--json")
    assert isinstance(done.exception, ConfigError)
    assert done.stdout == ""


def test_an_override_is_shown_with_its_file(run):
    done = run("show", "openai/gpt-5-mini", "--overrides", EXAMPLE, *ON, "--json")
    document = json.loads(done.stdout)
    assert document["prices"]["openai/gpt-5-mini"]["tiers"]["standard"]["input_usd_per_1m"] == 0.20
    assert document["prices"]["openai/gpt-5-mini"]["since"] == "2026-11-01"
    assert document["book"]["overrides"]["name"] == "prices.example.yaml"


def test_find_lists_models_and_nothing_found_is_a_no(run):
    found = json.loads(run("find", "haiku", "4.5", *ON, "--json").stdout)["models"]
    assert "anthropic/claude-haiku-4-5" in [model["listed"] for model in found]
    none = run("find", "no-such-model", *ON, "--json")
    assert none.exit_code == 3
    assert json.loads(none.stdout)["models"] == []


def test_check_compares_an_override_file_with_the_list(run):
    document = json.loads(run("check", EXAMPLE, *ON, "--json").stdout)
    assert document["ok"] is True
    entry = next(entry for entry in document["entries"] if entry["model"] == "openai/gpt-5-mini")
    assert (entry["input_usd_per_1m"], entry["list_input_usd_per_1m"]) == (0.20, 0.25)


def test_check_refuses_a_wrong_file(run, tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("prices:\n  a/b: {input_usd_per_1m: -1, output_usd_per_1m: 1, as_of: 2026-01-01, source: x}\n")
    done = run("check", str(path), "--json")
    assert isinstance(done.exception, ConfigError)
    assert "prices.a/b.input_usd_per_1m" in str(done.exception)
    assert done.stdout == ""


def test_check_takes_litellms_form(run, tmp_path):
    path = tmp_path / "prices.json"
    entry = {"mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    path.write_text(json.dumps({"one": entry, "two": {**entry, "input_cost_per_token": 0}}))
    document = json.loads(run("check", str(path), "--json").stdout)
    assert (document["n_models"], document["n_unknown"]) == (2, 1)
    assert "unknown" in run("check", str(path)).stdout


def test_hardware_prints_hours_years_and_tokens(run):
    document = json.loads(run("hardware", "--utilisation", "0.5", "--tokens-per-s", "1000", "--json").stdout)
    rented, owned = document["profiles"]["h100"], document["profiles"]["h100-owned"]
    assert rented["usd_per_year"] == pytest.approx(rented["usd_per_hour"] * 365.25 * 24)
    assert rented["usd_per_1m_tokens"] == pytest.approx(rented["usd_per_hour"] / 3600 / 500 * 1e6)
    assert owned["usd_per_hour_idle"] < owned["usd_per_hour"]
    assert (rented["kind"], owned["kind"]) == ("rented", "owned")


def test_hardware_takes_names_and_refuses_unknown_ones(run):
    assert list(json.loads(run("hardware", "l4", "--json").stdout)["profiles"]) == ["l4"]
    assert "did you mean 'l4'" in str(run("hardware", "l5").exception)


def test_the_hardware_table_names_every_profile(run):
    done = run("hardware", "cpu-2core", "h100")
    assert done.exit_code == 0
    assert "cpu-2core" in done.stdout
    assert "rented" in done.stdout


def test_a_card_whose_model_is_going_to_be_switched_off_is_told_once(capsys):
    from workbench.cli.output import say_deprecated
    from workbench.economics import load_price_book
    from workbench.models import ModelCard

    old = next(model.name for model in load_price_book().find("a") if model.is_deprecated and model.tiers)
    card = {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    say_deprecated(
        {
            "old": ModelCard(**card, price={"listed": old}),
            "new": ModelCard(**card, price={"listed": "openai/gpt-5-mini"}),
            "local": ModelCard(**card, price={"hardware": "h100"}),
            "unpriced": ModelCard(**card),
        }
    )
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"old: {old} is deprecated, its seller switches it off"
