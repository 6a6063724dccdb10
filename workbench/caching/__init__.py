"""Whether a model must answer at all."""

from workbench.caching.exact import ExactCacheConfig

__all__ = ["ExactCacheConfig"]
