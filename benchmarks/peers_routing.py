"""Beside semantic-router and RouteLLM: time of one decision, and RouteLLM's own evaluation of our scores and of its random router.

    python benchmarks/peers_routing.py --peers DIR [--data PATH] [--embedder minilm|static] [--parts timing,evaluation]

DIR holds an environment for each peer, made once and outside this repository by

    for peer in semantic-router routellm; do
      python -m venv DIR/$peer && DIR/$peer/bin/pip install torch==2.13.0
      DIR/$peer/bin/pip install -r benchmarks/peers/$peer.txt
    done

A peer that is not there is "not measured", with the reason. Writes benchmarks/results/peers_routing.json and docs/results/peers_routing.md;
a part that is not run stays as it was. PATH is a checkout of RouteLLM's repository, for its rows (default as benchmarks/routellm.py).
No key and no network are needed: what a peer would fetch is reported as its own error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from decision_time import DIM, OneVector, timed
from simulated_matrices import simulated

from workbench.core import WorkbenchError
from workbench.core.environment import environment
from workbench.core.files import read_json, write_json, write_text
from workbench.embedding import CachedEmbedder, Embedder, load_embedder
from workbench.evaluation import Outcomes
from workbench.routing import CostAware, Policy, Queries, make_predictor
from workbench.tuning import OutcomeMatrix, apgr, call_curve
from workbench.tuning.recovery import NO_LABEL, out_of_fold_uplift, recovery
from workbench.tuning.routellm import (
    DEFAULT,
    PUBLISHED_NOTE,
    find_rows,
    published_rows,
    routellm_outcomes,
    ten_bin_apgr,
    weak_and_strong,
)
from workbench.tuning.sweeps import EmbeddedTexts

HERE = Path(__file__).parent
RESULT = HERE / "results" / "peers_routing.json"
PAGE = HERE.parent / "docs" / "results" / "peers_routing.md"
PEERS = ("semantic-router", "routellm")
SIZES = (1000, 11_000)
REQUESTS, TEXT_REQUESTS, ROUNDS = 500, 100, 5
SETS = ("mmlu", "mmlu_broken", "gsm8k", "mt_bench")
TITLES = {
    "mmlu": "MMLU, damaged subject dropped",
    "mmlu_broken": "MMLU, all rows",
    "gsm8k": "GSM8K",
    "mt_bench": "MT-Bench",
}
TIME_LIMIT_S = 580


def main() -> int:
    options = _options()
    if options.peers is None:
        print(
            "skipped: no peers to compare with; make their environments (see --help) and name the folder with --peers",
            file=sys.stderr,
        )
        return 0
    old = read_json(RESULT, "results") if RESULT.exists() else {}
    document = {**environment(), "timing": old.get("timing"), "evaluation": old.get("evaluation")}
    try:
        if "timing" in options.parts:
            document["timing"] = timing(options.peers)
        if "evaluation" in options.parts:
            document["evaluation"] = evaluation(options.peers, options.data, options.embedder)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 2
    write_json(RESULT, document)
    write_text(PAGE, as_markdown(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--embedder", default="minilm", choices=["minilm", "static"])
    parser.add_argument("--parts", default="timing,evaluation", type=lambda text: text.split(","))
    options = parser.parse_args()
    unknown = set(options.parts) - {"timing", "evaluation"}
    if unknown:
        parser.error(f"unknown parts {', '.join(sorted(unknown))}: timing and evaluation are known")
    return options


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def asked(peers: Path, name: str, job: dict[str, Any]) -> dict[str, Any]:
    """What a peer's driver found, or {"measured": None, "because": why not}."""
    python = peers.resolve() / name / "bin" / "python"
    if not python.exists():
        return {
            "measured": None,
            "because": f"no environment {name}/bin/python in the folder of peers: see the recipe in {Path(__file__).name}",
        }
    driver = HERE / "peers" / f"{name.replace('-', '_')}_driver.py"
    environ = {**os.environ, "PYTHONPATH": str(driver.parent), "OMP_NUM_THREADS": "1"}
    say(f"asking {name}")
    try:
        ran = subprocess.run(
            [str(python), str(driver)],
            input=json.dumps(job),
            env=environ,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"measured": None, "because": f"it did not end within {TIME_LIMIT_S} s"}
    if ran.returncode != 0:
        return {
            "measured": None,
            "because": (ran.stderr.strip().splitlines() or ["it failed without a word"])[-1][:300],
        }
    return dict(json.loads(ran.stdout.strip().splitlines()[-1]))


