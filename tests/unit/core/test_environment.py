import json

from workbench.core.environment import environment, git_commit, versions


def test_the_environment_is_json_and_names_what_matters():
    found = json.loads(json.dumps(environment()))
    assert set(found) == {"date", "git_commit", "hardware", "versions"}
    assert found["hardware"]["cores"] >= 1
    assert found["versions"]["python"].startswith("3.")


def test_what_is_not_installed_is_left_out():
    assert set(versions(["no-such-library-here"])) == {"python"}


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert git_commit(tmp_path) is None
