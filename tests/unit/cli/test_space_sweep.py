import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from workbench.cli import sweep as verb
from workbench.core import ConfigError
from workbench.evaluation import Manifest, Outcomes
from workbench.routing import load_policy
from workbench.testing.contracts import SpaceSweepDocument

SPACE = """
schema_version: 1
name: weights
goals: [score, cost, latency]
predictor: task-mean
objective: hybrid
exchange: {low: 1.0e+3, high: 1.0e+7, log: true}
per_second: {low: 0, high: 1}
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """200 prompts of two tasks, each with its own best model."""
    import polars as pl

    rng = np.random.default_rng(0)
    names, n = ("tiny", "base"), 200
    tasks = [("add", "copy")[i % 2] for i in range(n)]
    chance = {("add", "tiny"): 0.2, ("add", "base"): 0.95, ("copy", "tiny"): 0.95, ("copy", "base"): 0.6}
    prompts = pl.DataFrame(
        {"prompt_id": [f"p{i}" for i in range(n)], "prompt": [f"{t} {i}" for i, t in enumerate(tasks)], "task": tasks}
    )
    cells = [(i, name) for i in range(n) for name in names]
    rows = pl.DataFrame(
        {
            "prompt_id": [f"p{i}" for i, _ in cells],
            "model": [name for _, name in cells],
            "score": [float(rng.random() < chance[tasks[i], name]) for i, name in cells],
            "cost_usd": [{"tiny": 1e-6, "base": 5e-6}[name] for _, name in cells],
            "latency_s": [{"tiny": 0.1, "base": 0.4}[name] for _, name in cells],
        }
    )
    folder = tmp_path_factory.mktemp("outcomes")
    Outcomes.from_frames(rows, prompts, Manifest("test")).write(folder)
    return folder


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def run():
    app = typer.Typer()
    verb.register(app)
    app.callback()(lambda: None)
    return lambda *args: CliRunner().invoke(app, ["sweep", *map(str, args)])


def test_json_is_one_document_and_the_saved_policy_serves(run, outcomes, space, tmp_path):
    found = run(
        outcomes, "--space", space, "--trials", 60, "--no-track", "--json", "--save-policy", tmp_path / "policy"
    )
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    SpaceSweepDocument.model_validate(document)
    assert document["looked_at"]["trials"] == 60
    assert document["search"] == {"sampler": "auto", "trials_by": {"tpe": 60}}
    assert load_policy(tmp_path / "policy").objective.kind == "hybrid"


def test_people_get_the_front_the_optimism_and_what_it_brings_over_lambda_alone(run, outcomes, space):
    found = run(outcomes, "--space", space, "--trials", 60, "--no-track")
    assert found.exit_code == 0, found.output
    parts = (
        "Finalists on the choose split",
        "Optimism: ",
        "Looked at: ",
        "Against the plain sweep",
        "utility = ",
        "ROUTE: on ",
    )
    for part in parts:
        assert part in found.stdout


def test_a_study_is_gone_on_with(run, outcomes, space, tmp_path):
    args = (outcomes, "--space", space, "--study", tmp_path / "study", "--no-track", "--json")
    run(*args, "--trials", 100)
    found = json.loads(run(*args, "--trials", 150).stdout)["looked_at"]
    assert (found["resumed"], found["trials"]) == (100, 150)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--trials", "5"), "--trials 5 needs --space"),
        (("--study", "here"), "--study here needs --space"),
        (("--address", "auto"), "--address auto needs --space"),
        (("--engine", "ray"), "--engine ray needs --space"),
        (("--space", "{space}", "--objective", "capability"), "--objective capability is said by the space"),
        (("--space", "{space}", "--predictor", "ridge"), "--predictor ridge is said by the space"),
        (("--space", "{space}", "--trials", "0"), "0 trials"),
        (("--space", "{space}", "--trials", "-3"), "-3 trials"),
        (("--space", "{space}", "--engine", "rya"), "did you mean 'ray'"),
        (("--space", "{space}", "--address", "auto"), "local engine has no address"),
        (("--space", "missing.yaml"), "no space at"),
        (("--space", "{space}", "--rule", "no-wrose"), "did you mean 'no-worse'"),
    ],
)
def test_options_that_mean_nothing_are_refused(run, outcomes, space, args, message):
    found = run(outcomes, *(arg.format(space=space) for arg in args), "--no-track")
    assert isinstance(found.exception, ConfigError)
    assert message in str(found.exception)


def test_the_run_holds_the_front_as_a_table_and_no_run_a_configuration(run, outcomes, space, tmp_path, monkeypatch):
    from workbench.tracking.store import init

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    document = json.loads(run(outcomes, "--space", space, "--trials", 60, "--json").stdout)
    client = init().client()
    logged = client.get_run(document["run_id"])
    assert logged.data.metrics["looked_at.trials"] == 60
    assert logged.data.params["space.predictor"] == "task-mean"
    tables = {item.path for item in client.list_artifacts(document["run_id"], "tables")}
    assert "tables/front.json" in tables
    experiment = client.get_experiment_by_name("sweeps").experiment_id
    assert len(client.search_runs([experiment])) <= 3


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_search_killed_in_the_middle_goes_on_and_ends_as_if_it_had_not_been(
    outcomes, space, run, tmp_path, dies_at, signal_number
):
    def words(study):
        return [outcomes, "--space", space, "--trials", "500", "--study", study, "--no-track", "--json"]

    code = dies_at(line=600, number=signal_number) + "from workbench.cli.main import main; main()"
    command = [sys.executable, "-c", code, "sweep", *map(str, words(tmp_path / "killed"))]
    killed = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert killed.returncode == (130 if signal_number == signal.SIGINT else -9)
    if signal_number == signal.SIGINT:
        last = killed.stderr.decode().strip().splitlines()[-1]
        assert last.startswith("workbench: interrupted; the trials that were done are kept in")
    gone_on, whole = (json.loads(run(*words(study)).stdout) for study in (tmp_path / "killed", tmp_path / "whole"))
    assert 0 < gone_on["looked_at"].pop("resumed") < 500
    assert whole["looked_at"].pop("resumed") == 0
    assert gone_on == whole


def test_the_sampler_is_chosen_by_name_and_a_study_keeps_to_it(run, outcomes, space, tmp_path):
    args = (outcomes, "--space", space, "--study", tmp_path / "study", "--trials", "100", "--no-track", "--json")
    assert run(*args, "--sampler", "tpe").exit_code in (0, 3)
    assert "another sampler (tpe, now random)" in str(run(*args, "--sampler", "random").exception)
    assert "another sampler (tpe, now auto)" in str(run(*args).exception)
    assert "did you mean" in str(run(*args, "--sampler", "tpee").exception).lower()
