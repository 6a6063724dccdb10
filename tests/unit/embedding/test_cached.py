from collections.abc import Sequence

import numpy as np
import pytest

from workbench.embedding import CachedEmbedder, StaticEmbedder


class Counting(StaticEmbedder):
    def __init__(self, dim: int = 64) -> None:
        super().__init__(dim)
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]):
        self.asked.extend(texts)
        return super().embed(texts)


TEXTS = ["one", "two", "one", "three"]


def test_a_text_is_embedded_once_and_read_back_bit_by_bit(tmp_path):
    first, second = Counting(), Counting()
    fresh = CachedEmbedder(first, tmp_path).embed(TEXTS)
    again = CachedEmbedder(second, tmp_path).embed(TEXTS)
    assert first.asked == ["one", "two", "three"]
    assert second.asked == []
    assert np.array_equal(fresh, again)
    assert np.array_equal(fresh, StaticEmbedder(64).embed(TEXTS))


def test_vectors_of_another_embedder_are_not_taken(tmp_path):
    CachedEmbedder(Counting(64), tmp_path).embed(TEXTS)
    other = Counting(128)
    assert CachedEmbedder(other, tmp_path).embed(TEXTS).shape == (4, 128)
    assert len(other.asked) == 3


def test_a_damaged_file_counts_as_empty(tmp_path):
    CachedEmbedder(Counting(), tmp_path).embed(TEXTS)
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:40])
    embedder = Counting()
    CachedEmbedder(embedder, tmp_path).embed(TEXTS)
    assert len(embedder.asked) == 3


def test_no_text_is_on_disk(tmp_path):
    CachedEmbedder(Counting(), tmp_path).embed(["a very private text"])
    files = list(tmp_path.rglob("*.npz"))
    assert files
    assert not any(b"private" in path.read_bytes() for path in files)


def test_its_place_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    assert tmp_path in CachedEmbedder(Counting()).folder.parents


@pytest.mark.parametrize("texts", [[], ["x"]])
def test_few_texts_or_none_keep_their_shape(tmp_path, texts):
    assert CachedEmbedder(Counting(), tmp_path).embed(texts).shape == (len(texts), 64)
