"""Recording on a Ray cluster of two nodes, with a worker, a node or the driver killed: every row once, as recorded locally."""

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from workbench.core.journal import read_journal
from workbench.evaluation import Manifest, Outcomes

pytestmark = pytest.mark.slow
N_PROMPTS = 36
TIMING = ("ttft_s", "latency_s", "tpot_s")
WORKER = "ray::workbench_task"
STARTED: list[subprocess.Popen[str]] = []
WITH_TOKEN = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@dataclass(frozen=True)
class RunningCluster:
    process: subprocess.Popen[str]
    address: str
    client: str

    def lose_node(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("lose-node\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["nodes"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ray_cluster.py"))],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=WITH_TOKEN,
            text=True,
        )
        assert process.stdout
        first = process.stdout.readline()
        assert first, (folder / "log").read_text()
        yield RunningCluster(process, **json.loads(first))
        process.communicate()
        assert process.returncode == 0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite, and two recorded models that take 0.2 s an answer and give the same one every time."""
    folder = tmp_path_factory.mktemp("lab")
    ids = [f"p{i:02d}" for i in range(N_PROMPTS)]
    rng = random.Random(1)
    rows = [
        {
            "prompt_id": p,
            "model": m,
            "score": None,
            "answer": str(rng.randint(0, 3)),
            "latency_s": 0.2,
            "cost_usd": rng.random(),
        }
        for m in ("small", "large")
        for p in ids
    ]
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": [f"question {i}" for i in range(N_PROMPTS)]})
    Outcomes.from_frames(pl.DataFrame(rows), prompts, Manifest("test")).write(folder / "source")
    cards = [f"  {m}: {{kind: recorded, model: 'source#{m}'}}" for m in ("small", "large")]
    (folder / "lab.yaml").write_text("models:\n" + "\n".join(cards) + "\n")
    suite = [{"id": p, "prompt": f"question {i}", "answer": str(i % 4)} for i, p in enumerate(ids)]
    (folder / "suite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in suite))
    return folder


def start(lab: Path, out: Path, *options: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    words = ["record", "--suite", "suite.jsonl", "--out", str(out), "--concurrency", "2", "--json", *options]
    command = [sys.executable, "-m", "workbench.cli.main", *words]
    process = subprocess.Popen(
        command, cwd=lab, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ or WITH_TOKEN, text=True
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    """What a failed test started ends with it."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
        if process.stdout and not process.stdout.closed:
            process.communicate()


def on_ray(cluster: RunningCluster, address: str | None = None) -> tuple[str, ...]:
    return ("--engine", "ray", "--address", address or cluster.address, "--shard", "6")


def once_rows(out: Path, n: int, process: subprocess.Popen[str], act: Callable[[], None]) -> None:
    """Act once so many rows are in the journal."""
    journal = out / "journal.jsonl"
    while not (journal.exists() and journal.read_bytes().count(b'"kind": "row"') >= n):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    act()


def finished(process: subprocess.Popen[str]) -> dict:
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return json.loads(stdout)


def n_rows(out: Path) -> Counter:
    return Counter((r["model"], r["prompt_id"]) for r in read_journal(out / "journal.jsonl") if r["kind"] == "row")


