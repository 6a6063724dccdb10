"""Which sampler proposes which trials of a search, and how many at a time; known without Optuna."""

from __future__ import annotations

SAMPLERS = ("auto", "tpe", "nsga2", "random")
SAMPLER = "auto"
TPE_TRIALS = 200
"""Trials that `auto` leaves to TPE: further on each costs it 10 to 60 ms and more, and NSGA-II under 1 ms; measured in docs/spaces.md."""
BATCH = {"tpe": 20, "nsga2": 25, "random": 100}
"""Trials proposed, scored and recorded together: what a proposal does not know yet. For NSGA-II the population."""


def proposer(sampler: str, done: int) -> str:
    """Who proposes the trial with that number.

    Example:
        >>> proposer("auto", 0), proposer("auto", TPE_TRIALS), proposer("random", 7)
        ('tpe', 'nsga2', 'random')
    """
    if sampler != "auto":
        return sampler
    return "tpe" if done < TPE_TRIALS else "nsga2"


def trials_by(sampler: str, n_trials: int) -> dict[str, int]:
    """How many of the first trials each sampler proposed.

    Example:
        >>> trials_by("auto", 1000)
        {'tpe': 200, 'nsga2': 800}
    """
    if sampler != "auto":
        return {sampler: n_trials}
    by = {"tpe": min(n_trials, TPE_TRIALS), "nsga2": max(0, n_trials - TPE_TRIALS)}
    return {name: n for name, n in by.items() if n}
