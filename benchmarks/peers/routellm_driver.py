"""Runs inside RouteLLM's environment: a job on stdin, one JSON document as the last line of stdout.

A job: {"part": "timing", "prompts": [...], "rounds": n}, or {"part": "evaluation", "rows": folder routellm/evals, "scores":
{set: {router: {prompt: score}}}} with the sets "mmlu", "mmlu_broken", "gsm8k" and "mt_bench". Its evaluation code is called as it is;
what is changed is said in `changed`.
"""

import contextlib
import importlib.metadata
import json
import os
import random
import re
import sys
import tempfile
from pathlib import Path

os.environ["OPENAI_API_KEY"] = "no-key"  # asked for at import, whatever the router
os.environ["MPLBACKEND"] = "agg"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import pandas as pd
from routellm.controller import Controller
from routellm.evals import benchmarks, evaluate
from routellm.evals.mmlu.domains import ALL_MMLU_DOMAINS
from routellm.routers import routers
from timing import timed

STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
BROKEN = "high_school_mathematics"
CHANGED = [
    "its data files are not in the package: the folder that it reads them from is set to the rows of its repository",
    "its score cache is written to a scratch folder",
    "evaluate.py passes generate_results the strong model's name where a pair of models is read; the pair is passed instead",
]


class Given(routers.Router):
    """Win rates that somebody else computed."""

    NO_PARALLEL = True

    def __init__(self, scores=None):
        self.scores = scores or {}

    def calculate_strong_win_rate(self, prompt):
        return self.scores[prompt]

    def __str__(self):
        return "given"


def controller_of(name, scores=None):
    routers.ROUTER_CLS["given"] = Given
    config = None if name == "random" else {name: {"scores": scores}}
    return Controller(routers=[name], strong_model=STRONG, weak_model=WEAK, config=config)


def benchmark_of(name, pair, folder):
    """The package's benchmark on the rows."""
    if name.startswith("mmlu"):
        domains = [d for d in ALL_MMLU_DOMAINS if name == "mmlu_broken" or d != BROKEN]
        found = benchmarks.MMLU(domains, pair, [])
    else:
        found = benchmarks.GSM8K(pair, []) if name == "gsm8k" else benchmarks.MTBench(pair, [])
    found.cache_path = str(Path(folder) / f"{name}.npy")
    return found


def evaluated(name, router, scores, folder):
    """Its area and crossing points for one router, computed by its own `evaluate` and `generate_results`."""
    controller = controller_of("random" if router == "random" else "given", scores)
    kind = next(iter(controller.routers))
    benchmark = benchmark_of(name, controller.model_pair, folder)
    random.seed(0)
    rows = []
    for _ in range(10 if kind == "random" else 1):
        for threshold, accuracy, counts, total in benchmark.evaluate(controller, kind, 10, True):
            strong = counts[controller.model_pair.strong] / total * 100
            rows.append({"threshold": threshold, "strong_percentage": strong, "accuracy": accuracy})
    frame = pd.DataFrame(rows)
    if kind == "random":
        frame = frame.groupby(["strong_percentage"], as_index=False).mean()
    frame["method"] = kind
    shown = []
    evaluate.print = lambda *words: shown.append(words)
    evaluate.generate_results(frame, benchmark, name, controller.model_pair, folder)
    metrics = next(words[1] for words in shown if str(words[0]).startswith("Metrics")).iloc[0]
    return {
        "apgr": float(metrics["APGR"]),
        **{f"cpt{p}": float(metrics[f"{p}% qual"].rstrip("%")) / 100 for p in (20, 50, 80)},
        "weak": float(benchmark.get_model_accuracy(WEAK)),
        "strong": float(benchmark.get_model_accuracy(STRONG)),
        "n": len(benchmark.questions) if name == "mt_bench" else len(benchmark.all_data),
    }


def refused(call):
    """The error of a call as its class and first line, None where it succeeds."""
    try:
        call()
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        unnamed = re.sub("'?https?://[^ ,']+'?", "the hub", first)
        return f"{type(error).__name__}: {unnamed}"[:300]
    return None


def as_shipped(folder):
    """Its own call of generate_results, as evaluate.py has it."""
    controller = controller_of("random")
    benchmark = benchmark_of("gsm8k", controller.model_pair, folder)
    frame = pd.DataFrame({"method": ["random"], "strong_percentage": [50.0], "accuracy": [70.0]})
    return refused(lambda: evaluate.generate_results(frame, benchmark, "gsm8k", controller.model_pair.strong, folder))


def decisions(job):
    """Time of `Controller.route` for the router that runs, and for given scores: what the package itself takes."""
    prompts = job["prompts"]
    scores = dict.fromkeys(prompts, 0.5)
    found = {}
    for name, label in (("random", "random"), ("given", "given scores (a look-up)")):
        controller = controller_of(name, scores)
        found[label] = timed(lambda p, c=controller, n=name: c.route(p, n, 0.5), prompts, job["rounds"])
    return found


def run(job):
    about = importlib.metadata.metadata("routellm")
    package = {"version": about["Version"], "licence": "Apache-2.0", "numpy": importlib.metadata.version("numpy")}
    if job["part"] == "timing":
        return {"package": package, "decisions": decisions(job)}
    benchmarks.CURRENT_DIR = job["rows"]
    with tempfile.TemporaryDirectory() as folder:
        evaluation = {
            name: {
                router: evaluated(name, router, scores, folder) for router, scores in [("random", None), *given.items()]
            }
            for name, given in job["scores"].items()
        }
        broken_call = as_shipped(folder)
    names = ("mf", "sw_ranking", "bert", "causal_llm")
    errors = {name: refused(lambda n=name: Controller([n], STRONG, WEAK)) for name in names}
    return {
        "package": package,
        "routers": {"random": None, **errors},
        "evaluate_as_shipped": broken_call,
        "changed": CHANGED,
        "evaluation": evaluation,
    }


def main():
    job = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        document = run(job)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
