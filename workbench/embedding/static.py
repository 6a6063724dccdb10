"""Vectors by hashing: no weights, no training, tens of microseconds a text, the same bits on every machine."""

from __future__ import annotations

import functools
import hashlib
import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+|[^\w\s]")
CHAR_LENGTHS = (3, 4, 5)
CHAR_WEIGHT = 0.5
MAX_CHARS = 20_000
LONGEST_WORD = 64
MIX = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]


class StaticEmbedder:
    """Feature hashing of words, word pairs and the character 3- to 5-grams inside words, with signs and square-root counts.

    It sees wording, not meaning: good for telling kinds of task apart and for near-duplicates, blind to synonyms. Counts enter by
    their square root, which IEEE 754 rounds the same everywhere; sums are exactly rounded. So vectors are equal bit by bit on all
    machines. Beyond 20,000 characters a text is not read.

    Args:
        dim: length of a vector, a power of two.

    Source:
        Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009 (the signed hash).

    Example:
        >>> a, b, c = StaticEmbedder().embed(["What is 2 + 3?", "what is 4 + 3", "Reverse the word tree."])
        >>> bool(a @ b > 0.5 > a @ c)
        True
    """

    def __init__(self, dim: int = 512) -> None:
        if dim < 2 or dim & (dim - 1):
            raise ValueError(f"dim must be a power of two, found {dim}")
        self.dim = dim
        self.fingerprint = f"static-1:dim={dim}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors, float32 (len(texts), dim); a text without letters, digits and signs is all zeros."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for index, text in enumerate(texts):
            self._embed_into(vectors[index], text)
        return vectors

    def _embed_into(self, vector: NDArray[np.float32], text: str) -> None:
        words = WORD.findall(unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower())
        if not words:
            return
        hashed = [_word_hashes(word[:LONGEST_WORD]) for word in words]
        singles = np.array([hashes[0] for hashes in hashed], dtype=np.uint64)
        pairs = (singles[:-1] * MIX) ^ singles[1:]
        sums = self._sums(np.concatenate([singles, pairs]), 1.0)
        sums += self._sums(np.concatenate([hashes[1:] for hashes in hashed]), CHAR_WEIGHT)
        length = math.sqrt(math.fsum((sums * sums).tolist()))
        if length:
            vector[:] = sums / length

    def _sums(self, hashes: Hashes, weight: float) -> NDArray[np.float64]:
        """Signed square-root counts added up by bucket, float64 (dim,)."""
        distinct, counts = np.unique(hashes, return_counts=True)
        signs = 1.0 - 2.0 * (distinct >> np.uint64(63)).astype(np.float64)
        buckets = (distinct & np.uint64(self.dim - 1)).astype(np.intp)
        sums = np.zeros(self.dim, dtype=np.float64)
        np.add.at(sums, buckets, signs * np.sqrt(counts) * weight)
        return sums


@functools.lru_cache(maxsize=65536)
def _word_hashes(word: str) -> Hashes:
    """The word's hash, then those of its character n-grams with the word's borders marked."""
    marked = f"\x02{word}\x03"
    grams = [marked[start : start + n] for n in CHAR_LENGTHS for start in range(len(marked) - n + 1)]
    return np.array([_hash(word), *map(_hash, grams)], dtype=np.uint64)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
