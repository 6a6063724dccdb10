import json
import shutil
from pathlib import Path

import pytest

from workbench.core import ConfigError
from workbench.core.data import data_path
from workbench.models.memory import predict_memory
from workbench.models.memory_config import read_checkpoint_config
from workbench.models.memory_shape import shape_of
from workbench.models.memory_weights import stored_weights
from workbench.testing.tiny_checkpoint import save_tiny_checkpoint

# Shapes and totals as published with the models, written out by hand.
PUBLISHED = json.loads((Path(__file__).parent / "published_shapes.json").read_text())
CONFIGS = {name: (found["n_parameters"], found["config"]) for name, found in PUBLISHED.items()}
LLAMA, QWEN, DEEPSEEK = (CONFIGS[name][1] for name in ("Llama-3.1-8B", "Qwen2.5-7B", "DeepSeek-V3"))
SMALL = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "vocab_size": 1792,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


def shape(config):
    found, values, _ = read_checkpoint_config(config)
    return shape_of(found, values)


def served(config, **settings):
    return predict_memory(config, **{"dtype": "bfloat16", "engine": "vllm", "device": "cuda", **settings})


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_from_the_configuration_alone_are_those_published(name):
    published, config = CONFIGS[name]
    assert shape(config).n_parameters == published


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_and_windows_are_those_of_the_model_that_transformers_builds(name):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    _, values, _ = read_checkpoint_config({**CONFIGS[name][1]})
    fewer = {**values, "num_hidden_layers": 7, "max_window_layers": 4}
    with torch.device("meta"):
        kept = {key: value for key, value in fewer.items() if key != "model_type"}
        built = AutoModelForCausalLM.from_config(AutoConfig.for_model(fewer["model_type"], **kept))
    found = shape(fewer)
    assert found.n_parameters == sum(parameter.numel() for parameter in built.parameters())
    kinds = getattr(built.config, "layer_types", None)
    if kinds:
        window = built.config.sliding_window
        assert found.windows == tuple(window if kind == "sliding_attention" else None for kind in kinds)


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("Llama-3.1-8B", 2 * 32 * 8 * 128 * 2),
        ("Qwen2.5-7B", 2 * 28 * 4 * 128 * 2),
        ("Mixtral-8x7B", 2 * 32 * 8 * 128 * 2),
        ("gemma-2-9b", 2 * 42 * 8 * 256 * 2),
        ("DeepSeek-V3", 61 * (512 + 64) * 2),
    ],
)
def test_cache_bytes_of_a_token_follow_the_formula(name, bytes_per_token):
    assert served(CONFIGS[name][1]).kv_bytes_per_token == bytes_per_token


def test_windowed_layers_keep_their_window_and_no_more():
    full, windowed = 21 * 8192, 21 * 4096
    cache = served(CONFIGS["gemma-2-9b"][1], max_model_len=8192).part("kv_cache")
    assert cache == (full + windowed) * 2 * 8 * 256 * 2


def test_a_window_that_the_configuration_switches_off_is_none():
    assert set(shape(QWEN).windows) == {None}
    on = shape({**QWEN, "use_sliding_window": True, "max_window_layers": 20, "sliding_window": 512})
    assert on.windows == (None,) * 20 + (512,) * 8


def test_layer_types_of_the_file_decide():
    types = ["full_attention", "sliding_attention", *["full_attention"] * 4]
    assert shape({**SMALL, "layer_types": types, "sliding_window": 64}).windows == (None, 64, None, None, None, None)


def test_the_transformers_library_keeps_latent_attention_unfolded():
    folded, unfolded = shape(DEEPSEEK).kv_numbers(), shape(DEEPSEEK).kv_numbers(is_compressed=False)
    assert (folded, unfolded) == (576, 128 * (192 + 128))


def test_tensor_parallelism_splits_matrices_and_heads_but_never_below_one_head():
    one, four = served(LLAMA), served(LLAMA, tensor_parallel=4)
    assert four.part("weights") == pytest.approx(one.part("weights") / 4, rel=1e-4)
    assert four.kv_bytes_per_token * 4 == one.kv_bytes_per_token
    assert served(QWEN, tensor_parallel=7).kv_bytes_per_token == served(QWEN).kv_bytes_per_token / 4


def test_latent_attention_is_kept_whole_on_every_device():
    assert served(DEEPSEEK, tensor_parallel=8).kv_bytes_per_token == served(DEEPSEEK).kv_bytes_per_token


def test_vllms_own_figure_for_one_gib_of_the_base_model():
    """Its log says 174,720 tokens: whole blocks of 128 tokens."""
    plan = predict_memory(data_path("reference/base"), engine="vllm")
    assert plan.kv_capacity_tokens(1.0) == 174_720
    assert plan.kv_capacity_tokens(1.0, block_tokens=1) == 2**30 // 6144
    assert plan.kv_capacity_tokens(0.0) == 0


def test_the_cache_of_a_gpu_is_what_utilisation_leaves():
    plan = served(LLAMA, max_model_len=8192)
    others = plan.total_bytes - plan.part("kv_cache")
    assert plan.kv_pool_gib(80, 0.9) == pytest.approx(72 - others / 2**30)
    assert plan.kv_pool_gib(10, 0.9) < 0