def timing(peers: Path) -> dict[str, Any]:
    """One decision, the vector at hand, by number of recorded rows (ours) or utterances (semantic-router's); then from text with MiniLM."""
    rng = np.random.default_rng(0)
    texts = _texts(rng, SIZES[0])
    found: dict[str, Any] = {
        **environment(),
        "settings": {
            "sizes": SIZES,
            "dim": DIM,
            "requests": REQUESTS,
            "text_requests": TEXT_REQUESTS,
            "rounds": ROUNDS,
        },
        "ours": {f"{kind}, {rows} rows": ours(kind, rows) for rows in SIZES for kind in (DEFAULT, "knn")},
        "ours_with_minilm": ours_with_minilm(texts),
    }
    with tempfile.TemporaryDirectory() as folder:
        vectors = rng.standard_normal((SIZES[-1], DIM)).astype(np.float32)
        np.save(Path(folder) / "vectors.npy", vectors)
        job = {"vectors": f"{folder}/vectors.npy", "sizes": SIZES, "requests": REQUESTS, "rounds": ROUNDS}
        found["semantic-router"] = asked(
            peers, "semantic-router", {**job, "texts": texts, "text_requests": TEXT_REQUESTS}
        )
    found["routellm"] = asked(peers, "routellm", {"part": "timing", "prompts": texts[:REQUESTS], "rounds": ROUNDS})
    return found


def _texts(rng: np.random.Generator, n: int) -> list[str]:
    words = np.array([f"word{i}" for i in range(3000)])
    return [" ".join(words[rng.integers(0, 3000, 40)]) for _ in range(n)]


def ours(kind: str, rows: int) -> dict[str, float]:
    """`Policy.choose` of a predictor fitted on that many rows, embedding excluded."""
    world = simulated("mixed", rows, 2, 0)
    vectors = 0.3 * np.random.default_rng(0).standard_normal((rows, DIM))
    vectors[:, : world.embedder.dim] += world.embedder.vectors
    matrix, embedder = world.matrix, OneVector(vectors.astype(np.float32))
    predictor = make_predictor(kind, embedder).fit(matrix.queries, matrix.score, matrix.cost_usd, matrix.latency_s)
    embedder.known = False
    policy = Policy(matrix.models, predictor, CostAware(100.0))
    n = REQUESTS if kind != "knn" else REQUESTS // 5
    return timed(policy.choose, [matrix.queries[i : i + 1] for i in range(min(n, rows))])


def ours_with_minilm(texts: list[str]) -> dict[str, float]:
    """The default policy from text to choice, MiniLM included."""
    rng = np.random.default_rng(1)
    score, cost = (rng.random((len(texts), 2)) < [0.5, 0.7]).astype(float), np.tile([1.0, 2.0], (len(texts), 1))
    queries, embedder = Queries.of(texts), load_embedder("minilm")
    known = EmbeddedOnce(embedder, texts)
    predictor = make_predictor(DEFAULT, known).fit(queries, score, cost, np.full(score.shape, np.nan))
    known.is_fitting = False
    policy = Policy(("a", "b"), predictor, CostAware(0.1))
    return timed(policy.choose, [queries[i : i + 1] for i in range(TEXT_REQUESTS)])


class EmbeddedOnce:
    """Vectors from a table while fitting, from the model for each live request."""

    def __init__(self, embedder: Embedder, texts: list[str]) -> None:
        self.embedder, self.fingerprint, self.dim = embedder, embedder.fingerprint, embedder.dim
        self.table, self.is_fitting = EmbeddedTexts(embedder, texts), True

    def embed(self, texts: list[str]) -> np.ndarray:
        return (self.table if self.is_fitting else self.embedder).embed(texts)


def evaluation(peers: Path, data: Path | None, embedder_name: str) -> dict[str, Any]:
    """Our out-of-fold scores through RouteLLM's evaluation and through ours, on the same rows."""
    rows = find_rows(data or "")
    if rows is None:
        return {"measured": None, "because": "no RouteLLM rows: name a checkout with --data or WORKBENCH_DATA"}
    embedder = load_embedder(embedder_name)
    embedder = CachedEmbedder(embedder) if embedder_name == "minilm" else embedder
    found: dict[str, Any] = {}
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for name in SETS:
        found[name], scores[name] = our_side(rows, name, embedder)
    evals = next(path for path in (rows, rows / "evals", rows / "routellm/evals") if (path / "mmlu").is_dir())
    theirs = asked(peers, "routellm", {"part": "evaluation", "rows": str(evals.resolve()), "scores": scores})
    return {**environment(), "embedder": embedder.fingerprint, "ours": found, "routellm": theirs}


