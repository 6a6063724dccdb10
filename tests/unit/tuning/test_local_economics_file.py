from datetime import date

import numpy as np
import polars as pl
import pytest
import yaml

from workbench.core import ConfigError
from workbench.core.price import TokenPrice
from workbench.economics import HardwareProfile
from workbench.economics.daily_profile import LoadProfile
from workbench.evaluation import Manifest, Outcomes
from workbench.models import ModelCard
from workbench.testing.bench_folder import save_bench
from workbench.tuning.local_economics import Sources, local_economics
from workbench.tuning.local_economics_file import read_configurations
from workbench.tuning.local_economics_quality import QualityRule

PRICE = TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=5.0)
PER_REQUEST = (500 * 1.0 + 200 * 5.0) / 1e6
RENTED = HardwareProfile(usd_per_hour=1.5, flop_per_s=1e12, as_of=date(2026, 11, 1), source="test", price_basis="list")


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Pairs of a mapping of entries; the folder `bench` holds 10 requests a second of 500 and 200 tokens."""
    monkeypatch.chdir(tmp_path)
    save_bench(tmp_path / "bench", slo={"latency_s": 1.0})
    card = ModelCard(kind="openai-compatible", model="x", base_url="http://127.0.0.1:1/v1", price=PRICE)
    used = Sources(cards={"dear": card}, profiles={"rented": RENTED}, n_draws=300)

    def read(entries, compare=None):
        base = {"api": {"api": "dear", "tokens": "bench"}, "local": {"bench": "bench", "hardware": "rented"}}
        document = {"configurations": {**base, **entries}, **({"compare": compare} if compare else {})}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return read_configurations(tmp_path / "c.yaml", used)

    return read


def point(pairs, entry, **more):
    found = pairs({**more, "it": entry}, [["it", "api"]])
    return found[0][0].point


def test_a_cache_is_paid_by_misses_alone_and_makes_machines_carry_more(pairs):
    cache = {"hit_rate": 0.2, "n": 500, "usd_per_hour": 0.1, "usd_per_lookup": 1e-6, "from": "bench"}
    cached = point(pairs, {"base": "api", "cache": cache})
    assert cached.variable_usd == pytest.approx(0.8 * PER_REQUEST + 1e-6)
    assert cached.shared_usd_per_hour == 0.1
    local = point(pairs, {"base": "local", "cache": cache})
    assert local.capacity_rps == pytest.approx(10.0 / 0.8)


def test_a_judge_beneath_the_cache_is_not_asked_about_hits_and_a_guard_above_it_is(pairs):
    judge = {"name": "judge", "usd": 0.001, "from": "assumed"}
    cache = {"hit_rate": 0.5, "from": "assumed"}
    beneath = point(pairs, {"base": "api", "calls": [judge], "cache": cache})
    above = point(pairs, {"base": "api", "calls": [{**judge, "on_cache_hits": True}], "cache": cache})
    assert beneath.variable_usd == pytest.approx(0.5 * (PER_REQUEST + 0.001))
    assert above.variable_usd == pytest.approx(0.5 * PER_REQUEST + 0.001)


def test_a_call_is_priced_by_its_tokens(pairs):
    call = {
        "name": "judge",
        "price": "dear",
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "per_request": 2,
        "from": "assumed",
    }
    assert point(pairs, {"base": "api", "calls": [call]}).variable_usd == pytest.approx(PER_REQUEST + 2 * 150e-6)


def test_a_retry_repeats_everything_beneath_it_machines_too(pairs):
    retry = {"name": "retry", "repeats": True, "per_request": 0.25, "from": "bench"}
    assert point(pairs, {"base": "api", "calls": [retry]}).variable_usd == pytest.approx(1.25 * PER_REQUEST)
    assert point(pairs, {"base": "local", "calls": [retry]}).capacity_rps == pytest.approx(8.0)


def test_a_route_blends_costs_and_frees_machines(pairs):
    half = point(pairs, {"route": {"local": 0.25, "api": 0.75}, "route_from": "assumed"})
    assert half.variable_usd == pytest.approx(0.75 * PER_REQUEST)
    assert half.capacity_rps == pytest.approx(40.0)
    assert half.fixed_usd_per_hour == 1.5


def test_a_judge_on_an_own_machine_costs_hours(pairs):
    machine = {"hardware": "rented", "capacity_rps": 30, "calls_per_request": 2, "from": "assumed"}
    judged = point(pairs, {"base": "local", "machines": [machine]})
    assert judged.fixed_usd_per_hour == 3.0
    assert [m.capacity_rps for m in judged.machines] == pytest.approx([10.0, 15.0])


def test_a_cache_breaks_even_where_its_server_is_saved(pairs):
    cache = {"hit_rate": 0.2, "usd_per_hour": 0.108, "from": "assumed"}
    found = economics(pairs({"cached": {"base": "api", "cache": cache, "same_answers": True}}, [["cached", "api"]]))
    row = found.document["rows"][0]
    assert row["rate_rps"] == pytest.approx(0.108 / (3600 * 0.2 * PER_REQUEST))
    assert (row["feasible"], row["usd_per_month"]["mix"]) == (True, None)
    assert "by construction" in row["because"]


def economics(found, **more):
    return local_economics([], [], Sources(n_draws=300), pairs=found, rule=QualityRule(), **more)


def test_answers_that_a_step_may_change_count_as_not_measured(pairs):
    found = economics(
        pairs({"cached": {"base": "api", "cache": {"hit_rate": 0.2, "from": "assumed"}}}, [["cached", "api"]])
    )
    assert found.document["rows"][0]["verdict"] == "undecided"


def test_the_price_of_a_model_that_both_use_is_turned_in_both(pairs):
    judge = {"name": "judge", "usd": 0.0003, "from": "assumed"}
    cache = {"hit_rate": 0.5, "from": "assumed"}
    found = economics(
        pairs({"it": {"base": "api", "cache": cache, "calls": [judge]}}, [["it", "api"]]), profile=LoadProfile.flat(1.0)
    )
    (line,) = [line for line in found.document["flips"] if line["input"] == "dear: output price, USD per 1M tokens"]
    # 0.5 · (c + j) = c at c = j, where the prompt alone already costs more: no output price makes the cache not pay
    assert line["flips_at"] is None
    (line,) = [line for line in found.document["flips"] if line["input"] == "it: judge: calls a request"]
    assert line["flips_at"] == pytest.approx(PER_REQUEST / 0.0003)


def test_the_hit_rate_has_the_interval_of_its_requests(pairs):
    found = pairs({"it": {"base": "api", "cache": {"hit_rate": 0.3, "n": 100, "from": "assumed"}}}, [["it", "api"]])[0][
        0
    ]
    drawn = 1 - np.array([one.variable_usd for one in found.draws]) / PER_REQUEST
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([0.219, 0.396], abs=0.03)
    assert found.assumed == ("cache: its figures are assumed, not measured",)


def test_without_a_list_of_pairs_every_entry_meets_the_first(pairs):
    assert [(a.name, b.name) for a, b in pairs({})] == [("local", "api")]


def test_figures_that_come_from_a_folder_carry_its_hash(pairs):
    found = pairs({"it": {"base": "api", "cache": {"hit_rate": 0.3, "from": "bench"}}}, [["it", "api"]])[0][0]
    (part,) = found.evidence["parts"]
    assert len(part["cache"]["from"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "exactly one of api, bench, outcomes, base, route; found none"),
        ({"base": "api", "bench": "bench"}, "found bench, base"),
        ({"base": "aip"}, "names 'aip'; did you mean 'api'"),
        ({"base": "it"}, "it → it is built on itself"),
        ({"base": "api", "cach": {}}, "did you mean 'cache'"),
        ({"base": "api", "cache": {"hit_rate": 1.2, "from": "x"}}, "less than or equal to 1"),
        ({"base": "api", "cache": {"hit_rate": 0.2}}, "from is missing"),
        ({"base": "api", "calls": [{"name": "j", "from": "x"}]}, "needs one of: usd; price"),
        ({"base": "api", "calls": [{"name": "j", "usd": -1, "from": "x"}]}, "greater than or equal to 0"),
        ({"route": {"api": 0.5, "local": 0.6}, "route_from": "x"}, "sum to 1, found 1.1"),
        ({"route": {"api": 0.5, "local": 0.5}}, "says where its shares come from"),
        (
            {"base": "api", "machines": [{"hardware": "rentde", "capacity_rps": 1, "from": "x"}]},
            "did you mean 'rented'",
        ),
        ({"outcomes": "nowhere", "model": "m"}, "no Outcomes at nowhere"),
        ({"outcomes": "nowhere"}, "outcomes and model belong together"),
        ({"api": "dear"}, "give `tokens:`"),
    ],
)
def test_an_entry_that_cannot_be_is_named_with_its_fault(pairs, entry, message):
    with pytest.raises(ConfigError, match=message):
        pairs({"it": entry}, [["it", "api"]])


def save_recording(folder, cost, card, model="whole", error=None):
    n = len(cost)
    ids = [f"p{index}" for index in range(n)]
    rows = pl.DataFrame(
        {
            "prompt_id": ids,
            "model": [model] * n,
            "score": pl.Series([None if error and index in error else 1.0 for index in range(n)], dtype=pl.Float64),
            "error": pl.Series(
                ["timeout" if error and index in error else None for index in range(n)], dtype=pl.String
            ),
            "cost_usd": pl.Series(cost, dtype=pl.Float64),
        }
    )
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": ids})
    Outcomes.from_frames(rows, prompts, Manifest("test", models={model: {"card": card}})).write(folder)


def test_a_recorded_stack_costs_what_all_its_calls_did(pairs, tmp_path):
    save_recording(tmp_path / "o", [0.001, 0.0, 0.002], {"kind": "stack", "options": {"own_hardware": "hourly"}})
    found = pairs({"it": {"outcomes": "o", "model": "whole"}}, [["it", "api"]])[0][0]
    assert found.point.variable_usd == pytest.approx(0.001)
    assert found.scores.mean().value == 1.0
    assert found.evidence["n"] == 3


def test_failed_requests_are_not_in_the_cost_and_said_to_be_missing(pairs, tmp_path):
    save_recording(tmp_path / "o", [0.001, None], {"kind": "stack", "options": {"own_hardware": "hourly"}}, error={1})
    found = pairs({"it": {"outcomes": "o", "model": "whole"}}, [["it", "api"]])[0][0]
    assert found.point.variable_usd == pytest.approx(0.001)
    assert "1 of 2 requests failed" in found.notes[0]


@pytest.mark.parametrize(
    ("cost", "card", "model", "message"),
    [
        (
            [0.001, None],
            {"kind": "stack", "options": {"own_hardware": "hourly"}},
            "whole",
            "cost of 1 of 2 answers of 'whole' is unknown",
        ),
        (
            [0.001],
            {"kind": "transformers", "price": {"hardware": "h100"}},
            "whole",
            "an own machine is paid by the hour",
        ),
        ([0.001], {"kind": "openai-compatible"}, "whoel", "did you mean 'whole'"),
    ],
)
def test_a_recorded_cost_that_is_no_variable_cost_is_refused(pairs, tmp_path, cost, card, model, message):
    save_recording(tmp_path / "o", cost, card)
    with pytest.raises(ConfigError, match=message):
        pairs({"it": {"outcomes": "o", "model": model}}, [["it", "api"]])


def test_a_stack_that_prices_own_hardware_by_the_operation_is_refused(pairs, tmp_path):
    inner = {"kind": "recorded", "model": "x", "price": {"hardware": "cpu-2core"}}
    stack = {
        "schema_version": 1,
        "name": "s",
        "models": {"m": inner},
        "choose": {"policy": {"kind": "fixed", "model": "m"}},
    }
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(stack))
    save_recording(tmp_path / "o", [0.001], {"kind": "stack", "model": str(tmp_path)})
    with pytest.raises(ConfigError, match="own_hardware: hourly"):
        pairs({"it": {"outcomes": "o", "model": "whole"}}, [["it", "api"]])
