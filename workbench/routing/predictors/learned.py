"""A predictor from a quality estimator and task means of cost and latency, by name, to and from plain state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.registry import Registry
from workbench.routing.calibration import Calibration
from workbench.routing.predictions import Predictions
from workbench.routing.predictors.means import TaskMeans
from workbench.routing.predictors.predictor import QualityEstimator, State, TextEmbedder, completed
from workbench.routing.queries import BoolArray, FloatArray, Queries

_ROOM = "workbench.routing.predictors"

ESTIMATORS = Registry(
    "predictor",
    {
        "constant": f"{_ROOM}.constant:ConstantQuality",
        "prompt-length": f"{_ROOM}.prompt_length:PromptLengthQuality",
        "task-mean": f"{_ROOM}.task_mean:TaskMeanQuality",
        "knn": f"{_ROOM}.knn:KNNQuality",
        "ridge": f"{_ROOM}.ridge:RidgeQuality",
        "ridge-task": f"{_ROOM}.ridge:RidgeOnTaskQuality",
        "blend": f"{_ROOM}.blend:BlendQuality",
        "blend-task": f"{_ROOM}.blend:BlendOnTaskQuality",
        "kmeans": f"{_ROOM}.kmeans:KMeansQuality",
        "logistic": f"{_ROOM}.logistic:LogisticQuality",
        "factors": f"{_ROOM}.factors:FactorsQuality",
        "boosting": f"{_ROOM}.boosting:BoostingQuality",
        "local": f"{_ROOM}.local:LocalQuality",
        "local-task": f"{_ROOM}.local:LocalOnTaskQuality",
        "stack": f"{_ROOM}.stack:StackQuality",
    },
)
WITHOUT_EMBEDDING = frozenset({"constant", "prompt-length", "task-mean"})
EMBEDDING_KINDS = frozenset(ESTIMATORS.names()) - WITHOUT_EMBEDDING


def predictor_kinds() -> list[str]:
    """Names that `make_predictor` knows."""
    return ESTIMATORS.names()


def make_predictor(kind: str, embedder: TextEmbedder | None = None) -> LearnedPredictor:
    """An unfitted predictor.

    Raises:
        ConfigError: unknown kind, or a kind that needs an embedder got none.
    """
    estimator = ESTIMATORS.load(kind)
    if kind not in EMBEDDING_KINDS:
        return LearnedPredictor(estimator())
    if embedder is None:
        raise ConfigError(f"predictor {kind!r} needs an embedder; give one, e.g. load_embedder('static')")
    return LearnedPredictor(estimator.on(embedder) if kind.startswith("blend") else estimator(embedder))


@runtime_checkable
class ReadsCost(Protocol):
    """An estimator that is fitted with an eye on what the models cost."""

    cost_usd: FloatArray | None


def assessed(estimator: QualityEstimator, queries: Queries) -> tuple[FloatArray, BoolArray | None]:
    """Expected quality, and which requests the estimator calls unlike all recorded ones (None: it does not tell)."""
    assess = getattr(estimator, "assess", None)
    if assess is None:
        return estimator.estimate(queries), None
    found: tuple[FloatArray, BoolArray | None] = assess(queries)
    return found


@dataclass(slots=True)
class LearnedPredictor:
    """Quality from an estimator; cost and latency as the model's mean on the request's task, shrunken towards its overall mean.

    Args:
        estimator: what estimates quality.
        cost: means of USD an answer, shape (tasks + 1, m); None before fitting.
        latency: means of seconds, NaN for a model without measured latency; None before fitting.
        calibration: what predicted quality is put through before anybody sees it; None leaves it as it is.
    """

    estimator: QualityEstimator
    cost: TaskMeans | None = None
    latency: TaskMeans | None = None
    calibration: Calibration | None = None

    @property
    def kind(self) -> str:
        """The estimator's name."""
        return self.estimator.kind

    def fit(self, queries: Queries, quality: FloatArray, cost: FloatArray, latency: FloatArray) -> Self:
        """Learn from arrays of shape (n, m), NaN where not measured; returns itself.

        Raises:
            ConfigError: shapes differ, a model has no score, or a model has no cost.
        """
        for name, array in (("cost", cost), ("latency", latency)):
            if array.shape != quality.shape:
                raise ConfigError(f"{name} has shape {array.shape}, quality {quality.shape}; they must be the same")
        unpriced = np.flatnonzero(np.isnan(cost).all(axis=0)).tolist()
        if unpriced:
            raise ConfigError(f"the models in columns {unpriced} have no cost; give a nominal cost for each")
        if isinstance(self.estimator, ReadsCost):
            self.estimator.cost_usd = np.where(np.isnan(cost), np.nanmean(cost, axis=0), cost)
        self.estimator.fit(queries, completed(quality))
        self.cost = TaskMeans.fit(queries, cost, pooled=False)
        self.latency = TaskMeans.fit(queries, latency, pooled=False)
        return self

    def calibrate(self, method: str, queries: Queries, quality: FloatArray) -> Self:
        """Fit a calibration on requests that the predictor did not see, with their scores (n, m); returns itself.

        Raises:
            ConfigError: unknown method, or too few requests.
        """
        self.calibration = None
        self.calibration = Calibration.fit(method, self.predict(queries).quality, completed(quality))
        return self

    def predict(self, queries: Queries) -> Predictions:
        """Expectations, arrays of shape (n, m)."""
        if self.cost is None or self.latency is None:
            raise ConfigError(f"predictor {self.kind!r} was never fitted; call fit first")
        quality, unfamiliar = assessed(self.estimator, queries)
        if self.calibration is not None:
            quality = self.calibration.applied(quality)
        return Predictions(quality, self.cost.look_up(queries), self.latency.look_up(queries), unfamiliar)

    def to_state(self) -> State:
        """Plain values and arrays of all three parts."""
        if self.cost is None or self.latency is None:
            raise ConfigError(f"predictor {self.kind!r} was never fitted; there is nothing to save")
        parts = {"quality": self.estimator.to_state(), "cost": self.cost.to_state(), "latency": self.latency.to_state()}
        settings: dict[str, Any] = {"kind": self.kind, **{name: part.settings for name, part in parts.items()}}
        if self.calibration is not None:
            parts["calibration"] = State(arrays=self.calibration.to_arrays())
            settings["calibration"] = self.calibration.method
        return State(settings, {n: a for name, part in parts.items() for n, a in part.within(name).items()})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None = None) -> Self:
        """The fitted predictor again.

        Raises:
            ConfigError: unknown kind, or it needs an embedder and got none or another one than it was fitted on.
        """
        kind = state.settings["kind"]
        if kind not in ESTIMATORS.names():
            raise ConfigError(f"unknown predictor {kind!r}: {did_you_mean(kind, ESTIMATORS.names())}")
        quality = state.part("quality", state.settings["quality"])
        _same_embedder(kind, quality.settings.get("embedder"), embedder)
        calibration = None
        if (method := state.settings.get("calibration")) is not None:
            calibration = Calibration.from_arrays(method, state.part("calibration", {}).arrays)
        return cls(
            ESTIMATORS.load(kind).from_state(quality, embedder),
            TaskMeans.from_state(state.part("cost", state.settings["cost"])),
            TaskMeans.from_state(state.part("latency", state.settings["latency"])),
            calibration,
        )


def _same_embedder(kind: str, fitted_on: str | None, embedder: TextEmbedder | None) -> None:
    if fitted_on is not None and embedder is not None and embedder.fingerprint != fitted_on:
        raise ConfigError(
            f"predictor {kind!r} was fitted on the embedder {fitted_on}, this one is {embedder.fingerprint}: "
            "its vectors mean something else; load the same embedder or run the sweep again"
        )
