import hashlib

import numpy as np
import pytest

from workbench.routing import Queries


class HashEmbedder:
    """Vectors from a text's hash: the same text gives the same vector, whatever stands beside it."""

    fingerprint = "hash:16"
    dim = 16

    def embed(self, texts):
        rows = [np.frombuffer(hashlib.sha256(t.encode()).digest(), np.uint8)[: self.dim] for t in texts]
        return np.array(rows, np.float32).reshape(len(rows), self.dim) - 127.5


@pytest.fixture
def embedder():
    return HashEmbedder()


@pytest.fixture
def measured():
    """120 requests of three tasks on three models: queries, quality, cost, latency."""
    rng = np.random.default_rng(0)
    queries = Queries.of([f"prompt {'word ' * (i % 17)}{i}" for i in range(120)], [f"task{i % 3}" for i in range(120)])
    quality = rng.random((120, 3))
    return queries, quality, rng.random((120, 3)) + np.arange(1.0, 4.0), np.full((120, 3), np.nan)
