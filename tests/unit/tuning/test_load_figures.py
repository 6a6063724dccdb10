import pytest

from workbench.evaluation.load import SLO, BenchConfig, RateSearch, bench
from workbench.models.family import reference_checkpoint
from workbench.models.memory import predict_memory
from workbench.models.memory_trial import MemoryTrial
from workbench.testing import FakeClock, ScriptedModel
from workbench.tuning.load_figures import memory_figure, rates_figure, waiting_figure


def loaded(search=None, **settings):
    clock = FakeClock()
    model = ScriptedModel("base", lambda request: "three words here", clock=clock, latency_s=0.2, ttft_s=0.1)
    config = BenchConfig(rate_rps=4.0, duration_s=40.0, warm_up_s=1.0, slo=SLO(latency_s=0.5), **settings)
    return bench(model, ["Hello?"], config, search=search, clock=clock)


def texts(axes):
    return [line.get_label() for line in axes.get_lines()]


def test_waiting_shows_both_quantiles_of_both_times_of_each_bench():
    result = loaded()
    (axes,) = waiting_figure({"one": result, "two": result}).axes
    values = sorted(float(x) for line in axes.get_lines() for x in line.get_xdata() if len(line.get_xdata()) == 1)
    assert values[:4] == pytest.approx([0.1] * 4)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"{n} (n = {result.document['n']})" for n in ("one", "two")
    ]
    assert axes.get_xlabel() == "seconds from the intended start"


def test_a_search_shows_every_stage_and_its_answer():
    result = loaded(search=RateSearch(start_rps=4.0, most_rps=16.0, most_stages=6))
    (axes,) = rates_figure(result).axes
    rates = sorted(stage["rate_rps"] for stage in result.document["stages"])
    drawn = next(line for line in axes.get_lines() if line.get_label() == "latency p50, a point a stage")
    assert list(drawn.get_xdata()) == rates
    held = result.document["holds_slo_up_to_rps"]["rate_rps"]
    assert f"holds at {held:.3g}/s" in texts(axes)
    assert "SLO: latency ≤ 0.5 s" in texts(axes)


def test_memory_stacks_what_was_predicted_beside_what_was_measured():
    plan = predict_memory(reference_checkpoint("tiny"), n_sequences=4, max_model_len=64, answer_tokens=8)
    trial = MemoryTrial(400 << 20, 402 << 20, 405 << 20, 410 << 20, 56, 8, 4)
    (axes,) = memory_figure({"tiny": (plan, trial)}).axes
    stacked = sum(bar.get_width() for bar in axes.patches)
    assert stacked == pytest.approx((plan.total_bytes - plan.part("framework")) / 2**20)
    measured = next(line for line in axes.get_lines() if line.get_label() == "measured")
    assert list(measured.get_xdata()) == [10.0]
