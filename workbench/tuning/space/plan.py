"""A space applied to Outcomes: which parameters are free, which are swept exactly, and the policy of a point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.routing import Capability, CostAware, Hybrid, Objective
from workbench.routing.objective_json import objective_to_json
from workbench.routing.predictors import EMBEDDING_KINDS
from workbench.tuning.space.file import EVERY_TASK, NUMBERS_OF, Domain, RangeConfig, SpaceConfig

Value = float | str | None
MOST_NAMED = 4
"""More floors than this are counted in a configuration's name, not listed."""
MOST_LISTED = 100_000
"""A finite part with more configurations than this is searched, however many trials are allowed."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a configuration's predictions come from.

    Args:
        predictor: its kind.
        embedder: name; None for a predictor that reads no texts.
        calibration: "none", "isotonic" or "platt".
    """

    predictor: str
    embedder: str | None
    calibration: str

    @property
    def fit(self) -> tuple[str, str | None]:
        """What must be fitted: calibrations share it."""
        return self.predictor, self.embedder


@dataclass(frozen=True, slots=True)
class Configuration:
    """One point of a space: a policy, but for the fitted predictor."""

    basis: Basis
    objective: Objective

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        basis = {"predictor": self.basis.predictor, "embedder": self.basis.embedder}
        return {**basis, "calibration": self.basis.calibration, "objective": objective_to_json(self.objective)}

    @property
    def key(self) -> str:
        """Equal for equal configurations."""
        return repr((self.basis, sorted(objective_to_json(self.objective).items(), key=lambda item: item[0])))

    def __str__(self) -> str:
        return ", ".join([*self._predictions(), f"{self.objective.kind} {_numbers(self.objective)}"])

    def _predictions(self) -> list[str]:
        basis = self.basis
        on = "" if basis.embedder in (None, "static") else f" on {basis.embedder}"
        return [f"{basis.predictor}{on}", *([] if basis.calibration == "none" else [basis.calibration])]


