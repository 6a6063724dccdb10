import json

import polars as pl
import pytest

from workbench.core import ConfigError, StoreError
from workbench.evaluation import Manifest, Outcomes
from workbench.tracking import log_sweep, sweep_folder
from workbench.tuning import sweep
from workbench.tuning.selection_tables import runs_table

N = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Outcomes of two models that are right on different tasks."""
    folder = tmp_path_factory.mktemp("outcomes")
    tasks = ["names", "sums"]
    prompts = [{"prompt_id": f"p{i}", "prompt": f"{tasks[i % 2]} {i}", "task": tasks[i % 2]} for i in range(N)]
    rows = [
        {
            "prompt_id": f"p{i}",
            "model": model,
            "score": float((i % 2 == 1) == (model == "adder")),
            "cost_usd": usd,
            "latency_s": 0.1,
        }
        for i in range(N)
        for model, usd in (("adder", 1e-6), ("sailor", 2e-6))
    ]
    models = {"adder": {"card": None}, "sailor": {"card": None}}
    manifest = Manifest("test", suite_hash="suite-hash", models=models, sampling={"max_tokens": 8})
    Outcomes.from_frames(pl.DataFrame(rows), pl.DataFrame(prompts), manifest).write(folder)
    return folder


@pytest.fixture(scope="module")
def result(folder):
    return sweep(Outcomes.read(folder), predictors=("task-mean", "prompt-length"), n_bootstrap=100)


@pytest.fixture(scope="module")
def run(result, folder, tracking):
    return tracking.client().get_run(log_sweep(result, outcomes_path=folder, tracking=tracking))


def files(tracking, run_id, path=None):
    found = tracking.client().list_artifacts(run_id, path)
    return {file.path for file in found if not file.is_dir}.union(
        *(files(tracking, run_id, f.path) for f in found if f.is_dir)
    )


def test_the_run_holds_the_chosen_numbers_with_their_intervals(run, result):
    chosen = result.document["chosen"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["score"] == chosen["score"]
    assert run.data.metrics["score_ci_low"] == chosen["score_ci"][0]
    assert run.data.metrics["cost_usd_per_1k"] == pytest.approx(chosen["cost_usd_per_1k"])
    assert (run.data.params["policy"], run.data.params["objective"]) == (chosen["policy"], "cost-aware")


def test_the_run_says_what_it_was_made_of(run, result):
    tags = run.data.tags
    assert tags["workbench.data_hash"] == result.document["data_hash"]
    assert tags["workbench.suite_hash"] == "suite-hash"
    assert tags["workbench.verdict"] == result.document["verdict"]
    assert {"workbench.version", "workbench.git_commit", "workbench.seed"} <= set(tags)


def test_the_dataset_is_an_input_with_its_digest(run, result):
    dataset = run.inputs.dataset_inputs[0].dataset
    assert result.document["data_hash"].startswith(dataset.digest)


def test_everything_a_release_needs_lies_inside(run, tracking):
    names = {path.rpartition("/")[2] for path in files(tracking, run.info.run_id)}
    assert {"sweep.json", "report.parquet", "pilot.parquet", "manifest.json", "policy.json"} <= names
    assert {"frontier.png", "tasks.png", "policies.json", "baselines.json", "frontiers.parquet"} <= names


def test_the_stored_document_knows_its_run(run, tracking):
    stored = json.loads((sweep_folder(run.info.run_id, tracking) / "sweep.json").read_text())
    assert stored["run_id"] == run.info.run_id


def test_only_finalists_get_a_run_of_their_own(run, result, tracking):
    query = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    children = tracking.client().search_runs([run.info.experiment_id], query)
    assert {child.info.run_name for child in children} == set(result.document["policies"])
    for child in children:
        picked = result.document["policies"][child.info.run_name]["picked"]
        assert child.data.metrics["score"] == picked["score"]
        assert "figures/frontier.png" in files(tracking, child.info.run_id)


def test_a_sweep_inside_a_users_own_run_leaves_that_run_open(result, folder, tracking):
    import mlflow

    mlflow.set_tracking_uri(tracking.uri)
    with mlflow.start_run(experiment_id=tracking.experiment("mine")) as mine:
        log_sweep(result, outcomes_path=folder, tracking=tracking, experiment="mine")
        assert mlflow.active_run().info.run_id == mine.info.run_id


def test_an_unknown_run_names_the_latest_sweeps(run, tracking):
    with pytest.raises(ConfigError, match=run.info.run_id):
        sweep_folder("0" * 32, tracking)


def test_a_secret_in_the_manifest_stops_the_logging(result, tracking, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-0123")
    before = len(tracking.client().search_runs([tracking.experiment("sweeps")]))
    with pytest.raises(StoreError, match="SOME_API_KEY"):
        log_sweep(result, outcomes_manifest={"note": "sk-very-secret-0123"}, tracking=tracking)
    assert len(tracking.client().search_runs([tracking.experiment("sweeps")])) == before


def test_runs_stand_side_by_side_with_their_intervals(run, result, tracking):
    table = runs_table("sweeps", [run.info.run_id, run.info.run_id], tracking)
    assert table["score"].tolist() == [result.document["chosen"]["score"]] * 2
    assert [table["low"][0], table["high"][0]] == result.document["chosen"]["score_ci"]
    assert table["verdict"][0] == result.document["verdict"]
