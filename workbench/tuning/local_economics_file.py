"""Whole configurations from a YAML file: caches, judges, retries, routes and machines on top of what was recorded or benched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from workbench.core import ConfigError, Usage
from workbench.core.hashing import sha256_file
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict, TokenPrice
from workbench.core.validation import parse, read_yaml
from workbench.economics import token_cost_usd
from workbench.economics.break_even import Configuration, Machine
from workbench.economics.hardware import find_profile
from workbench.evaluation.statistics import wilson_interval
from workbench.tuning.local_economics import OutcomesFolder, Sources, measured_machine
from workbench.tuning.local_economics_configuration import (
    Input,
    MeasuredConfiguration,
    transformed,
)
from workbench.tuning.local_economics_load import Floats, MeasuredLoad, spread
from workbench.tuning.local_economics_quality import Scores
from workbench.tuning.local_economics_recorded import recorded_configuration
from workbench.tuning.local_economics_tokens import TokenCounts

Share = Annotated[float, Field(ge=0, le=1)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[float, Field(ge=0, allow_inf_nan=False)]
From = Annotated[
    str, Field(alias="from", min_length=1, description="folder, file or run that the figures come from, or `assumed`")
]
ASSUMED = "assumed"


class CacheLine(Strict):
    """A cache before everything else in its entry: a hit costs the look-up alone."""

    hit_rate: Annotated[Share, Field(description="share of requests answered from the cache")]
    n: Annotated[
        int | None, Field(gt=0, description="requests that the hit rate was measured on; null: no interval")
    ] = None
    usd_per_hour: Annotated[Usd, Field(description="its server, every hour")] = 0.0
    usd_per_lookup: Annotated[Usd, Field(description="embedding and look-up, paid by every request")] = 0.0
    origin: From


class MachineLine(Strict):
    """An own or rented machine that some of the requests use."""

    hardware: Annotated[str, Field(description="name of a hardware profile")]
    capacity_rps: Annotated[float, Field(gt=0, allow_inf_nan=False, description="calls a second with the SLO held")]
    ci: Annotated[tuple[float, float] | None, Field(description="95 % of the capacity; null: no interval")] = None
    calls_per_request: Annotated[float, Field(gt=0, description="calls that a request makes of it on average")] = 1.0
    origin: From


class CallLine(Strict):
    """A further call: a router, judge, guard, embedding; or a repetition of everything beneath it (retry, escalation, fan-out)."""

    name: Annotated[str, Field(min_length=1, description="for tables")]
    per_request: Annotated[
        Count, Field(description="calls a request makes on average: 1 a judge, 0.03 a retry, 2 a fan-out's rest")
    ] = 1.0
    ci: Annotated[tuple[float, float] | None, Field(description="95 % of calls a request; null: no interval")] = None
    usd: Annotated[Usd | None, Field(description="of one call; null: from price and tokens")] = None
    price: Annotated[str | None, Field(description="seller/model of the price book, or a model of the lab")] = None
    prompt_tokens: Annotated[int | None, Field(ge=0, description="of one call, on average")] = None
    cached_tokens: Annotated[int | None, Field(ge=0, description="of them from the API's cache; null: none")] = None
    completion_tokens: Annotated[int | None, Field(ge=0, description="of one call, on average")] = None
    repeats: Annotated[
        bool, Field(description="one more run of everything beneath: costs what that costs, uses its machines")
    ] = False
    on_cache_hits: Annotated[bool, Field(description="also paid when this entry's cache answers (an input guard)")] = (
        False
    )
    origin: From

    @model_validator(mode="after")
    def _one_cost(self) -> CallLine:
        by_tokens = self.price is not None and self.prompt_tokens is not None and self.completion_tokens is not None
        if [self.usd is not None, by_tokens, self.repeats].count(True) != 1:
            raise ValueError(
                f"call {self.name!r} needs one of: usd; price with prompt_tokens and completion_tokens; repeats: true"
            )
        return self


class ScoreLine(Strict):
    """Where an entry's quality was measured."""

    outcomes: Path
    model: str


