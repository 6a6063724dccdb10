import asyncio
from dataclasses import replace

import pytest

from workbench.core import Unavailable
from workbench.evaluation.load import SLO, BenchConfig, bench, bench_async
from workbench.testing import FakeClock, ScriptedModel

STEADY = BenchConfig(rate_rps=1.0, arrivals="constant", duration_s=20, warm_up_s=5)


def measured(result):
    return result.requests.filter(result.requests["phase"] == "measured")


def test_an_open_loop_sends_at_the_intended_time_whatever_is_in_flight():
    clock = FakeClock()
    model = ScriptedModel("slow", lambda _: "late", clock=clock, latency_s=10.0)
    rows = bench(model, ["?"], STEADY, clock=clock).requests
    assert (rows["sent_s"] - rows["intended_s"]).abs().max() < 1e-9
    assert rows["intended_s"].to_list()[:3] == [1.0, 2.0, 3.0]
    assert measured(bench(model, ["?"], STEADY, clock=clock))["latency_s"].to_list() == pytest.approx([10.0] * 21)


def test_waiting_for_a_place_counts_from_the_intended_start(in_turn_model):
    clock = FakeClock()
    model = in_turn_model(clock, service_s=2.0)  # twice as slow as requests come
    result = bench(model, ["?"], replace(STEADY, concurrency=1, stop_when_saturated=False, warm_up_s=0), clock=clock)
    rows = result.requests.filter(result.requests["end_s"].is_not_null())
    assert model.most_in_flight == 1
    assert rows["latency_from_send_s"].to_list() == pytest.approx([2.0] * len(rows))
    assert rows["latency_s"].to_list() == pytest.approx(
        [2.0 + k for k in range(len(rows))]
    )  # each waits a second longer
    assert rows["send_lag_s"].to_list() == pytest.approx([float(k) for k in range(len(rows))])


def test_a_closed_loop_keeps_that_many_in_flight(in_turn_model):
    clock = FakeClock()
    model = in_turn_model(clock, service_s=0.5)
    result = bench(model, ["?"], BenchConfig(concurrency=3, duration_s=20, warm_up_s=5), clock=clock)
    assert model.most_in_flight == 3
    assert result.document["requests_per_s"] == pytest.approx(2.0, rel=0.03)
    assert result.document["latency_s"]["p50"] == pytest.approx(1.5)  # its own turn and the two before it
    assert result.document["rate_rps"] is None
    assert "closed loop" in result.document["reasons"]["rate_rps"]


def test_a_closed_loop_thinks_between_an_answer_and_the_next_request():
    clock = FakeClock()
    model = ScriptedModel("a", lambda _: "yes", clock=clock, latency_s=1.0)
    config = BenchConfig(concurrency=1, think_s=3.0, duration_s=20, warm_up_s=0, keep_load=False)
    rows = bench(model, ["?"], config, clock=clock).requests
    assert rows["intended_s"].to_list() == pytest.approx([0, 4, 8, 12, 16, 20])


def test_load_goes_on_until_the_measured_requests_have_ended():
    clock = FakeClock()
    model = ScriptedModel("slow", lambda _: "late", clock=clock, latency_s=4.0)
    kept = bench(model, ["?"], STEADY, clock=clock)
    assert kept.document["cut"] == 0
    assert kept.requests.filter(kept.requests["phase"] == "drain").height in (3, 4, 5)
    let_go = bench(model, ["?"], replace(STEADY, keep_load=False), clock=FakeClock())
    assert let_go.requests.filter(let_go.requests["phase"] == "drain").height == 0


def test_what_does_not_end_in_time_is_cut_and_is_neither_failed_nor_answered():
    clock = FakeClock()
    model = ScriptedModel("stuck", lambda _: "never", clock=clock, latency_s=1000.0)
    document = bench(model, ["?"], replace(STEADY, drain_s=3), clock=clock).document
    assert (document["n"], document["failed"], document["cut"]) == (21, 0, 21)
    assert document["latency_s"]["p50"] is None
    assert "21 cut" in document["reasons"]["latency_s"]


def test_tokens_count_at_their_own_time_and_not_by_their_request():
    """Answers of 10 s in a window of 10 s: most of the tokens inside belong to requests from before it, or end after it."""
    clock = FakeClock()
    words = " ".join(["word"] * 21)
    model = ScriptedModel("long", lambda _: words, clock=clock, latency_s=10.0, ttft_s=0.0)
    config = BenchConfig(rate_rps=1.0, arrivals="constant", duration_s=10, warm_up_s=20)
    document = bench(model, ["?"], config, clock=clock).document
    assert document["tokens_per_s"] == pytest.approx(21, rel=0.03)  # one request a second, 21 tokens each


def test_a_bench_of_nothing_but_failures_ends_early_and_says_why():
    clock = FakeClock()
    model = ScriptedModel("down", lambda _: Unavailable("connection refused", model="down"), clock=clock)
    result = bench(model, ["?"], replace(STEADY, duration_s=1000), clock=clock)
    assert result.document["complete"] is False
    assert "the first 10 requests all failed: model 'down': connection refused" in result.document["stopped_because"]
    assert result.requests.height == 10
    assert result.requests["error"].null_count() == 0


