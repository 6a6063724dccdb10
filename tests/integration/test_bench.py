"""Our figures beside those of `vllm bench serve` on the same server, and a bench of a managed server."""

import json
import runpy
from pathlib import Path

import pytest

from workbench.core import Sampling
from workbench.evaluation import Suite
from workbench.evaluation.load import SLO, BenchConfig, bench, import_bench
from workbench.models import ModelCard, load_model

AGREEMENT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "vllm_bench_agreement.py"))
PROMPTS = [item.prompt for item in Suite.reference(n_per_task=2)][:12]


@pytest.mark.slow
@pytest.mark.parametrize("load", AGREEMENT["LOADS"].values(), ids=AGREEMENT["LOADS"])
def test_of_the_same_requests_both_tools_compute_the_same(vllm_base, load, tmp_path: Path):
    """How fast the server is in two runs is compared by benchmarks/vllm_bench_agreement.py, not here."""
    path = AGREEMENT["vllm_bench"](vllm_base.url, PROMPTS, load, 0, tmp_path)
    theirs, ours = json.loads(path.read_text()), import_bench("vllm", path).document
    assert ours["n"] == theirs["completed"] == len(PROMPTS)
    assert ours["completion_tokens"] == theirs["total_output_tokens"] == len(PROMPTS) * AGREEMENT["N_TOKENS"]
    names = {"ttft_from_send_s": "ttft", "tpot_s": "tpot", "itl_s": "itl", "latency_from_send_s": "e2el"}
    for name, short in names.items():
        for percentile, prefix in (("p50", "median"), ("p99", "p99")):
            assert 1000 * ours[name][percentile] == pytest.approx(theirs[f"{prefix}_{short}_ms"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("load", AGREEMENT["LOADS"].values(), ids=AGREEMENT["LOADS"])
def test_both_tools_get_the_same_answers_of_a_server(vllm_base, load):
    measured = AGREEMENT["ours"](vllm_base.url, PROMPTS, load, 0)
    assert measured["n"] >= len(PROMPTS)
    assert measured["n_tokens"] == measured["n"] * AGREEMENT["N_TOKENS"]
    assert 0 < measured["ttft_p50_s"] <= measured["latency_p50_s"]


@pytest.mark.slow
def test_a_bench_of_a_vllm_server_measures_what_the_server_says_of_itself(vllm_base):
    card = ModelCard(kind="openai-compatible", model="base", base_url=vllm_base.url, retries=0)
    config = BenchConfig(
        rate_rps=3, duration_s=10, warm_up_s=2, sampling=Sampling(max_tokens=16), slo=SLO(latency_s=10)
    )
    result = bench(load_model("base", card), ["What is 2 + 3?", "Sort 5 2 9"], config)
    assert result.document["failed"] == 0
    assert result.document["good_share"] > 0.9
    assert result.document["tpot_s"]["p50"] < result.document["latency_s"]["p50"]
    assert result.manifest["server"]["version"][0].isdigit()
    answered = result.requests.filter(result.requests["phase"] == "measured")
    assert answered["completion_tokens"].null_count() == 0
