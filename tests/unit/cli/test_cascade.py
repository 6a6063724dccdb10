import json
import sys

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from workbench.cli.main import main
from workbench.evaluation import Manifest, Outcomes
from workbench.testing.contracts import CONTRACTS


@pytest.fixture
def folder(tmp_path):
    """Outcomes where a sure answer of the cheap model is right."""
    rng = np.random.default_rng(1)
    right = rng.random(1200) < 0.6
    rows = [
        {
            "prompt_id": f"p{i:04d}",
            "model": model,
            "score": float(right[i] or model == "base"),
            "cost_usd": 1.0 if model == "tiny" else 10.0,
            "latency_s": 0.1,
            "completion_tokens": 2,
            "logprob": -0.1 if right[i] else -4.0 - float(rng.random()),
            "answer": "x",
        }
        for i in range(1200)
        for model in ("tiny", "base")
    ]
    prompts = pl.DataFrame({"prompt_id": [f"p{i:04d}" for i in range(1200)], "prompt": [f"q {i}" for i in range(1200)]})
    Outcomes.from_frames(pl.DataFrame(rows), prompts, Manifest("t")).write(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["workbench", "cascade", *map(str, words), "--no-track"])
        code = 0
        try:
            main()
        except SystemExit as exc:
            code = exc.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_one_json_document_with_the_verdict(folder, run):
    code, out, _ = run(folder, "--order", "tiny,base", "--json")
    document = json.loads(out)
    assert (code, document["verdict"]) == (0, "cascade")
    assert document["chosen"]["score"] == 1.0
    assert document["chosen"]["cost_usd_per_1k"] < 7000
    assert document["pattern"]["models"] == ["tiny", "base"]
    CONTRACTS["cascade"].model_validate(document)


def test_the_table_shows_what_it_costs_and_how_long_it_takes(folder, run):
    code, out, _ = run(folder, "--order", "tiny,base")
    assert code == 0
    assert "CASCADE: on" in out
    assert "requests stop at tiny" in out


def test_nominal_costs_stand_in_for_measured_ones(folder, run):
    code, out, _ = run(folder, "--order", "tiny,base", "--cost", "tiny=10", "--cost", "base=10", "--json")
    assert code == 3
    assert json.loads(out)["cost_source"] == "nominal: base=10, tiny=10"


def test_no_is_exit_code_3(folder, run):
    assert run(folder, "--order", "base,tiny", "--json")[0] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--order", "tiny,bse"), "did you mean 'base'"),
        (("--order", "tiny,base", "--accept", "logprobs"), "did you mean 'logprob'"),
        (("--order", "tiny"), "at least 2 models"),
        (("--order", "tiny,base", "--margin", "nan"), "the margin is nan"),
        (("--order", "tiny,base", "--margin", "5"), "the margin is 5.0"),
        (("--order", "tiny,base", "--cost", "tiny=free"), "'free' is not a number"),
        (("--order", "tiny,base", "--cost", "tinny=1"), "did you mean 'tiny'"),
        (
            ("--order", "tiny,base", "--accept", "judge", "--judgements", "none.parquet"),
            "no judgements at none.parquet",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, run, words, message):
    code, out, err = run(folder, *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_help_has_an_example():
    from workbench.cli.main import _register_verbs, app

    _register_verbs()
    assert "Example:" in CliRunner().invoke(app, ["cascade", "--help"]).output
