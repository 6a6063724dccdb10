import sqlite3
import sys

import pytest

from workbench.core import ConfigError, StoreError
from workbench.tracking import init
from workbench.tracking.store import project_root

OPEN_A_STORE = """
import sys
from pathlib import Path
from workbench.tracking import init
print(init(Path(sys.argv[1])).experiment("sweeps"))
"""


@pytest.fixture
def settled(tracking, tmp_path):
    """A copy of the store's database that a test may spoil."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    with sqlite3.connect(tracking.folder / "mlflow.db") as source, sqlite3.connect(folder / "mlflow.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    return folder / "mlflow.db"


def test_the_store_lies_in_mlruns_under_an_absolute_uri(tracking):
    assert tracking.uri == f"sqlite:///{tracking.folder / 'mlflow.db'}"
    assert tracking.folder.is_absolute()
    assert tracking.folder.name == "mlruns"


def test_the_store_uses_a_write_ahead_log(tracking):
    database = sqlite3.connect(tracking.folder / "mlflow.db")
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_an_experiment_keeps_its_id_and_its_artifacts_beside_the_store(tracking):
    first = tracking.experiment("sweeps")
    assert tracking.experiment("sweeps") == first
    location = tracking.client().get_experiment(first).artifact_location
    assert location == (tracking.folder / "artifacts" / "sweeps").as_uri()


def test_the_root_is_found_from_a_folder_below(tmp_path):
    (tmp_path / "lab.yaml").touch()
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    assert project_root(below) == tmp_path


def test_the_environment_names_another_store(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.uri)
    assert init() == tracking


def test_a_folder_as_tracking_uri_is_refused_with_what_to_set_instead(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    with pytest.raises(ConfigError, match="sqlite:///PATH"):
        init()


def test_a_store_of_a_newer_mlflow_is_refused_in_one_sentence(settled):
    database = sqlite3.connect(settled)
    database.execute("UPDATE alembic_version SET version_num = 'ffff00001111'")
    database.commit()
    database.close()
    with pytest.raises(StoreError, match="newer MLflow"):
        init(settled.parent.parent)


def test_a_store_of_an_older_mlflow_says_how_to_upgrade(settled):
    database = sqlite3.connect(settled)
    database.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
    database.commit()
    database.close()
    with pytest.raises(StoreError, match="mlflow db upgrade"):
        init(settled.parent.parent)


def test_a_damaged_store_is_refused_at_once(tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(StoreError, match="not a readable SQLite database"):
        init(tmp_path)


def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "mlruns").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot write the tracking store"):
        init(tmp_path)


@pytest.mark.slow
def test_two_processes_that_create_a_store_at_once_both_succeed(tmp_path, processes):
    pair = [processes.start([sys.executable, "-c", OPEN_A_STORE, tmp_path]) for _ in range(2)]
    done = [(process.communicate(timeout=300), process.returncode) for process in pair]
    assert [code for _, code in done] == [0, 0], done
    assert done[0][0][0] == done[1][0][0]
