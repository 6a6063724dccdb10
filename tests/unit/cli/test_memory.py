import json

import pytest
from typer.testing import CliRunner

from workbench.cli.main import _register_verbs, app
from workbench.core import ConfigError
from workbench.core.data import data_path

LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


def run(*words):
    _register_verbs()
    return CliRunner().invoke(app, ["models", "memory", *map(str, words)])


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_8B))
    return path


def test_a_model_of_the_lab_is_planned_with_its_cards_context_and_batch():
    document = json.loads(run("base", "--json").stdout)
    assert (document["max_model_len"], document["n_sequences"], document["dtype"]) == (512, 32, "float32")
    assert sum(part["bytes"] for part in document["parts"]) == document["total_bytes"]
    assert document["pool"] is None
    assert document["measured"] is None


def test_a_configuration_alone_is_enough_and_what_fits_exits_0(config):
    words = (
        "--engine",
        "vllm",
        "--device",
        "cuda",
        "--dtype",
        "bfloat16",
        "--context",
        8192,
        "--device-gib",
        80,
        "--json",
    )
    result = run(config, *words)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["pool"]["fits"]
    assert document["pool"]["capacity_tokens"] % 16 == 0


def test_what_does_not_fit_exits_3(config):
    result = run(
        config, "--engine", "vllm", "--device", "cuda", "--dtype", "bfloat16", "--context", 8192, "--device-gib", 16
    )
    assert result.exit_code == 3
    assert "does not fit" in result.stdout


def test_a_checkpoint_folder_is_planned_with_its_own_context():
    document = json.loads(run(data_path("reference/tiny"), "--json").stdout)
    assert (document["max_model_len"], document["n_sequences"]) == (512, 1)


def test_the_table_shows_each_part_with_its_formula():
    shown = run("base").stdout
    assert "weights" in shown
    assert "parameters" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bse",), "did you mean 'base'"),
        (("meta-llama/Llama-3.1-8B",), "save the model's config.json here"),
        (("base", "--dtype", "int3"), "unknown dtype"),
        (("base", "--context", "0"), "max_model_len must be at least 1"),
        (("base", "--engine", "vllm", "--measure"), "--measure runs the transformers engine"),
        (("base", "--engine", "vllm", "--device-gib", "8", "--utilisation", "2"), "utilisation must be above 0"),
    ],
)
def test_wrong_words_are_one_sentence(words, message):
    result = run(*words)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