def test_failures_in_a_closed_loop_do_not_become_a_flood():
    clock = FakeClock()
    replies = iter(["fine"] + [Unavailable("gone", model="dying")] * 100_000)
    model = ScriptedModel("dying", lambda _: next(replies), clock=clock)
    result = bench(model, ["?"], BenchConfig(concurrency=1, duration_s=10, warm_up_s=0), clock=clock)
    assert result.document["failed"] == result.document["n"] - 1
    assert result.document["n"] <= 110


def test_failures_are_bad_and_lower_the_goodput():
    clock, count = FakeClock(), iter(range(10**6))
    fails = Unavailable("no", model="flaky")
    model = ScriptedModel("flaky", lambda _: fails if next(count) % 4 == 3 else "fine", clock=clock, latency_s=0.1)
    document = bench(model, ["?"], replace(STEADY, rate_rps=8.0, slo=SLO(latency_s=1.0)), clock=clock).document
    assert document["good_share"] == pytest.approx(0.75, abs=0.01)
    assert document["goodput_rps"] == pytest.approx(6.0, abs=0.2)
    assert document["slo_verdict"] == "breaks"


def test_a_load_that_the_server_cannot_take_is_stopped_and_kept(in_turn_model):
    clock = FakeClock()
    config = BenchConfig(rate_rps=4.0, duration_s=300, warm_up_s=2)
    result = bench(in_turn_model(clock, service_s=0.5), ["?"], config, clock=clock)
    assert result.document["stopped_because"].startswith("over-saturated: at 4 requests/s")
    assert result.document["complete"] is False
    assert result.document["duration_s"] < 100
    assert result.document["latency_s"]["p50"] is not None


def test_a_rate_that_this_machine_cannot_send_is_told_with_its_lag(monkeypatch):
    """A model that blocks the event loop stands in for a generator that is out of its depth."""
    monkeypatch.setattr("workbench.evaluation.load.driving.LONGEST_LAG_S", 0.2)

    clock = FakeClock()

    def blocks(_) -> str:
        clock.advance(0.02)
        return "yes"

    config = BenchConfig(rate_rps=200, duration_s=60, warm_up_s=0)
    result = bench(ScriptedModel("blocking", blocks, clock=clock), ["?"], config, clock=clock)
    assert "this machine cannot send 200 requests/s: one left" in result.document["stopped_because"]
    assert result.document["complete"] is False
    assert result.document["send_lag_s"]["p99"] > 0.1
    assert result.requests["latency_s"].drop_nulls().len() > 10


class SetBackClock(FakeClock):
    """A clock that is set back by a minute at its 12th second."""

    def monotonic_s(self) -> float:
        now_s = super().monotonic_s()
        return now_s - 60 if now_s >= 12 else now_s


def test_a_clock_that_goes_backwards_ends_the_run_and_gives_no_negative_times():
    clock = SetBackClock()
    model = ScriptedModel("a", lambda _: "two words", clock=clock, latency_s=1.5, ttft_s=0.5)
    result = bench(model, ["?"], STEADY, clock=clock)
    assert "the clock went backwards" in result.document["stopped_because"]
    assert result.document["complete"] is False
    for name in ("ttft_s", "latency_s", "send_lag_s", "tpot_s"):
        assert (result.requests[name].drop_nulls() >= 0).all()
    void = result.requests.filter(result.requests["error"].is_not_null())
    assert "its times are void" in void["error"][0]
    assert void["latency_s"].null_count() == void.height > 0
    assert result.requests.filter(result.requests["latency_s"].is_not_null()).height >= 5


def test_the_same_seed_asks_the_same_prompts_at_the_same_times():
    def rows(seed: int):
        clock = FakeClock()
        model = ScriptedModel("a", lambda _: "yes", clock=clock, latency_s=0.1)
        config = BenchConfig(rate_rps=3.0, duration_s=20, warm_up_s=0, seed=seed)
        return (
            bench(model, [f"question {i}" for i in range(7)], config, clock=clock)
            .requests["intended_s", "prompt_id"]
            .rows()
        )

    assert rows(1) == rows(1) != rows(2)


def test_prompts_take_turns():
    clock = FakeClock()
    model = ScriptedModel("a", lambda _: "yes", clock=clock)
    result = bench(model, ["one", "two", "three"], replace(STEADY, rate_rps=3.0), clock=clock)
    counts = result.requests["prompt_id"].value_counts()["count"]
    assert counts.max() - counts.min() <= 1
    assert "3 prompts made" in result.document["notes"][0]


async def test_a_bench_runs_where_an_event_loop_runs_already():
    clock = FakeClock()
    model = ScriptedModel("a", lambda _: "yes", clock=clock)
    assert (await bench_async(model, ["?"], STEADY, clock=clock)).document["n"] == 21
    assert bench(
        ScriptedModel("a", lambda _: "yes"), ["?"], BenchConfig(rate_rps=50, duration_s=0.2, warm_up_s=0)
    ).document["complete"]
    await asyncio.sleep(0)
