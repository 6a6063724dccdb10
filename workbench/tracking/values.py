"""Numbers and words of a result as MLflow's metrics, parameters and tags."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

NOT_METRICS = frozenset({"threshold"})


def log_values(
    client: Any, run_id: str, metrics: Mapping[str, float], params: Mapping[str, Any], tags: Mapping[str, Any]
) -> None:
    """Everything in one call: a call a metric costs 25 ms each."""
    from mlflow.entities import Metric, Param, RunTag

    now_ms = int(1000 * time.time())
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), now_ms, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, str(value)) for name, value in tags.items() if value is not None],
    )


def metrics_of(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a nested mapping under dotted names; a pair is an interval and becomes `_low` and `_high`.

    Words, lists of other lengths, null and what is not finite are left out.

    Example:
        >>> metrics_of({"ttft_s": {"p50": 0.2}, "goodput_ci": [1, 2], "model": "base", "energy_wh": None})
        {'ttft_s.p50': 0.2, 'goodput_ci_low': 1.0, 'goodput_ci_high': 2.0}
    """
    return dict(_flat(values))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and len(value) == 2 and all(_is_number(end) for end in value):
            yield f"{prefix}{name}_low", float(value[0])
            yield f"{prefix}{name}_high", float(value[1])
        elif _is_number(value) and name not in NOT_METRICS:
            yield f"{prefix}{name}", float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
