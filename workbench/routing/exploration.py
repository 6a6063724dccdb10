"""Exploration: a small share of requests goes to a model drawn by lot, so that logs can say what another policy would have scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from workbench.core.price import Strict
from workbench.routing.circumstances import draws_of
from workbench.routing.decision import Decision


class ExplorationConfig(Strict):
    """How much is spent on learning."""

    share: Annotated[
        float,
        Field(gt=0, le=1, description="share of requests whose model is drawn evenly among those that can answer"),
    ]


def explored(decision: Decision, eligible: Sequence[str], share: float, request_id: str) -> Decision:
    """The decision after the lot, with the probability that it had (ε-greedy).

    With k eligible models the policy's own choice has propensity 1 − ε + ε / k, each other one ε / k. The lot hangs on the request's
    id, so that a replay draws the same.

    Args:
        decision: of the policy.
        eligible: models that can answer, the chosen one among them.
        share: ε.
        request_id: of the request.
    """
    if decision.model is None or decision.model not in eligible:
        return decision
    whether, which = draws_of((f"explore {request_id}",))[0]
    by_lot = share / len(eligible)
    own = replace(decision, propensity=1.0 - share + by_lot)
    drawn = eligible[min(int(which * len(eligible)), len(eligible) - 1)]
    if whether >= share or drawn == decision.model:
        return own
    other = next((a for a in decision.alternatives if a.model == drawn), None)
    return replace(
        own,
        model=drawn,
        because=f"{drawn}: drawn by lot, as {share:.3g} of requests are; the policy's choice was {decision.because}",
        predicted_quality=None if other is None else other.predicted_quality,
        predicted_cost_usd=None if other is None else other.predicted_cost_usd,
        propensity=by_lot,
        is_explored=True,
    )
