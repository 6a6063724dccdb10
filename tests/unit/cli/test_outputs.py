"""Where a verb writes is tried before it works, not after."""

import pytest
import typer
from typer.testing import CliRunner

from workbench.cli import bench, break_even, outcomes, quickstart, record, release, suite, sweep
from workbench.core import ConfigError
from workbench.evaluation import Manifest, Outcomes

SPACE = """
schema_version: 1
name: weights
predictor: task-mean
objective: hybrid
exchange: {low: 1.0e+3, high: 1.0e+7, log: true}
per_second: {low: 0, high: 1}
"""
COMMANDS = {
    "--out": [
        "record --suite reference --out {taken}/runs",
        "bench tiny --rate 1 --out {taken}/runs",
        "bench import vllm missing.json --out {taken}/runs",
        "suite build --out {taken}/suite.jsonl",
        "outcomes import long missing.csv --out {taken}/runs",
        "release create 0000 --out {taken}/release",
        "quickstart --out {taken}/runs",
        "break-even --against openai/gpt-5-mini --out {taken}/runs",
    ],
    "--results": ["quickstart --results {taken}/results --out {free}"],
    "--save-policy": ["sweep missing --save-policy {taken}/policy"],
    "--study": [
        "sweep {outcomes} --space {space} --study {taken}/study",
        "sweep {outcomes} --space {space} --study {taken}/study.jsonl",
        "sweep {outcomes} --space {space} --study {taken}",
    ],
}


@pytest.fixture(scope="module")
def app():
    app = typer.Typer()
    for verb in (bench, break_even, outcomes, quickstart, record, release, suite, sweep):
        verb.register(app)
    return app


@pytest.fixture
def places(tmp_path):
    import polars as pl

    (tmp_path / "taken").write_text("a file")
    (tmp_path / "space.yaml").write_text(SPACE)
    prompts = pl.DataFrame({"prompt_id": ["p0"], "prompt": ["one"]})
    rows = pl.DataFrame({"prompt_id": ["p0"], "model": ["tiny"], "score": [1.0]})
    Outcomes.from_frames(rows, prompts, Manifest("test")).write(tmp_path / "outcomes")
    return {name: tmp_path / name for name in ("taken", "outcomes", "free")} | {"space": tmp_path / "space.yaml"}


@pytest.mark.parametrize(
    ("option", "command"), [(option, command) for option, commands in COMMANDS.items() for command in commands]
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(app, places, option, command):
    before = sorted(places["taken"].parent.rglob("*"))
    found = CliRunner().invoke(app, [word.format(**places) for word in command.split()])
    assert isinstance(found.exception, ConfigError), found.exception
    assert str(found.exception).startswith(f"{option} {places['taken']}")
    assert sorted(places["taken"].parent.rglob("*")) == before
