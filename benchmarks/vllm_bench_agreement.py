"""`workbench bench` beside `vllm bench serve`: the same prompts, lengths, rate and limit on the same server, in alternating turns.

Both draw Poisson gaps stretched to n / rate (the option that exists for this comparison), answers have a fixed length, and every request
counts. Times are from the send, because vLLM's are. Throughput is tokens over the time from the first send to the last end.

The noise of each side is its spread over turns: a t interval of the mean. They agree where the intervals overlap.

Writes benchmarks/results/vllm_bench_agreement.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from workbench.core import Sampling
from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.evaluation import Suite
from workbench.evaluation.load import BenchConfig, bench
from workbench.evaluation.statistics import clustered_mean
from workbench.models import ModelCard, load_model
from workbench.models.family import family_folder
from workbench.models.vllm_environment import find_environment
from workbench.models.vllm_server import VLLMServer

RESULTS = Path(__file__).parent / "results" / "vllm_bench_agreement.json"
METRICS = ("ttft_p50_s", "tpot_p50_s", "latency_p50_s", "tokens_per_s")
LOADS = {"open": {"rate_rps": 6.0}, "closed": {"concurrency": 4}}
N_TOKENS = 16
CLOSED_ROUNDS = 5
"""How often the closed loop of `vllm bench serve` asks each prompt, so that it lasts about as long as ours (5 s)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--requests", type=int, default=60)
    options = parser.parse_args()
    card = ModelCard(kind="vllm", model="reference:base", context_window=512)
    with VLLMServer("base", card) as server:
        found = compare(server.url, options.turns, options.requests)
    settings = {"model": "reference:base", "tokens": N_TOKENS, **vars(options), **LOADS}
    write_json(
        RESULTS,
        {**environment(), "settings": settings, "formula": __doc__.split("\n\n")[2].replace("\n", " "), **found},
    )


def compare(url: str, turns: int, n: int) -> dict:
    """Both tools on a server that names its model "base"; prints and returns what each measured."""
    prompts = [item.prompt for item in Suite.reference(n_per_task=10)][:n]
    found = {}
    for loop, load in LOADS.items():
        asked = prompts * (1 if "rate_rps" in load else CLOSED_ROUNDS)
        sides: dict[str, list[dict]] = {"workbench": [], "vllm": []}
        for turn in range(turns):
            order = (("workbench", ours), ("vllm", theirs))
            for name, measure in order if turn % 2 == 0 else order[::-1]:
                sides[name].append(measure(url, asked, load, turn))
        found[loop] = {metric: beside(sides, metric) for metric in METRICS}
        for metric, row in found[loop].items():
            shown = "  ".join(
                f"{side} {row[side]['mean']:.5g} ({row[side]['ci'][0]:.5g} to {row[side]['ci'][1]:.5g})"
                for side in sides
            )
            print(f"{loop:6} {metric:14} {shown}  {'agree' if row['agree'] else 'DIFFER'}")
    return {"loads": found}


def beside(sides: dict[str, list[dict]], metric: str) -> dict:
    row = {}
    for side, turns in sides.items():
        values = [turn[metric] for turn in turns]
        estimate = clustered_mean(values, range(len(values)))
        row[side] = {"mean": estimate.value, "ci": list(estimate.ci), "turns": values}
    (low, high), (other_low, other_high) = (row[side]["ci"] for side in sides)
    return {**row, "agree": low <= other_high and other_low <= high}


def ours(url: str, prompts: list[str], load: dict, turn: int) -> dict:
    extra = {"ignore_eos": True, "min_tokens": N_TOKENS}
    card = ModelCard(kind="openai-compatible", model="base", base_url=url, retries=0, options={"extra_body": extra})
    n, rate = len(prompts), load.get("rate_rps")
    config = BenchConfig(
        **load,
        duration_s=n / rate if rate else 5.0,
        warm_up_s=0,
        rescale_gaps=True,
        keep_load=False,
        sampling=Sampling(max_tokens=N_TOKENS),
        seed=turn,
        stop_when_saturated=False,
    )
    rows = bench(load_model("base", card), prompts, config).requests
    answered = rows.filter(rows["error"].is_null() & rows["end_s"].is_not_null())
    assert answered.height == rows.height, rows["error"].drop_nulls().to_list()[:1]
    span_s = answered["end_s"].max()  # from the start of the run, the first gap included, as its own `duration`
    n_tokens = answered["completion_tokens"].sum()
    return {
        "ttft_p50_s": answered["ttft_from_send_s"].median(),
        "tpot_p50_s": answered["tpot_s"].median(),
        "latency_p50_s": answered["latency_from_send_s"].median(),
        "tokens_per_s": n_tokens / span_s,
        "n": answered.height,
        "n_tokens": n_tokens,
    }


def theirs(url: str, prompts: list[str], load: dict, turn: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        data = json.loads(vllm_bench(url, prompts, load, turn, Path(folder)).read_text())
    return {
        "ttft_p50_s": data["median_ttft_ms"] / 1000,
        "tpot_p50_s": data["median_tpot_ms"] / 1000,
        "latency_p50_s": data["median_e2el_ms"] / 1000,
        "tokens_per_s": data["output_throughput"],
        "n": data["completed"],
    }


def vllm_bench(url: str, prompts: list[str], load: dict, seed: int, folder: Path) -> Path:
    """Run `vllm bench serve` on the server; the file that it wrote in the folder, with every request."""
    dataset, result = folder / "prompts.jsonl", folder / "result.json"
    dataset.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    settings = {
        "--backend": "openai-chat",
        "--base-url": url.removesuffix("/v1"),
        "--endpoint": "/v1/chat/completions",
        "--model": "base",
        "--tokenizer": family_folder() / "base",
        "--dataset-name": "custom",
        "--dataset-path": dataset,
        "--custom-output-len": N_TOKENS,
        "--num-prompts": len(prompts),
        "--temperature": 0,
        "--seed": seed,
        "--result-filename": result,
        "--percentile-metrics": "ttft,tpot,itl,e2el",
        "--request-rate": load.get("rate_rps"),
        "--max-concurrency": load.get("concurrency"),
    }
    flags = ["--skip-chat-template", "--ignore-eos", "--save-result", "--save-detailed", "--disable-tqdm"]
    words = [word for name, value in settings.items() if value is not None for word in (name, value)]
    command = [find_environment().executable, "bench", "serve", *words, *flags]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run([str(word) for word in command], env=environ, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"vllm bench serve failed: {done.stderr[-1500:]}")
    return result


if __name__ == "__main__":
    main()
