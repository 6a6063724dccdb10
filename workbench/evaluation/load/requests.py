"""One row a request: the frame that every figure of a bench is computed from, whoever measured it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from workbench.core import ConfigError

SCHEMA: dict[str, Any] = {
    "request": pl.Int64,
    "prompt_id": pl.String,
    "phase": pl.String,
    "intended_s": pl.Float64,
    "sent_s": pl.Float64,
    "first_token_s": pl.Float64,
    "end_s": pl.Float64,
    "cut_s": pl.Float64,
    "send_lag_s": pl.Float64,
    "ttft_s": pl.Float64,
    "latency_s": pl.Float64,
    "ttft_from_send_s": pl.Float64,
    "latency_from_send_s": pl.Float64,
    "tpot_s": pl.Float64,
    "chunks_s": pl.List(pl.Float64),
    "prompt_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "cache_write_tokens": pl.Int64,
    "cache_write_1h_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "energy_wh": pl.Float64,
    "finish_reason": pl.String,
    "error": pl.String,
    "stage": pl.Int64,
}
"""Column → type. Times are seconds from the start of the run, null where they did not happen; `cut_s` is when the run gave a request up."""


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The frame of such rows; columns that a row lacks are null, further ones are dropped."""
    listed = list(rows)
    columns = {name: [row.get(name) for row in listed] for name in SCHEMA}
    return pl.DataFrame(columns, schema=SCHEMA, strict=False)


def read_requests(path: Path) -> pl.DataFrame:
    """The requests of a bench folder.

    Raises:
        ConfigError: missing, not parquet, or without the columns of a bench.
    """
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError as exc:
        raise ConfigError(f"no requests at {path}; name a folder that `workbench bench --out` wrote") from exc
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise ConfigError(f"{path} is not a readable parquet file: {str(exc).splitlines()[0]}") from exc
    missing = [name for name in ("intended_s", "phase", "stage") if name not in frame.columns]
    if missing:
        raise ConfigError(f"{path} lacks the columns {', '.join(missing)}: it is no bench of this package")
    return frame.select(
        pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in SCHEMA.items()
    )
