"""A recording killed three times at random points gives the same Outcomes as an undisturbed one, and asks nothing twice."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from workbench.core.journal import read_journal
from workbench.evaluation import Manifest, Outcomes

N_PROMPTS = 60
MODELS = ("small", "large")
TIMING = ("ttft_s", "latency_s", "tpot_s")
COMMAND = "from workbench.cli.main import main; main()"
BATCHED = """
import sys, random
from pathlib import Path
from workbench.evaluation import Suite, record
from workbench.models import ModelCard
from workbench.testing import ScriptedModel

def reply(request):
    return str(random.Random(request.prompt).randint(0, 3))

card = ModelCard(kind="scripted", model="m", batch_size=8)
models = {name: ScriptedModel(name, reply, card=card, latency_s=0.005) for name in ("small", "large")}
record(Suite.load(sys.argv[1]), models, Path(sys.argv[2]))
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.jsonl"
    rows = [
        {"id": f"p{i:02d}", "prompt": f"question {i}", "answer": str(i % 4), "task": "mod"} for i in range(N_PROMPTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Two recorded models that take 2 ms an answer and give the same one every time."""
    ids = [f"p{i:02d}" for i in range(N_PROMPTS)]
    rng = random.Random(1)
    rows = [
        {
            "prompt_id": p,
            "model": m,
            "score": None,
            "answer": str(rng.randint(0, 3)),
            "latency_s": 0.002,
            "cost_usd": rng.random(),
        }
        for m in MODELS
        for p in ids
    ]
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": [f"question {i}" for i in range(N_PROMPTS)]})
    Outcomes.from_frames(pl.DataFrame(rows), prompts, Manifest("test")).write(tmp_path / "source")
    path = tmp_path / "lab.yaml"
    cards = [f"  {m}: {{kind: recorded, model: '{tmp_path}/source#{m}'}}" for m in MODELS]
    path.write_text("models:\n" + "\n".join(cards) + "\n")
    return path


def run(code: str, words: list[str]) -> int:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("load", ["server", "batch"])
def test_three_kills_change_nothing(tmp_path: Path, suite: Path, lab: Path, dies_at, load: str):
    """Each of the three is killed when it has added some lines more; a torn line is written again by the next."""
    record = ["record", "--suite", str(suite), "--lab", str(lab), "--concurrency", "3", "--out"]
    code, words = (COMMAND, record) if load == "server" else (BATCHED, [str(suite)])
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    rng = random.Random()
    points = [(rng.randint(2, 36), how) for how in rng.sample(["before", "within", "after"], 3)]

    endings = [run(dies_at(*point) + code, [*words, str(killed)]) for point in points]
    assert endings == [-signal.SIGKILL] * 3, f"killed at {points}"
    assert not (killed / "outcomes.parquet").exists()
    assert run(code, [*words, str(killed)]) == run(code, [*words, str(whole)]) == 0

    a, b = Outcomes.read(killed), Outcomes.read(whole)
    assert a.frame.drop(TIMING).equals(b.frame.drop(TIMING)), f"killed at {points}"
    assert a.prompts.equals(b.prompts)
    assert len(a.frame) == 2 * N_PROMPTS
    cells = Counter((r["model"], r["prompt_id"]) for r in read_journal(killed / "journal.jsonl") if r["kind"] == "row")
    assert set(cells.values()) == {1}