class Entry(Strict):
    """One configuration: what it starts from (one of api, bench, outcomes, base, route), and what is added to it."""

    api: Annotated[str | None, Field(description="a model paid by the token: seller/model, or of the lab")] = None
    tokens: Annotated[Path | None, Field(description="bench folder whose traffic the API is priced on")] = None
    bench: Annotated[Path | None, Field(description="bench folder of a model on a machine")] = None
    hardware: Annotated[str | None, Field(description="its hardware profile; null: the card's")] = None
    outcomes: Annotated[
        Path | None, Field(description="Outcomes whose recorded cost of all calls is the variable cost")
    ] = None
    model: Annotated[str | None, Field(description="the model or stack in these Outcomes")] = None
    base: Annotated[str | None, Field(description="another entry that this one adds to")] = None
    route: Annotated[dict[str, Share] | None, Field(description="entry → share of the requests; they sum to 1")] = None
    route_n: Annotated[
        int | None, Field(gt=0, description="requests that the shares were measured on; null: no interval")
    ] = None
    route_from: Annotated[str | None, Field(description="where the shares come from, or `assumed`")] = None
    cache: CacheLine | None = None
    calls: list[CallLine] = []
    machines: list[MachineLine] = []
    scores: Annotated[ScoreLine | None, Field(description="measured quality; null: that of what was recorded")] = None
    same_answers: Annotated[
        bool, Field(description="its answers are those of its base by construction (an exact cache)")
    ] = False

    @model_validator(mode="after")
    def _one_start(self) -> Entry:
        starts = [name for name in ("api", "bench", "outcomes", "base", "route") if getattr(self, name) is not None]
        if len(starts) != 1:
            raise ValueError(
                f"an entry starts from exactly one of api, bench, outcomes, base, route; found {', '.join(starts) or 'none'}"
            )
        if (self.outcomes is None) != (self.model is None):
            raise ValueError("outcomes and model belong together")
        if self.route is not None and abs(sum(self.route.values()) - 1) > 1e-9:
            raise ValueError(f"the shares of a route sum to 1, found {sum(self.route.values()):g}")
        if self.route is not None and not self.route_from:
            raise ValueError("a route says where its shares come from: route_from, a folder or run, or `assumed`")
        if self.same_answers and self.base is None:
            raise ValueError("same_answers is about a base; this entry has none")
        return self


class ConfigurationsFile(Strict):
    """`--configurations`: entries by name, and which pairs are compared (every entry with the first one where nothing is said)."""

    configurations: Annotated[dict[str, Entry], Field(min_length=1)]
    compare: list[tuple[str, str]] = []


Pair = tuple[MeasuredConfiguration, MeasuredConfiguration]


def read_configurations(path: Path, sources: Sources) -> list[Pair]:
    """The pairs that a file asks for, in its order.

    Raises:
        ConfigError: not YAML, an unknown key or name, an entry built on itself, a price or folder that is not there.
    """
    found = parse(ConfigurationsFile, read_yaml(path, "configurations file") or {}, str(path))
    built = _Built(found.configurations, sources, str(path))
    names = list(found.configurations)
    asked = found.compare or [(name, names[0]) for name in names[1:]]
    if not asked:
        raise ConfigError(f"{path}: one configuration leaves nothing to compare; add another one")
    return [(built.get(a, "compare"), built.get(b, "compare")) for a, b in asked]


