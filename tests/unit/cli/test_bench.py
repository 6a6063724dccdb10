import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from workbench.cli.main import main
from workbench.evaluation import Manifest, Outcomes
from workbench.evaluation.load.result import JOURNAL
from workbench.testing import Fault, StubBehaviour, StubServer
from workbench.testing.contracts import BenchDocument

QUICK = ("--duration", "0.5", "--warm-up", "0", "--rate", "40")
DATA = Path(__file__).parents[1] / "evaluation" / "load" / "data"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lab of a recorded model that answers in 20 ms, and a file of its prompts."""
    ids = [f"q{i}" for i in range(4)]
    rows = {
        "prompt_id": ids,
        "model": ["tiny"] * 4,
        "answer": ["two words"] * 4,
        "latency_s": [0.02] * 4,
        "ttft_s": [0.01] * 4,
    }
    counts = {"completion_tokens": [2] * 4, "prompt_tokens": [3] * 4}
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": [f"{i} + 1?" for i in range(4)]})
    frame = pl.DataFrame({**rows, **counts}).with_columns(score=pl.lit(None, pl.Float64))
    Outcomes.from_frames(frame, prompts, Manifest("test")).write(tmp_path / "source")
    (tmp_path / "lab.yaml").write_text(f"models:\n  tiny: {{kind: recorded, model: '{tmp_path}/source'}}\n")
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{i} + 1?"}) + "\n" for i in range(4)))
    return tmp_path


@pytest.fixture
def workbench(folder: Path, capsys, monkeypatch) -> Callable[..., Done]:
    """The command line in the folder, in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["workbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run


def test_a_bench_prints_one_json_document_and_leaves_a_folder_that_shows_the_same(folder: Path, workbench):
    done = workbench("bench", "tiny", *QUICK, "--prompts", "prompts.jsonl", "--out", "load", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    BenchDocument.model_validate(document)
    assert (document["model"], document["failed"], document["complete"]) == ("tiny", 0, True)
    assert document["latency_s"]["p50"] >= 0.02
    assert document["reasons"]["memory_gib"].startswith("recorded answers are replayed")
    assert json.loads(workbench("bench", "show", "load", "--json").stdout) == document


def test_the_table_says_what_its_figures_mean(folder: Path, workbench):
    done = workbench(
        "bench", *QUICK, "tiny", "--prompts", "prompts.jsonl", "--slo", "latency_s=5"
    )  # options may come first
    assert done.returncode == 0, done.stderr
    assert "TPOT = (end − first chunk with text) / (completion tokens − 1)" in done.stdout
    assert "goodput" in done.stdout
    assert "latency" in done.stdout


def test_a_closed_loop_needs_no_rate(folder: Path, workbench):
    done = workbench(
        "bench",
        "tiny",
        "--concurrency",
        "2",
        "--duration",
        "0.5",
        "--warm-up",
        "0",
        "--prompts",
        "prompts.jsonl",
        "--json",
    )
    document = json.loads(done.stdout)
    assert (document["loop"], document["concurrency"], document["rate_rps"]) == ("closed", 2, None)


def test_an_slo_that_is_not_held_is_exit_code_3(folder: Path, workbench):
    done = workbench("bench", "tiny", *QUICK, "--prompts", "prompts.jsonl", "--slo", "latency_s=0.001", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["good_share"] == 0.0


def test_a_rate_is_found_and_each_try_is_listed(folder: Path, workbench):
    arguments = (
        "--duration",
        "1",
        "--warm-up",
        "0",
        "--rate",
        "200",
        "--find-rate",
        "--slo",
        "latency_s=0.0001",
        "--prompts",
        "prompts.jsonl",
    )
    done = workbench("bench", "tiny", *arguments, "--json")
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    assert document["holds_slo_up_to_rps"]["rate_rps"] is None
    assert [s["rate_rps"] for s in document["stages"]] == [200.0, 100.0, 50.0, 25.0]  # lower ones are too few to judge


def test_a_server_that_is_down_is_exit_code_1_with_its_error_and_partial_results(folder: Path, workbench):
    with StubServer(StubBehaviour(models=("stub",))) as server:
        url = server.url
    (folder / "lab.yaml").write_text(f"models: {{gone: {{kind: openai-compatible, model: stub, base_url: '{url}'}}}}")
    done = workbench("bench", "gone", *QUICK, "--prompts", "prompts.jsonl", "--out", "load", "--json")
    assert done.returncode == 1
    assert "no request was answered" in done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["complete"] is False
    assert "all failed" in document["stopped_because"]
    assert json.loads(workbench("bench", "show", "load", "--json").stdout)["failed"] == document["failed"] >= 10


def test_a_server_that_fails_now_and_then_is_not_asked_again(folder: Path, workbench):
    """Retries would hide the failures behind latency."""
    faults = [Fault(kind="server_error", every=4)]
    with StubServer(StubBehaviour(models=("stub",), faults=faults)) as server:
        (folder / "lab.yaml").write_text(
            f"models: {{s: {{kind: openai-compatible, model: stub, base_url: '{server.url}', retries: 3}}}}"
        )
        done = workbench("bench", "s", *QUICK, "--prompts", "prompts.jsonl", "--json")
    document = json.loads(done.stdout)
    assert document["failed"] >= 2
    assert done.returncode == 0


def test_fixed_lengths_are_asked_of_servers_that_can(folder: Path, workbench):
    with StubServer(StubBehaviour(models=("stub",))) as server:
        (folder / "lab.yaml").write_text(
            f"models: {{s: {{kind: openai-compatible, model: stub, base_url: '{server.url}'}}}}"
        )
        workbench("bench", "s", *QUICK, "--prompts", "prompts.jsonl", "--ignore-eos", "--max-tokens", "5")
        assert (
            server.requests[0]["ignore_eos"],
            server.requests[0]["min_tokens"],
            server.requests[0]["max_tokens"],
        ) == (True, 5, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tinny", "--rate", "1"), "unknown model 'tinny': did you mean 'tiny'"),
        (("tiny",), "give --rate R"),
        (("tiny", "--rate", "-1"), "above 0, found -1"),
        (("tiny", "--rate", "1e7"), "one generator holds"),
        (("tiny", "--rate", "1", "--slo", "ttft=1"), "did you mean 'ttft_s'"),
        (("tiny", "--rate", "1", "--arrivals", "poison"), "did you mean 'poisson'"),
        (("tiny", "--find-rate"), "--find-rate needs an SLO"),
        (("tiny", "--rate", "1", "--prompts", "nowhere.jsonl"), "no suite at nowhere.jsonl"),
        (("tiny", "--rate", "1", "--ignore-eos"), "--ignore-eos is a field of vLLM's requests"),
        (("tiny", "--rate", "1", "--out", "prompts.jsonl"), "is a file; name a folder"),
        (("show", "nowhere"), "no bench folder at nowhere"),
        (("show", "source"), "holds no bench"),
        (("import", "vlm", "lab.yaml", "--out", "o"), "did you mean 'vllm'"),
        (("import", "vllm", "lab.yaml", "--out", "o"), "is not JSON"),
        (("import", "vllm", "nowhere.json", "--out", "o"), "no vllm result at nowhere.json"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder: Path, workbench, arguments: tuple[str, ...], message: str):
    done = workbench("bench", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (folder / "o").exists()


def test_another_tool_s_file_becomes_a_folder(folder: Path, workbench):
    done = workbench(
        "bench", "import", "vllm", str(DATA / "vllm_open.json"), "--out", "load", "--json", "--slo", "latency_s=1"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 30
    shown = workbench("bench", "show", "load")
    assert "goodput" in shown.stdout
    loads = workbench("bench", "import", "guidellm", str(DATA / "guidellm.json"), "--out", "loads")
    assert "Loads" in loads.stdout


def test_help_has_an_example(folder: Path, workbench):
    assert "Example: workbench bench tiny" in " ".join(workbench("bench", "run", "--help").stdout.split())
    assert "run" in workbench("bench", "--help").stdout


def test_the_folder_on_disk_names_the_run_it_was_logged_as(folder: Path, workbench, monkeypatch):
    monkeypatch.setattr("workbench.tracking.log_document", lambda *_, **__: "run-7")
    done = workbench("bench", "tiny", *QUICK, "--prompts", "prompts.jsonl", "--out", "load", "--track", "--json")
    assert json.loads(done.stdout)["run_id"] == "run-7"
    stored = json.loads((folder / "load" / "bench.json").read_text())
    assert stored["run_id"] == "run-7"
    assert "run_id" not in stored["reasons"]


def test_a_bench_without_tracking_installed_says_so_and_ends_well(folder: Path, workbench, monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    monkeypatch.setattr("workbench.tracking.log_document", missing)
    done = workbench("bench", "tiny", *QUICK, "--prompts", "prompts.jsonl", "--track", "--json")
    assert done.returncode == 0
    assert "mlflow is missing" in done.stderr
    assert json.loads(done.stdout)["run_id"] is None


def test_a_bench_that_is_interrupted_ends_in_one_line_that_says_what_is_kept(folder: Path, processes, until):
    words = ["bench", "tiny", "--rate", "40", "--duration", "600", "--warm-up", "0", "--prompts", "prompts.jsonl"]
    command = [sys.executable, "-m", "workbench.cli.main", *words, "--out", "load"]
    process = processes.start(command, cwd=folder)
    journal = folder / "load" / JOURNAL
    until(lambda: (journal.exists() and b'"kind": "row"' in journal.read_bytes()) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=300)[1].strip().splitlines()
    assert process.returncode == 130
    assert said[-1] == "workbench: interrupted; what was measured is kept in load: workbench bench show load"
    assert not [line for line in said if "Traceback" in line]
