import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workbench.cli import models
from workbench.core import ConfigError
from workbench.models.vllm_watchdog import session_pids
from workbench.testing import StubBehaviour, StubServer, fake_vllm_environment, save_tiny_checkpoint


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


@pytest.fixture
def up(tmp_path, processes):
    """Start `workbench models up` with a fake vLLM in a process of its own."""

    def start(how="well", kind="vllm", words=("--json",), **fields) -> subprocess.Popen:
        environment = fake_vllm_environment(tmp_path / "env", how)
        card = {"kind": kind, "model": str(save_tiny_checkpoint(tmp_path / "checkpoint")), **fields}
        (tmp_path / "lab.yaml").write_text(json.dumps({"models": {"mine": card}}))
        command = [
            sys.executable,
            "-m",
            "workbench.cli.main",
            "models",
            "up",
            "mine",
            "--lab",
            str(tmp_path / "lab.yaml"),
            *words,
        ]
        return processes.start(command, env={**os.environ, "WORKBENCH_VLLM": str(environment)})

    return start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["vllm", "transformers"])
def test_up_serves_a_checkpoint_until_it_is_interrupted_and_leaves_nothing_running(up, number, kind):
    process = up(kind=kind)
    document = json.loads(process.stdout.readline())
    assert document["url"].startswith("http://127.0.0.1:")
    assert (document["model"], document["report"]["kv_cache_tokens"]) == ("mine", 174_720)
    assert len(session_pids(document["pid"])) == 2
    process.send_signal(number)
    rest, said = process.communicate(timeout=300)
    assert (process.returncode, rest) == (0, "")
    assert "stopped" in said
    assert session_pids(document["pid"]) == []


def test_up_that_is_interrupted_while_it_starts_stops_it(up):
    process = up("silent")
    while "starting vLLM" not in (line := process.stderr.readline()):
        assert line, "it ended before it said that it starts"
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=300)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in said


def test_up_of_a_server_that_dies_says_why_with_exit_code_1(up):
    process = up("dies")
    out, said = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert "ValueError: No available memory for the cache blocks." in said
    assert "Traceback" not in said


def test_up_of_a_server_that_dies_later_says_so_with_exit_code_1(up):
    process = up()
    os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "vLLM ended by itself (killed by signal 9)" in said


def test_up_of_what_is_no_checkpoint_is_bad_input(up):
    process = up(kind="openai-compatible", base_url="http://127.0.0.1:1/v1")
    out, said = process.communicate(timeout=300)
    assert (process.returncode, out) == (2, "")
    assert "runs already" in said


def test_up_of_a_recording_is_bad_input_that_says_what_to_do(app, tmp_path):
    (tmp_path / "lab.yaml").write_text("models: {old: {kind: recorded, model: runs/first}}")
    done = CliRunner().invoke(app, ["models", "up", "old", "--lab", str(tmp_path / "lab.yaml")])
    assert isinstance(done.exception, ConfigError)
    assert "name a model of the kind vllm or transformers" in str(done.exception)