class _Built:
    """Entries, each built once, what it starts from before it."""

    def __init__(self, entries: Mapping[str, Entry], sources: Sources, where: str) -> None:
        self._entries, self._sources, self._where = entries, sources, where
        self._done: dict[str, MeasuredConfiguration] = {}
        self._open: list[str] = []

    def get(self, name: str, asked_by: str) -> MeasuredConfiguration:
        if name not in self._entries:
            raise ConfigError(f"{self._where}: {asked_by} names {name!r}; {did_you_mean(name, self._entries)}")
        if name in self._open:
            raise ConfigError(f"{self._where}: {' → '.join([*self._open, name])} is built on itself")
        if name not in self._done:
            self._open.append(name)
            try:
                self._done[name] = self._build(name, self._entries[name])
            finally:
                self._open.pop()
        return self._done[name]

    def _build(self, name: str, entry: Entry) -> MeasuredConfiguration:
        found = self._start(name, entry)
        try:
            for step in _steps(entry, self._sources):
                found = step(found, name)
        except ConfigError as exc:
            raise ConfigError(f"{self._where}: configurations.{name}: {exc}") from exc
        if entry.scores is not None:
            source = OutcomesFolder.read(entry.scores.outcomes)
            found = replace(found, scores=Scores.of(source.outcomes, entry.scores.model, source.folder))
        return found.renamed(name)

    def _start(self, name: str, entry: Entry) -> MeasuredConfiguration:
        if entry.base is not None:
            base = self.get(entry.base, name)
            same = base.same_answers_as or base.name
            kept = replace(base, scores=base.scores if entry.same_answers else None)
            return replace(kept, same_answers_as=same if entry.same_answers else None)
        if entry.route is not None:
            parts = [(self.get(part, name), share) for part, share in entry.route.items()]
            return routed(name, parts, entry.route_n, entry.route_from or ASSUMED, self._sources.seed)
        if entry.bench is not None:
            return measured_machine(entry.bench, entry.hardware, self._sources, name)
        if entry.outcomes is not None:
            return recorded_configuration(name, OutcomesFolder.read(entry.outcomes), entry.model or "", self._sources)
        return _priced_api(name, entry, self._sources)


def _priced_api(name: str, entry: Entry, sources: Sources) -> MeasuredConfiguration:
    model = entry.api or ""
    price, evidence = sources.price(model)
    counts = sources.own_tokens(model)
    if entry.tokens is not None:
        load = MeasuredLoad.read(entry.tokens)
        counts = TokenCounts.of(
            load.answered, "prompt_id", f"{load.model}, in {load.folder}", load.model == model, load.evidence()
        )
    if counts is None:
        raise ConfigError(
            f"configurations.{name}: no token counts for {model!r}; give `tokens:`, a bench folder, or --outcomes that have it"
        )
    return sources.api(name, model, counts, price, evidence)


Step = Any


def _steps(entry: Entry, sources: Sources) -> list[Step]:
    """What is added to the start, from the inside out: calls beneath the cache, the cache, calls that hits pay as well, machines."""
    beneath = [_call_step(line, sources) for line in entry.calls if not line.on_cache_hits]
    cache = [] if entry.cache is None else [_cache_step(entry.cache, entry.same_answers, sources)]
    above = [_call_step(line, sources) for line in entry.calls if line.on_cache_hits]
    return [*beneath, *cache, *above, *(_machine_step(line, sources) for line in entry.machines)]


def _added(
    found: MeasuredConfiguration, name: str, what: str, line: Mapping[str, Any], **step: Any
) -> MeasuredConfiguration:
    """A step that keeps the answers' origin (the entry says itself whether they are the base's) and adds its evidence to the list."""
    result = transformed(found, name, evidence=found.evidence, same_answers=True, **step)
    parts = [*found.evidence.get("parts", []), {what: dict(line)}]
    evidence = {**{key: value for key, value in found.evidence.items() if key != "parts"}, "parts": parts}
    assumed = (
        (*found.assumed, f"{what}: its figures are assumed, not measured")
        if line["from"]["name"] == ASSUMED
        else found.assumed
    )
    return replace(
        result, evidence=evidence, same_answers_as=found.same_answers_as, scores=found.scores, assumed=assumed
    )


def _cache_step(line: CacheLine, same_answers: bool, sources: Sources) -> Step:
    ci = None if line.n is None else wilson_interval(line.hit_rate * line.n, line.n)
    draws = spread(line.hit_rate, ci, np.random.default_rng([sources.seed, 3]), sources.n_draws, 0.0, 1.0)
    told = "95 % of the measured requests" if line.n else "no interval: n is not given"

    def step(found: MeasuredConfiguration, name: str) -> MeasuredConfiguration:
        return _added(
            found,
            name,
            "cache",
            {"hit_rate": line.hit_rate, "n": line.n, "from": traced(line.origin)},
            transform=lambda c, p: _behind_cache(c, p["hit_rate"], line),
            parameters={"hit_rate": (line.hit_rate, draws)},
            inputs={"hit_rate": ("cache hit rate", 0.0, 1.0, told)},
        )

    return step


