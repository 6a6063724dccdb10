import asyncio
import json
from pathlib import Path

import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.core.journal import Journal, read_journal
from workbench.core.price import TokenPrice
from workbench.evaluation.load import SLO, BenchConfig, BenchResult, RateSearch, ResourceWatch, bench, bench_async
from workbench.evaluation.load.result import JOURNAL
from workbench.models import ModelCard
from workbench.testing import FakeClock, ScriptedModel
from workbench.testing.contracts import BenchDocument

CONFIG = BenchConfig(rate_rps=4.0, duration_s=20, warm_up_s=2, slo=SLO(latency_s=1.0))


def scripted(clock: FakeClock, latency_s: float = 0.3, **card) -> ScriptedModel:
    described = ModelCard(kind="scripted", model="a", **card)
    return ScriptedModel(
        "a", lambda _: "three short words", clock=clock, latency_s=latency_s, ttft_s=0.1, card=described
    )


def test_a_bench_writes_a_document_that_keeps_its_contract_and_a_folder_that_reads_back(tmp_path: Path):
    clock = FakeClock()
    result = bench(scripted(clock), ["one", "two"], CONFIG, out=tmp_path / "load", clock=clock)
    BenchDocument.model_validate(dict(result.document))
    again = BenchResult.read(tmp_path / "load")
    assert again.document == json.loads(json.dumps(dict(result.document)))
    assert again.requests.equals(result.requests)
    assert {path.name for path in (tmp_path / "load").iterdir()} == {"bench.json", "manifest.json", "requests.parquet"}
    assert again.manifest["prompts"]["n"] == 2
    assert again.manifest["card"]["kind"] == "scripted"


def test_every_null_has_its_reason(tmp_path: Path):
    clock = FakeClock()
    document = bench(scripted(clock), ["?"], BenchConfig(rate_rps=4.0, duration_s=20), clock=clock).document
    nulls = {name for name, value in document.items() if value is None} - {"stopped_because"}
    nulls |= {name for name, value in document.items() if isinstance(value, dict) and value.get("p50", 0) is None}
    assert nulls <= set(document["reasons"])
    assert document["reasons"]["goodput_rps"] == "no SLO was given"


def test_answers_are_priced_by_the_card():
    clock = FakeClock()
    price = TokenPrice(input_usd_per_1m=1000.0, output_usd_per_1m=2000.0)
    result = bench(scripted(clock, price=price), ["one two"], CONFIG, clock=clock)
    each = (2 * 1000 + 3 * 2000) / 1e6
    assert result.requests["cost_usd"].to_list() == pytest.approx([each] * result.requests.height)
    assert result.document["cost_usd"] == pytest.approx(each * result.document["n"])


def test_a_killed_run_keeps_what_its_journal_has(tmp_path: Path):
    """The journal of a run, cut where a kill would cut it: in the middle of a line."""
    clock, kept = FakeClock(), tmp_path / "kept"

    class Keeping(ResourceWatch):
        def result(self):
            kept.mkdir()
            (kept / JOURNAL).write_bytes((tmp_path / "load" / JOURNAL).read_bytes()[:-7])
            return super().result()

    whole = bench(scripted(clock), ["?"], CONFIG, out=tmp_path / "load", clock=clock, resources=Keeping())
    found = BenchResult.read(kept)
    assert found.requests.height == whole.requests.height - 1
    assert found.document["complete"] is False
    assert found.document["stopped_because"].startswith("killed")
    assert found.document["latency_s"]["p50"] == pytest.approx(0.3)
    assert found.document["rate_rps"] == 4.0
    assert found.document["slo"] == {"latency_s": 1.0}


async def test_an_interrupted_run_writes_its_result_and_stays_interrupted(tmp_path: Path):
    clock = FakeClock()
    task = asyncio.create_task(
        bench_async(
            scripted(clock), ["?"], BenchConfig(rate_rps=4.0, duration_s=10_000), out=tmp_path / "load", clock=clock
        )
    )
    while clock.monotonic_s() < 60:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    document = BenchResult.read(tmp_path / "load").document
    assert (document["complete"], document["stopped_because"]) == (False, "interrupted")
    assert document["n"] > 100
    assert document["requests_per_s"] == pytest.approx(4.0, rel=0.25)


def test_a_folder_that_holds_a_bench_is_not_overwritten_unless_asked(tmp_path: Path):
    clock = FakeClock()
    bench(scripted(clock), ["?"], CONFIG, out=tmp_path, clock=clock)
    with pytest.raises(ConfigError, match="already holds a bench"):
        bench(scripted(clock), ["?"], CONFIG, out=tmp_path, clock=clock)
    assert bench(scripted(clock), ["?"], CONFIG, out=tmp_path, clock=clock, fresh=True).document["n"] > 0


