import json
import subprocess

from workbench.tracking import provenance


def test_it_is_json_and_names_what_was_given():
    told = provenance(data_hash="abc", seed=7)
    assert json.loads(json.dumps(told)) == told
    assert (told["data_hash"], told["seed"]) == ("abc", 7)
    assert told["hardware"]["cores"] >= 1
    assert {"python", "mlflow"} <= set(told["versions"])


def test_outside_a_repository_the_commit_is_unknown(tmp_path):
    told = provenance(root=tmp_path)
    assert (told["commit"], told["dirty"]) == (None, None)


def test_a_changed_tracked_file_makes_it_dirty(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "a.txt").write_text("one")
    for command in (["init", "-q"], ["add", "a.txt"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "a.txt").write_text("two")
    told = provenance(root=tmp_path)
    assert len(told["commit"]) == 40
    assert told["dirty"] is True
