"""Whether live traffic is what a release promised: one row a claim, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.release.evidence import Claim, Evidence


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """What the server did with one prompt of the report split.

    Args:
        prompt_id: the prompt.
        predicted_model: what the sweep's policy chose.
        chosen_model: what the live policy chose; None when the request failed before it was told.
        answered_model: who answered in the end (a fallback may); None when nobody did.
        score: 0..1; a failed request scores 0; None when the grader cannot be repeated here.
        recorded_score: the score of the recorded answer.
        cost_usd: as the server states it; None when unknown or failed.
        latency_s: from sending to the whole answer, at the client.
        error: why there is no answer; None when there is one.
    """

    prompt_id: str
    predicted_model: str
    chosen_model: str | None
    answered_model: str | None
    score: float | None
    recorded_score: float | None
    cost_usd: float | None
    latency_s: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One claim against what was seen.

    Args:
        name: parity, or the claim's name.
        predicted: the claimed value.
        ci: where the live value was promised to lie.
        live: what was seen; None when it could not be seen, which counts as outside.
        inside: whether it lies there; None where the release said beforehand that this claim cannot be checked live.
        because: why not, one sentence; empty when inside.
    """

    name: str
    predicted: float
    ci: tuple[float, float]
    live: float | None
    inside: bool | None
    because: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "predicted": self.predicted,
            "ci": list(self.ci),
            "live": self.live,
            "inside": self.inside,
            "because": self.because,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`.

    Args:
        checks: parity first, then the claims in the evidence's order.
        answers: one row a prompt.
    """

    checks: tuple[Check, ...]
    answers: tuple[LiveAnswer, ...]

    @property
    def verdict(self) -> Literal["holds", "incomplete", "fails"]:
        """Whether every check is inside; "incomplete": all that could be made are, but not every claim could be checked."""
        if any(check.inside is False for check in self.checks):
            return "fails"
        return "incomplete" if self.unchecked else "holds"

    @property
    def unchecked(self) -> list[Check]:
        """The claims that could not be checked."""
        return [check for check in self.checks if check.inside is None]

    @property
    def parity(self) -> float:
        """Share of prompts whose live choice is the sweep's."""
        return sum(a.chosen_model == a.predicted_model for a in self.answers) / len(self.answers)

    @property
    def errors(self) -> list[LiveAnswer]:
        """The requests that failed."""
        return [answer for answer in self.answers if answer.error is not None]

    def to_json(self) -> dict[str, Any]:
        """What `verify --json` prints."""
        return {
            "verdict": self.verdict,
            "parity": self.parity,
            "checks": [check.to_json() for check in self.checks],
            "n": len(self.answers),
            "n_errors": len(self.errors),
            "n_fallbacks": sum(a.answered_model not in (None, a.chosen_model) for a in self.answers),
            "n_scores_changed": sum(a.score != a.recorded_score for a in self.answers if a.score is not None),
        }


def judge(evidence: Evidence, answers: Sequence[LiveAnswer]) -> Verification:
    """Every claim of the evidence, and the parity of decisions, against the live answers."""
    live = {
        "score": _mean([answer.score for answer in answers]),
        "cost_usd_per_1k": _per_1k(_mean([a.cost_usd for a in answers if a.error is None])),
        "latency_s": _mean([a.latency_s for a in answers if a.error is None]),
    }
    claims = [_check(claim, live.get(claim.name), len(answers)) for claim in evidence.claims]
    return Verification((_parity(answers), *claims), tuple(answers))


def _parity(answers: Sequence[LiveAnswer]) -> Check:
    off = [answer for answer in answers if answer.chosen_model != answer.predicted_model]
    share = 1 - len(off) / len(answers)
    if not off:
        return Check("parity", 1.0, (1.0, 1.0), share, True)
    first = off[0]
    because = f"{len(off)} of {len(answers)} choices differ, the first at {first.prompt_id}: {first.chosen_model or first.error}"
    return Check("parity", 1.0, (1.0, 1.0), share, False, f"{because}, the sweep chose {first.predicted_model}")


def _check(claim: Claim, live: float | None, n: int) -> Check:
    low, high = claim.interval_for(n)
    if claim.unchecked_because is not None:
        return Check(claim.name, claim.estimate, (low, high), None, None, claim.unchecked_because)
    if live is None:
        because = "not every answer has this number, so the claim cannot be checked"
        return Check(claim.name, claim.estimate, (low, high), None, False, because)
    slack = 1e-9 * max(abs(low), abs(high))  # the last bits of a mean depend on the order of its sum
    if low - slack <= live <= high + slack:
        return Check(claim.name, claim.estimate, (low, high), live, True)
    side = "below" if live < low else "above"
    return Check(claim.name, claim.estimate, (low, high), live, False, f"{live:.4g} is {side} [{low:.4g}, {high:.4g}]")


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None when there is no value or one is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _per_1k(value: float | None) -> float | None:
    return None if value is None else 1000 * value
