import json
import re

import pytest

from workbench.core import ConfigError
from workbench.models import ModelCard, family
from workbench.models.checkpoint import open_checkpoint
from workbench.models.family import reference_checkpoint
from workbench.testing import save_tiny_checkpoint


@pytest.fixture
def folder(tmp_path):
    return save_tiny_checkpoint(tmp_path / "mine")


def open_it(model, **card):
    return open_checkpoint("m", ModelCard(kind="transformers", model=str(model), **card))


def test_the_flops_of_a_token_leave_out_the_embedding_and_keep_the_head(folder):
    checkpoint = open_it(folder)
    layers = 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    head = 259 * 32
    assert checkpoint.flop_per_token == 2 * (layers + head)


def test_what_the_card_says_comes_first_and_the_smaller_window_holds(folder):
    assert open_it(folder, flop_per_token=7.0).flop_per_token == 7.0
    assert open_it(folder, context_window=100).context_window == 100
    assert open_it(folder, context_window=9999).context_window == 512


def test_a_checkpoint_cut_in_half_is_named(folder):
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    said = f"model.safetensors was cut short: it has {len(data) // 2:,} bytes, its header promises {len(data):,}"
    with pytest.raises(ConfigError, match=re.escape(said)):
        open_it(folder)


@pytest.mark.parametrize("n_bytes", [0, 5, 20])
def test_a_checkpoint_cut_in_its_header_is_named(folder, n_bytes):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:n_bytes])
    with pytest.raises(ConfigError, match="was cut short"):
        open_it(folder)


def test_a_folder_without_weights_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"has a config.json but no weights"):
        open_it(folder)


def test_a_damaged_configuration_is_named(folder):
    (folder / "config.json").write_text('{"model_type": ')
    with pytest.raises(ConfigError, match=r"config.json is not JSON"):
        open_it(folder)


def test_a_checkpoint_without_a_chat_template_says_what_to_do(folder):
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match=r"has no chat template; .* give one in options.chat_template"):
        open_it(folder)
    assert open_it(folder, options={"chat_template": "{{ messages[0].content }}"}).tokenizer.chat_template


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "nowhere", "a/b/c"])
def test_a_missing_folder_says_what_may_be_given(model):
    with pytest.raises(ConfigError, match=r"no checkpoint folder at .*; give reference:NAME, a folder, or a hub id"):
        open_it(model)


def test_a_hub_id_without_a_network_is_one_sentence():
    with pytest.raises(ConfigError, match="model 'm': cannot load 'nobody/nothing': ") as caught:
        open_it("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_a_misspelt_option_is_named(folder):
    with pytest.raises(ConfigError, match="options of model 'm': unknown key 'revison'; did you mean 'revision'"):
        open_it(folder, options={"revison": "main"})


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A data folder whose reference family is one tiny checkpoint."""
    save_tiny_checkpoint(tmp_path / "reference" / "tiny")
    monkeypatch.setattr(family, "data_folder", lambda: tmp_path)
    reference_checkpoint.cache_clear()
    yield tmp_path / "reference"
    reference_checkpoint.cache_clear()


def describe(folder, weights_sha256, schema_version=1):
    member = {"name": "tiny", "folder": "tiny", "weights_sha256": weights_sha256, "forward_flops_per_token": 5}
    (folder / "family.json").write_text(json.dumps({"schema_version": schema_version, "models": [member]}))


def test_a_reference_model_with_the_right_weights_opens(shipped):
    describe(shipped, family.sha256_file(shipped / "tiny" / "model.safetensors"))
    assert open_it("reference:tiny").context_window == 512


def test_other_weights_than_the_measured_ones_are_refused(shipped):
    describe(shipped, "0" * 64)
    with pytest.raises(ConfigError, match="is not the checkpoint that was measured"):
        open_it("reference:tiny")


def test_an_unknown_member_is_answered_with_the_nearest(shipped):
    describe(shipped, "0" * 64)
    with pytest.raises(ConfigError, match="unknown reference model 'tny': did you mean 'tiny'"):
        open_it("reference:tny")


def test_a_family_of_a_newer_version_is_refused(shipped):
    describe(shipped, "0" * 64, schema_version=2)
    with pytest.raises(
        ConfigError, match=r"family.json: schema_version: input should be less than or equal to 1, found 2"
    ):
        open_it("reference:tiny")


def test_a_missing_family_says_how_to_get_one(shipped):
    with pytest.raises(ConfigError, match=r"the reference family is not there .*`make models`"):
        open_it("reference:tiny")