def our_side(rows: Path, name: str, embedder: Embedder) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Areas of our routers on the rows of a set, and the score of each prompt."""
    subset = name.removesuffix("_broken")
    outcomes = routellm_outcomes(rows, subset, keep_broken=name.endswith("_broken"))
    matrix = OutcomeMatrix.from_outcomes(outcomes)
    known = EmbeddedTexts(embedder, matrix.queries.texts)
    weak, strong = weak_and_strong(matrix)
    prompts, pair = as_rows(outcomes, matrix.models[weak], matrix.models[strong])
    kinds = ["prompt-length", DEFAULT + NO_LABEL, *([] if subset == "gsm8k" else [DEFAULT])]
    found: dict[str, Any] = {
        "n": len(prompts),
        "weak": float(pair[:, 0].mean()),
        "strong": float(pair[:, 1].mean()),
        "routers": {},
    }
    scores = {}
    for kind in kinds:
        say(f"{name}: {kind}")
        signal = out_of_fold_uplift(kind, matrix, known)
        scores[kind] = by_prompt(matrix.queries.texts, signal)
        of_row = np.array([scores[kind][prompt] for prompt in prompts])
        interval = recovery(np.array([scores[kind][text] for text in matrix.queries.texts]), matrix).apgr_ci
        found["routers"][kind] = {
            "apgr": apgr(call_curve(of_row, pair[:, 0], pair[:, 1])),
            "apgr_ci": None if interval is None else list(interval),
            "apgr_ten_bins": ten_bin_apgr(of_row, pair[:, 0], pair[:, 1]),
        }
    return found, scores


def as_rows(outcomes: Outcomes, weak: str, strong: str) -> tuple[list[str], np.ndarray]:
    """Prompt and both scores of each published row; an identical question twice is two rows, as in RouteLLM's files."""
    wide = outcomes.frame.pivot("model", index=("prompt_id", "sample"), values="score")
    wide = wide.join(outcomes.prompts.select("prompt_id", "prompt"), on="prompt_id").filter(
        pl.col(weak).is_not_null() & pl.col(strong).is_not_null()
    )
    return wide["prompt"].to_list(), wide.select(weak, strong).to_numpy()


def by_prompt(texts: tuple[str, ...], signal: np.ndarray) -> dict[str, float]:
    """One score a text: RouteLLM's routers see nothing else; a question under two subjects gets the mean."""
    frame = pl.DataFrame({"text": list(texts), "score": signal}).group_by("text").agg(pl.col("score").mean())
    return dict(frame.rows())


def as_markdown(document: dict[str, Any]) -> str:
    hardware = document["hardware"]
    lines = [
        "# Beside other routers",
        "",
        "Written by `python benchmarks/peers_routing.py --peers DIR`; do not edit. Peers are installed from the package registry into",
        "environments of their own (`benchmarks/peers/*.txt`), and run on the same machine, one after another.",
        "",
        *(_timing_lines(document["timing"]) if document["timing"] else ["Decision times: not measured.", ""]),
        *_evaluation_lines(document["evaluation"]),
        f"{document['date']}, {hardware['cpu']}, {hardware['cores']} cores. Timing: commit {_commit(document['timing'])}; evaluation: "
        f"commit {_commit(document['evaluation'])}.",
        "",
    ]
    return "\n".join(lines)


def _commit(part: dict[str, Any] | None) -> str:
    return "not run" if not part or "git_commit" not in part else str(part["git_commit"])


def _timing_lines(found: dict[str, Any]) -> list[str]:
    settings, peer = found["settings"], found["semantic-router"]
    lines = [
        "## Time of one decision",
        "",
        f"Microseconds, one request after another in one thread, {settings['rounds']} rounds of {settings['requests']}; {settings['dim']} "
        "dimensions, two models or routes. In the first table the vector is at hand. semantic-router keeps every utterance and looks at",
        "all of them, so its size is the number of utterances; our rows are recorded prompts.",
        "",
        "| router | size | p50 | p95 | quietest round |",
        "|---|---|---|---|---|",
    ]
    lines += [_time_row(*name.split(", "), row) for name, row in found["ours"].items()]
    if "embedding_excluded" in peer:
        version = peer["package"]["version"]
        for size, ways in peer["embedding_excluded"].items():
            lines += [
                _time_row(f"semantic-router {version}, router(text)", f"{size} utterances", ways["called"]),
                _time_row(
                    f"semantic-router {version}, await router.acall(text)", f"{size} utterances", ways["awaited"]
                ),
            ]
    else:
        lines.append(f"| semantic-router | | not measured: {peer['because']} | | |")
    theirs = found["routellm"]
    if "decisions" in theirs:
        version = theirs["package"]["version"]
        lines += [_time_row(f"RouteLLM {version}, {name}", "–", row) for name, row in theirs["decisions"].items()]
    else:
        lines.append(f"| RouteLLM | | not measured: {theirs['because']} | | |")
    lines += [
        "",
        f"From text, with the same MiniLM weights on one thread, prompts of 40 words ({settings['text_requests']} of them):",
        "",
    ]
    lines += ["| router | size | p50 | p95 | quietest round |", "|---|---|---|---|---|"]
    lines.append(_time_row(DEFAULT, f"{settings['sizes'][0]} rows", found["ours_with_minilm"]))
    minilm = peer.get("with_minilm", peer)
    if minilm.get("p50_us"):
        lines.append(_time_row("semantic-router, router(text)", f"{minilm['utterances']} utterances", minilm))
    else:
        lines.append(f"| semantic-router | | not measured: {minilm['because']} | | |")
    lines += [
        "",
        "What the two do is not the same: semantic-router names the route of the most similar utterances and knows no quality or cost; our",
        "policy predicts quality and cost of each model. Of RouteLLM only routing by lot, and scores handed in by a look-up, run without",
        "weights or a key: what is timed there is its `Controller.route` and no prediction.",
        "",
    ]
    return lines