def workers() -> list[int]:
    """Ids of the processes that hold a shard now."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title = (folder / "cmdline").read_text()
            except OSError:
                continue
            if title.startswith(WORKER):
                found.append(int(folder.name))
    return found


def kill_a_worker(process: subprocess.Popen[str]) -> None:
    """Kill one at work; between two shards there may be none for a moment."""
    while True:
        assert process.poll() is None, "the recording was over before a worker could be killed"
        for pid in workers()[:1]:
            with contextlib.suppress(ProcessLookupError):
                return os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def local(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    out = tmp_path_factory.mktemp("local")
    finished(start(lab, out))
    return Outcomes.read(out)


def assert_whole(out: Path, local: Outcomes) -> Outcomes:
    found = Outcomes.read(out)
    assert found.frame.drop(TIMING).equals(local.frame.drop(TIMING))
    assert found.prompts.equals(local.prompts)
    assert len(found.frame) == 2 * N_PROMPTS
    assert set(n_rows(out).values()) == {1}
    return found


def test_a_worker_killed_mid_run_costs_no_row(cluster: RunningCluster, lab: Path, local: Outcomes, tmp_path: Path):
    process = start(lab, tmp_path, *on_ray(cluster))
    once_rows(tmp_path, 12, process, lambda: kill_a_worker(process))
    assert finished(process)["n_prompts"] == N_PROMPTS
    engine = assert_whole(tmp_path, local).manifest.load["engine"]
    assert (engine["name"], engine["n_nodes"], engine["n_answers_here"]) == ("ray", 2, 0)
    assert sum(node["n_answers"] for node in engine["nodes"].values()) == 2 * N_PROMPTS
    assert all(node["hardware"]["cpu"] for node in engine["nodes"].values())


def test_ray_client_records_the_same(cluster: RunningCluster, lab: Path, local: Outcomes, tmp_path: Path):
    finished(start(lab, tmp_path, *on_ray(cluster, cluster.client)))
    engine = assert_whole(tmp_path, local).manifest.load["engine"]
    assert (engine["n_nodes"], engine["n_answers_here"]) == (2, 0)


def test_a_cluster_that_asks_for_a_token_says_what_to_set(cluster: RunningCluster, lab: Path, tmp_path: Path):
    without = {name: value for name, value in WITH_TOKEN.items() if not name.startswith("RAY_AUTH")}
    process = start(lab, tmp_path, *on_ray(cluster), environ=without)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 1, stderr
    assert stdout == ""
    assert "set RAY_AUTH_MODE=token here" in stderr
    assert not (tmp_path / "outcomes.parquet").exists()


def test_a_driver_killed_mid_run_goes_on_where_it_stopped(
    cluster: RunningCluster, lab: Path, local: Outcomes, tmp_path: Path
):
    process = start(lab, tmp_path, *on_ray(cluster))
    once_rows(tmp_path, 30, process, process.kill)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "outcomes.parquet").exists()
    kept = sum(n_rows(tmp_path).values())
    assert 30 <= kept < 2 * N_PROMPTS
    finished(start(lab, tmp_path, *on_ray(cluster)))
    assert_whole(tmp_path, local)


def test_ctrl_c_keeps_what_was_journalled(cluster: RunningCluster, lab: Path, local: Outcomes, tmp_path: Path):
    process = start(lab, tmp_path, *on_ray(cluster))
    once_rows(tmp_path, 12, process, lambda: process.send_signal(signal.SIGINT))
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert sum(n_rows(tmp_path).values()) >= 12
    finished(start(lab, tmp_path))  # the rest, without the cluster
    engine = assert_whole(tmp_path, local).manifest.load["engine"]
    assert engine["n_answers_here"] > 0
    assert engine["n_answers_here"] + sum(node["n_answers"] for node in engine["nodes"].values()) == 2 * N_PROMPTS


def test_a_space_is_swept_on_the_cluster_with_the_same_result(cluster: RunningCluster, local: Outcomes, tmp_path: Path):
    local.write(tmp_path / "outcomes")
    space = "schema_version: 1\nname: small\npredictor: [task-mean, constant]\nobjective: hybrid\n"
    space += "exchange: {low: 1.0e-3, high: 1.0e+1, log: true}\nper_second: {low: 0.0, high: 1.0}\n"
    (tmp_path / "space.yaml").write_text(space)
    words = ["sweep", "outcomes", "--space", "space.yaml", "--trials", "20", "--no-track", "--json"]
    found = []
    for engine in (["local"], ["ray", "--address", cluster.address]):
        command = [sys.executable, "-m", "workbench.cli.main", *words, "--engine", *engine]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=WITH_TOKEN, text=True, timeout=300)
        assert done.returncode in (0, 3), done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]


def test_a_node_lost_mid_run_costs_no_row(cluster: RunningCluster, lab: Path, local: Outcomes, tmp_path: Path):
    process = start(lab, tmp_path, *on_ray(cluster))
    once_rows(tmp_path, 12, process, lambda: None)
    assert cluster.lose_node() == 1
    finished(process)
    assert_whole(tmp_path, local)
