import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workbench.cli import models
from workbench.core import ConfigError
from workbench.testing import StubBehaviour, StubServer


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    models.register(app)
    return app


def lab(folder: Path, url: str = "http://127.0.0.1:1/v1") -> str:
    path = folder / "lab.yaml"
    price = "{input_usd_per_1m: 1.0, output_usd_per_1m: 10.0}"
    path.write_text(f"models:\n  stub: {{kind: openai-compatible, model: stub, base_url: '{url}', price: {price}}}\n")
    return str(path)


def test_json_lists_every_card_as_one_document(app, tmp_path):
    done = CliRunner().invoke(app, ["models", "list", "--lab", lab(tmp_path), "--json"])
    cards = json.loads(done.stdout)["models"]
    assert cards["stub"]["kind"] == "openai-compatible"
    assert cards["stub"]["context_window"] is None


def test_the_table_names_every_model(app, tmp_path):
    done = CliRunner().invoke(app, ["models", "list", "--lab", lab(tmp_path)])
    assert done.exit_code == 0
    assert "stub" in done.stdout


def test_a_check_is_a_real_priced_answer(app, tmp_path):
    with StubServer(StubBehaviour(reply="five it is")) as server:
        arguments = [
            "models",
            "check",
            "stub",
            "--lab",
            lab(tmp_path, server.url),
            "--prompt",
            "What is 2 + 3?",
            "--json",
        ]
        done = CliRunner().invoke(app, arguments)
    answer = json.loads(done.stdout)
    assert answer["text"] == "five it is"
    reported = {key: value for key, value in answer["usage"].items() if value is not None}
    assert reported == {"prompt_tokens": 5, "completion_tokens": 3}
    assert answer["cost_usd"] == pytest.approx(5e-6 + 30e-6)
    assert answer["timing"]["ttft_s"] > 0


def test_a_check_says_what_the_server_can_do(app, tmp_path):
    behaviour = StubBehaviour(reply="always the same", rejects=("max_tokens", "stream_options"))
    with StubServer(behaviour) as server:
        path = lab(tmp_path, server.url).replace("lab.yaml", "newer.yaml")
        text = (tmp_path / "lab.yaml").read_text()
        options = "options: {max_tokens_field: max_completion_tokens}"
        Path(path).write_text(text.replace("model: stub,", f"model: stub, {options},"))
        told = CliRunner().invoke(app, ["models", "check", "stub", "--lab", path, "--json"])
        shown = CliRunner().invoke(app, ["models", "check", "stub", "--lab", path])
        short = CliRunner().invoke(app, ["models", "check", "stub", "--lab", path, "--json", "--no-probe"])
    document = json.loads(told.stdout)
    assert document["capabilities"]["max_tokens_field"] == "max_completion_tokens"
    assert document["capabilities"]["accepts_stream_options"] is False
    assert document["capabilities"]["seed"] is None
    assert "whatever the seed" in document["capabilities"]["reasons"]["seed"]
    assert document["advice"] == {"max_tokens_field": "max_completion_tokens", "stream": False}
    assert "take stream_options" in shown.stdout
    assert json.loads(short.stdout)["capabilities"] is None


def test_an_unknown_model_is_bad_input(app, tmp_path):
    done = CliRunner().invoke(app, ["models", "check", "stb", "--lab", lab(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert "did you mean 'stub'" in str(done.exception)
    assert done.stdout == ""
