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
        singles = _from_bytes([single for single, _ in hashed])
        grams = np.sort(_from_bytes([grams for _, grams in hashed]))
        pairs = (singles[:-1] * MIX) ^ singles[1:]
        sums = self._sums(np.sort(np.concatenate([singles, pairs])), grams)
        length = _length(sums)
        if length:
            vector[:] = sums / length

    def _sums(self, words: Hashes, grams: Hashes) -> NDArray[np.float64]:
        """Signed square-root counts of both, each sorted, added up by bucket in that order; the grams weigh less, float64 (dim,)."""
        hashes, n_words = np.concatenate([words, grams]), len(words)
        is_first = np.ones(len(hashes), np.bool_)
        np.not_equal(hashes[1:], hashes[:-1], out=is_first[1:])
        is_first[n_words] = True
        starts = is_first.nonzero()[0]
        distinct = hashes[starts].view(np.int64)  # the sign is the highest bit
        ends = np.append(starts[1:], len(hashes))
        sizes = np.sqrt((ends - starts).astype(np.float64))
        buckets = distinct & (self.dim - 1)
        first_gram = int(starts.searchsorted(n_words))
        sizes[first_gram:] *= CHAR_WEIGHT
        buckets[first_gram:] += self.dim
        sums = np.bincount(buckets, np.copysign(sizes, distinct), 2 * self.dim).astype(np.float64, copy=False)
        return sums[: self.dim] + sums[self.dim :]


def _length(sums: NDArray[np.float64]) -> float:
    """The exactly rounded sum of squares, rooted. Quarters, most of them, are added exactly by anybody; `fsum` is left the others."""
    squares = sums * sums
    quarters = squares * 4.0
    others = quarters != np.rint(quarters)
    return math.sqrt(math.fsum([float(squares[~others].sum()), *squares[others].tolist()]))


@functools.lru_cache(maxsize=65536)
def _word_hashes(word: str) -> tuple[bytes, bytes]:
    """The word's hash, and those of its character n-grams with the word's borders marked; eight bytes each."""
    marked = f"\x02{word}\x03"
    grams = [marked[start : start + n] for n in CHAR_LENGTHS for start in range(len(marked) - n + 1)]
    return _hash(word), b"".join(map(_hash, grams))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _from_bytes(hashes: list[bytes]) -> Hashes:
    """One array of all; joining bytes takes a tenth of joining arrays."""
    return np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64, copy=False)
