import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from workbench.cli.main import main
from workbench.evaluation import Manifest, Outcomes

QUESTIONS = {"1 + 1?": "2", "2 + 2?": "4", "3 + 3?": "6"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A suite, and a lab of one recorded model that gets one of three wrong."""
    ids = [f"q{i}" for i in range(3)]
    rows = {
        "prompt_id": ids,
        "model": ["tiny"] * 3,
        "score": [None] * 3,
        "answer": ["2", "4", "7"],
        "latency_s": [0.0] * 3,
    }
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": list(QUESTIONS)})
    Outcomes.from_frames(pl.DataFrame(rows), prompts, Manifest("test")).write(tmp_path / "source")
    (tmp_path / "lab.yaml").write_text(f"models:\n  tiny: {{kind: recorded, model: '{tmp_path}/source'}}\n")
    lines = [json.dumps({"prompt": q, "answer": a, "task": "add"}) for q, a in QUESTIONS.items()]
    (tmp_path / "suite.jsonl").write_text("\n".join(lines))
    return tmp_path


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


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


def test_recording_prints_one_json_document_and_leaves_outcomes(folder: Path, workbench):
    done = workbench("record", "--suite", "suite.jsonl", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (model,) = document["models"]
    assert (model["model"], model["n"], model["failed"]) == ("tiny", 3, 0)
    assert model["score"] == pytest.approx(2 / 3)
    assert document["data_hash"] == Outcomes.read(folder / "out").data_hash
    assert "tiny: 3 of 3" in done.stderr

    shown = workbench("outcomes", "show", "out", "--json")
    assert json.loads(shown.stdout)["models"] == document["models"]


def test_the_table_is_for_people(folder: Path, workbench):
    done = workbench("record", "--suite", "suite.jsonl", "--out", "out")
    assert "0.667" in done.stdout
    assert "USD" not in done.stdout  # nobody knows the price


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "tinny"), "unknown model 'tinny': did you mean 'tiny'"),
        (("--task", "ad"), "no task 'ad': did you mean 'add'"),
        (("--grader", "exactt"), "unknown grader 'exactt': did you mean 'exact'"),
        (("--column", "prompt"), "--column takes NAME=COLUMN"),
        (("--lab", "nowhere.yaml"), "no lab file at nowhere.yaml"),
        (("--models", ","), "no models to record"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder: Path, workbench, arguments: tuple[str, ...], message: str):
    done = workbench("record", "--suite", "suite.jsonl", "--out", "out", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (folder / "out").exists()


def test_other_settings_in_the_same_folder_are_refused_until_fresh(folder: Path, workbench):
    first = ("record", "--suite", "suite.jsonl", "--out", "out")
    assert workbench(*first).returncode == 0
    refused = workbench(*first, "--max-tokens", "9")
    assert refused.returncode == 2
    assert "max_tokens was 64, is 9" in refused.stderr
    assert workbench(*first, "--max-tokens", "9", "--fresh").returncode == 0


def test_an_outside_table_becomes_outcomes(folder: Path, workbench):
    (folder / "mine.csv").write_text("prompt_id,prompt,task,model,score,cost_usd\na,x,t,m,1,0.5\nb,y,t,m,0,\n")
    done = workbench("outcomes", "import", "long", "mine.csv", "--out", "mine", "--json")
    (model,) = json.loads(done.stdout)["models"]
    assert (model["score"], model["cost_usd_per_1k"]) == (0.5, 500.0)
    wrong = workbench("outcomes", "import", "lnog", "mine.csv", "--out", "mine")
    assert (wrong.returncode, "did you mean 'long'" in wrong.stderr) == (2, True)


def test_a_suite_is_built_and_shown(folder: Path, workbench):
    built = workbench("suite", "build", "--per-task", "2", "--out", "reference.jsonl", "--json")
    shown = workbench("suite", "show", "reference.jsonl", "--json")
    assert json.loads(built.stdout)["hash"] == json.loads(shown.stdout)["hash"]
    assert {task["n"] for task in json.loads(shown.stdout)["tasks"]} == {2}
    assert workbench("suite", "build", "--split", "tset", "--out", "x.jsonl").returncode == 2
    assert workbench("suite", "build", "--out", "x.txt").returncode == 2
