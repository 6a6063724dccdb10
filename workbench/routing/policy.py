"""Anything that chooses: the object that is swept over recorded rows is the object that decides a live request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from workbench.core import ConfigError
from workbench.routing.circumstances import Circumstances
from workbench.routing.decision import Alternative, Decision
from workbench.routing.objectives import Objective, Row
from workbench.routing.predictions import Predictions
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

    def choose(
        self, queries: Queries, eligible: BoolArray | None = None, given: Circumstances | None = None
    ) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where no model will do. Arguments as in `decide`."""
        given = given or self._unknown(queries)
        return self.objective.choose(self._expected(queries, given), self._mask(queries, eligible), given)

    def decide(
        self, queries: Queries, eligible: BoolArray | None = None, given: Circumstances | None = None
    ) -> list[Decision]:
        """One decision a request.

        Args:
            queries: n requests.
            eligible: shape (n, m), true where a model may answer (context, region, health, budget); None is everywhere.
            given: load, money and chance as each request arrives; None knows only what the requests say.

        Raises:
            ConfigError: `eligible` has another shape.
        """
        mask, given = self._mask(queries, eligible), given or self._unknown(queries)
        predictions = self._expected(queries, given)
        chosen = self.objective.choose(predictions, mask, given).tolist()
        quality, cost = predictions.quality.tolist(), predictions.cost_usd.tolist()
        rows = zip(chosen, quality, cost, mask.tolist(), strict=True)
        batch = predictions, given
        return [self._decision(Row(self.models, *numbers, batch, i)) for i, numbers in enumerate(rows)]

    def _unknown(self, queries: Queries) -> Circumstances:
        """What the requests themselves say."""
        return Circumstances.of(queries, by_lot=getattr(self.objective, "power_of_two", False))

    def _expected(self, queries: Queries, given: Circumstances) -> Predictions:
        """Predictions, with what warm prefix caches save taken off the costs and the worth of staying added to quality."""
        predictions = self.predictor.predict(queries)
        if given.discount_usd is not None:
            cheaper = np.maximum(predictions.cost_usd - given.discount_usd, 0.0)
            predictions = replace(predictions, cost_usd=cheaper)
        return predictions if given.bonus is None else replace(predictions, quality=predictions.quality + given.bonus)

    def _mask(self, queries: Queries, eligible: BoolArray | None) -> BoolArray:
        shape = (len(queries), len(self.models))
        if eligible is None:
            return _everywhere(shape)
        if eligible.shape != shape:
            raise ConfigError(f"`eligible` has shape {eligible.shape}; {shape} is expected, (requests, models)")
        return eligible

    def _decision(self, row: Row) -> Decision:
        tell, column = partial(self._told, row), row.chosen
        if column < 0:
            return Decision.told_later(None, None, None, tell)
        return Decision.told_later(self.models[column], row.quality[column], row.cost_usd[column], tell)

    def _told(self, row: Row, name: str) -> str | tuple[Alternative, ...]:
        return self._because(row) if name == "because" else self._alternatives(row)

    def _alternatives(self, row: Row) -> tuple[Alternative, ...]:
        """The other models: eligible ones first, then by predicted quality."""
        others = [j for j in range(len(self.models)) if j != row.chosen]
        others.sort(key=lambda j: (not row.eligible[j], -row.quality[j], j))
        return tuple(Alternative(self.models[j], row.quality[j], row.cost_usd[j], row.eligible[j]) for j in others)

    def _because(self, row: Row) -> str:
        if row.chosen < 0:
            able = [name for name, may in zip(self.models, row.eligible, strict=True) if may]
            if able:
                return f"none of {', '.join(able)} is within the limits of the {self.objective.kind} objective"
            return f"none of {', '.join(self.models)} is eligible"
        because = f"{self.models[row.chosen]}: {self.objective.because(row)}"
        strange = row.batch[0].unfamiliar
        if strange is not None and strange[row.index]:
            because += "; unlike all recorded prompts, so each model's mean stands in"
        return because

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


@lru_cache(maxsize=64)
def _everywhere(shape: tuple[int, int]) -> BoolArray:
    """True in every place; not to be written to."""
    return np.broadcast_to(np.True_, shape)


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

    def choose(
        self, queries: Queries, eligible: BoolArray | None = None, given: Circumstances | None = None
    ) -> IntArray:
        """Column of the model, shape (n,); -1 where it is not eligible."""
        del given
        column = self.models.index(self.model)
        chosen = np.full(len(queries), column, np.intp)
        return chosen if eligible is None else np.where(eligible[:, column], chosen, -1)

    def decide(
        self, queries: Queries, eligible: BoolArray | None = None, given: Circumstances | None = None
    ) -> list[Decision]:
        """The model for every request; None where it is not eligible."""
        yes = Decision(self.model, f"{self.model}: fixed by the configuration")
        no = Decision(None, f"the fixed model {self.model} is not eligible")
        return [yes if column >= 0 else no for column in self.choose(queries, eligible, given).tolist()]

    def save(self, folder: Path) -> None:
        """Write `policy.json`, whole or not at all."""
        from workbench.routing.store import save_policy

        save_policy(self, folder)


AnyPolicy = Policy | FixedPolicy
