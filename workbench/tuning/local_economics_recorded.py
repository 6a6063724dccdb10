"""A configuration whose variable cost is what its recorded calls cost: a bare model's, or all calls of a whole stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.price import ComputePrice
from workbench.economics.break_even import Configuration
from workbench.evaluation.statistics import bootstrap_means
from workbench.tuning.local_economics_configuration import FAR, Input, MeasuredConfiguration
from workbench.tuning.local_economics_quality import Scores

if TYPE_CHECKING:
    from workbench.tuning.local_economics import OutcomesFolder, Sources


def recorded_configuration(name: str, source: OutcomesFolder, model: str, sources: Sources) -> MeasuredConfiguration:
    """The mean recorded cost of a request, all its calls included, with bootstrap draws over prompt groups.

    Calls on own hardware must not be in it, because the machine's hours are paid instead: a stack is recorded with
    `options: {own_hardware: hourly}`, and its machines are added with what an hour of them costs.

    Args:
        name: in tables.
        source: the Outcomes.
        model: in them.
        sources: seed and draws.

    Raises:
        ConfigError: no such model, its cost is unknown or is that of own hardware.
    """
    outcomes = source.outcomes
    if model not in outcomes.models:
        raise ConfigError(
            f"{source.folder}: no model {model!r} in these Outcomes; {did_you_mean(model, outcomes.models)}"
        )
    card = (outcomes.manifest.models.get(model) or {}).get("card") or {}
    notes = _own_hardware_notes(name, model, card)
    rows = outcomes.frame.filter(pl.col("model") == model)
    answered = rows.filter(pl.col("error").is_null())
    n_unknown = answered["cost_usd"].null_count()
    if not answered.height or n_unknown:
        raise ConfigError(
            f"{source.folder}: the cost of {n_unknown} of {answered.height} answers of {model!r} is unknown, so that its mean is; record "
            "again with a price on every card"
        )
    if rows.height > answered.height:
        notes.append(
            f"{name}: {rows.height - answered.height} of {rows.height} requests failed and are not in its cost"
        )
    costs = answered["cost_usd"].to_numpy()
    draws = bootstrap_means(costs, answered["group"].to_list(), np.random.default_rng(sources.seed), sources.n_draws)
    mean, ends = float(costs.mean()), np.quantile(draws, [0.025, 0.975])
    told = "95 % interval of the recorded requests"
    own = Input(
        name, "recorded cost, USD a request", mean, float(ends[0]), float(ends[1]), told, 0.0, mean * FAR, _at(name)
    )
    return MeasuredConfiguration(
        point=Configuration(name, mean),
        draws=tuple(Configuration(name, usd) for usd in draws[:, 0].tolist()),
        inputs=(own,),
        evidence={
            "outcomes": source.folder,
            "model": model,
            "data_hash": outcomes.data_hash,
            "n": answered.height,
            "n_groups": answered["group"].n_unique(),
        },
        notes=tuple(notes),
        scores=Scores.of(outcomes, model, source.folder) if rows["score"].is_not_null().any() else None,
    )


def _at(name: str) -> Any:
    return lambda usd: Configuration(name, usd)


def _own_hardware_notes(name: str, model: str, card: Mapping[str, Any]) -> list[str]:
    """Refuses a cost that is compute on own hardware; a note where that cannot be told."""
    if "hardware" in (card.get("price") or {}):
        raise ConfigError(
            f"the recorded cost of {model!r} is compute at full use of {card['price']['hardware']!r}, and an own machine is paid by the "
            "hour: bench it and give the folder as `bench`"
        )
    if card.get("kind") != "stack" or (card.get("options") or {}).get("own_hardware") == "hourly":
        return []
    owned = _own_models(Path(str(card.get("model"))))
    if owned is None:
        return [
            f"{name}: whether its recorded cost holds calls on own hardware cannot be told; its stack file is not at hand"
        ]
    if owned:
        raise ConfigError(
            f"the recorded cost of the stack {model!r} holds compute on own hardware ({', '.join(owned)}), which is paid by the hour: "
            "record it with `options: {own_hardware: hourly}` on its card, and add the machines"
        )
    return []


def _own_models(path: Path) -> list[str] | None:
    """Models of a stack that are priced by their compute; None where the file cannot be read."""
    from workbench.stack.config import StackConfig

    try:
        config = StackConfig.load(path / "stack.yaml" if path.is_dir() else path)
    except ConfigError:
        return None
    return [name for name, card in config.models.items() if isinstance(card.price, ComputePrice)]
