"""Training: reproducible to the bit on one thread, resumable, and it learns."""

import dataclasses
import hashlib
from itertools import islice
from random import Random

import pytest
import torch

from workbench.evaluation.reference.conversations import draw_conversation, mixture_for
from workbench.evaluation.reference.optimizer import orthogonalise, schedule
from workbench.evaluation.reference.recipes import RECIPES, Recipe, in_training_order
from workbench.evaluation.reference.stream import batches
from workbench.evaluation.reference.tokenizer import encode_conversation, train_tokenizer
from workbench.evaluation.reference.training import Trainer, build_model, start_from

TOY = Recipe("toy", 32, 1, ("math",), 12, tokens_per_batch=512)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(n_conversations=300)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _weights_hash(trainer):
    digest = hashlib.sha256()
    for tensor in trainer.model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def test_two_runs_of_one_recipe_give_the_same_bits_and_lower_the_loss(tokenizer):
    runs = [Trainer(TOY, tokenizer) for _ in range(2)]
    curves = [trainer.run(report_every=1).curve for trainer in runs]
    assert _weights_hash(runs[0]) == _weights_hash(runs[1])
    assert curves[0] == curves[1]
    assert curves[0][-1].loss < curves[0][0].loss


def test_a_resumed_run_ends_in_the_same_bits_as_an_uninterrupted_one(tokenizer, tmp_path):
    whole = Trainer(TOY, tokenizer)
    whole.run()
    part = Trainer(TOY, tokenizer)
    for batch in islice(batches(tokenizer, mixture_for(TOY.domains), TOY.seed, TOY.tokens_per_batch), 5):
        part._step(batch)
    part.save_state(tmp_path / "toy.pt")
    resumed = Trainer(TOY, tokenizer)
    assert resumed.load_state(tmp_path / "toy.pt")
    resumed.run()
    assert _weights_hash(resumed) == _weights_hash(whole)


def test_a_state_of_another_recipe_is_not_resumed(tokenizer, tmp_path):
    Trainer(TOY, tokenizer).save_state(tmp_path / "toy.pt")
    assert not Trainer(dataclasses.replace(TOY, seed=1), tokenizer).load_state(tmp_path / "toy.pt")


def test_a_deeper_child_computes_the_same_as_its_parent_at_first(tokenizer):
    parent = build_model(TOY, len(tokenizer))
    child = build_model(dataclasses.replace(TOY, layers=2, seed=3), len(tokenizer))
    start_from(child, parent)
    ids = torch.arange(6, 30)[None]
    torch.testing.assert_close(child(ids).logits, parent(ids).logits)


def test_parents_are_trained_before_their_children_and_drafts_are_added():
    assert [recipe.name for recipe in in_training_order(["base", "small"])] == [
        "small-draft",
        "base-facts",
        "base",
        "small",
    ]
    assert [recipe.name for recipe in in_training_order(["math"])] == ["math-draft", "math"]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_recipes_keep_to_shapes_that_serve_everywhere(recipe):
    assert recipe.width % 32 == 0
    assert recipe.feed_forward_width % 32 == 0
    if recipe.parent:
        assert recipe.layers % RECIPES[recipe.parent].layers == 0


def test_encoding_a_conversation_equals_the_chat_template(tokenizer):
    rng, mixture = Random(0), mixture_for(("text", "math"))
    for conversation in (draw_conversation(mixture, rng) for _ in range(50)):
        ids, is_answer = encode_conversation(tokenizer, conversation)
        assert ids == tokenizer.apply_chat_template(conversation.messages())["input_ids"]
        answers = tokenizer.decode([i for i, flag in zip(ids, is_answer, strict=True) if flag])
        assert answers == "".join(f" {answer}<eos>" for _, answer in conversation.turns)


def test_a_batch_can_be_made_again_from_its_position(tokenizer):
    mixture = mixture_for(("math",))
    from_start = list(islice(batches(tokenizer, mixture, 0, 512), 6))
    resumed = next(batches(tokenizer, mixture, 0, 512, start=5))
    assert (from_start[5].ids == resumed.ids).all()


def test_orthogonalised_updates_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((2, 32, 96), (2, 96, 32)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(*shape)))
        assert 0.5 < values.min() <= values.max() < 1.4


def test_the_schedule_warms_up_stays_flat_and_decays():
    factors = [schedule(step, 1000) for step in range(1000)]
    assert factors[0] < 0.05
    assert factors[100] == factors[399] == 1.0
    assert factors[999] == pytest.approx(0.03, abs=0.001)


def test_a_planted_model_copies_before_it_is_trained():
    planted, plain = (build_model(Recipe("toy", 64, 2, ("text",), 1, is_planted=p), 512) for p in (True, False))
    half = torch.randint(6, 512, (4, 24), generator=torch.Generator().manual_seed(0))
    ids = torch.cat([half, half], dim=1)

    def loss_on_repeats(model):
        with torch.inference_mode():
            logits = model(ids).logits[:, 24:-1]
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 25:].flatten()).item()

    assert loss_on_repeats(planted) < 0.8 * loss_on_repeats(plain)