def test_a_search_finds_the_rate_that_a_known_server_holds(in_turn_model):
    """Answers take 0.1 s in turn. Gaps of 1/rate never queue below 10 a second; above it the queue grows without bound."""
    clock = FakeClock()
    config = BenchConfig(
        rate_rps=2.0, arrivals="constant", duration_s=25, warm_up_s=1, drain_s=1, slo=SLO(latency_s=0.5)
    )
    search = RateSearch(start_rps=2.0, tolerance=0.2)
    result = bench(in_turn_model(clock, service_s=0.1), ["?"], config, search=search, clock=clock)
    found = result.document["holds_slo_up_to_rps"]
    assert 8.0 <= found["rate_rps"] <= 10.0 < found["ci"][1] <= 13
    assert [s["rate_rps"] for s in result.document["stages"]][:4] == [
        2.0,
        2.0,
        4.0,
        8.0,
    ]  # 50 requests at 2/s were not enough
    assert result.document["rate_rps"] == found["rate_rps"]
    assert result.document["slo_verdict"] == "holds"
    assert set(result.requests["stage"]) == set(range(len(result.document["stages"])))
    starts = result.requests.group_by("stage").agg(pl.col("intended_s").min()).sort("stage")["intended_s"]
    assert starts.is_sorted()
    assert result.requests["request"].is_unique().all()
    BenchDocument.model_validate(dict(result.document))


def test_a_search_of_a_server_that_holds_nothing_says_no():
    clock = FakeClock()
    config = BenchConfig(rate_rps=1.0, arrivals="constant", duration_s=40, warm_up_s=0, slo=SLO(latency_s=0.01))
    search = RateSearch(start_rps=1.0, least_rps=0.5)
    found = bench(scripted(clock), ["?"], config, search=search, clock=clock).document["holds_slo_up_to_rps"]
    assert found["rate_rps"] is None
    assert "no rate was shown to hold" in found["because"]


@pytest.mark.parametrize(
    ("config", "search", "prompts", "message"),
    [
        (CONFIG, None, [], "at least one prompt"),
        (BenchConfig(rate_rps=1.0), RateSearch(), ["?"], "needs an SLO and a rate"),
        (BenchConfig(concurrency=1, slo=SLO(latency_s=1)), RateSearch(), ["?"], "needs an SLO and a rate"),
        (
            BenchConfig(rate_rps=1.0, duration_s=10, slo=SLO(latency_s=1)),
            RateSearch(),
            ["?"],
            "lengthen the duration to 25 s",
        ),
    ],
)
def test_a_bench_that_cannot_be_is_refused(config, search, prompts, message):
    with pytest.raises(ConfigError, match=message):
        bench(scripted(FakeClock()), prompts, config, search=search)


@pytest.mark.parametrize("content", ["", "{}", '{"kind": "row"}\n'])
def test_a_folder_without_a_bench_is_refused_in_a_sentence(tmp_path: Path, content: str):
    with pytest.raises(ConfigError, match="no bench folder at"):
        BenchResult.read(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no bench"):
        BenchResult.read(tmp_path)
    (tmp_path / JOURNAL).write_text(content)
    with pytest.raises(ConfigError, match="without a beginning"):
        BenchResult.read(tmp_path)


def test_secrets_stay_out_of_the_manifest(tmp_path: Path):
    clock = FakeClock()
    options = {"extra_headers": {"x-api-key": "s3cret-value"}}
    model = scripted(clock, options=options, api_key="env:KEY")
    bench(model, ["?"], CONFIG, out=tmp_path, clock=clock)
    text = (tmp_path / "manifest.json").read_text()
    assert "s3cret-value" not in text
    assert "env:KEY" in text


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_one_writes(tmp_path: Path):
    from workbench.core import StoreError

    with Journal(tmp_path / JOURNAL), pytest.raises((ConfigError, StoreError)):
        bench(scripted(FakeClock()), ["?"], CONFIG, out=tmp_path, clock=FakeClock())
    assert list(read_journal(tmp_path / JOURNAL)) == []


class HoldingModel:
    """Keeps the whole process from running while it answers, as a busy neighbour would."""

    def __init__(self, clock: FakeClock, held_s: float) -> None:
        self.name, self.card, self._inner = "a", ModelCard(kind="scripted", model="a"), scripted(clock)
        self._clock, self._held_s = clock, held_s

    async def stream(self, request):
        self._clock.advance(self._held_s)
        async for delta in self._inner.stream(request):
            yield delta

    async def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(("held_s", "is_told"), [(0.15, True), (0.0, False)])
def test_a_generator_that_was_kept_from_running_says_so(held_s: float, is_told: bool):
    clock = FakeClock()
    result = bench(HoldingModel(clock, held_s), ["one"], BenchConfig(concurrency=1, duration_s=10), clock=clock)
    told = [note for note in result.document["notes"] if "kept" in note or "woke" in note]
    assert bool(told) is is_told
    if is_told:
        assert "at worst 0.05 s" in told[0]  # held for 0.15 s where a beat of 0.1 s had just begun
