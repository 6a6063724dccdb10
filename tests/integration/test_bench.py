"""Our figures beside those of `vllm bench serve` on the same server, and a bench of a managed server."""

import runpy
from pathlib import Path

import pytest

from workbench.core import Sampling
from workbench.evaluation.load import SLO, BenchConfig, bench
from workbench.models import ModelCard, load_model

AGREEMENT = Path(__file__).parents[2] / "benchmarks" / "vllm_bench_agreement.py"


@pytest.mark.slow
def test_both_tools_measure_the_same_server_alike(vllm_base):
    """Alternating turns; each side's spread over its turns is its noise, and the intervals must overlap. Prints both.

    Three turns that happen to be alike make intervals far narrower than the noise, so sides within a tenth of each other pass too.
    """
    compare = runpy.run_path(str(AGREEMENT))["compare"]
    loads = compare(vllm_base.url, turns=3, n=30)["loads"]
    differing = {
        (loop, metric): row
        for loop, rows in loads.items()
        for metric, row in rows.items()
        if not row["agree"] and row["workbench"]["mean"] != pytest.approx(row["vllm"]["mean"], rel=0.1)
    }
    assert not differing


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
