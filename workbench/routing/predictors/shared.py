"""One embedding of a batch for several estimators."""

from __future__ import annotations

import numpy as np

from workbench.routing.predictors.predictor import TextEmbedder


class LastBatch:
    """An embedder that remembers its last batch, so that the parts of a blend embed a request once."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self.embedder = embedder
        self._last: tuple[list[str], np.ndarray] = ([], np.empty((0, 0), np.float32))

    @property
    def fingerprint(self) -> str:
        """The wrapped embedder's fingerprint."""
        return self.embedder.fingerprint

    def embed(self, texts: list[str]) -> np.ndarray:
        """Vectors, shape (n, dim)."""
        known, vectors = self._last
        if texts and texts == known:
            return vectors
        vectors = self.embedder.embed(texts)
        self._last = (texts, vectors)
        return vectors
