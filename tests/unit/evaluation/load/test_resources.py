import polars as pl
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


def test_a_bench_meters_the_whole_run_and_every_request_has_its_part():
    clock = FakeClock()
    meter = SteadyMeter(clock)
    result = run(clock, ResourceWatch(None, lambda: meter))
    assert result.document["energy_wh"] == pytest.approx(20.5 / 60, rel=0.05)
    assert meter.is_closed
    assert result.requests["energy_wh"].null_count() == 0
    assert 0 < result.requests["energy_wh"].sum() <= result.document["energy_wh"]
    assert result.document["energy"]["covers"] == ["gpu0"]


async def test_energy_is_shared_over_the_requests_that_were_active():
    """One request in every second, busy for half of it: half of the energy is theirs, the rest is idle and nobody's."""
    clock = FakeClock()
    rows = pl.DataFrame(
        [
            {"sent_s": float(i), "first_token_s": i + 0.25, "end_s": i + 0.5, "cut_s": None, "chunks_s": [i + 0.25]}
            | {"prompt_tokens": 5, "cached_tokens": None, "completion_tokens": 2}
            for i in range(20)
        ],
        schema_overrides={"cut_s": pl.Float64, "cached_tokens": pl.Int64},
    )
    with ResourceWatch(None, lambda: SteadyMeter(clock)) as watch:
        start_s = clock.monotonic_s()
        for _ in range(21):
            watch.read(lambda: clock.monotonic_s() - start_s)
            await clock.sleep(1.0)
    shares = watch.shared(rows)["energy_wh"]
    assert shares.to_list() == pytest.approx([0.5 / 60] * 20)


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
