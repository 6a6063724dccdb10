import json

import pytest
from typer.testing import CliRunner

from workbench.cli import sweep as verb
from workbench.core import ConfigError
from workbench.routing import FixedPolicy, load_policy


@pytest.fixture
def run():
    import typer

    app = typer.Typer()
    verb.register(app)
    app.callback()(lambda: None)
    return lambda *args: CliRunner().invoke(app, ["sweep", *map(str, args)])


def test_json_is_one_document_on_stdout_and_progress_is_not(run, specialists, tmp_path):
    specialists.write(tmp_path / "outcomes")
    found = run(
        tmp_path / "outcomes", "--predictor", "task-mean", "--no-track", "--json", "--save-policy", tmp_path / "policy"
    )
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["verdict"] == "route"
    assert document["run_id"] is None
    assert load_policy(tmp_path / "policy").predictor.kind == "task-mean"


def test_people_get_baselines_policies_formulas_and_the_verdict(run, specialists, tmp_path):
    specialists.write(tmp_path)
    found = run(tmp_path, "--predictor", "task-mean,prompt-length", "--no-track")
    for part in ("best single (base)", "oracle", "task-mean", "aiq = ", "Rule: ", "ROUTE: on "):
        assert part in found.stdout


def test_a_no_is_printed_and_exits_with_three(run, make_outcomes, tmp_path):
    make_outcomes([[0.0, 1.0]] * 100, [[2.0, 1.0]] * 100).write(tmp_path / "o")
    found = run(tmp_path / "o", "--predictor", "prompt-length", "--no-track", "--save-policy", tmp_path / "p")
    assert found.exit_code == 3
    assert "DO NOT ROUTE: on " in found.stdout
    assert load_policy(tmp_path / "p") == FixedPolicy("base", ("base", "tiny"))


@pytest.mark.parametrize("cost", ["tiny", "tiny=cheap", "=1"])
def test_a_cost_that_is_no_cost_is_refused(run, specialists, tmp_path, cost):
    specialists.write(tmp_path)
    found = run(tmp_path, "--cost", cost, "--no-track")
    assert isinstance(found.exception, ConfigError)
    assert "--cost" in str(found.exception)
