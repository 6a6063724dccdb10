"""Whether one configuration answers as well as another on the same prompts: the other half of every break-even."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation import Outcomes
from workbench.evaluation.statistics import Estimate, mean_score, paired_difference
from workbench.tuning.evidence import DEFAULT_MARGIN, RULE_OF_THREE

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Mean score of each prompt for one model or configuration.

    Args:
        values: prompt id → (score in 0..1, group).
        origin: name in the Outcomes.
        evidence: folder and hash.
    """

    values: Mapping[str, tuple[float, str]]
    origin: str
    evidence: Mapping[str, Any]

    @classmethod
    def of(cls, outcomes: Outcomes, model: str, folder: str) -> Scores:
        """The scores of one model; a failure counts as 0, an ungraded answer is left out.

        Raises:
            ConfigError: unknown model, or none of its answers has a score.
        """
        if model not in outcomes.models:
            raise ConfigError(f"{folder}: no model {model!r} in these Outcomes; {did_you_mean(model, outcomes.models)}")
        matrix = outcomes.matrix("score")
        column = matrix.values[:, matrix.models.index(model)]
        group_of = dict(zip(outcomes.prompts["prompt_id"], outcomes.prompts["group"], strict=True))
        scored = zip(matrix.prompt_ids, column.tolist(), strict=True)
        values = {prompt: (score, group_of[prompt]) for prompt, score in scored if not np.isnan(score)}
        if not values:
            raise ConfigError(
                f"{folder}: no answer of {model!r} has a score; record with a suite that has answers or a grader"
            )
        return cls(values, model, {"outcomes": folder, "model": model, "data_hash": outcomes.data_hash})

    def mean(self) -> Estimate:
        """Mean score with its interval."""
        scores, groups = zip(*self.values.values(), strict=True)
        return mean_score(np.array(scores), list(groups))


@dataclass(frozen=True, slots=True)
class QualityRule:
    """When quality holds.

    Args:
        margin: score that `a` may be worse than `b` at most; the interval of the paired difference must lie above −margin.
        floor: mean score that `a` must have; its interval must lie above. None asks for none.
        assume_equal: whether unmeasured quality counts as equal. Such a result is marked.
    """

    margin: float = DEFAULT_MARGIN
    floor: float | None = None
    assume_equal: bool = False

    def __post_init__(self) -> None:
        for name, value in (("margin", self.margin), ("floor", self.floor)):
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"the quality {name} is {value}; scores lie in 0 to 1")


@dataclass(frozen=True, slots=True)
class Quality:
    """Whether quality holds.

    Args:
        holds: True or False where an interval decides it; None where it does not, or nothing was measured.
        because: the sentence with the figures.
        is_assumed: whether it was assumed, not measured.
        a, b: mean scores on the common prompts; None where not measured.
        difference: a − b, paired; None where not measured.
        n: common prompts.
        n_groups: independent groups among them.
    """

    holds: bool | None
    because: str
    is_assumed: bool = False
    a: Estimate | None = None
    b: Estimate | None = None
    difference: Estimate | None = None
    n: int = 0
    n_groups: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "holds": self.holds,
            "because": self.because,
            "assumed": self.is_assumed,
            "local_score": _value(self.a),
            "local_score_ci": _ends(self.a),
            "api_score": _value(self.b),
            "difference": _value(self.difference),
            "ci": _ends(self.difference),
            "n": self.n,
            "n_groups": self.n_groups,
        }


def _value(found: Estimate | None) -> float | None:
    return None if found is None else found.value


def _ends(found: Estimate | None) -> list[float | None] | None:
    return None if found is None else [None if np.isnan(end) else end for end in found.ci]


def judge_quality(a: Scores | None, b: Scores | None, rule: QualityRule, seed: int) -> Quality:
    """Whether `a` is not worse than `b` by more than the margin, and not below the floor; on the prompts that both answered."""
    if a is None or b is None:
        return _unmeasured(a, rule)
    common = sorted(set(a.values) & set(b.values))
    if not common:
        return _unmeasured(a, rule, f"{a.origin} and {b.origin} answered no common prompt")
    groups = [a.values[prompt][1] for prompt in common]
    first, second = (np.array([scores.values[prompt][0] for prompt in common]) for scores in (a, b))
    difference = _difference(first, second, groups, seed)
    own, other = mean_score(first, groups), mean_score(second, groups)
    holds, because = _verdict(difference, own, rule)
    where = f"on {len(common)} common prompts ({difference.n_groups} groups): "
    return Quality(holds, where + because, False, own, other, difference, len(common), difference.n_groups)


def _difference(first: Floats, second: Floats, groups: list[str], seed: int) -> Estimate:
    found = paired_difference(first, second, groups, np.random.default_rng(seed))
    if (first != second).any():
        return found
    half = RULE_OF_THREE / found.n_groups  # no prompt differed: what so many groups without an event can exclude
    return Estimate(0.0, (-half, half), found.n, found.n_groups, found.confidence, "rule of three", found.p)


def _verdict(difference: Estimate, own: Estimate, rule: QualityRule) -> tuple[bool | None, str]:
    low, high = difference.ci
    text = f"score difference {difference.value:+.3f} [{low:+.3f}, {high:+.3f}]"
    if np.isnan(low):
        return None, f"{text}: a single group leaves no interval"
    if rule.floor is not None and own.ci[0] < rule.floor:
        below = own.ci[1] < rule.floor
        return (False if below else None), (
            f"score {own.value:.3f} [{own.ci[0]:.3f}, {own.ci[1]:.3f}] is {'' if below else 'not shown to be '}"
            f"{'below' if below else 'above'} the floor {rule.floor:g}"
        )
    if low > -rule.margin:
        return True, f"{text} lies above −{rule.margin:g}"
    if high < -rule.margin:
        return False, f"{text} lies below −{rule.margin:g}: it answers worse"
    return None, f"{text} reaches below −{rule.margin:g}: not shown to be as good"


def _unmeasured(a: Scores | None, rule: QualityRule, why: str | None = None) -> Quality:
    why = why or "quality was not measured on the same prompts"
    if rule.assume_equal:
        return Quality(True, f"{why}; assumed equal, as asked", is_assumed=True)
    own = a.mean() if a is not None else None
    return Quality(
        None, f"{why}: record both with `workbench record` and give --outcomes, or --assume-equal-quality", a=own
    )