def _behind_cache(configuration: Configuration, hit_rate: float, line: CacheLine) -> Configuration:
    """Only misses reach what lies beneath, so a machine carries 1 / (1 − hit rate) times the requests."""
    machines = [
        replace(machine, capacity_rps=_per_share(machine.capacity_rps, 1 - hit_rate))
        for machine in configuration.machines
    ]
    return replace(
        configuration,
        variable_usd=(1 - hit_rate) * configuration.variable_usd + line.usd_per_lookup,
        machines=tuple(machines),
        shared_usd_per_hour=configuration.shared_usd_per_hour + line.usd_per_hour,
    )


def _per_share(capacity_rps: float | None, share: float) -> float | None:
    return None if capacity_rps is None or share <= 0 else capacity_rps / share


def _call_step(line: CallLine, sources: Sources) -> Step:
    usd = None if line.repeats else _call_usd(line, sources)
    rng = np.random.default_rng([sources.seed, 4, len(line.name), *line.name.encode()])
    draws = spread(line.per_request, line.ci, rng, sources.n_draws)
    told = "as given" if line.ci else "no interval is given"
    most = max(1.0, 100 * line.per_request)

    def step(found: MeasuredConfiguration, name: str) -> MeasuredConfiguration:
        return _added(
            found,
            name,
            line.name,
            {"per_request": line.per_request, "usd": usd, "price": line.price, "from": traced(line.origin)},
            transform=lambda c, p: _with_call(c, p["calls"], usd),
            parameters={"calls": (line.per_request, draws)},
            inputs={"calls": (f"{line.name}: calls a request", 0.0, most, told)},
        )

    return step


def _with_call(configuration: Configuration, calls: float, usd: float | None) -> Configuration:
    """One more call, or one more run of everything beneath, which the machines beneath have to carry too."""
    if usd is not None:
        return replace(configuration, variable_usd=configuration.variable_usd + calls * usd)
    machines = [
        replace(machine, capacity_rps=_per_share(machine.capacity_rps, 1 + calls)) for machine in configuration.machines
    ]
    return replace(configuration, variable_usd=(1 + calls) * configuration.variable_usd, machines=tuple(machines))


def _call_usd(line: CallLine, sources: Sources) -> float:
    if line.usd is not None:
        return line.usd
    price: TokenPrice = sources.price(line.price or "")[0]
    usage = Usage(
        prompt_tokens=line.prompt_tokens,
        completion_tokens=line.completion_tokens,
        cached_tokens=line.cached_tokens,
        reasoning_tokens=0,
    )
    cost = token_cost_usd(usage, price)
    if cost is None:
        raise ConfigError(f"call {line.name!r}: its price needs a count that is not given")
    return cost


def _machine_step(line: MachineLine, sources: Sources) -> Step:
    profile = find_profile(line.hardware, sources.profiles)
    draws = spread(line.capacity_rps, line.ci, np.random.default_rng([sources.seed, 5]), sources.n_draws, least=1e-9)
    usd_per_hour = profile.usd_per_hour_at(0.0)
    busy = profile.usd_per_hour_at(1.0) - usd_per_hour

    def transform(configuration: Configuration, parameters: Mapping[str, float]) -> Configuration:
        rps = parameters["capacity"] / line.calls_per_request
        variable = configuration.variable_usd + busy / (3600 * rps)
        return replace(
            configuration, variable_usd=variable, machines=(*configuration.machines, Machine(usd_per_hour, rps))
        )

    def step(found: MeasuredConfiguration, name: str) -> MeasuredConfiguration:
        bounds = (f"capacity of its {line.hardware}, calls/s", line.capacity_rps / 1000, line.capacity_rps * 1000)
        return _added(
            found,
            name,
            f"machine {line.hardware}",
            {"usd_per_hour": usd_per_hour, "capacity_rps": line.capacity_rps, "from": traced(line.origin)},
            transform=transform,
            parameters={"capacity": (line.capacity_rps, draws)},
            inputs={"capacity": (*bounds, "as given" if line.ci else "no interval is given")},
        )

    return step


