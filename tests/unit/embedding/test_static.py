import hashlib
import math
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.embedding import StaticEmbedder
from workbench.embedding.static import CHAR_LENGTHS, CHAR_WEIGHT, LONGEST_WORD, WORD

EMBEDDER = StaticEmbedder()
PINNED = [
    (17, "-0x1.0000000000000p-2"),
    (21, "-0x1.0000000000000p-3"),
    (27, "0x1.0000000000000p-2"),
    (38, "0x1.0000000000000p-2"),
]

MIXED = st.text(st.sampled_from("aabc 12,.ÄöÅﬁ東京🙂\n\ud800ﬀ①-"), max_size=120)
MANY = [f"{'long ' * (i % 50)}sentence {i}, again and again: {'abc' * i} {i**7} Übung?" for i in range(60)]
MANY_SHA256 = "124dce77fbf55611c5a48b4d6158ff96df0f796de92523cd81c69ef8e5b89cbb"


def by_definition(text: str, dim: int = 512) -> list[float]:
    """The vector feature by feature, in the order in which sums are rounded: hashes ascending, words and pairs before grams."""

    def hashed(feature: str) -> int:
        return int.from_bytes(
            hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
        )

    words = [word[:LONGEST_WORD] for word in WORD.findall(unicodedata.normalize("NFKC", text).lower())]
    singles = [hashed(word) for word in words]
    pairs = [(a * 0x9E3779B97F4A7C15 % 2**64) ^ b for a, b in pairwise(singles)]
    marked = [f"\x02{word}\x03" for word in words]
    grams = [hashed(m[i : i + n]) for m in marked for n in CHAR_LENGTHS for i in range(len(m) - n + 1)]
    parts = []
    for features, weight in ((singles + pairs, 1.0), (grams, CHAR_WEIGHT)):
        parts.append([0.0] * dim)
        for feature, count in sorted(Counter(features).items()):
            parts[-1][feature % dim] += (-1.0 if feature >> 63 else 1.0) * math.sqrt(count) * weight
    sums = [a + b for a, b in zip(*parts, strict=True)]
    length = math.sqrt(math.fsum(s * s for s in sums))
    return [float(np.float32(s / length)) for s in sums] if length else sums


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


@given(MIXED)
def test_a_vector_is_what_the_definition_says_to_the_last_bit(text):
    assert EMBEDDER.embed([text])[0].tolist() == by_definition(text)


def test_a_long_vector_is_what_the_definition_says_to_the_last_bit():
    text = " ".join(MANY)
    assert EMBEDDER.embed([text])[0].tolist() == by_definition(text)
    assert StaticEmbedder(8).embed([text])[0].tolist() == by_definition(text, 8)


def test_vectors_are_those_of_the_first_version_under_the_same_fingerprint():
    assert EMBEDDER.fingerprint == "static-1:dim=512"
    assert hashlib.sha256(EMBEDDER.embed(MANY).astype("<f4").tobytes()).hexdigest() == MANY_SHA256
