"""The shipped checkpoints: what is in the folder is what the card says."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from workbench.evaluation.reference import build_suite
from workbench.evaluation.reference.answering import answer_all, load
from workbench.evaluation.reference.checkpoints import save_checkpoint
from workbench.evaluation.reference.conversations import mixture_for
from workbench.evaluation.reference.recipes import FAMILY, RECIPES, Recipe
from workbench.evaluation.reference.stream import data_sha256
from workbench.evaluation.reference.tokenizer import train_tokenizer
from workbench.evaluation.reference.training import build_model

ROOT = Path(__file__).parents[4] / "data" / "reference"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _card(name):
    return json.loads((ROOT / name / "card.json").read_text())


def test_the_family_list_names_every_model_with_the_hash_of_its_weights():
    family = json.loads((ROOT / "family.json").read_text())
    listed = {model["name"]: model["weights_sha256"] for model in family["models"]}
    assert set(listed) == set(FAMILY)
    for name, sha256 in listed.items():
        weights = ROOT / name / "model.safetensors"
        assert hashlib.sha256(weights.read_bytes()).hexdigest() == sha256 == _card(name)["weights_sha256"]


@pytest.mark.parametrize("name", list(FAMILY))
def test_a_card_describes_the_recipe_it_was_trained_by(name):
    recipe = _card(name)["training"]["recipe"]
    assert Recipe(**recipe | {"domains": tuple(recipe["domains"])}) == RECIPES[name]


@pytest.mark.parametrize("name", list(FAMILY))
def test_a_shipped_model_answers_as_well_as_its_card_says(name):
    model, tokenizer = load(ROOT / name)
    items = build_suite("test", 3, seed=77)
    answers = answer_all(model, tokenizer, [[{"role": "user", "content": item.prompt}] for item in items])
    measured = sum(a == item.answer for a, item in zip(answers, items, strict=True)) / len(items)
    assert measured == pytest.approx(_card(name)["accuracy"]["mean"], abs=0.12)


@pytest.mark.parametrize("name", list(FAMILY))
def test_generation_settings_name_the_special_tokens(name):
    settings = json.loads((ROOT / name / "generation_config.json").read_text())
    assert (settings["bos_token_id"], settings["eos_token_id"], settings["pad_token_id"]) == (1, 2, 0)


def test_all_models_share_one_tokenizer():
    assert len({(ROOT / name / "tokenizer.json").read_bytes() for name in FAMILY}) == 1


def test_the_tokenizer_and_the_training_data_of_a_card_can_be_made_again():
    tokenizer = train_tokenizer()
    shipped = json.loads((ROOT / "math" / "tokenizer.json").read_text())
    assert json.loads(tokenizer.backend_tokenizer.to_str())["model"] == shipped["model"]
    training = _card("math")["training"]
    assert data_sha256(tokenizer, mixture_for(("math",)), training["recipe"]["seed"]) == training["data_sha256"]


def test_the_shipped_files_are_readable_by_all_and_small():
    files = [file for file in ROOT.rglob("*") if file.is_file()]
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in files)
    assert sum(file.stat().st_size for file in files) < 60 * 2**20


def test_a_saved_checkpoint_loads_with_the_same_answers(tmp_path):
    tokenizer = train_tokenizer(n_conversations=200)
    made = build_model(Recipe("toy", 32, 1, ("math",), 1), len(tokenizer)).bfloat16().float()
    save_checkpoint(made, tokenizer, tmp_path / "toy")
    model, loaded = load(tmp_path / "toy")
    asked = [[{"role": "user", "content": text}] for text in ("What is 1 + 2?", "Sort 31 22")]
    assert answer_all(model, loaded, asked) == answer_all(made.eval(), tokenizer, asked)
