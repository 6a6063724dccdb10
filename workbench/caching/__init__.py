"""Whether a model must answer at all."""

from workbench.caching.exact import ExactCache, ExactCacheConfig, Hit, exact_key
from workbench.caching.single_flight import SingleFlight

__all__ = ["ExactCache", "ExactCacheConfig", "Hit", "SingleFlight", "exact_key"]
