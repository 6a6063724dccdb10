"""Service curves out of measurements: seconds of one request by how many the model works on at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.core import ConfigError, StoreError
from workbench.evaluation import Outcomes
from workbench.routing import ServiceCurve

FloatArray = npt.NDArray[np.float64]
FROM_SEND = {"latency": "latency_from_send_s", "ttft": "ttft_from_send_s"}
OF_OUTCOMES = {"latency": "latency_s", "ttft": "ttft_s"}
FEWEST = 5
"""Answers that a point of a curve rests on at least."""


def curve_of_bench(
    folders: Sequence[Path], *, measure: Literal["latency", "ttft"] = "latency", percentile: float | None = None
) -> ServiceCurve:
    """The curve of one model from load measurements, one point a folder and stage.

    The concurrency of a point is what was in flight on average (Little's law: seconds of all requests over seconds of the run),
    whether the load was open or closed. Points of equal concurrency are pooled, and a curve never falls: a dip is noise, because
    more company does not make a server quicker.

    Args:
        folders: of `workbench bench`.
        measure: the whole answer, or the first token.
        percentile: of the seconds from sending; None is their mean.

    Raises:
        ConfigError: not a bench folder, or too few answers in all of them.
        StoreError: a file is damaged.
    """
    points: list[tuple[float, float, int]] = []
    for folder in folders:
        rows = _requests(folder)
        for stage in rows.partition_by("stage"):
            points += _point(stage, FROM_SEND[measure], percentile)
    if not points:
        named = ", ".join(map(str, folders)) or "no folder"
        raise ConfigError(f"{named}: no stage has {FEWEST} measured answers with a {measure}; measure longer")
    return _curve(points)


def curves_of_outcomes(
    outcomes: Outcomes, *, measure: Literal["latency", "ttft"] = "latency", percentile: float | None = None
) -> dict[str, ServiceCurve]:
    """Model → curve from recorded Outcomes, one point for each `concurrency` it was recorded at; models without are left out.

    Args:
        outcomes: with the column `concurrency` filled.
        measure, percentile: as in `curve_of_bench`.
    """
    column = OF_OUTCOMES[measure]
    known = outcomes.frame.filter(pl.col("concurrency").is_not_null() & pl.col(column).is_not_null())
    curves: dict[str, ServiceCurve] = {}
    for (model,), rows in known.group_by("model", maintain_order=True):
        points = [
            (float(part["concurrency"][0]), _middle(part[column].to_numpy(), percentile), part.height)
            for part in rows.partition_by("concurrency")
            if part.height >= FEWEST
        ]
        if points:
            curves[str(model)] = _curve(points)
    return curves


def _requests(folder: Path) -> pl.DataFrame:
    path = folder / "requests.parquet"
    if not path.exists():
        raise ConfigError(f"{folder} is no bench folder: requests.parquet is expected in it; run `workbench bench`")
    try:
        rows = pl.read_parquet(path)
        return rows.filter((pl.col("phase") == "measured") & pl.col("error").is_null() & pl.col("end_s").is_not_null())
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise StoreError(f"{path} cannot be read ({exc}); run the bench again") from exc


def _point(rows: pl.DataFrame, column: str, percentile: float | None) -> list[tuple[float, float, int]]:
    """Concurrency, seconds and answers of one stage; nothing where there are too few."""
    seconds = rows[column].drop_nulls().to_numpy()
    if len(seconds) < FEWEST:
        return []
    sent, end = rows["sent_s"].to_numpy(), rows["end_s"].to_numpy()
    length_s = float(end.max() - sent.min())
    concurrency = max(1.0, float((end - sent).sum()) / length_s) if length_s > 0 else 1.0
    return [(concurrency, _middle(seconds, percentile), len(seconds))]


def _middle(seconds: FloatArray, percentile: float | None) -> float:
    return float(seconds.mean() if percentile is None else np.percentile(seconds, percentile))


def _curve(points: list[tuple[float, float, int]]) -> ServiceCurve:
    """Points in order, equal concurrencies pooled, and seconds that never fall (weighted isotonic fit)."""
    pooled: dict[float, tuple[float, int]] = {}
    for concurrency, seconds, n in sorted(points):
        before, count = pooled.get(concurrency, (0.0, 0))
        pooled[concurrency] = ((before * count + seconds * n) / (count + n), count + n)
    blocks: list[tuple[float, int, int]] = []
    for seconds, n in pooled.values():
        blocks.append((seconds, n, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n_a, k_a), (b, n_b, k_b) = blocks[-2:]
            blocks[-2:] = [((a * n_a + b * n_b) / (n_a + n_b), n_a + n_b, k_a + k_b)]
    fitted = [seconds for seconds, _, k in blocks for _ in range(k)]
    return ServiceCurve(tuple(pooled), tuple(fitted))
