import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.routing import Queries, make_predictor
from workbench.routing.exact import FINE
from workbench.routing.predictors.surface import MOST_CHARACTERS, NAMES, SCALE, Surface, surface


class Blind:
    """An embedder that sees no difference between texts but chance."""

    fingerprint, dim = "blind", 8

    def embed(self, texts):
        return np.array([np.random.default_rng(len(text)).standard_normal(8) for text in texts], np.float32)


def named(text):
    return dict(zip(NAMES, surface(text), strict=True))


def test_what_is_counted_is_what_the_names_say():
    found = named("Is $x^2 = 49$?\nYes, if x = 7.")
    assert found["log digits"] == pytest.approx(np.log1p(4))
    assert found["log numbers"] == pytest.approx(np.log1p(3))
    assert found["digits a number"] == pytest.approx(4 / 3)
    assert found["log lines"] == pytest.approx(np.log1p(1))
    assert found["log questions"] == pytest.approx(np.log1p(1))
    assert found["log formulas"] == pytest.approx(np.log1p(2))
    assert found["log capitals"] == pytest.approx(np.log1p(2))
    assert found["log operators"] == pytest.approx(np.log1p(3))
    assert found["bytes a word"] == pytest.approx(29 / 9)


def test_letters_beyond_ascii_are_counted_in_bytes_and_broken_text_does_no_harm():
    assert named("é")["share beyond ASCII"] == 1.0
    assert np.isfinite(surface("\ud800 1")).all()
    assert surface("")[0] == 0.0


def test_only_the_beginning_of_a_long_prompt_is_read():
    assert surface("a" * MOST_CHARACTERS + "7" * 50) == surface("a" * MOST_CHARACTERS)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=12))
def test_features_are_bounded_whole_and_the_same_alone_as_in_a_batch(texts):
    found = Surface.fit(["Give me 7 + 5.", "Who wrote Hamlet?", *texts])
    whole = found.whole(texts)
    assert np.array_equal(whole, np.rint(whole))
    assert np.abs(whole).max() <= found.largest * FINE
    assert all(np.array_equal(found.whole([text])[0], row) for text, row in zip(texts, whole, strict=True))


def test_a_feature_that_was_the_same_everywhere_says_nothing_later():
    found = Surface.fit(["aa", "aa bb"])
    assert found.factor[NAMES.index("log digits")] == 0.0
    assert found.whole(["12345"])[0, NAMES.index("log digits")] == 0.0


def test_standardised_features_have_the_stated_spread():
    texts = [f"{'7' * (i % 9)} words {'and' * (i % 4)}" for i in range(200)]
    found = Surface.fit(texts).whole(texts) / FINE
    assert found[:, NAMES.index("log digits")].std() == pytest.approx(SCALE, rel=0.05)


@pytest.mark.parametrize("kind", ["local", "stack"])
def test_a_model_that_cannot_carry_digits_is_found_though_the_embedder_is_blind(kind):
    """Sums of one to four digits, all of one length; the small model is right with chance 0.9, 0.6, 0.3, 0.1."""
    rng = np.random.default_rng(0)
    digits = rng.integers(1, 5, 800)
    texts = [f"sum {'7' * d} and {'5' * d}".ljust(24, "x") + str(i % 3) for i, d in enumerate(digits)]
    chance = np.column_stack([np.array([0.9, 0.6, 0.3, 0.1])[digits - 1], np.full(800, 0.85)])
    score = (rng.random((800, 2)) < chance).astype(float)
    queries, cost = Queries.of(texts), np.tile([1.0, 5.0], (800, 1))
    predictor = make_predictor(kind, Blind()).fit(queries[:600], score[:600], cost[:600], cost[:600])
    found = predictor.predict(queries[600:]).quality
    assert np.corrcoef(found[:, 1] - found[:, 0], (chance[:, 1] - chance[:, 0])[600:])[0, 1] > 0.9
