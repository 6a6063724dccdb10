from pathlib import Path

import pytest

from workbench.core import ConfigError, StoreError
from workbench.tracking import champion, register_release


@pytest.fixture
def run_id(tracking):
    return tracking.client().create_run(tracking.experiment("sweeps")).info.run_id


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "release" / "policy").mkdir(parents=True)
    (tmp_path / "release" / "stack.yaml").write_text("schema_version: 1\n")
    (tmp_path / "release" / "policy" / "policy.json").write_text("{}\n")
    return tmp_path / "release"


def test_the_champion_is_the_folder_that_was_registered(folder, run_id, tracking):
    assert register_release(folder, "first", run_id, tracking) == 1
    found = champion("first", tracking)
    assert (found / "stack.yaml").read_text() == "schema_version: 1\n"
    assert (found / "policy" / "policy.json").exists()


def test_mlflow_itself_downloads_the_champion(folder, run_id, tracking):
    import mlflow

    register_release(folder, "plain", run_id, tracking)
    found = mlflow.artifacts.download_artifacts("models:/plain@champion", tracking_uri=tracking.uri)
    assert "stack.yaml" in {path.name for path in Path(found).iterdir()}


def test_a_second_release_takes_the_alias_and_leaves_the_first_as_it_was(folder, run_id, tracking):
    register_release(folder, "twice", run_id, tracking)
    before = champion("twice", tracking)
    (folder / "stack.yaml").write_text("schema_version: 1\nname: second\n")
    assert register_release(folder, "twice", run_id, tracking) == 2
    assert (champion("twice", tracking) / "stack.yaml").read_text().endswith("second\n")
    assert (before / "stack.yaml").read_text() == "schema_version: 1\n"


def test_an_unknown_release_names_the_nearest(folder, run_id, tracking):
    register_release(folder, "quickstart", run_id, tracking)
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        champion("quickstrat", tracking)


def test_a_secret_value_in_a_release_is_not_registered(folder, run_id, tracking, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-0123")
    (folder / "stack.yaml").write_text("api_key: sk-very-secret-0123\n")
    with pytest.raises(StoreError, match="holds the value of SOME_API_KEY") as caught:
        register_release(folder, "leaky", run_id, tracking)
    assert "sk-very-secret" not in str(caught.value)