def test_parts_add_up_and_each_says_how():
    plan = predict_memory(SMALL, n_sequences=4, max_model_len=64, answer_tokens=16)
    document = json.loads(json.dumps(plan.to_dict()))
    assert sum(part["bytes"] for part in document["parts"]) == document["total_bytes"] == plan.total_bytes
    assert all(part["formula"] for part in document["parts"])
    assert [part["name"] for part in document["parts"]] == [
        "weights",
        "kv_cache",
        "activations",
        "allocator",
        "framework",
    ]


@pytest.mark.parametrize("more", [{"n_sequences": 8}, {"max_model_len": 256}])
def test_more_sequences_and_longer_ones_never_need_less(more):
    settings = {"n_sequences": 4, "max_model_len": 128}
    for engine in ("transformers", "vllm"):
        less, greater = (
            predict_memory(SMALL, engine=engine, **s).total_bytes for s in (settings, {**settings, **more})
        )
        assert greater > less


def test_a_measured_framework_takes_the_constants_place():
    plan = predict_memory(SMALL, framework_bytes=1000)
    assert plan.part("framework") == 1000
    assert plan.parts[-1].origin == "measured"


def test_weight_files_are_counted_by_their_headers(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "tiny")
    stored = stored_weights(folder, is_tied=False)
    expected = shape(folder).n_parameters
    assert stored.n_floating == expected
    assert predict_memory(folder).part("weights") == expected * 4
    assert predict_memory(folder, dtype="bfloat16").part("weights") == expected * 2


def test_a_stored_copy_of_a_tied_head_counts_once(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    head = config["vocab_size"] * config["hidden_size"]
    untied = predict_memory(shutil.copytree(data_path("reference/tiny"), tmp_path / "other"))
    assert stored_weights(folder, is_tied=False).n_floating - stored_weights(folder, is_tied=True).n_floating == head
    assert untied.part("weights") == untied.deployment.shape.n_parameters * 4


def test_shards_are_counted_once_and_a_missing_one_falls_back_to_the_configuration(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "tiny")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "consolidated.safetensors").write_bytes((folder / "model-00001-of-00001.safetensors").read_bytes())
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert stored_weights(folder, is_tied=False).n_floating == shape(folder).n_parameters
    (folder / "model-00001-of-00001.safetensors").unlink()
    assert stored_weights(folder, is_tied=False) is None
    assert predict_memory(folder).part("weights") == shape(folder).n_parameters * 4


def test_a_damaged_weight_file_is_named(tmp_path):
    folder = save_tiny_checkpoint(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigError, match=r"model\.safetensors is not a safetensors file"):
        predict_memory(folder)


def test_a_quantised_checkpoint_without_its_files_has_no_size():
    quantised = {**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}}
    with pytest.raises(ConfigError, match="quantised"):
        predict_memory(quantised, max_model_len=64)


def test_an_architecture_known_to_transformers_alone_is_counted_by_building_it():
    found = shape({**SMALL, "model_type": "olmo2", "num_key_value_heads": 4, "pad_token_id": 0})
    assert found.how_counted == "built"
    assert found.n_parameters == shape(SMALL).n_parameters + 6 * 2 * 128  # its queries and keys are normed whole


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "int3"}, "unknown dtype 'int3'"),
        ({"kv_dtype": "float31", "engine": "vllm"}, "did you mean 'float32'"),
        ({"device": "cuda:0"}, "unknown device"),
        ({"engine": "ollama"}, "unknown engine"),
        ({"n_sequences": 0}, "n_sequences must be at least 1, found 0"),
        ({"max_model_len": 0}, "max_model_len must be at least 1"),
        ({"max_model_len": 64, "answer_tokens": 64}, "answer_tokens must leave room"),
        ({"tensor_parallel": 2}, "one device"),
        ({"tensor_parallel": 3, "engine": "vllm"}, "4 attention heads cannot be shared by 3"),
        ({"kv_dtype": "fp8"}, "keeps its cache in float32"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        predict_memory(SMALL, **settings)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "hidden_size"),
        ({**SMALL, "num_hidden_layers": -1}, "num_hidden_layers"),
        ({**SMALL, "model_type": "lama"}, "did you mean 'llama'"),
        ({**SMALL, "layer_types": ["linear_attention"] * 6}, "linear_attention"),
        ({**SMALL, "layer_types": ["full_attention"]}, "1 entries for 6 layers"),
        ({**SMALL, "max_position_embeddings": None}, "give max_model_len"),
        ({**SMALL, "intermediate_size": None}, "needs intermediate_size"),
    ],
)
def test_configurations_that_cannot_be_counted_say_why(config, message):
    with pytest.raises(ConfigError, match=message):
        predict_memory(config)


def test_a_folder_without_a_configuration_and_a_list_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no checkpoint configuration"):
        predict_memory(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="JSON object"):
        predict_memory(Path(tmp_path / "config.json"))


def test_what_a_reader_must_know_is_noted():
    assert any("512 positions" in note for note in predict_memory(SMALL, max_model_len=1024).notes)
    assert any("pictures" in note for note in served(CONFIGS["gemma-3-27b"][1], max_model_len=64).notes)
    assert any("not measured" in note for note in served(LLAMA).notes)
