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


def write_table(place, n=60, models=("small", "large"), edit=lambda row: row, name="table.csv"):
    """A long table in which `edit` may change, repeat (a list) or drop (None) a row."""
    rows = []
    for i in range(n):
        for j, model in enumerate(models):
            row = {"prompt_id": f"p{i}", "prompt": f"Ask {i}", "task": "ab"[i % 2], "model": model}
            found = edit({**row, "score": (i + j) % 2, "cost_usd": 0.001 * (j + 1), "i": i, "j": j})
            rows += found if isinstance(found, list) else [] if found is None else [found]
    pl.DataFrame(rows, infer_schema_length=None, strict=False).drop("i", "j").write_csv(place / name)


def changed(i, **values):
    return lambda row: {**row, **values} if row["i"] == i else row


REFUSED_TABLES = {
    "one cell twice": (
        lambda row: [row, {**row, "score": 0.5}] if row["i"] == 2 else row,
        ["two rows", "p2 small", "differ"],
    ),
    "one id, two prompts": (lambda row: {**row, "prompt": f"{row['model']} {row['i']}"}, ["'prompt'", "'p0'"]),
    "NaN cost": (changed(3, cost_usd=float("nan")), ["cost_usd must be finite", "row 7"]),
    "infinite cost": (changed(3, cost_usd=float("inf")), ["cost_usd must be finite", "row 7"]),
    "negative cost": (changed(3, cost_usd=-1.0), ["cost_usd", "not negative", "p3"]),
    "percent": (lambda row: {**row, "score": 100 * row["score"]}, ["between 0 and 1", "percent"]),
    "text in a number": (changed(3, cost_usd="free"), ["'cost_usd' must be a number", "'free'"]),
    "no prompt": (changed(3, prompt=None), ["no 'prompt'", "'p3'"]),
}


@pytest.mark.parametrize("name", REFUSED_TABLES)
def test_a_bad_table_is_refused_and_an_earlier_import_stays_whole(place, name):
    edit, says = REFUSED_TABLES[name]
    write_table(place)
    assert run("outcomes", "import", "long", "table.csv", "--out", "mine", cwd=place).returncode == 0
    before = {path.name: path.read_bytes() for path in (place / "mine").iterdir()}
    write_table(place, edit=edit, name="bad.csv")
    refused(run("outcomes", "import", "long", "bad.csv", "--out", "mine", cwd=place), 2, *says)
    assert {path.name: path.read_bytes() for path in (place / "mine").iterdir()} == before


def test_an_import_never_replaces_a_recording(place):
    write_table(place)
    before = {path.name: path.read_bytes() for path in (place / "source").iterdir()}
    refused(run("outcomes", "import", "long", "table.csv", "--out", "source", cwd=place), 2, "holds a recording")
    assert {path.name: path.read_bytes() for path in (place / "source").iterdir()} == before


REFUSED_SWEEPS = {
    "one model": ({"models": ("small",)}, ["only small", "at least two"]),
    "five prompts": ({"n": 5}, ["5 independent prompts", "at least 30"]),
    "mostly missing": (
        {"edit": lambda row: None if row["j"] and row["i"] % 3 else row},
        ["'large' has scores on 20 of 60"],
    ),
}


@pytest.mark.parametrize("name", REFUSED_SWEEPS)
def test_a_table_that_says_too_little_is_refused_by_the_sweep_and_a_saved_policy_stays(place, name):
    table, says = REFUSED_SWEEPS[name]
    write_table(place, **table)
    assert run("outcomes", "import", "long", "table.csv", "--out", "mine", cwd=place).returncode == 0
    (place / "policy").mkdir()
    (place / "policy" / "policy.json").write_text("earlier")
    refused(run("sweep", "mine", "--no-track", "--save-policy", "policy", cwd=place), 2, *says)
    assert (place / "policy" / "policy.json").read_text() == "earlier"


STOOD_IN_FOR = {
    "half missing": (lambda row: None if row["j"] and row["i"] % 2 else row, "30 of 60 prompts were left out"),
    "one text, two ids": (lambda row: {**row, "prompt": f"Ask {row['i'] // 2 % 30}", "i": 0}, "counts as one group"),
    "cost unknown": (changed(3, cost_usd=None), "the model's mean stands in"),
    "constant scores": (lambda row: {**row, "score": 1}, None),
    "a task seen once": (changed(7, task="solo"), None),
    "all free": (lambda row: {**row, "cost_usd": 0}, None),
}


@pytest.mark.parametrize("name", STOOD_IN_FOR)
def test_what_is_stood_in_for_is_said_and_the_interval_shows_how_little_is_known(place, name):
    edit, note = STOOD_IN_FOR[name]
    write_table(place, edit=edit)
    assert run("outcomes", "import", "long", "table.csv", "--out", "mine", cwd=place).returncode == 0
    done = run("sweep", "mine", "--no-track", "--json", "--predictor", "task-mean", cwd=place)
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["verdict"] == "route" else 3)
    if note is not None:
        assert note in " ".join(document["notes"])
    low, high = document["chosen"]["score_difference_ci"]
    assert high - low > 0.1
