"""What every Embedder keeps. A new one joins by being registered."""

import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.embedding import EMBEDDERS, Embedder, load_embedder

TEXTS = [
    "What is 2 + 3?",
    "a",
    "Sort the words of this rather longer sentence by their length, please.",
    "ÄÖÜ 東京 🙂",
    "a",
]


@pytest.fixture(scope="module", params=EMBEDDERS.names())
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return load_embedder(request.param)


def test_it_is_an_embedder_by_protocol(embedder):
    assert isinstance(embedder, Embedder)
    assert embedder.fingerprint


def test_vectors_are_float32_rows_of_length_one(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), embedder.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_among_others_bit_by_bit(embedder):
    together = embedder.embed(TEXTS)
    backwards = embedder.embed(TEXTS[::-1])[::-1]
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.array_equal(together, alone)
    assert np.array_equal(together, backwards)


def test_a_second_instance_gives_the_same_vectors_and_fingerprint(embedder):
    again = type(embedder)()
    assert again.fingerprint == embedder.fingerprint
    assert np.array_equal(again.embed(TEXTS), embedder.embed(TEXTS))


def test_no_texts_give_no_rows(embedder):
    assert embedder.embed([]).shape == (0, embedder.dim)


def test_the_empty_text_has_finite_numbers(embedder):
    assert np.isfinite(embedder.embed([""])).all()


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown embedder 'minlm': did you mean 'minilm'"):
        load_embedder("minlm")
