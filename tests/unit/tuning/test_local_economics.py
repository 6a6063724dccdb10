import json
from datetime import date

import numpy as np
import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.core.price import TieredRates, TokenPrice
from workbench.economics import HardwareProfile
from workbench.economics.break_even import break_even, winning_rates
from workbench.economics.daily_profile import LoadProfile
from workbench.evaluation import Manifest, Outcomes
from workbench.models import ModelCard
from workbench.testing.bench_folder import save_bench
from workbench.testing.contracts import CONTRACTS
from workbench.tuning.local_economics import (
    OutcomesFolder,
    Sources,
    listed_api,
    local_economics,
    measured_machine,
)
from workbench.tuning.local_economics_configuration import MeasuredConfiguration, api_configuration
from workbench.tuning.local_economics_quality import QualityRule
from workbench.tuning.local_economics_tokens import TokenCounts

PRICE = TokenPrice(
    input_usd_per_1m=1.0,
    output_usd_per_1m=5.0,
    cached_input_usd_per_1m=0.1,
    batch=TieredRates(input_usd_per_1m=0.5, output_usd_per_1m=2.5),
)
RENTED = HardwareProfile(usd_per_hour=1.5, flop_per_s=1e12, as_of=date(2026, 11, 1), source="test", price_basis="list")
OWNED = HardwareProfile(
    purchase_usd=8766.0,
    life_years=1.0,
    power_idle_w=100,
    power_busy_w=1000,
    usd_per_kwh=0.2,
    flop_per_s=1e12,
    as_of=date(2026, 11, 1),
    source="test",
)
EQUAL = QualityRule(assume_equal=True)


def sources(**more):
    card = ModelCard(kind="openai-compatible", model="x", base_url="http://127.0.0.1:1/v1", price=PRICE)
    return Sources(
        **{"cards": {"dear": card}, "profiles": {"rented": RENTED, "owned": OWNED}, "n_draws": 400, "seed": 1, **more}
    )


def economics(folder, hardware="rented", rule=EQUAL, used=None, **more):
    used = used or sources()
    return local_economics(
        [measured_machine(folder, hardware, used)], [listed_api("dear", [folder], used)], used, rule=rule, **more
    )


def test_the_rate_follows_from_tokens_price_and_hour(tmp_path):
    save_bench(tmp_path, rate_rps=10.0, prompt_tokens=500, completion_tokens=200, slo={"latency_s": 1.0})
    row = economics(tmp_path).document["rows"][0]
    assert row["usd_per_1k_requests"]["api"] == pytest.approx(1.5)  # (500 · 1 + 200 · 5) / 1e6 · 1000
    assert row["rate_rps"] == pytest.approx(1.5 / (3600 * 0.0015))
    assert row["goodput_rps"] == pytest.approx(10.0)
    assert (row["feasible"], row["verdict"], row["wins"]) == (True, "pays", "above")
    assert row["usd_per_month"]["local"] == pytest.approx(1.5 * 730.5)
    assert row["usd_per_year"]["api"] == pytest.approx(10 * 0.0015 * 86400 * 365.25)


