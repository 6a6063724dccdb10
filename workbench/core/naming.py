"""Names that users type: the nearest valid one, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest valid name and all valid ones.

    Example:
        >>> did_you_mean("tinny", ["tiny", "base"])
        "did you mean 'tiny'? known: base, tiny"
        >>> did_you_mean("x", [])
        'none are defined'
    """
    names = sorted(known)
    if not names:
        return "none are defined"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listing = "known: " + ", ".join(names)
    return f"did you mean {near[0]!r}? {listing}" if near else listing
