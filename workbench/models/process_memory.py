"""How much memory this process has needed at most."""

from __future__ import annotations

import sys


def peak_memory_gib() -> float | None:
    """The largest resident set of this process so far, GiB; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / 2**30 if sys.platform == "darwin" else peak / 2**20)  # bytes there, KiB elsewhere
