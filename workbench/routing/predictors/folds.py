"""Cross-validation inside the tuning split: which request is in which fold."""

from __future__ import annotations

import zlib

import numpy as np

from workbench.routing.queries import IntArray, Queries

FOLDS = 5


def folds_of(queries: Queries) -> IntArray:
    """Fold 0..4 of each request, shape (n,). A paraphrase group stays in one fold; without groups each request is its own."""
    names = queries.groups if queries.groups is not None else tuple(str(i) for i in range(len(queries)))
    order = sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name))
    fold = {name: position % FOLDS for position, name in enumerate(order)}
    return np.fromiter((fold[name] for name in names), np.intp, len(names))
