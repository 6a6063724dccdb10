"""The highest rate that holds an SLO: which rate to try next, and what the tries together say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from workbench.core import ConfigError

Verdict = Literal["holds", "breaks", "undecided"]


@dataclass(frozen=True, slots=True)
class RateSearch:
    """How the rate is searched.

    Args:
        start_rps: the first rate tried; 1 a second is a guess that doubling soon corrects.
        tolerance: the search ends when the rate that holds and the next one above it that does not are so close, as a share.
        repeats: stages at one rate while the interval of the good share still holds the target; their requests are taken together.
        most_stages: all together.
        least_rps: below it the answer is that none holds; raised to the lowest rate that the stages are long enough to judge.
        most_rps: above it nothing is tried.
    """

    start_rps: float = 1.0
    tolerance: float = 0.1
    repeats: int = 3
    most_stages: int = 24
    least_rps: float = 0.01
    most_rps: float = 2000.0

    def __post_init__(self) -> None:
        if not 0 < self.least_rps <= self.start_rps <= self.most_rps < math.inf:
            raise ConfigError(
                f"a search starts between {self.least_rps:g} and {self.most_rps:g} requests/s, found {self.start_rps:g}"
            )
        if not self.tolerance > 0:
            raise ConfigError(f"the search's tolerance is a share above 0, found {self.tolerance:g}")
        if self.repeats < 1 or self.most_stages < 1:
            raise ConfigError(
                f"a search needs at least one stage, found repeats {self.repeats}, stages {self.most_stages}"
            )


class RateBracket:
    """What is known of the limit so far, and the rate to try next: doubling or halving until it is enclosed, then the geometric middle.

    A rate counts as held only where the interval of the good share lies at or above the target, and as broken only where it lies below.
    An undecided rate is not claimed, so the search goes on beneath it; the answer's interval still reaches up to a rate that was shown to
    break.

    Args:
        search: the settings.

    Example:
        >>> bracket = RateBracket(RateSearch(start_rps=4))
        >>> while (rate := bracket.next_rps()) is not None:
        ...     bracket.add(rate, "holds" if rate <= 10 else "breaks")
        >>> bracket.answer()["ci"][0] <= 10 <= bracket.answer()["ci"][1]
        True
    """

    def __init__(self, search: RateSearch) -> None:
        self.search = search
        self.holds_rps: float | None = None
        self.not_held_rps: float | None = None
        self.breaks_rps: float | None = None

    def add(self, rate_rps: float, verdict: Verdict) -> None:
        """Take in what a rate showed."""
        if verdict == "holds":
            self.holds_rps = max(rate_rps, self.holds_rps or 0.0)
            return
        self.not_held_rps = min(rate_rps, self.not_held_rps or math.inf)
        if verdict == "breaks":
            self.breaks_rps = min(rate_rps, self.breaks_rps or math.inf)

    def next_rps(self) -> float | None:
        """The rate to try; None when the limit is enclosed, or lies outside the rates that may be tried."""
        held, not_held, search = self.holds_rps, self.not_held_rps, self.search
        if held is None and not_held is None:
            return search.start_rps
        if held is None:
            return not_held / 2 if not_held is not None and not_held / 2 >= search.least_rps else None
        if not_held is None:
            return min(2 * held, search.most_rps) if held < search.most_rps else None
        return None if not_held / held <= 1 + search.tolerance else math.sqrt(held * not_held)

    def answer(self) -> dict[str, Any]:
        """`{rate_rps, ci, because}`: the highest rate shown to hold, and the lowest shown to break as the upper end (null: none was)."""
        broken, held = self.breaks_rps, self.holds_rps
        ends = [held or 0.0, broken]
        if held is None:
            tried = self.not_held_rps
            because = (
                "no rate was tried"
                if tried is None
                else f"no rate was shown to hold the SLO, down to {tried:.3g} requests/s"
            )
            return {"rate_rps": None, "ci": ends, "because": because}
        above = f"{broken:.3g} shown to break it" if broken is not None else "none shown to break it"
        return {"rate_rps": held, "ci": ends, "because": f"{held:.3g} requests/s shown to hold the SLO, {above}"}
