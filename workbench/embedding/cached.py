"""Vectors kept on disk, so that embedding the same prompts again costs a look-up."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.core.files import replacing
from workbench.core.hashing import sha256_text
from workbench.embedding.embedder import Embedder

UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""A file that is missing or damaged."""


class CachedEmbedder:
    """Any embedder with its vectors in a folder, keyed by its fingerprint and the text's SHA-256; no text is stored.

    The keys of a folder are spread over 256 files by their first byte; a file that is damaged counts as empty. Two processes that
    write at once may lose each other's new vectors, never good ones, and nobody reads half a file.

    Args:
        embedder: what embeds the texts that are not there yet.
        folder: None is `$WORKBENCH_CACHE/embeddings`, without that variable `~/.cache/llm-workbench/embeddings`.
    """

    def __init__(self, embedder: Embedder, folder: Path | None = None) -> None:
        self.embedder = embedder
        self.fingerprint = embedder.fingerprint
        self.dim = embedder.dim
        self.folder = (folder or _default_folder()) / sha256_text(embedder.fingerprint)[:16]
        self._shards: dict[str, dict[str, NDArray[np.float32]]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors, float32 (len(texts), dim): those on disk as they are, the others embedded and stored."""
        keys = [sha256_text(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._shard(key)}
        if missing:
            self._store(dict(zip(missing, self.embedder.embed(list(missing.values())), strict=True)))
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for index, key in enumerate(keys):
            vectors[index] = self._shard(key)[key]
        return vectors

    def _shard(self, key: str) -> dict[str, NDArray[np.float32]]:
        prefix = key[:2]
        if prefix not in self._shards:
            self._shards[prefix] = self._read(self.folder / f"{prefix}.npz")
        return self._shards[prefix]

    def _read(self, path: Path) -> dict[str, NDArray[np.float32]]:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                keys, vectors = stored["keys"].tolist(), stored["vectors"]
        except UNREADABLE:
            return {}
        if vectors.ndim != 2 or vectors.shape != (len(keys), self.dim):
            return {}
        return dict(zip(keys, vectors, strict=True))

    def _store(self, new: dict[str, NDArray[np.float32]]) -> None:
        for prefix in sorted({key[:2] for key in new}):
            path = self.folder / f"{prefix}.npz"
            shard = self._read(path) | self._shards[prefix] | {k: v for k, v in new.items() if k[:2] == prefix}
            self._shards[prefix] = shard
            with replacing(path) as beside, beside.open("wb") as file:
                np.savez(file, keys=np.array(list(shard)), vectors=np.stack(list(shard.values())))


def _default_folder() -> Path:
    root = os.environ.get("WORKBENCH_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "llm-workbench") / "embeddings"
