import pytest

from workbench.evaluation.load import BenchConfig, ResourceWatch, bench
from workbench.models import ModelCard
from workbench.models.memory_watch import MemoryUse
from workbench.testing import FakeClock, ScriptedModel


class SteadyMeter:
    """60 W on the fake clock: one watt-hour a minute."""

    covers, method, reason = ("gpu0",), "counter", None

    def __init__(self, clock) -> None:
        self.clock, self.is_closed = clock, False

    def read_wh(self) -> float:
        return self.clock.monotonic_s() / 60

    def close(self) -> None:
        self.is_closed = True


class Memory:
    def __init__(self, use: MemoryUse) -> None:
        self.use = use

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def result(self) -> MemoryUse:
        return self.use


def run(clock, watch):
    model = ScriptedModel("a", lambda _: "two words", clock=clock, latency_s=0.5, ttft_s=0.25)
    config = BenchConfig(rate_rps=1.0, arrivals="constant", duration_s=20, warm_up_s=0, keep_load=False)
    return bench(model, ["?"], config, clock=clock, resources=watch)


def test_energy_is_shared_over_the_requests_that_were_active():
    clock = FakeClock()
    meter = SteadyMeter(clock)
    result = run(clock, ResourceWatch(None, lambda: meter))
    assert result.document["energy_wh"] == pytest.approx(20.5 / 60, rel=0.05)
    assert meter.is_closed
    shares = result.requests["energy_wh"]
    assert shares.null_count() == 0
    assert shares.sum() == pytest.approx(
        20 * 0.5 / 60, rel=0.05
    )  # active half of the time; the rest is idle and nobody's
    assert result.document["energy"]["covers"] == ["gpu0"]


def test_memory_is_the_figure_of_the_watch_or_null_with_its_reasons():
    use = MemoryUse(pss_peak_gib=1.5)
    assert run(FakeClock(), ResourceWatch(Memory(use))).document["memory_gib"] == 1.5
    unread = MemoryUse(reasons={"rss_peak_gib": "not Linux"})
    document = run(FakeClock(), ResourceWatch(Memory(unread))).document
    assert document["memory_gib"] is None
    assert document["reasons"]["memory_gib"] == "not Linux"


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (ModelCard(kind="recorded", model="x"), "replayed"),
        (ModelCard(kind="openai-compatible", model="x", base_url="http://h/v1"), "served elsewhere"),
        (ModelCard(kind="anthropic", model="x"), "served elsewhere"),
    ],
)
def test_what_runs_elsewhere_is_not_measured_here(card, reason):
    watch = ResourceWatch.of(ScriptedModel("a", [], card=card))
    with watch:
        assert reason in watch.result().reasons["memory_gib"]
        assert reason in watch.result().reasons["energy_wh"]
