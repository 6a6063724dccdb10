"""Text to vectors."""

from workbench.embedding.cached import CachedEmbedder
from workbench.embedding.embedder import EMBEDDERS, Embedder, load_embedder
from workbench.embedding.static import StaticEmbedder

__all__ = ["EMBEDDERS", "CachedEmbedder", "Embedder", "StaticEmbedder", "load_embedder"]