def routed(
    name: str, parts: Sequence[tuple[MeasuredConfiguration, float]], n: int | None, origin: str, seed: int
) -> MeasuredConfiguration:
    """A configuration that sends shares of its requests to others; a machine that sees a share of them carries that much more.

    Args:
        name: in tables.
        parts: configuration and its share; they sum to 1.
        n: requests that the shares were measured on; None leaves them without an interval.
        origin: where the shares come from.
        seed: of the draws.
    """
    shares = np.array([share for _, share in parts])
    n_draws = min(len(part.draws) for part, _ in parts)
    rng = np.random.default_rng([seed, 6])
    drawn = np.tile(shares, (n_draws, 1)) if n is None else rng.multinomial(n, shares, size=n_draws) / n
    draws = tuple(
        _blend(name, [part.draws[index] for part, _ in parts], row) for index, row in enumerate(drawn.tolist())
    )
    points = [part.point for part, _ in parts]
    return MeasuredConfiguration(
        point=_blend(name, points, shares.tolist()),
        draws=draws,
        inputs=tuple(_route_inputs(name, parts, points, shares, drawn)),
        evidence={
            "route": {part.name: share for part, share in parts},
            "n": n,
            "from": traced(origin),
            "parts": [dict(part.evidence) for part, _ in parts],
        },
        notes=tuple(dict.fromkeys(note for part, _ in parts for note in part.notes)),
        assumed=(f"{name}: its shares are assumed, not measured",) if origin == ASSUMED else (),
    )


def _blend(name: str, points: Sequence[Configuration], shares: Sequence[float]) -> Configuration:
    used = [(point, share) for point, share in zip(points, shares, strict=True) if share > 0]
    machines = [
        replace(machine, capacity_rps=_per_share(machine.capacity_rps, share))
        for point, share in used
        for machine in point.machines
    ]
    variable = sum(share * point.variable_usd for point, share in used)
    return Configuration(name, variable, tuple(machines), sum(point.shared_usd_per_hour for point, _ in used))


def _route_inputs(
    name: str,
    parts: Sequence[tuple[MeasuredConfiguration, float]],
    points: Sequence[Configuration],
    shares: Floats,
    drawn: Floats,
) -> list[Input]:
    labels = dict.fromkeys(entry.label for part, _ in parts for entry in part.inputs)
    found = [_shared(label, name, [part for part, _ in parts], shares.tolist()) for label in labels]
    if len(parts) == 2:
        low, high = (float(end) for end in np.quantile(drawn[:, 0], [0.025, 0.975]))
        told = "95 % of the measured requests" if low < high else "no interval: n is not given"
        what = f"share sent to {parts[0][0].name}"
        found.append(
            Input(name, what, float(shares[0]), low, high, told, 0.0, 1.0, lambda s: _blend(name, points, [s, 1 - s]))
        )
    return found


def _shared(label: str, name: str, parts: Sequence[MeasuredConfiguration], shares: Sequence[float]) -> Input:
    """An input of some of the parts, turned in all that have it."""
    own = [next((entry for entry in part.inputs if entry.label == label), None) for part in parts]
    first = next(entry for entry in own if entry is not None)

    def change(value: float) -> Configuration:
        turned = [part.point if entry is None else entry.change(value) for part, entry in zip(parts, own, strict=True)]
        return _blend(name, turned, shares)

    return replace(first, change=change)


def traced(origin: str) -> dict[str, Any]:
    """Where a figure comes from: the name, and the hash of what lies there where it is a file or folder of a run."""
    path = Path(origin)
    for candidate in (path, path / "manifest.json", path / "bench.json", path / "break_even.json", path / "sweep.json"):
        if candidate.is_file():
            return {"name": origin, "sha256": sha256_file(candidate)}
    return {"name": origin, "sha256": None}
