"""The files in `data/` were written by vLLM 0.32 and GuideLLM 0.8.1 against the stub server; texts and machine facts are taken out."""

import json
from pathlib import Path

import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.evaluation.load import SLO, BenchResult, import_bench
from workbench.testing.contracts import BenchDocument

DATA = Path(__file__).parent / "data"


def load(name: str):
    return json.loads((DATA / name).read_text())


def written(folder: Path, name: str, content) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("format_", "name"), [("vllm", "vllm_open.json"), ("vllm", "vllm_closed.json"), ("guidellm", "guidellm.json")]
)
def test_an_import_is_a_bench_like_any_other(tmp_path: Path, format_: str, name: str):
    result = import_bench(format_, DATA / name, slo=SLO(latency_s=1.0))
    BenchDocument.model_validate(dict(result.document))
    result.write(tmp_path)
    again = BenchResult.read(tmp_path)
    assert again.document == json.loads(json.dumps(dict(result.document)))
    assert again.requests.equals(result.requests)
    assert again.manifest["source"] == f"import:{format_}"
    nulls = [name for name, value in result.document.items() if value is None]
    unexplained = {"stopped_because"} | set(result.document["reasons"])
    assert set(nulls) <= unexplained


def test_vllm_figures_are_those_of_vllm():
    data, document = load("vllm_open.json"), import_bench("vllm", DATA / "vllm_open.json").document
    assert document["n"] == data["completed"] == 30
    assert document["rate_rps"] == 8.0
    assert document["requests_per_s"] == pytest.approx(data["request_throughput"], rel=0.05)
    assert document["tokens_per_s"] == pytest.approx(data["output_throughput"], rel=0.05)
    for ours, theirs in (
        ("ttft_from_send_s", "ttft"),
        ("tpot_s", "tpot"),
        ("itl_s", "itl"),
        ("latency_from_send_s", "e2el"),
    ):
        if f"median_{theirs}_ms" in data:
            assert 1000 * document[ours]["p50"] == pytest.approx(data[f"median_{theirs}_ms"], rel=1e-6)
            assert 1000 * document[ours]["p99"] == pytest.approx(data[f"p99_{theirs}_ms"], rel=1e-6)


def test_vllm_queueing_counts_from_when_the_request_was_released(tmp_path: Path):
    data = load("vllm_open.json")
    data["queue_times"] = [1.0] * 30
    rows = import_bench("vllm", written(tmp_path, "a.json", data)).requests
    assert rows["send_lag_s"].to_list() == pytest.approx([1.0] * 30)
    assert (rows["latency_s"] - rows["latency_from_send_s"]).to_list() == pytest.approx([1.0] * 30)
    assert rows["intended_s"].min() == pytest.approx(0.0)


def test_an_older_vllm_has_one_clock_and_its_goodput_is_judged_from_the_send(tmp_path: Path):
    data = {name: value for name, value in load("vllm_open.json").items() if name not in ("queue_times", "latencies")}
    document = import_bench("vllm", written(tmp_path, "a.json", data), slo=SLO(latency_s=1.0)).document
    assert document["latency_s"]["p50"] is None
    assert "one clock" in document["reasons"]["latency_s"]
    assert document["latency_from_send_s"]["p50"] > 0
    assert document["good_share"] == 1.0
    assert any("judged from the send" in note for note in document["notes"])


def test_vllm_failures_are_failures(tmp_path: Path):
    data = load("vllm_open.json")
    data["errors"][3] = "Traceback: connection reset"
    result = import_bench("vllm", written(tmp_path, "a.json", data), slo=SLO(latency_s=1.0))
    assert (result.document["failed"], result.document["n"]) == (1, 30)
    assert result.document["good_share"] == pytest.approx(29 / 30)


