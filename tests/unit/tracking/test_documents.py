import json
from pathlib import Path

import mlflow
import pytest

from workbench.core import StoreError
from workbench.tracking import log_document

DOCUMENT = {
    "model": "base",
    "ttft_s": {"p50": 0.02, "ci": {"p50": [0.01, 0.03]}},
    "goodput_ci": [4.0, 5.0],
    "usd @ month": 3.5,
    "energy_wh": None,
    "run_id": None,
}


@pytest.fixture(scope="module")
def run(tracking, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    (folder / "requests.csv").write_text("request\n0\n")
    run_id = log_document(
        "bench", "base at 4/s", DOCUMENT, folder=folder, params={"rate_rps": 4, "outcomes": folder}, tracking=tracking
    )
    return tracking.client().get_run(run_id)


def test_numbers_and_intervals_become_metrics_under_names_that_the_store_allows(run):
    assert run.data.metrics == {
        "ttft_s.p50": 0.02,
        "ttft_s.ci.p50_low": 0.01,
        "ttft_s.ci.p50_high": 0.03,
        "goodput_ci_low": 4.0,
        "goodput_ci_high": 5.0,
        "usd _ month": 3.5,
    }


def test_the_run_is_finished_and_says_what_it_is(run):
    assert run.info.status == "FINISHED"
    assert run.data.tags["workbench.kind"] == "bench"
    assert run.data.tags["workbench.version"]
    assert run.data.params["rate_rps"] == "4"
    assert Path(run.data.params["outcomes"]).name.startswith("bench"), "a path is a parameter like any other"


def test_the_stored_document_knows_its_run_and_the_folder_lies_beside_it(run, tracking):
    stored = Path(mlflow.artifacts.download_artifacts(run.info.artifact_uri, tracking_uri=tracking.uri))
    assert json.loads((stored / "bench.json").read_text()) == {**DOCUMENT, "run_id": run.info.run_id}
    assert (stored / "bench" / "requests.csv").read_text() == "request\n0\n"


def test_a_secret_in_the_document_stops_the_logging(tracking, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    with pytest.raises(StoreError, match="holds the value of SOME_API_KEY"):
        log_document("bench", "leaky", {"url": "http://x?key=sk-0123456789"}, tracking=tracking)


def test_a_run_that_could_not_be_logged_is_marked_failed(tracking, tmp_path):
    with pytest.raises(StoreError):
        log_document("bench", "long", {"x" * 300: 1.0}, tracking=tracking)
    runs = tracking.client().search_runs([tracking.experiment("bench")], "tags.mlflow.runName = 'long'")
    assert [found.info.status for found in runs] == ["FAILED"]
