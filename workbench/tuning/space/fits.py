"""Predictors of a space: fitted on the tune split, with held-out predictions of every tune row from cross-fitting.

A row of the tune split is predicted by a predictor that saw neither it nor its paraphrase group, and calibrated by a line that was
fitted on the other folds. What serves is fitted on the whole tune split and calibrated on all its held-out predictions; the choose and
report splits are touched by neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.embedding import Embedder
from workbench.evaluation.engine import Engine
from workbench.routing import LearnedPredictor, Predictions, make_predictor
from workbench.routing.calibration import Calibration
from workbench.routing.predictors import State
from workbench.routing.predictors.folds import folds_of
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.space.plan import Basis

Progress = Callable[[str], None]
Folds = npt.NDArray[np.intp]


class TextVectors:
    """An embedder that knows some texts' vectors and nothing else: small enough to travel to a worker.

    Args:
        embedder: whose vectors they are.
        texts: that will be asked for.
    """

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        unique = list(dict.fromkeys(texts))
        self.fingerprint = embedder.fingerprint
        self.dim = embedder.dim
        self._row = {text: row for row, text in enumerate(unique)}
        self._vectors = embedder.embed(unique)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors, float32 (len(texts), dim)."""
        return self._vectors[[self._row[text] for text in texts]]


@dataclass(frozen=True, slots=True, eq=False)
class _Material:
    """What every fit needs: the tune split, its folds, and the vectors by embedder's name."""

    tune: OutcomeMatrix
    folds: Folds
    vectors: Mapping[str, TextVectors]


@dataclass(frozen=True, slots=True)
class _Task:
    """One fit; fold None is on the whole tune split."""

    predictor: str
    embedder: str | None
    fold: int | None


def _fit(material: _Material, task: _Task) -> State | Predictions:
    """The fitted predictor as plain arrays, or for a fold the predictions of its held-out rows."""
    tune = material.tune
    seen = tune if task.fold is None else tune.take(material.folds != task.fold)
    vectors = None if task.embedder is None else material.vectors[task.embedder]
    predictor = make_predictor(task.predictor, vectors).fit(seen.queries, seen.score, seen.cost_usd, seen.latency_s)
    if task.fold is None:
        return predictor.to_state()
    return predictor.predict(tune.queries[np.flatnonzero(material.folds == task.fold)])


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A basis ready to be used.

    Args:
        held_out: calibrated predictions for the tune rows by predictors that did not see them.
        predictor: fitted on the whole tune split and calibrated; what serves.
    """

    held_out: Predictions
    predictor: LearnedPredictor


def fitted_bases(
    tune: OutcomeMatrix,
    bases: Sequence[Basis],
    embedders: Mapping[str, Embedder],
    engine: Engine,
    progress: Progress,
) -> dict[Basis, Fitted]:
    """Every basis, fitted.

    Args:
        tune: the tune split.
        bases: predictor, embedder and calibration; calibrations share a fit.
        embedders: by name, those that the bases name.
        engine: where the fits run; results do not depend on it.
        progress: called with a line.

    Raises:
        ConfigError: too few rows to calibrate on.
    """
    folds = folds_of(tune.queries)
    kinds = tuple(dict.fromkeys(basis.fit for basis in bases))
    tasks = [_Task(*kind, fold) for kind in kinds for fold in (None, *sorted(set(folds.tolist())))]
    vectors = {name: TextVectors(embedder, tune.queries.texts) for name, embedder in embedders.items()}
    progress(f"fitting {', '.join(kind for kind, _ in kinds)} on {len(tune)} prompts, and on folds of them")
    done = dict(engine.run(_fit, _Material(tune, folds, vectors), tasks))
    found = {task: done[index] for index, task in enumerate(tasks)}
    return {basis: _basis(basis, tune, folds, found, embedders) for basis in bases}


def _basis(
    basis: Basis,
    tune: OutcomeMatrix,
    folds: Folds,
    found: Mapping[_Task, State | Predictions],
    embedders: Mapping[str, Embedder],
) -> Fitted:
    state = found[_Task(*basis.fit, None)]
    assert isinstance(state, State)
    embedder = None if basis.embedder is None else embedders[basis.embedder]
    predictor = LearnedPredictor.from_state(state, embedder)
    held_out = _joined(basis, tune, folds, found)
    if basis.calibration == "none":
        return Fitted(held_out, predictor)
    predictor.calibration = Calibration.fit(basis.calibration, held_out.quality, tune.score)
    return Fitted(
        replace(held_out, quality=_cross_calibrated(basis.calibration, held_out.quality, tune.score, folds)), predictor
    )


def _joined(basis: Basis, tune: OutcomeMatrix, folds: Folds, found: Mapping[_Task, State | Predictions]) -> Predictions:
    quality, cost, seconds = (np.empty(tune.score.shape) for _ in range(3))
    for fold in sorted(set(folds.tolist())):
        part, rows = found[_Task(*basis.fit, fold)], folds == fold
        assert isinstance(part, Predictions)
        quality[rows], cost[rows], seconds[rows] = part.quality, part.cost_usd, part.latency_s
    return Predictions(quality, cost, seconds)


def _cross_calibrated(
    method: str, quality: npt.NDArray[np.float64], score: npt.NDArray[np.float64], folds: Folds
) -> npt.NDArray[np.float64]:
    """Each fold's predictions through a line that was fitted on the others, shape (n, m)."""
    calibrated = np.empty_like(quality)
    for fold in sorted(set(folds.tolist())):
        others = folds != fold
        calibrated[~others] = Calibration.fit(method, quality[others], score[others]).applied(quality[~others])
    return calibrated
