"""Anything that chooses: the object that is swept over recorded rows is the object that decides a live request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.core import ConfigError
from workbench.routing.decision import Alternative, Decision
from workbench.routing.objectives import Capability, CostAware, Objective
from workbench.routing.predictors.predictor import Predictor, TextEmbedder
from workbench.routing.queries import BoolArray, IntArray, Queries


@dataclass(frozen=True, slots=True)
class Policy:
    """Predictions times an objective.

    Args:
        models: names, in the order of the predictor's columns.
        predictor: a fitted predictor.
        objective: reduces predictions to a choice.

    A request is decided the same alone and in a batch, bit by bit.
    """

    models: tuple[str, ...]
    predictor: Predictor
    objective: Objective

    def choose(self, queries: Queries, eligible: BoolArray | None = None) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where no model is eligible."""
        return self.objective.choose(self.predictor.predict(queries), self._mask(queries, eligible))

    def decide(self, queries: Queries, eligible: BoolArray | None = None) -> list[Decision]:
        """One decision a request.

        Args:
            queries: n requests.
            eligible: shape (n, m), true where a model may answer (context, region, health, budget); None is everywhere.

        Raises:
            ConfigError: `eligible` has another shape.
        """
        mask = self._mask(queries, eligible)
        predictions = self.predictor.predict(queries)
        chosen = self.objective.choose(predictions, mask).tolist()
        quality, cost = predictions.quality.tolist(), predictions.cost_usd.tolist()
        rows = zip(chosen, quality, cost, mask.tolist(), strict=True)
        return [self._explain(column, q, c, able) for column, q, c, able in rows]

    def _mask(self, queries: Queries, eligible: BoolArray | None) -> BoolArray:
        shape = (len(queries), len(self.models))
        if eligible is None:
            return np.ones(shape, np.bool_)
        if eligible.shape != shape:
            raise ConfigError(f"`eligible` has shape {eligible.shape}; {shape} is expected, (requests, models)")
        return eligible

    def _explain(self, column: int, quality: list[float], cost: list[float], able: list[bool]) -> Decision:
        others = sorted(
            (j for j in range(len(self.models)) if j != column), key=lambda j: (not able[j], -quality[j], j)
        )
        alternatives = tuple(Alternative(self.models[j], quality[j], cost[j], able[j]) for j in others)
        if column < 0:
            return Decision(None, f"none of {', '.join(self.models)} is eligible", alternatives=alternatives)
        rival = self._rival(quality, [j for j in others if able[j]])
        because = f"{self.models[column]}: {quality[column]:.2f} predicted"
        if rival is None:
            because += ", the only eligible model"
        else:
            because += f" vs {self.models[rival]} {quality[rival]:.2f} {self._setting()}, "
            because += _times(cost[column], cost[rival], self.models[rival])
        return Decision(self.models[column], because, quality[column], cost[column], alternatives)

    def _rival(self, quality: list[float], able: list[int]) -> int | None:
        return max(able, key=lambda j: quality[j]) if able else None

    def _setting(self) -> str:
        if isinstance(self.objective, CostAware):
            return f"at λ={self.objective.exchange:.4g} score per USD"
        if isinstance(self.objective, Capability):
            return f"at floor {self.objective.floor:.4g}"
        return f"by {self.objective.kind}"

    def save(self, folder: Path) -> None:
        """Write `policy.json` and its arrays, whole or not at all.

        Raises:
            StoreError: the disk is full or the folder cannot be written; what was there is untouched.
        """
        from workbench.routing.store import save_policy

        save_policy(self, folder)

    @staticmethod
    def load(folder: Path, embedder: TextEmbedder | None = None) -> AnyPolicy:
        """The policy that was saved, a `FixedPolicy` included; see `workbench.routing.store.load_policy`."""
        from workbench.routing.store import load_policy

        return load_policy(folder, embedder)


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Always the same model: what a sweep returns when routing does not pay.

    Args:
        model: the model.
        models: names in the order of the columns of `eligible`; by default only `model`.

    Example:
        >>> FixedPolicy("base").decide(Queries.of(["2 + 2?"]))[0].because
        'base: fixed by the configuration'
    """

    model: str
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.models:
            object.__setattr__(self, "models", (self.model,))
        if self.model not in self.models:
            raise ConfigError(f"the fixed model {self.model!r} is not among {', '.join(self.models)}")

    def choose(self, queries: Queries, eligible: BoolArray | None = None) -> IntArray:
        """Column of the model, shape (n,); -1 where it is not eligible."""
        column = self.models.index(self.model)
        chosen = np.full(len(queries), column, np.intp)
        return chosen if eligible is None else np.where(eligible[:, column], chosen, -1)

    def decide(self, queries: Queries, eligible: BoolArray | None = None) -> list[Decision]:
        """The model for every request; None where it is not eligible."""
        yes = Decision(self.model, f"{self.model}: fixed by the configuration")
        no = Decision(None, f"the fixed model {self.model} is not eligible")
        return [yes if column >= 0 else no for column in self.choose(queries, eligible).tolist()]

    def save(self, folder: Path) -> None:
        """Write `policy.json`, whole or not at all."""
        from workbench.routing.store import save_policy

        save_policy(self, folder)


AnyPolicy = Policy | FixedPolicy


def _times(cost: float, other_cost: float, other: str) -> str:
    if other_cost == cost:
        return f"at the same cost as {other}"
    if other_cost <= 0 or cost <= 0:
        return f"{cost:.3g} USD instead of {other_cost:.3g}"
    return f"{cost / other_cost:.2g}× the cost of {other}"