def test_the_document_keeps_the_contract_and_is_json(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    document = economics(tmp_path, profile=LoadProfile.flat(3.0)).document
    CONTRACTS["break-even"].model_validate(document)
    json.dumps(document, allow_nan=False)


def test_a_rate_beyond_the_goodput_is_no_break_even(tmp_path):
    save_bench(tmp_path, rate_rps=0.2, n=200, slo={"latency_s": 1.0})
    found = economics(tmp_path)
    row = found.document["rows"][0]
    assert row["rate_rps"] > row["goodput_rps"]
    assert (row["feasible"], row["verdict"], found.is_feasible) == (False, "does not pay", False)
    assert "one machine carries 0.2" in row["because"]
    assert row["local_wins_rps"] == []


def test_slow_and_failed_requests_are_not_carried(tmp_path):
    save_bench(tmp_path, rate_rps=10.0, n=400, n_slow=40, n_failed=20, slo={"latency_s": 1.0})
    capacity = measured_machine(tmp_path, "rented", sources()).capacity
    assert capacity.rps == pytest.approx(10.0 * (400 - 40 - 20 + 2) / 400, abs=0.06)
    assert capacity.kind == "goodput"
    assert capacity.ci[0] < capacity.rps < capacity.ci[1]


def test_a_searched_rate_is_the_capacity_and_its_bracket_the_interval(tmp_path):
    answer = {"rate_rps": 8.0, "ci": [8.0, 10.0], "because": "8 requests/s shown to hold the SLO, 10 shown to break it"}
    save_bench(tmp_path, slo={"latency_s": 1.0}, overrides={"holds_slo_up_to_rps": answer, "stages": [{"stage": 0}]})
    capacity = measured_machine(tmp_path, "rented", sources()).capacity
    assert (capacity.kind, capacity.rps, capacity.is_lower_bound) == ("search", 8.0, False)
    assert 8.0 <= capacity.ci[0] < capacity.ci[1] <= 10.0


def test_a_search_that_found_no_rate_leaves_nothing_to_carry(tmp_path):
    answer = {"rate_rps": None, "ci": [0.0, 1.0], "because": "no rate was shown to hold the SLO"}
    save_bench(tmp_path, slo={"latency_s": 1.0}, overrides={"holds_slo_up_to_rps": answer, "stages": [{"stage": 0}]})
    with pytest.raises(ConfigError, match="no rate was shown to hold"):
        measured_machine(tmp_path, "rented", sources())


def test_a_closed_loop_is_derated_because_random_arrivals_queue(tmp_path):
    save_bench(tmp_path, concurrency=5, rate_rps=10.0, latency_s=0.5, slo={"latency_s": 1.5})
    capacity = measured_machine(tmp_path, "rented", sources()).capacity
    assert capacity.kind == "queue model"
    assert 0.5 * 10.0 < capacity.rps < 10.0


def test_a_closed_loop_whose_slo_leaves_no_time_to_wait_is_refused(tmp_path):
    save_bench(tmp_path, concurrency=5, latency_s=0.5, slo={"latency_s": 0.7}, n_slow=40)
    with pytest.raises(ConfigError, match="leaves no time to wait"):
        measured_machine(tmp_path, "rented", sources())


def test_without_an_slo_throughput_stands_in_and_says_so(tmp_path):
    save_bench(tmp_path, rate_rps=10.0)
    capacity = measured_machine(tmp_path, "rented", sources()).capacity
    assert (capacity.kind, capacity.is_lower_bound) == ("throughput", True)
    assert "no SLO was set" in capacity.because


def test_power_while_working_is_paid_by_the_request(tmp_path):
    save_bench(tmp_path, rate_rps=10.0, slo={"latency_s": 1.0})
    found = measured_machine(tmp_path, "owned", sources())
    assert found.point.fixed_usd_per_hour == pytest.approx(1.02)
    assert found.point.variable_usd == pytest.approx(0.18 / (3600 * 10.0))
    assert found.point.usd_per_hour(10.0) == pytest.approx(OWNED.usd_per_hour_at(1.0))


def test_a_bought_machine_says_when_it_is_paid_back(tmp_path):
    save_bench(tmp_path, rate_rps=10.0, slo={"latency_s": 1.0})
    row = economics(tmp_path, "owned", profile=LoadProfile.flat(5.0)).document["rows"][0]
    running = (0.02 + 0.18 * 0.5) * 730.5
    assert row["payback"]["months"] == pytest.approx(8766 / (5 * 0.0015 * 3600 * 730.5 - running))
    assert economics(tmp_path, "rented").document["rows"][0]["payback"]["months"] is None


def test_own_token_counts_of_the_api_come_before_those_of_the_local_model(tmp_path):
    save_bench(tmp_path / "bench", slo={"latency_s": 1.0})
    outcomes = OutcomesFolder("o", recorded(tokens=(100, 50)))
    used = sources(outcomes=[outcomes])
    found = listed_api("dear", [tmp_path / "bench"], used)
    assert found.point.variable_usd == pytest.approx((100 * 1 + 50 * 5) / 1e6)
    assert found.evidence["tokens"]["data_hash"] == outcomes.outcomes.data_hash
    assert not [note for note in found.notes if "token counts of" in note]


def test_anothers_token_counts_are_said_to_be_so_and_scaled_by_the_factor(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    plain = listed_api("dear", [tmp_path], sources())
    scaled = listed_api("dear", [tmp_path], sources(token_factor=(1.2, 1.0, 1.4)))
    assert any("priced with the token counts of local" in note for note in plain.notes)
    assert scaled.point.variable_usd == pytest.approx(1.2 * plain.point.variable_usd)
    usd = np.array([drawn.variable_usd for drawn in scaled.draws]) / plain.point.variable_usd
    assert np.quantile(usd, [0.025, 0.975]) == pytest.approx([1.0, 1.4], abs=0.04)


def test_cached_and_batch_shares_are_billed_at_their_prices(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    cached = listed_api("dear", [tmp_path], sources(cached_share=0.5))
    assert cached.point.variable_usd == pytest.approx((250 * 1 + 250 * 0.1 + 200 * 5) / 1e6)
    batch = listed_api("dear", [tmp_path], sources(batch_share=1.0))
    assert batch.point.variable_usd == pytest.approx(0.0015 / 2)


def test_long_prompts_are_billed_request_by_request():
    rates = {"above_prompt_tokens": 1000, "input_usd_per_1m": 2.0, "output_usd_per_1m": 10.0}
    price = TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=5.0, long_prompt=(rates,))
    rows = pl.DataFrame({"prompt_tokens": [500, 1500], "completion_tokens": [100, 100], "group": ["a", "b"]})
    counts = TokenCounts.of(rows, "group", "two requests", True, {})
    found = api_configuration("tiered", counts, price, {}, n_draws=100)
    assert found.point.variable_usd == pytest.approx(((500 + 500) + (3000 + 1000)) / 2 / 1e6)


def recorded(local=0.8, dear=0.8, n=300, tokens=None, models=("local", "dear")):
    rng = np.random.default_rng(0)
    ids = [f"p{index:05d}" for index in range(n)]
    frames = [
        pl.DataFrame(
            {
                "prompt_id": ids,
                "model": [model] * n,
                "score": (rng.random(n) < chance).astype(float),
                "prompt_tokens": pl.Series([None if tokens is None else tokens[0]] * n, dtype=pl.Int64),
                "completion_tokens": pl.Series([None if tokens is None else tokens[1]] * n, dtype=pl.Int64),
            }
        )
        for model, chance in zip(models, (local, dear), strict=True)
    ]
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": [f"ask {index}" for index in range(n)]})
    return Outcomes.from_frames(pl.concat(frames), prompts, Manifest("test"))


def verdict(tmp_path, outcomes, **rule):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    used = sources(outcomes=[OutcomesFolder("o", outcomes)] if outcomes else [])
    return economics(tmp_path, rule=QualityRule(**rule), used=used).document["rows"][0]


def test_cheaper_and_as_good_pays(tmp_path):
    row = verdict(tmp_path, recorded(0.95, 0.6))
    assert (row["feasible"], row["quality"]["holds"]) == (True, True)
    assert row["quality"]["n"] == 300


def test_cheaper_and_worse_does_not_pay(tmp_path):
    row = verdict(tmp_path, recorded(0.5, 0.9))
    assert (row["feasible"], row["verdict"]) == (False, "does not pay")
    assert "it answers worse" in row["because"]


def test_cheaper_and_about_as_good_is_not_decided_by_the_point(tmp_path):
    row = verdict(tmp_path, recorded(0.8, 0.8))
    assert (row["feasible"], row["verdict"]) == (False, "undecided")
    assert "not shown to be as good" in row["because"]


def test_unmeasured_quality_is_no_yes_unless_it_is_assumed(tmp_path):
    row = verdict(tmp_path, None)
    assert (row["feasible"], row["verdict"]) == (False, "undecided")
    assert "quality was not measured" in row["because"]
    assumed = verdict(tmp_path, None, assume_equal=True)
    assert (assumed["feasible"], assumed["quality"]["assumed"]) == (True, True)


def test_a_floor_is_asked_of_the_local_model_alone(tmp_path):
    assert verdict(tmp_path, recorded(0.95, 0.6), floor=0.85)["quality"]["holds"] is True
    below = verdict(tmp_path, recorded(0.85, 0.6), floor=0.95)
    assert (below["quality"]["holds"], below["verdict"]) == (False, "does not pay")


def test_identical_answers_are_equal_only_as_far_as_so_few_groups_can_tell(tmp_path):
    few = verdict(tmp_path, recorded(1.0, 1.0, n=50))
    assert few["quality"]["holds"] is None
    assert few["quality"]["ci"] == pytest.approx([-3.689 / 50, 3.689 / 50])
    assert verdict(tmp_path / "many", recorded(1.0, 1.0, n=500))["quality"]["holds"] is True


def test_quality_flips_where_its_interval_ends(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    used = sources(outcomes=[OutcomesFolder("o", recorded(0.8, 0.8))])
    document = economics(tmp_path, rule=QualityRule(), used=used).document
    (line,) = [line for line in document["flips"] if line["input"] == "quality margin (score)"]
    at = line["flips_at"]
    assert line["to"] == "quality holds"
    assert (
        economics(tmp_path, rule=QualityRule(margin=at * 1.001), used=used).document["rows"][0]["quality"]["holds"]
        is True
    )


def test_setting_an_input_to_its_flip_point_makes_both_cost_the_same(tmp_path):
    save_bench(tmp_path, rate_rps=2.0, n=100, slo={"latency_s": 1.0})
    document = economics(tmp_path, profile=LoadProfile.flat(1.0)).document
    flips = {line["input"]: line for line in document["flips"]}
    assert flips["local: machine rent, USD an hour"]["flips_at"] == pytest.approx(3600 * 0.0015)
    assert flips["mean load, requests/s"]["flips_at"] == pytest.approx(document["rows"][0]["rate_rps"])
    assert (
        flips["dear: output price, USD per 1M tokens"]["flips_at"] is None
    )  # the prompt alone costs more than the machine
    assert flips["dear: prompt tokens a request"]["to"] is None
    assert flips["local: capacity of a machine, requests/s"]["factor"] < 1


def test_every_figure_says_where_it_comes_from(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0}, overrides={"run_id": "abc"})
    row = economics(tmp_path).document["rows"][0]
    local, api = row["from"]["local"], row["from"]["api"]
    assert (local["run_id"], len(local["sha256"])) == ("abc", 64)
    assert local["hardware"]["usd_per_hour"] == 1.5
    assert api["price"]["input_usd_per_1m"] == 1.0
    assert api["tokens"]["sha256"] == local["sha256"]


def test_the_same_seed_gives_the_same_document(tmp_path):
    save_bench(tmp_path, prompt_tokens=list(range(100, 200)), slo={"latency_s": 1.0}, n_slow=13)
    first, second = (economics(tmp_path).document for _ in range(2))
    assert first == second
    assert economics(tmp_path, used=sources(seed=2)).document["rows"][0]["ci"] != first["rows"][0]["ci"]


def test_an_incomplete_bench_and_another_machine_are_said(tmp_path):
    more = {"complete": False, "stopped_because": "over-saturated"}
    save_bench(tmp_path, hardware="owned", slo={"latency_s": 1.0}, overrides=more)
    notes = " ".join(measured_machine(tmp_path, "rented", sources()).notes)
    assert "incomplete (over-saturated)" in notes
    assert "measured on owned, its hour is that of rented" in notes


def test_stepwise_wins_agree_with_the_arithmetic(tmp_path):
    save_bench(tmp_path, rate_rps=0.3, n=120, slo={"latency_s": 1.0})
    row = economics(tmp_path).document["rows"][0]
    found = economics(tmp_path).comparisons[0]
    assert row["local_wins_rps"] == [
        list(ends) for ends in winning_rates(found.a.point, found.b.point, row["looked_up_to_rps"])
    ]
    assert row["local_wins_rps"][0] == pytest.approx([1.5 / 5.4, 0.3])


def test_results_are_written_with_tables_and_figures(tmp_path):
    pytest.importorskip("matplotlib")
    save_bench(tmp_path / "bench", slo={"latency_s": 1.0})
    economics(tmp_path / "bench").write(tmp_path / "out", run_id="run")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    figures = ["day_local_dear.png", "flips.csv", "rates_local.png", "rows.csv", "tornado_local_dear.png"]
    assert written == ["break_even.json", *figures]
    assert json.loads((tmp_path / "out" / "break_even.json").read_text())["run_id"] == "run"
    assert pl.read_csv(tmp_path / "out" / "rows.csv")["local"].to_list() == ["local"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no bench at"),
        (lambda folder: folder.mkdir(), "holds no bench"),
        (lambda folder: recorded().write(folder), "holds Outcomes, no bench: give it as --outcomes"),
        (lambda folder: save_bench(folder, n=50, n_failed=50), "all 50 requests failed"),
        (lambda folder: save_bench(folder, slo={"latency_s": 0.1}), "no request met the SLO"),
    ],
)
def test_a_folder_that_holds_no_usable_bench_is_one_sentence(tmp_path, make, message):
    make(tmp_path / "b")
    with pytest.raises(ConfigError, match=message):
        measured_machine(tmp_path / "b", "rented", sources())


def test_a_machine_that_nobody_names_is_asked_for(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    with pytest.raises(ConfigError, match="give --hardware, one of owned, rented"):
        measured_machine(tmp_path, None, sources())
    with pytest.raises(ConfigError, match="did you mean 'rented'"):
        measured_machine(tmp_path, "rentd", sources())


def test_a_model_without_a_token_price_is_refused(tmp_path):
    save_bench(tmp_path, slo={"latency_s": 1.0})
    with pytest.raises(ConfigError, match="no price for 'dera': did you mean 'dear'"):
        listed_api("dera", [tmp_path], sources())
    free = {"free": ModelCard(kind="recorded", model="x")}
    with pytest.raises(ConfigError, match="has no price"):
        listed_api("free", [tmp_path], sources(cards=free))


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_factor": (1.0, 1.2, 1.4)},
        {"token_factor": (0.0, 0.0, 0.0)},
        {"cached_share": 1.5},
        {"batch_share": -0.1},
        {"n_draws": 5},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError):
        sources(**wrong)


def test_an_alias_that_names_no_recorded_model_is_refused():
    used = sources(outcomes=[OutcomesFolder("o", recorded())], aliases={"dear": "derr"})
    with pytest.raises(ConfigError, match=r"--as dear=derr: no such model in the Outcomes; did you mean 'dear'"):
        used.recorded("dear")


def test_the_interval_of_the_rate_covers_the_truth_as_often_as_it_says():
    """Prompts have their own mean length, requests vary around it; the true mean cost is known in closed form."""
    rng, true_tokens = np.random.default_rng(7), 300.0
    hits, runs = 0, 250
    for run in range(runs):
        own = rng.gamma(4.0, true_tokens / 4.0, 60)  # 60 prompts drawn from a population of mean 300
        tokens = rng.poisson(np.repeat(own, 4))
        groups = np.repeat([f"p{index}" for index in range(60)], 4)
        rows = pl.DataFrame({"prompt_tokens": [0] * 240, "completion_tokens": tokens, "group": groups})
        counts = TokenCounts.of(rows, "group", "simulated", True, {})
        api = api_configuration("api", counts, PRICE, {}, seed=run, n_draws=400)
        found = compare_at(api)
        truth = 1.5 / (3600 * true_tokens * 5.0 / 1e6)
        hits += found[0] <= truth <= found[1]
    assert 0.90 <= hits / runs <= 0.98


def compare_at(api: MeasuredConfiguration) -> tuple[float, float]:
    from workbench.economics.break_even import Configuration, Machine
    from workbench.tuning.local_economics_rows import _interval

    point = Configuration("local", 0.0, (Machine(1.5, 10.0),))
    local = MeasuredConfiguration(point, (point,) * len(api.draws), (), {})
    low, high = _interval(break_even(point, api.point), local, api)
    return low, high
