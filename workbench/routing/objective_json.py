"""Objectives by name: as JSON in a saved policy, and as the `objective` of a stack's configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.routing.hybrid import Hybrid
from workbench.routing.latency_aware import LatencyAware
from workbench.routing.objectives import Capability, CostAware, FixedChoice, Objective
from workbench.routing.pacing import PacingConfig
from workbench.routing.service_curve import ServiceCurve

Floor = Annotated[float | None, Field(description="least predicted score; null: none")]
Floors = Annotated[dict[str, float], Field(description="task → its own floor")]

_READERS: dict[str, Callable[[Mapping[str, Any]], Objective]] = {
    CostAware.kind: lambda value: CostAware(**value),
    Capability.kind: lambda value: Capability(**value),
    FixedChoice.kind: lambda value: FixedChoice(**value),
    LatencyAware.kind: LatencyAware.from_json,
    Hybrid.kind: Hybrid.from_json,
}


def objective_to_json(objective: Objective) -> dict[str, Any]:
    """The objective as plain values; `objective_from_json` restores it."""
    return {"kind": objective.kind, **objective.to_json()}


def objective_from_json(value: Mapping[str, Any]) -> Objective:
    """The objective that `objective_to_json` described.

    Raises:
        ConfigError: unknown kind or settings.
    """
    settings = dict(value)
    kind = settings.pop("kind", None)
    if kind not in _READERS:
        raise ConfigError(f"unknown objective {kind!r}: {did_you_mean(str(kind), _READERS)}")
    try:
        return _READERS[kind](settings)
    except TypeError as exc:
        raise ConfigError(f"objective {kind!r} cannot be built from {settings}: {exc}") from exc


class ServiceCurveConfig(Strict):
    """Seconds by load, as measured."""

    concurrency: Annotated[tuple[float, ...], Field(min_length=1, description="requests at once, ascending")]
    seconds: Annotated[tuple[float, ...], Field(min_length=1, description="what one of them takes then")]


Curves = Annotated[
    dict[str, ServiceCurveConfig], Field(description="model → seconds by load; others: recent average, then prediction")
]


class CostAwareConfig(Strict):
    """The most quality − λ · cost."""

    kind: Literal["cost-aware"]
    exchange: Annotated[float, Field(ge=0, description="λ: score that one USD must buy")]
    pacing: Annotated[PacingConfig | None, Field(description="budget over a period; null: λ stays as it is")] = None

    @model_validator(mode="after")
    def _can_be_paced(self) -> Self:
        _check_pacing(self.exchange, self.pacing)
        return self

    def build(self, models: tuple[str, ...]) -> Objective:
        """The objective over these columns."""
        del models
        return CostAware(self.exchange)


class CapabilityConfig(Strict):
    """The cheapest model that reaches its task's floor."""

    kind: Literal["capability"]
    floor: Annotated[float, Field(description="least predicted score of tasks not named below")]
    floors: Floors = {}

    def build(self, models: tuple[str, ...]) -> Objective:
        """The objective over these columns."""
        del models
        return Capability(self.floor, self.floors)


class LatencyAwareConfig(Strict):
    """The fastest model that reaches the floor, or the cheapest within the target."""

    kind: Literal["latency-aware"]
    target_s: Annotated[float | None, Field(gt=0, description="soon enough; null: the fastest")] = None
    floor: Floor = None
    floors: Floors = {}
    curves: Curves = {}
    measure: Annotated[Literal["latency", "ttft"], Field(description="what the curves hold")] = "latency"
    percentile: Annotated[
        float | None, Field(gt=0, lt=100, description="which percentile the curves hold; null: the mean")
    ] = None
    power_of_two: Annotated[bool, Field(description="look at two models drawn by lot instead of all")] = False

    def build(self, models: tuple[str, ...]) -> Objective:
        """The objective over these columns.

        Raises:
            ConfigError: a curve of an unknown model, or one that is none.
        """
        return LatencyAware(
            self.target_s,
            _floor(self.floor),
            self.floors,
            _by_column(self.curves, models),
            self.measure,
            self.percentile,
            self.power_of_two,
        )


class HybridConfig(Strict):
    """Weights for what is nice to have, limits for what must hold."""

    kind: Literal["hybrid"]
    exchange: Annotated[float, Field(ge=0, description="λ: score that one USD must buy")] = 0.0
    per_second: Annotated[float, Field(ge=0, description="score that one second is worth")] = 0.0
    floor: Floor = None
    floors: Floors = {}
    slo_s: Annotated[float | None, Field(gt=0, description="most expected seconds; null: no limit")] = None
    cost_limit_usd: Annotated[float | None, Field(gt=0, description="most USD of one answer; null: no limit")] = None
    curves: Curves = {}
    pacing: Annotated[PacingConfig | None, Field(description="budget over a period; null: λ stays as it is")] = None

    @model_validator(mode="after")
    def _can_be_paced(self) -> Self:
        _check_pacing(self.exchange, self.pacing)
        return self

    def build(self, models: tuple[str, ...]) -> Objective:
        """The objective over these columns.

        Raises:
            ConfigError: a curve of an unknown model, or one that is none.
        """
        return Hybrid(
            self.exchange,
            self.per_second,
            _floor(self.floor),
            self.floors,
            self.slo_s,
            self.cost_limit_usd,
            _by_column(self.curves, models),
        )


ObjectiveConfig = Annotated[
    CostAwareConfig | CapabilityConfig | LatencyAwareConfig | HybridConfig, Field(discriminator="kind")
]


def _check_pacing(exchange: float, pacing: PacingConfig | None) -> None:
    """Pacing multiplies λ; 0 would stay 0 however much is spent."""
    if pacing is not None and exchange == 0:
        raise ValueError("pacing multiplies exchange (λ), which is 0 and would stay 0; give the λ to begin with")


def _floor(floor: float | None) -> float:
    return -np.inf if floor is None else floor


def _by_column(curves: Mapping[str, ServiceCurveConfig], models: tuple[str, ...]) -> tuple[ServiceCurve | None, ...]:
    for name in curves:
        if name not in models:
            raise ConfigError(f"a service curve is given for the unknown model {name!r}: {did_you_mean(name, models)}")
    if not curves:
        return ()
    found = (curves.get(name) for name in models)
    return tuple(ServiceCurve(curve.concurrency, curve.seconds) if curve else None for curve in found)
