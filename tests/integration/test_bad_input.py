"""What a user gets wrong: one clear sentence on standard error, the right exit code, no traceback, nothing half written."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from workbench.evaluation import Manifest, Outcomes
from workbench.testing import save_tiny_checkpoint

WORKBENCH = [sys.executable, "-m", "workbench.cli.main"]
GOOD = [{"id": f"p{i}", "prompt": f"Say {i}", "answer": str(i), "task": "say"} for i in range(4)]


def run(*words, cwd):
    return subprocess.run(
        [*WORKBENCH, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


def write_suite(folder: Path, rows, name="suite.jsonl"):
    path = folder / name
    path.write_bytes(
        b"".join(json.dumps(row).encode() + end for row, end in zip(rows, [b"\r\n", b"\n"] * len(rows), strict=False))
    )
    return path


def save_recorded(folder: Path) -> None:
    """Outcomes to answer from: a model without torch, so that each command starts quickly."""
    prompts = [
        {"prompt_id": row["id"], "prompt": row["prompt"], "task": row["task"], "answer": row["answer"]} for row in GOOD
    ]
    known = {
        "model": "mine",
        "cost_usd": 1e-6,
        "latency_s": 0.01,
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "finish_reason": "stop",
    }
    rows = [{**known, "prompt_id": row["id"], "score": 1.0, "answer": row["answer"]} for row in GOOD]
    Outcomes.from_frames(pl.DataFrame(rows), pl.DataFrame(prompts), Manifest("made up")).write(folder)


@pytest.fixture
def place(tmp_path):
    """A folder with a lab of one recorded model and a good suite with mixed line ends."""
    save_recorded(tmp_path / "source")
    card = "{kind: recorded, model: './source#mine', price: {input_usd_per_1m: 1, output_usd_per_1m: 1}, options: {latency_scale: 0}}"
    (tmp_path / "lab.yaml").write_text(f"models:\n  mine: {card}\n")
    write_suite(tmp_path, GOOD)
    return tmp_path


def refused(done, code, *says):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("workbench: ")
    assert not [part for part in says if part not in message], message
    assert done.stdout == ""


def test_mixed_line_ends_are_no_error(place):
    done = run("record", "--suite", "suite.jsonl", "--out", "out", "--max-tokens", "2", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_prompts"] == 4


def test_an_unknown_model_names_the_nearest(place):
    refused(
        run("record", "--suite", "suite.jsonl", "--models", "mime", "--out", "out", cwd=place), 2, "'mime'", "'mine'"
    )
    assert not (place / "out").exists()


def test_an_unknown_key_names_the_nearest(place):
    (place / "lab.yaml").write_text("models:\n  mine: {kind: transformers, modle: ./checkpoint}\n")
    refused(run("models", "list", cwd=place), 2, "lab.yaml", "modle", "'model'")


def test_an_unknown_task_names_the_known_ones(place):
    refused(run("record", "--suite", "suite.jsonl", "--task", "sing", "--out", "out", cwd=place), 2, "'sing'", "say")


def test_a_suite_that_is_not_there(place):
    refused(run("record", "--suite", "gone.jsonl", "--out", "out", cwd=place), 2, "gone.jsonl")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "empty"),
        ([{"prompt": "a"}, {"prompt": "b"}], "answer"),
        ([*GOOD, GOOD[1]], "p1"),
        ([{"prompt": "x" * 3_000_000, "answer": "y"}], "3000000"),
    ],
    ids=["empty", "without answers", "id twice", "prompt too long"],
)
def test_a_bad_suite_is_refused(place, rows, says):
    write_suite(place, rows, "bad.jsonl")
    done = run("record", "--suite", "bad.jsonl", "--out", "out", cwd=place)
    assert says in done.stderr.replace(",", "").replace("_", "")
    refused(done, 2, "bad.jsonl")


def test_half_a_checkpoint_is_refused(place):
    save_tiny_checkpoint(place / "checkpoint")
    (place / "lab.yaml").write_text("models:\n  mine: {kind: transformers, model: ./checkpoint}\n")
    weights = place / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    refused(run("record", "--suite", "suite.jsonl", "--out", "out", cwd=place), 2, "model.safetensors")


def test_outcomes_of_a_newer_version_are_refused(place):
    assert run("record", "--suite", "suite.jsonl", "--out", "out", "--max-tokens", "2", cwd=place).returncode == 0
    manifest = place / "out" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 99}))
    refused(run("sweep", "out", "--no-track", cwd=place), 1, "newer version", "99")


def test_outcomes_cut_in_half_are_refused(place):
    assert run("record", "--suite", "suite.jsonl", "--out", "out", "--max-tokens", "2", cwd=place).returncode == 0
    table = place / "out" / "outcomes.parquet"
    table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
    refused(run("sweep", "out", "--no-track", cwd=place), 1, "outcomes.parquet")


def test_a_sweep_of_one_model_is_refused(place):
    assert run("record", "--suite", "suite.jsonl", "--out", "out", "--max-tokens", "2", cwd=place).returncode == 0
    refused(run("sweep", "out", "--no-track", cwd=place), 2, "at least two")


def test_a_port_in_use_is_one_sentence(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "nowhere", "--port", port, cwd=place)
    assert done.returncode in (1, 2)
    refused(done, done.returncode, str(port))


def test_a_full_disk_stops_without_a_traceback_and_the_run_goes_on_later(place):
    """The largest file a process may write stands for a full disk: writing past it fails in the same way."""
    small = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700)); import sys; sys.argv[0] = 'workbench'"
    )
    words = ["record", "--suite", "suite.jsonl", "--out", "out", "--max-tokens", "2"]
    code = f"{small}; from workbench.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=place, capture_output=True, text=True, timeout=300, check=False
    )
    refused(done, 1, "cannot", "large")
    assert not (place / "out" / "outcomes.parquet").exists()
    again = run(*words, "--json", cwd=place)
    assert (again.returncode, json.loads(again.stdout)["n_prompts"]) == (0, 4)


def test_no_release_there(place):
    refused(run("verify", "nowhere", cwd=place), 2, "nowhere")


def test_a_missing_key_is_named_and_not_shown(place):
    card = "{kind: openai-compatible, model: m, base_url: 'http://127.0.0.1:9/v1', api_key: 'env:NO_SUCH_KEY_HERE'}"
    (place / "lab.yaml").write_text(f"models:\n  mine: {card}\n")
    refused(run("models", "check", "mine", cwd=place), 2, "NO_SUCH_KEY_HERE")


def test_bad_usage_exits_with_two(place):
    assert run("record", cwd=place).returncode == 2
    assert run("recrod", cwd=place).returncode == 2


def test_two_folders_do_not_disturb_each_other(place):
    """A refused run leaves an earlier good recording as it was."""
    assert run("record", "--suite", "suite.jsonl", "--out", "out", "--max-tokens", "2", cwd=place).returncode == 0
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    shutil.copy(place / "suite.jsonl", place / "other.jsonl")
    write_suite(place, GOOD[:2], "other.jsonl")
    refused(run("record", "--suite", "other.jsonl", "--out", "out", "--max-tokens", "2", cwd=place), 2, "another")
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before
