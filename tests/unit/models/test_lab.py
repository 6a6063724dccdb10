from pathlib import Path

import pytest

from workbench.core import ConfigError
from workbench.models import load_lab

REPOSITORY = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    path = folder / "lab.yaml"
    path.write_text(text)
    return path


def test_the_example_is_a_lab():
    assert load_lab(REPOSITORY / "lab.example.yaml").card("tiny").model == "reference:tiny"


def test_the_examples_commented_models_are_right_as_well(tmp_path):
    lines = (REPOSITORY / "lab.example.yaml").read_text().splitlines()
    begin = lines.index("models:")
    settings = [line for line in lines[begin:] if not line.startswith("  # ---")]
    opened = [line.replace("# ", "", 1) if line.startswith("  # ") else line for line in settings]
    lab = load_lab(write(tmp_path, "\n".join(opened)))
    assert sorted(lab.models) == ["claude", "local-server", "mine", "paid", "replay", "served", "tiny"]
    assert lab.card("paid").api_key == "env:OPENAI_API_KEY"


def test_lab_yaml_of_the_current_folder_is_found(tmp_path, monkeypatch):
    write(tmp_path, "models:\n  a: {kind: recorded, model: out}\n")
    monkeypatch.chdir(tmp_path)
    assert list(load_lab().models) == ["a"]


def test_without_a_file_the_reference_family_is_the_lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = load_lab()
    assert {"tiny", "small", "base"} <= set(lab.models)
    card = lab.card("tiny")
    assert (card.kind, card.region, card.context_window) == ("transformers", "local", 512)
    assert card.price is not None


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown model 'tny': did you mean 'tiny'"):
        load_lab(REPOSITORY / "lab.example.yaml").card("tny")


def test_a_wrong_key_names_file_path_and_nearest(tmp_path):
    path = write(tmp_path, "models:\n  a: {kind: recorded, model: out, contxt_window: 5}\n")
    with pytest.raises(
        ConfigError, match=r"lab.yaml: models.a: unknown key 'contxt_window'; did you mean 'context_window'"
    ):
        load_lab(path)


def test_a_key_by_value_is_refused_without_showing_it(tmp_path):
    path = write(tmp_path, "models:\n  a: {kind: openai-compatible, model: x, api_key: sk-secret}\n")
    with pytest.raises(ConfigError, match=r"models.a.api_key") as caught:
        load_lab(path)
    assert "sk-secret" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no lab file at"):
        load_lab(tmp_path / "lab.yaml")