def test_vllm_without_details_gives_its_own_points_and_says_what_is_missing(tmp_path: Path):
    lists = (
        "ttfts",
        "itls",
        "start_times",
        "latencies",
        "queue_times",
        "input_lens",
        "output_lens",
        "errors",
        "generated_texts",
    )
    data = {name: value for name, value in load("vllm_open.json").items() if name not in lists}
    document = import_bench("vllm", written(tmp_path, "a.json", data)).document
    assert document["requests_per_s"] == data["request_throughput"]
    assert 1000 * document["ttft_from_send_s"]["p50"] == pytest.approx(data["median_ttft_ms"])
    assert document["ttft_from_send_s"]["ci"]["p50"] == [None, None]
    assert "--save-detailed" in document["reasons"]["ttft_s"]


def test_guidellm_figures_are_those_of_guidellm_and_its_two_tpots_are_told_apart():
    data, result = load("guidellm.json"), import_bench("guidellm", DATA / "guidellm.json")
    poisson = data["benchmarks"][0]["requests"]["successful"]
    rows = result.requests.filter(result.requests["stage"] == 0)
    assert np.median(rows["ttft_from_send_s"]) * 1000 == pytest.approx(
        np.median([r["time_to_first_token_ms"] for r in poisson]), rel=1e-6
    )
    assert np.median(rows["latency_from_send_s"]) == pytest.approx(
        np.median([r["request_latency"] for r in poisson]), rel=1e-6
    )
    assert np.median(rows["send_lag_s"]) == pytest.approx(
        np.median([r["request_dispatch_delay"] for r in poisson]), rel=1e-4
    )
    excluding = np.median([r["inter_token_latency_ms"] for r in poisson])
    including = np.median([r["time_per_output_token_ms"] for r in poisson])
    assert 1000 * np.median(rows["tpot_s"]) == pytest.approx(
        excluding, rel=0.05
    )  # theirs ends at the last token, ours at the end
    assert including > 1.2 * excluding
    assert "includes the first token" in result.document["notes"][0]


def test_each_guidellm_load_is_a_stage_and_the_busiest_one_gives_the_figures():
    document = import_bench("guidellm", DATA / "guidellm.json").document
    assert [(s["rate_rps"], s["concurrency"]) for s in document["stages"]] == [(8.0, 10240), (None, 2)]
    assert (document["loop"], document["concurrency"]) == ("closed", 2)
    assert document["itl_s"]["p50"] is None
    assert "time of each token" in document["reasons"]["itl_s"]


def test_guidellm_requests_that_were_cut_are_left_out(tmp_path: Path):
    data = load("guidellm.json")
    requests = data["benchmarks"][0]["requests"]
    requests["incomplete"], requests["errored"] = requests["successful"][:2], requests["successful"][2:3]
    requests["successful"] = requests["successful"][3:]
    data["benchmarks"] = data["benchmarks"][:1]
    document = import_bench("guidellm", written(tmp_path, "a.json", data), slo=SLO(latency_s=5)).document
    assert (document["cut"], document["failed"]) == (2, 1)
    assert document["good_share"] == pytest.approx((document["n"] - 3) / (document["n"] - 2))


@pytest.mark.parametrize(
    ("format_", "content", "message"),
    [
        ("vlm", {}, "unknown format 'vlm': did you mean 'vllm'"),
        ("vllm", {}, "not a result of `vllm bench serve`"),
        ("vllm", [1], "a JSON object is expected, found list"),
        ("vllm", {"request_throughput": 1, "duration": 2, "ttfts": [1], "start_times": [1, 2]}, "start_times has 2"),
        (
            "vllm",
            {"request_throughput": 1, "duration": 2, "ttfts": ["x"], "start_times": [1]},
            "not a vllm result that this version can read",
        ),
        ("guidellm", {}, "not a GuideLLM report"),
        ("guidellm", {"metadata": {"version": 9}, "benchmarks": [{}]}, "schema version 9"),
        ("guidellm", {"benchmarks": [{"requests": {"successful": []}}]}, "holds no requests"),
        ("guidellm", {"benchmarks": [{"requests": {"successful": [{"a": 1}]}}]}, "no info.timings"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_in_a_sentence(tmp_path: Path, format_, content, message):
    with pytest.raises(ConfigError) as refused:
        import_bench(format_, written(tmp_path, "a.json", content))
    assert message in str(refused.value)
