import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.embedding import StaticEmbedder

EMBEDDER = StaticEmbedder()
PINNED = [
    (17, "-0x1.0000000000000p-2"),
    (21, "-0x1.0000000000000p-3"),
    (27, "0x1.0000000000000p-2"),
    (38, "0x1.0000000000000p-2"),
]


def cosine(a: str, b: str) -> float:
    left, right = EMBEDDER.embed([a, b])
    return float(left @ right)


@given(st.text(max_size=80))
def test_a_vector_has_length_one_or_there_is_nothing_to_see(text):
    length = float(np.linalg.norm(EMBEDDER.embed([text])[0].astype(np.float64)))
    assert math.isclose(length, 1.0, abs_tol=1e-6) or (length == 0.0 and not text.strip())


def test_vectors_are_the_same_on_every_machine():
    vector = EMBEDDER.embed(["What is 2 + 3?"])[0]
    nonzero = np.flatnonzero(vector)
    assert [(int(i), float(vector[i]).hex()) for i in nonzero[:4]] == PINNED


def test_case_and_unicode_forms_do_not_matter():
    assert cosine("What IS this", "what is this") == pytest.approx(1.0)
    assert cosine("ｆｕｌｌ width", "full width") == pytest.approx(1.0)


def test_a_repeated_word_counts_by_the_square_root():
    once, often = EMBEDDER.embed(["sum sort", "sum sum sum sum sort"])
    assert 0.5 < float(once @ often) < 1.0


def test_another_dimension_is_another_fingerprint():
    assert StaticEmbedder(64).fingerprint != EMBEDDER.fingerprint
    assert StaticEmbedder(64).embed(["x"]).shape == (1, 64)


def test_a_dimension_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="dim must be a power of two, found 500"):
        StaticEmbedder(500)


def test_a_giant_text_is_read_at_its_beginning_only():
    same = "a word " * 3000
    assert cosine(same, same + "something else " * 100_000) == pytest.approx(1.0)
