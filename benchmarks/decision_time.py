"""Time of one live decision by predictor, without the embedder and with the static one, beside yardsticks timed in the same run.

    python benchmarks/decision_time.py

Writes benchmarks/results/decision_time.json. One request after another in one thread, 5 rounds of 2,000, in microseconds: p50 and p95
over all, and the p50 of the quietest round, which is what an undisturbed machine takes. `choose` finds the model, `decide` makes the
decision a server keeps, `told` reads its line and its alternatives too. Other routers stand in peers_routing.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
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
MODELS = (2, 11)
LOAD = os.getloadavg()[0]
ROUNDS, REQUESTS = 5, 2000
SLOW = {"knn": 200}
"""Requests a round where a decision takes milliseconds."""
BATCH = 100_000
PROMPT_WORDS = {"short": 20, "like MMLU's": 80, "long": 1000}
GOALS_US = {
    **{f"stack, {n} models, {step}": 50.0 for n in (2, 11) for step in ("choose", "decide", "told")},
    **{f"stack with the static embedder, {length}": 300.0 for length in ("short", "like MMLU's", "long")},
}

Row = dict[str, float]


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
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    decisions, batches = {}, {}
    for n_models in MODELS:
        for kind in KINDS:
            policy, queries = fitted(kind, n_models)
            decisions |= by_step(f"{kind}, {n_models} models", policy, queries, SLOW.get(kind, REQUESTS))
            if kind in ("stack", "local", "task-mean"):
                batches[f"{kind}, {n_models} models"] = in_batch(policy, queries)
    decisions |= with_static_embedder()
    beside = yardsticks()
    for name, row in (decisions | beside).items():
        print(f"{name:60} p50 {row['p50_us']:8.1f} µs  p95 {row['p95_us']:8.1f} µs", file=sys.stderr)
    settings = {"rows": ROWS, "dim": DIM, "rounds": ROUNDS, "requests": REQUESTS, "threads": 1, "load_before": LOAD}
    goals = {name: goal_of(decisions[name], limit) for name, limit in GOALS_US.items()}
    document = {**environment(), "settings": settings, "decisions": decisions, "yardsticks": beside}
    write_json(RESULT, {**document, "batches": batches, "goals": goals})
    return 0


def goal_of(row: Row, limit_us: float) -> dict[str, Any]:
    """Whether the p50 is below a limit, over all rounds and in the quietest one."""
    return {
        "p50_us": limit_us,
        "reached": row["p50_us"] < limit_us,
        "reached_in_the_quietest_round": row["quietest_round_p50_us"] < limit_us,
    }


def fitted(kind: str, n_models: int) -> tuple[Policy, Queries]:
    """A policy fitted on rows like RouteLLM's MMLU with vectors like MiniLM's, whose embedder costs nothing any more."""
    world = simulated("mixed", ROWS, n_models, 0)
    rng = np.random.default_rng(0)
    vectors = 0.3 * rng.standard_normal((ROWS, DIM))
    vectors[:, : world.embedder.dim] += world.embedder.vectors
    embedder = OneVector(vectors.astype(np.float32))
    rows = world.matrix if kind != "boosting" else world.matrix.take(slice(0, 4000))
    predictor = make_predictor(kind, embedder).fit(rows.queries, rows.score, rows.cost_usd, rows.latency_s)
    embedder.known = False
    return Policy(rows.models, predictor, CostAware(100.0)), world.matrix.queries


def by_step(name: str, policy: Policy, queries: Queries, requests: int) -> dict[str, Row]:
    """The choice; of the default predictor the decision and its words as well."""
    batches = [queries[i : i + 1] for i in range(requests)]
    found = {f"{name}, choose": timed(policy.choose, batches)}
    if name.startswith("stack"):
        unlabelled = [Queries.of(batch.texts) for batch in batches]
        found[f"{name}, choose without a label"] = timed(policy.choose, unlabelled)
        found[f"{name}, decide"] = timed(policy.decide, batches)
        found[f"{name}, told"] = timed(lambda batch: policy.decide(batch)[0].to_json(), batches)
    return found


def in_batch(policy: Policy, queries: Queries) -> Row:
    """`choose` over 100,000 requests: microseconds a request, and the most memory that it held beside them."""
    many = queries[[i % len(queries) for i in range(BATCH)]]
    embedder = getattr(policy.predictor.estimator, "embedder", None)  # type: ignore[attr-defined]
    if embedder is not None:
        embedder.known = True
    policy.choose(many[:1000])
    start = time.perf_counter()
    policy.choose(many)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    policy.choose(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    vectors_mib = BATCH * DIM * 4 / 2**20 if embedder is not None else 0.0
    return {"us_a_request": 1e6 * seconds / BATCH, "peak_mib": peak / 2**20, "of_it_vectors_mib": vectors_mib}


def with_static_embedder() -> dict[str, Row]:
    """The default policy on texts of several lengths, text to choice, and the embedder alone. Words are drawn by Zipf."""
    rng = np.random.default_rng(1)
    words = np.array([_word(i) for i in range(20_000)])
    share = 1.0 / np.arange(1, len(words) + 1)
    share /= share.sum()

    def texts(n: int, n_words: int) -> list[str]:
        return [" ".join(words[rng.choice(len(words), n_words, p=share)]) + "?" for _ in range(n)]

    embedder, seen = load_embedder("static"), texts(3000, 80)
    score, cost = (rng.random((3000, 2)) < [0.5, 0.7]).astype(float), np.tile([1.0, 2.0], (3000, 1))
    predictor = make_predictor("stack", embedder).fit(Queries.of(seen), score, cost, np.full(score.shape, np.nan))
    policy, found = Policy(("a", "b"), predictor, CostAware(0.1)), {}
    for name, n_words in PROMPT_WORDS.items():
        batches = [Queries.of([text]) for text in texts(300 if n_words == 1000 else REQUESTS, n_words)]
        found[f"stack with the static embedder, {name}"] = timed(policy.choose, batches)
        found[f"static embedder alone, {name}"] = timed(lambda batch: embedder.embed(batch.texts), batches)
    return {name: {**row, "words": PROMPT_WORDS[name.rpartition(", ")[2]]} for name, row in found.items()}


def _word(number: int) -> str:
    """Letters that stand for a number: frequent words are short, as in English."""
    letters = ""
    while number or not letters:
        number, letter = divmod(number, 5)
        letters += "aeionrstl"[letter + len(letters) % 5]
    return letters


def yardsticks() -> dict[str, Row]:
    """What cannot be undercut: a call of nothing with the same argument, and the product of one vector with one column a model."""
    rng, queries = np.random.default_rng(0), Queries.of(["a"])
    vector, found = (
        rng.standard_normal((1, DIM)),
        {"an empty function": timed(lambda batch: None, [queries] * REQUESTS)},
    )
    for n_models in MODELS:
        weights = rng.standard_normal((DIM, n_models))
        name = f"one numpy product of {DIM} with {DIM} × {n_models}"
        found[name] = timed(lambda batch, weights=weights: vector @ weights, [queries] * REQUESTS)
    centres = rng.standard_normal((432, DIM)).astype(np.float32)
    small = vector.astype(np.float32)
    found["one numpy product with 432 centres, float32"] = timed(lambda batch: small @ centres.T, [queries] * REQUESTS)
    rows = rng.standard_normal((ROWS, DIM)).astype(np.float32)
    found[f"one numpy product with {ROWS} rows, float32"] = timed(lambda batch: small @ rows.T, [queries] * 200)
    return found


def timed(decide: Callable[[Queries], Any], batches: list[Queries]) -> Row:
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


if __name__ == "__main__":
    raise SystemExit(main())
