"""Recording through a vLLM server beside `vllm bench serve`: the same prompts, greedy, on the same server in the same session.

Both sides stream over the chat endpoint with the same number of requests in flight. They take turns, and which goes first alternates.
The yardstick is vLLM's own benchmark client (its `main_async`, kept loaded in vLLM's environment between turns, because importing it
takes longer than a turn); its seconds are those of its result file: requests only, without start-up and statistics. The package's
seconds are those of the whole of `record`: asking, grading, pricing, a synced journal, hashes, parquet and the manifest.

Writes benchmarks/results/recording_vllm.json. Ratios are package over yardstick, so 1 is equal and less is slower.
"""

import argparse
import contextlib
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from workbench.core import Sampling
from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.evaluation import Outcomes, Suite, record
from workbench.evaluation.statistics import clustered_mean
from workbench.models import ModelCard, load_model
from workbench.models.vllm_environment import find_environment
from workbench.models.vllm_server import VLLMServer

RESULTS = Path(__file__).parent / "results" / "recording_vllm.json"
TARGET = 0.95
LARGEST_DIFFERENCE = 0.01  # of output tokens: batches of another make-up round differently, which can turn a tie
DRIVER = """
import asyncio, contextlib, json, sys
from vllm.benchmarks.serve import add_cli_args, main_async
from vllm.utils.argparse_utils import FlexibleArgumentParser
print("ready", flush=True)
for line in sys.stdin:
    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    with contextlib.redirect_stdout(sys.stderr):
        asyncio.run(main_async(parser.parse_args(json.loads(line))))
    print("done", flush=True)
"""


def main() -> None:
    options = parse_options()
    suite = Suite.reference(n_per_task=options.per_task)
    card = ModelCard(kind="vllm", model=f"reference:{options.model}", context_window=512)
    with tempfile.TemporaryDirectory() as folder, VLLMServer(options.model, card) as server, yardstick() as bench:
        work = Work(options, suite, server.url, bench, Path(folder))
        levels = [measured(work, concurrency, options.turns) for concurrency in options.concurrency]
        report(options, suite, server, levels)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base", help="of the reference family")
    parser.add_argument("--per-task", type=int, default=20, help="prompts a task")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--turns", type=int, default=8)
    return parser.parse_args()


