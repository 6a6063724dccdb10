"""The one protocol of everything that turns texts into vectors, and how one is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from workbench.core.registry import Registry


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. A text's vector does not depend on what else is embedded with it, bit by bit.

    Attributes:
        fingerprint: changes whenever vectors may change; stored beside every index, threshold and policy that uses them.
        dim: length of a vector.
    """

    fingerprint: str
    dim: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors.

        Returns:
            float32 (len(texts), dim), each row of length 1; a text without any feature may be all zeros.
        """
        ...


# An embedder is a callable without arguments. Another one is added with `EMBEDDERS.add(name, "module:Class")`.
EMBEDDERS = Registry(
    "embedder",
    {
        "static": "workbench.embedding.static:StaticEmbedder",
        "minilm": "workbench.embedding.minilm:MiniLMEmbedder",
    },
    extras={"minilm": "embedding"},
)


def load_embedder(name: str) -> Embedder:
    """The embedder of that name, with its default settings.

    Raises:
        ConfigError: unknown name, or its weights are not the pinned ones.
        MissingExtra: its libraries are not installed.

    Example:
        >>> load_embedder("static").embed(["one", "two"]).shape
        (2, 512)
    """
    embedder: Embedder = EMBEDDERS.load(name)()
    return embedder
