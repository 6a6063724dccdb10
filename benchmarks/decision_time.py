"""Time of one live decision: by predictor without the embedder, with the static one, and beside other routers where they are installed.

    python benchmarks/decision_time.py [--peers PYTHON]

PYTHON is the interpreter of a throw-away environment outside this repository with the peers, e.g.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install semantic-router routellm

Writes benchmarks/results/decision_time.json. One request after another in one thread; p50 of 5 rounds of 2,000, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from simulated_matrices import simulated

from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.embedding import load_embedder
from workbench.routing import CostAware, Policy, Queries, make_predictor

RESULT = Path(__file__).parent / "results" / "decision_time.json"
KINDS = ("constant", "prompt-length", "task-mean", "kmeans", "ridge", "logistic", "local", "stack", "boosting", "knn")
DIM = 384
ROWS = 11_000
MODELS = 2
ROUNDS, REQUESTS = 5, 2000
GOALS = {"stack, embedding excluded": 50.0, "stack, with the static embedder": 300.0}

PEER = """
import json, sys, time
import numpy as np
dim, rounds, requests = 384, 5, 2000
from semantic_router import Route
from semantic_router.encoders import DenseEncoder
from semantic_router.routers import SemanticRouter  # 0.1; other versions are reported as not comparable
rng = np.random.default_rng(0)
class Fixed(DenseEncoder):
    name: str = "fixed"
    score_threshold: float = 0.0
    def __call__(self, docs):
        return [rng.standard_normal(dim).tolist() for _ in docs]
routes = [Route(name=f"r{i}", utterances=[f"u{i} {j}" for j in range(20)]) for i in range(2)]
router = SemanticRouter(encoder=Fixed(), routes=routes, auto_sync="local")
vector = rng.standard_normal(dim).tolist()
router(vector=vector)
found = []
for _ in range(rounds):
    for _ in range(requests // 10):
        start = time.perf_counter()
        router(vector=vector)
        found.append(time.perf_counter() - start)
import importlib.metadata
print(json.dumps({"p50_us": 1e6 * float(np.median(found)), "version": importlib.metadata.version("semantic-router"), "utterances": 40}))
"""


class OneVector:
    """The vector of the request at hand, already there."""

    fingerprint = "fixed"
    dim = DIM

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.known = vectors, True

    def embed(self, texts: list[str]) -> np.ndarray:
        """Rows by number while fitting, then always the first."""
        if self.known:
            return self.vectors[[int(text.partition(" ")[0]) for text in texts]]
        return self.vectors[: len(texts)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peers", type=Path)
    options = parser.parse_args()
    found = by_kind() | with_static_embedder()
    for name, row in found.items():
        print(f"{name:42} p50 {row['p50_us']:8.1f} µs  p95 {row['p95_us']:8.1f} µs", file=sys.stderr)
    goals = {name: {"p50_us": goal, "reached": found[name]["p50_us"] < goal} for name, goal in GOALS.items()}
    settings = {"rows": ROWS, "models": MODELS, "dim": DIM, "rounds": ROUNDS, "requests": REQUESTS}
    document = {
        **environment(),
        "settings": settings,
        "decisions": found,
        "goals": goals,
        "peers": peers(options.peers),
    }
    write_json(RESULT, document)
    return 0


def by_kind() -> dict[str, Any]:
    """`Policy.choose` of every kind, fitted on rows like RouteLLM's MMLU with vectors like MiniLM's."""
    world = simulated("mixed", ROWS, MODELS, 0)
    rng = np.random.default_rng(0)
    vectors = 0.3 * rng.standard_normal((ROWS, DIM))
    vectors[:, : world.embedder.dim] += world.embedder.vectors
    matrix, found = world.matrix, {}
    for kind in KINDS:
        embedder = OneVector(vectors.astype(np.float32))
        rows = matrix if kind != "boosting" else matrix.take(slice(0, 4000))
        predictor = make_predictor(kind, embedder).fit(rows.queries, rows.score, rows.cost_usd, rows.latency_s)
        embedder.known = False
        policy = Policy(matrix.models, predictor, CostAware(100.0))
        batches = [matrix.queries[i : i + 1] for i in range(REQUESTS)]
        found[f"{kind}, embedding excluded"] = timed(policy.choose, batches if kind != "knn" else batches[:100])
    return found


def with_static_embedder() -> dict[str, Any]:
    """The default policy on prompts of about 40 words, text to choice."""
    rng = np.random.default_rng(1)
    words = np.array([f"word{i}" for i in range(3000)])
    texts = [" ".join(words[rng.integers(0, 3000, 40)]) for _ in range(3000)]
    score, cost = (rng.random((3000, MODELS)) < [0.5, 0.7]).astype(float), np.tile([1.0, 2.0], (3000, 1))
    queries = Queries.of(texts)
    predictor = make_predictor("stack", load_embedder("static")).fit(queries, score, cost, np.full(score.shape, np.nan))
    policy = Policy(("a", "b"), predictor, CostAware(0.1))
    return {"stack, with the static embedder": timed(policy.choose, [queries[i : i + 1] for i in range(REQUESTS)])}


def timed(decide: Callable[[Queries], Any], batches: list[Queries]) -> dict[str, float]:
    """Median and 95th percentile over all requests, and the least median of a round: what an undisturbed machine takes."""
    for batch in batches[:50]:
        decide(batch)
    rounds = np.array([[_one(decide, batch) for batch in batches] for _ in range(ROUNDS)])
    p50, p95 = np.quantile(rounds, [0.5, 0.95])
    return {"p50_us": float(p50), "p95_us": float(p95), "quietest_round_p50_us": float(np.median(rounds, axis=1).min())}


def _one(decide: Callable[[Queries], Any], batch: Queries) -> float:
    start = time.perf_counter()
    decide(batch)
    return 1e6 * (time.perf_counter() - start)


def peers(python: Path | None) -> dict[str, Any]:
    """semantic-router's decision on a given vector; RouteLLM's routers need weights or a key that are not in its package."""
    if python is None:
        return {"semantic-router": None, "because": "no --peers interpreter was given"}
    ran = subprocess.run([str(python), "-c", PEER], capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode != 0:
        return {"semantic-router": None, "because": ran.stderr.strip().splitlines()[-1] if ran.stderr else "it failed"}
    return {"semantic-router": json.loads(ran.stdout.strip().splitlines()[-1])}


if __name__ == "__main__":
    raise SystemExit(main())