def _time_row(name: str, size: str, row: dict[str, float]) -> str:
    return f"| {name} | {size} | {row['p50_us']:.1f} | {row['p95_us']:.1f} | {row['quietest_round_p50_us']:.1f} |"


def _evaluation_lines(found: dict[str, Any] | None) -> list[str]:
    if not found or "ours" not in found:
        return [f"Frontier quality: not measured: {found['because'] if found else 'not run'}.", ""]
    theirs = found["routellm"]
    lines = [
        "## Frontier quality: one set of scores through RouteLLM's evaluation and through ours",
        "",
        f"Our scores are out-of-fold (five folds by prompt), embedder `{found['embedder']}`, one score a text. APGR in RouteLLM's",
        "code is the area over eleven thresholds (ten equal bins); ours is the area over every threshold. The column in the",
        "middle is its formula written again here: where it equals RouteLLM's own number, both codes see the same rows. 95 % by resampling",
        "groups of equal questions.",
        f"Published: {PUBLISHED_NOTE}.",
        "",
    ]
    if "evaluation" not in theirs:
        lines += [f"RouteLLM's own evaluation: not measured: {theirs['because']}.", ""]
    for name, ours_ in found["ours"].items():
        lines += _set_lines(name, ours_, theirs.get("evaluation", {}).get(name, {}))
    if "evaluation" in theirs:
        lines += ["### What of RouteLLM runs without a key or a network", "", "| router | |", "|---|---|"]
        lines += [
            f"| {router} | {'runs' if error is None else f'does not: `{error}`'} |"
            for router, error in theirs["routers"].items()
        ]
        lines += [
            "",
            f"Its `evaluate.py` as shipped ends in `{theirs['evaluate_as_shipped']}`. Changed to run it: {'; '.join(theirs['changed'])}.",
            "",
        ]
    return lines


def _set_lines(name: str, ours_: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    lines = [f"### {TITLES[name]}", "", f"{ours_['n']} rows; Mixtral {ours_['weak']:.4f}, GPT-4 {ours_['strong']:.4f}."]
    if "random" in theirs:
        counted = theirs["random"]
        lines[-1] += (
            f" RouteLLM's code: {counted['n']} rows, {counted['weak']:.4f}, {counted['strong']:.4f} (in its unit)."
        )
    lines += [
        "",
        "| router | APGR, RouteLLM's code | its formula here | APGR, every threshold | 95 % | CPT50, CPT80, RouteLLM's code |",
        "|---|---|---|---|---|---|",
    ]
    if "random" in theirs:
        lines.append(
            f"| random (RouteLLM's) | {theirs['random']['apgr']:.4f} | | .5 expected | | {_cpts(theirs['random'])} |"
        )
    for router, row in ours_["routers"].items():
        other = theirs.get(router)
        area = "not measured" if other is None else f"{other['apgr']:.4f}"
        interval = "not known" if row["apgr_ci"] is None else f"{row['apgr_ci'][0]:.3f} to {row['apgr_ci'][1]:.3f}"
        cpts = "" if other is None else _cpts(other)
        lines.append(
            f"| {router}, five-fold | {area} | {row['apgr_ten_bins']:.4f} | {row['apgr']:.4f} | {interval} | {cpts} |"
        )
    for router, row in published_rows(name.removesuffix("_broken")).items():
        lines.append(f"| *published:* {router} | {row['apgr']:.3f} | | | | {_cpts(row)} |")
    return [*lines, ""]


def _cpts(row: dict[str, float]) -> str:
    return f"{row['cpt50']:.3f}, {row['cpt80']:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