def _numbers(objective: Objective) -> str:
    if isinstance(objective, CostAware):
        return f"λ={objective.exchange:.4g}"
    assert isinstance(objective, Capability | Hybrid)
    parts = []
    if isinstance(objective, Hybrid):
        parts = [f"λ={objective.exchange:.4g}", f"μ={objective.per_second:.4g}"]
        parts += [] if objective.slo_s is None else [f"≤ {objective.slo_s:.4g} s"]
        parts += [] if objective.cost_limit_usd is None else [f"≤ {objective.cost_limit_usd:.4g} USD"]
    parts += [f"floor {objective.floor:.4g}"] if np.isfinite(objective.floor) else []
    by_task = [f"{task}≥{floor:.3g}" for task, floor in sorted(objective.floors.items())]
    return " ".join([*parts, *(by_task if len(by_task) <= MOST_NAMED else [f"and floors of {len(by_task)} tasks"])])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A free parameter.

    Args:
        name: "predictor", "exchange", "floors.add", …
        choices: what it may be; empty for a range.
        low, high, log, step: of a range.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None

    @property
    def is_continuous(self) -> bool:
        """Whether there is no list of its values."""
        return not self.choices and self.step is None

    def listed(self) -> tuple[Value, ...]:
        """Every value; of a range with a step."""
        if self.choices:
            return self.choices
        assert self.step is not None, "a continuous range cannot be listed"
        steps = int((self.high - self.low) / self.step * (1 + 1e-12))
        return tuple(self.low + k * self.step for k in range(steps + 1))

    def to_json(self) -> dict[str, Any]:
        """As it stands in a space file."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}


@dataclass(frozen=True, slots=True)
class Branch:
    """The part of a space with one kind of objective.

    Args:
        kind: of the objective.
        free: parameters that matter to it and have more than one value.
        swept: name of the one that is swept exactly; None where there is none.
    """

    kind: str
    free: tuple[Parameter, ...]
    swept: str | None

    @property
    def n_listed(self) -> int | None:
        """How many configurations there are; None where a range is continuous."""
        if any(p.is_continuous for p in self.free):
            return None
        return int(np.prod([len(p.listed()) for p in self.free], dtype=np.float64)) if self.free else 1

    def points(self) -> Iterator[dict[str, Value]]:
        """Every combination of the parameters that are not swept."""
        others = [p for p in self.free if p.name != self.swept]
        for values in product(*(p.listed() for p in others)):
            yield dict(zip((p.name for p in others), values, strict=True))


@dataclass(frozen=True)
class Plan:
    """A space on the tasks of some Outcomes.

    Args:
        space: as written.
        tasks: kinds of task of the Outcomes, sorted.

    Raises:
        ConfigError: a floor for a task that the Outcomes do not have, or nothing is free.
    """

    space: SpaceConfig
    tasks: tuple[str, ...]
    domains: Mapping[str, Domain | tuple[Value, ...]] = field(init=False)

    def __post_init__(self) -> None:
        space = self.space
        domains: dict[str, Domain | tuple[Value, ...]] = {
            name: getattr(space, name) for name in ("predictor", "embedder", "calibration", "objective")
        }
        for name in ("exchange", "per_second", "floor", "slo_s", "cost_limit_usd"):
            domains[name] = getattr(space, name)
        domains |= {f"floors.{task}": domain for task, domain in self._floors().items()}
        object.__setattr__(self, "domains", domains)
        if not any(branch.free for branch in self.branches) and len(self.branches) == 1:
            raise ConfigError(
                f"nothing is free in the space {space.name!r}: every parameter has one value; "
                "give one of them a range (low, high) or a list"
            )

    def _floors(self) -> dict[str, Domain]:
        given = dict(self.space.floors)
        every = given.pop(EVERY_TASK, None)
        for task in given:
            if task not in self.tasks:
                raise ConfigError(f"a floor is given for the unknown task {task!r}: {did_you_mean(task, self.tasks)}")
        if every is not None and not self.tasks:
            raise ConfigError("floors are given for every task ('*'), but the Outcomes name no tasks")
        return given if every is None else {**dict.fromkeys(self.tasks, every), **given}

    @cached_property
    def branches(self) -> tuple[Branch, ...]:
        """One for each kind of objective."""
        return tuple(self._branch(kind) for kind in self.space.objective)

    def _branch(self, kind: str) -> Branch:
        names = [n for n in self.domains if n.partition(".")[0] in NUMBERS_OF[kind]]
        free = [found for name in ("predictor", "calibration", *names) if (found := self._free(name)) is not None]
        if set(self.space.predictor) & EMBEDDING_KINDS and (embedder := self._free("embedder")) is not None:
            free.append(embedder)
        return Branch(kind, tuple(free), self._swept(kind, free))

    def _free(self, name: str) -> Parameter | None:
        """The parameter of that name; None where it has one value."""
        domain = self.domains[name]
        if isinstance(domain, RangeConfig):
            is_fixed = domain.low == domain.high or (domain.step or 0) > domain.high - domain.low
            return None if is_fixed else Parameter(name, (), domain.low, domain.high, domain.log, domain.step)
        if not isinstance(domain, tuple) or len(set(domain)) == 1:
            return None
        return Parameter(name, tuple(dict.fromkeys(domain)))

    def _fixed(self, name: str) -> Value:
        domain = self.domains[name]
        if isinstance(domain, RangeConfig):
            return domain.low
        return domain[0] if isinstance(domain, tuple) else domain

    def _swept(self, kind: str, free: Sequence[Parameter]) -> str | None:
        """The threshold that is swept exactly: the only continuous parameter, where no limit stands beside it."""
        continuous = [p.name for p in free if p.is_continuous]
        has_limits = any(
            name.partition(".")[0] in ("floor", "floors", "slo_s", "cost_limit_usd") and self.domains[name] is not None
            for name in self.domains
        )
        if continuous == ["exchange"] and (kind == "cost-aware" or not has_limits):
            return "exchange"
        if continuous == ["floor"] and kind == "capability" and not self._floors():
            return "floor"
        return None

    @property
    def exact(self) -> tuple[Branch, ...]:
        """The branches with one threshold that is swept exactly."""
        return tuple(b for b in self.branches if b.swept is not None)

    def searched(self, n_trials: int) -> tuple[Branch, ...]:
        """The branches that are neither swept nor small enough to be listed whole."""
        return tuple(b for b in self.branches if b.swept is None and not self._is_listed(b, n_trials))

    def listed(self, n_trials: int) -> tuple[Branch, ...]:
        """The finite branches with no more configurations than trials: all of them are looked at."""
        return tuple(b for b in self.branches if b.swept is None and self._is_listed(b, n_trials))

    @staticmethod
    def _is_listed(branch: Branch, n_trials: int) -> bool:
        n = branch.n_listed
        return n is not None and n <= min(max(n_trials, 1), MOST_LISTED)

    def parameters(self, branches: Sequence[Branch]) -> tuple[Parameter, ...]:
        """The free parameters of these branches together, the kind of objective first where there are several."""
        kinds = tuple(branch.kind for branch in branches)
        found = {p.name: p for branch in branches for p in branch.free}
        return (*([Parameter("objective", kinds)] if len(kinds) > 1 else []), *found.values())

    def configuration(self, kind: str, values: Mapping[str, Value]) -> Configuration:
        """The point with these values; what is not among them has its one value."""

        def at(name: str) -> Any:
            return self.value_at(name, values)

        predictor = str(at("predictor"))
        embedder = str(at("embedder")) if predictor in EMBEDDING_KINDS else None
        floors = {name.removeprefix("floors."): float(at(name)) for name in self.domains if name.startswith("floors.")}
        return Configuration(Basis(predictor, embedder, str(at("calibration"))), _objective(kind, at, floors))

    def value_at(self, name: str, values: Mapping[str, Value]) -> Value:
        """A parameter's value at a point; its one value where it is not free."""
        return values[name] if name in values else self._fixed(name)

    @property
    def bases(self) -> tuple[Basis, ...]:
        """Every combination of predictor, embedder and calibration."""
        space = self.space
        every = [
            Basis(predictor, embedder if predictor in EMBEDDING_KINDS else None, calibration)
            for predictor, embedder, calibration in product(space.predictor, space.embedder, space.calibration)
        ]
        return tuple(dict.fromkeys(every))

    @property
    def reads_seconds(self) -> tuple[str, ...]:
        """What of the space needs measured latency."""
        goals = [f"goal {goal}" for goal in self.space.goals if goal.startswith("latency")]
        weight = self.domains["per_second"]
        return (
            *goals,
            *(["per_second (μ)"] if weight not in (None, 0, 0.0) else []),
            *(["slo_s"] if self.domains["slo_s"] is not None else []),
        )


def _objective(kind: str, at: Any, floors: dict[str, float]) -> Objective:
    if kind == "cost-aware":
        return CostAware(float(at("exchange")))
    floor = at("floor")
    if kind == "capability":
        return Capability(float(floor), floors)
    return Hybrid(
        exchange=float(at("exchange") or 0.0),
        per_second=float(at("per_second") or 0.0),
        floor=-np.inf if floor is None else float(floor),
        floors=floors,
        slo_s=at("slo_s"),
        cost_limit_usd=at("cost_limit_usd"),
    )