@contextlib.contextmanager
def yardstick() -> Iterator[subprocess.Popen]:
    python = find_environment().executable.parent / "python"
    bench = subprocess.Popen(
        [python, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        answered(bench, "ready")
        yield bench
    finally:
        bench.stdin.close()
        bench.wait(30)


def answered(bench: subprocess.Popen, word: str) -> None:
    if bench.stdout.readline().strip() != word:
        raise SystemExit("vllm bench serve failed; run it by hand with the arguments of `Work.bench` to see why")


class Work:
    """One recording and one benchmark run of the same requests."""

    def __init__(self, options, suite: Suite, url: str, bench: subprocess.Popen, folder: Path) -> None:
        self.options, self.suite, self.url, self.driver, self.folder = options, suite, url, bench, folder
        self.prompts = folder / "prompts.jsonl"
        lines = [json.dumps({"prompt": item.prompt}) for item in suite]
        self.prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.n_runs = 0

    def package(self, concurrency: int) -> dict[str, float]:
        self.n_runs += 1
        out = self.folder / f"run-{self.n_runs}"
        card = ModelCard(kind="openai-compatible", model=self.options.model, base_url=self.url)
        model = load_model(self.options.model, card)
        sampling = Sampling(max_tokens=self.options.max_tokens)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        found = record(self.suite, {self.options.model: model}, out, sampling=sampling, concurrency=concurrency)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        check_complete(found, len(self.suite))
        n_tokens = found.frame["completion_tokens"].sum()
        return {"wall_s": wall_s, "output_tokens": n_tokens, "client_cpu_s": cpu_s}

    def bench(self, concurrency: int) -> dict[str, float]:
        result = self.folder / "bench.json"
        arguments = {
            "--backend": "openai-chat",
            "--base-url": self.url.removesuffix("/v1"),
            "--endpoint": "/v1/chat/completions",
            "--model": self.options.model,
            "--tokenizer": str(checkpoint(self.options.model)),
            "--dataset-name": "custom",
            "--dataset-path": str(self.prompts),
            "--custom-output-len": str(self.options.max_tokens),
            "--num-prompts": str(len(self.suite)),
            "--max-concurrency": str(concurrency),
            "--temperature": "0",
            "--result-dir": str(self.folder),
            "--result-filename": result.name,
        }
        flags = ["--skip-chat-template", "--disable-shuffle", "--no-oversample", "--disable-tqdm", "--save-result"]
        self.driver.stdin.write(json.dumps([word for pair in arguments.items() for word in pair] + flags) + "\n")
        self.driver.stdin.flush()
        answered(self.driver, "done")
        said = json.loads(result.read_text(encoding="utf-8"))
        if said["completed"] != len(self.suite):
            raise SystemExit(f"vllm bench serve completed {said['completed']} of {len(self.suite)} requests")
        return {"wall_s": said["duration"], "output_tokens": said["total_output_tokens"]}


def checkpoint(name: str) -> Path:
    from workbench.models.family import checkpoint_source

    return Path(checkpoint_source(f"reference:{name}"))


def check_complete(found: Outcomes, n: int) -> None:
    failed = found.frame["error"].drop_nulls().to_list()
    if failed or len(found.frame) != n:
        raise SystemExit(f"{len(failed)} of {n} requests failed, e.g. {failed[:1]}")


def measured(work: Work, concurrency: int, n_turns: int) -> dict:
    work.package(concurrency)  # compiles, fills the prefix cache and every cache of either side
    work.bench(concurrency)
    turns = []
    for turn in range(n_turns):
        sides = {"package": work.package, "bench": work.bench}
        order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
        found = {side: sides[side](concurrency) for side in order}
        check_same_work(found)
        turns.append(found)
        took = ", ".join(f"{side} {found[side]['wall_s']:.2f} s" for side in sides)
        print(f"concurrency {concurrency}, turn {turn + 1}: {took}", flush=True)
    n = len(work.suite)
    return {
        "concurrency": concurrency,
        "requests_per_s": ratio(turns, lambda side: n / side["wall_s"]),
        "output_tokens_per_s": ratio(turns, lambda side: side["output_tokens"] / side["wall_s"]),
        "turns": turns,
    }


def check_same_work(found: dict[str, dict[str, float]]) -> None:
    """A race between different work says nothing."""
    ours, theirs = found["package"]["output_tokens"], found["bench"]["output_tokens"]
    if abs(ours - theirs) > LARGEST_DIFFERENCE * theirs:
        raise SystemExit(f"the answers differ: {ours} output tokens recorded, {theirs} by vllm bench serve")


def ratio(turns: list[dict], rate) -> dict:
    """Geometric mean of package / bench over turns with a t interval on the logarithms; the median of each side beside it."""
    logs = [math.log(rate(turn["package"]) / rate(turn["bench"])) for turn in turns]
    found = clustered_mean(logs, range(len(logs)))
    rates = {side: sorted(rate(turn[side]) for turn in turns)[len(turns) // 2] for side in ("package", "bench")}
    return {"ratio": math.exp(found.value), "ci": [math.exp(e) for e in found.ci], "n": found.n, **rates}


def report(options, suite: Suite, server: VLLMServer, levels: list[dict]) -> None:
    result = {
        **environment(),
        "settings": vars(options),
        "vllm": server.environment.version,
        "server_command": [word for word in server.command if not word.startswith("/")],
        "n_prompts": len(suite),
        "formula": "geometric mean over turns of throughput(package) / throughput(vllm bench serve); t interval on the logarithms, "
        "95 %; the package's seconds are the whole of `record`, the yardstick's are its own `duration`",
        "target": TARGET,
        "holds": all(level["output_tokens_per_s"]["ratio"] >= TARGET for level in levels),
        "levels": levels,
    }
    write_json(RESULTS, result)
    told = [{name: value for name, value in level.items() if name != "turns"} for level in levels]
    print(json.dumps({"levels": told, "target": TARGET, "written": RESULTS.name}, indent=2))


if __name__ == "__main__":
    main()
