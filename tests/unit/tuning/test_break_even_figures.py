from datetime import date

import pytest

from workbench.core.price import TokenPrice
from workbench.economics import HardwareProfile
from workbench.economics.daily_profile import LoadProfile
from workbench.models import ModelCard
from workbench.testing.bench_folder import save_bench
from workbench.tuning.break_even_figures import day_figure, rate_figure, tornado_figure
from workbench.tuning.local_economics import Sources, listed_api, local_economics, measured_machine
from workbench.tuning.local_economics_quality import QualityRule


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("bench")
    save_bench(folder, rate_rps=4.0, completion_tokens=list(range(100, 200)), slo={"latency_s": 1.0}, n_slow=8)
    price = TokenPrice(input_usd_per_1m=1.0, output_usd_per_1m=5.0)
    card = ModelCard(kind="openai-compatible", model="x", base_url="http://127.0.0.1:1/v1", price=price)
    rented = HardwareProfile(usd_per_hour=5.0, flop_per_s=1e12, as_of=date(2026, 11, 1), source="test")
    sources = Sources(cards={"dear": card}, profiles={"rented": rented}, n_draws=200)
    day = tuple(10.0 if hour == 12 else 2.0 for hour in range(24))
    return local_economics(
        [measured_machine(folder, "rented", sources)],
        [listed_api("dear", [folder], sources)],
        sources,
        profile=LoadProfile(day, day, "one busy hour"),
        rule=QualityRule(assume_equal=True),
    )


def test_the_rate_figure_has_units_both_sides_the_mix_and_the_capacity(found):
    axes = rate_figure(found.comparisons).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "requests per second" in axes.get_xlabel()
    assert "USD per month" in axes.get_ylabel()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:3] == ["local, as many machines as it takes", "dear", "best mix with dear"]
    assert "one machine full" in labels[3]
    assert "200 bootstrap draws" in axes.get_title(loc="left")


def test_the_tornado_names_range_and_flip_of_each_input_largest_on_top(found):
    axes = tornado_figure(found.comparisons[0]).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert any("machine rent, USD an hour\n5 (3.5 to 7.5), flips at" in label for label in labels)
    assert found.comparisons[0].flips[0].lever.name in labels[-1]
    assert "USD per month" in axes.get_xlabel()


def test_the_day_stacks_what_stays_and_what_overflows_to_the_load(found):
    axes = day_figure(found.comparisons[0]).axes[0]
    local, overflow = axes.containers[:2]
    heights = [low.get_height() + high.get_height() for low, high in zip(local, overflow, strict=True)]
    assert heights == pytest.approx([10.0 if hour % 24 == 12 else 2.0 for hour in range(48)])
    assert max(bar.get_height() for bar in local) <= 4.0
    assert "answered locally" in axes.get_title(loc="left")


def test_every_pair_has_its_figures(found):
    assert sorted(found.figures) == ["day_local_dear", "rates_local", "tornado_local_dear"]
