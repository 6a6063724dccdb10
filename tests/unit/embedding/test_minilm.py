import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.embedding import minilm
from workbench.embedding.minilm import MiniLMEmbedder

TEXTS = ["How tall is the tower?", "What is the height of the tower?", "Sort these numbers: 3 1 2"]


@pytest.fixture(scope="module")
def vectors():
    return MiniLMEmbedder().embed(TEXTS)


def test_meaning_is_nearer_than_wording(vectors):
    assert vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2]


def test_bulk_embedding_agrees_closely_and_says_that_it_is_another(vectors):
    bulk = MiniLMEmbedder(batch_size=3)
    assert np.allclose(bulk.embed(TEXTS), vectors, atol=1e-5)
    assert bulk.fingerprint != MiniLMEmbedder().fingerprint


def test_other_weights_than_the_pinned_ones_are_refused(monkeypatch):
    monkeypatch.setattr(minilm, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="pinned is 000000000000"):
        MiniLMEmbedder()


def test_what_is_behind_the_256th_token_is_not_read():
    long = "word " * 400
    first, second = MiniLMEmbedder().embed([long, long + "and something else"])
    assert np.array_equal(first, second)
