from typing import Annotated, Literal

import pytest
from pydantic import Field

from workbench.core import ConfigError
from workbench.core.price import Price, Strict
from workbench.core.validation import parse, read_config, read_yaml


class Fixed(Strict):
    kind: Literal["fixed"]
    model: str


class Learned(Strict):
    kind: Literal["learned"]
    artifact: str


class Entry(Strict):
    context_window: Annotated[int | None, Field(gt=0)] = None
    api_key: Annotated[str | None, Field(pattern="^env:")] = None
    price: Price | None = None
    policy: Annotated[Fixed | Learned, Field(discriminator="kind")] | None = None


class Config(Strict):
    name: str = "x"
    models: dict[str, Entry] = {}
    entries: list[Entry] = []
    api_keys: dict[Annotated[str, Field(pattern="^env:")], str] = {}


def message(data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Config, data, "lab.yaml")
    return str(caught.value)


def test_valid_data_becomes_an_instance():
    assert parse(Config, {"models": {"a": {"context_window": 5}}}, "lab.yaml").models["a"].context_window == 5


def test_an_unknown_key_is_answered_with_its_path_and_the_nearest_valid_one():
    text = message({"models": {"tiny": {"contxt_window": 5}}})
    assert text.startswith("lab.yaml: models.tiny: unknown key 'contxt_window'; did you mean 'context_window'?")


def test_an_unknown_key_at_the_top_is_answered_the_same_way():
    assert "lab.yaml: unknown key 'modles'; did you mean 'models'?" in message({"modles": {}})


def test_a_wrong_value_is_shown_with_the_rule_it_broke():
    text = message({"entries": [{}, {"context_window": -3}]})
    assert "entries[1].context_window: input should be greater than 0, found -3" in text


def test_of_a_union_only_the_likely_branch_speaks():
    text = message({"models": {"a": {"price": {"input_usd_per_1m": 1.0}}}})
    assert text == "lab.yaml: models.a.price.output_usd_per_1m is missing"


def test_a_misspelt_key_of_a_union_branch_is_recognised():
    text = message({"models": {"a": {"price": {"hardwar": "cpu"}}}})
    assert text == "lab.yaml: models.a.price: unknown key 'hardwar'; did you mean 'hardware'? known: hardware"


def test_a_tagged_union_suggests_the_keys_of_the_tagged_branch():
    text = message({"models": {"a": {"policy": {"kind": "fixed", "modle": "x"}}}})
    assert "models.a.policy: unknown key 'modle'; did you mean 'model'? known: kind, model" in text


def test_an_unknown_tag_says_what_is_allowed():
    text = message({"models": {"a": {"policy": {"kind": "fixd"}}}})
    assert "models.a.policy.kind: unknown kind 'fixd'; did you mean 'fixed'? known: fixed, learned" in text


@pytest.mark.parametrize("data", [{"models": {"a": {"api_key": "sk-123"}}}, {"api_keys": {"sk-123": "team"}}])
def test_a_secret_given_by_value_is_refused_and_never_shown(data: dict[str, object]):
    text = message(data)
    assert "api_key" in text
    assert "sk-123" not in text


def test_something_that_is_not_a_mapping_is_one_sentence():
    assert message([1, 2]).startswith("lab.yaml: the top level: input should be")


def test_a_yaml_syntax_error_says_line_and_column(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text("models:\n  a: [1, 2\nb: 3\n")
    with pytest.raises(ConfigError, match=r"lab.yaml is not YAML: .* at line 3") as caught:
        read_yaml(path, "lab file")
    assert "\n" not in str(caught.value)


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text("models:\n  a: 1\n  a: 2\n")
    with pytest.raises(ConfigError, match="the key 'a' is given twice at line 3"):
        read_yaml(path)


def test_an_empty_file_is_an_empty_configuration(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text("# nothing yet\n")
    assert read_config(Config, path) == Config()
