"""The tables of a break-even document as CSV, for spreadsheets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from workbench.core.files import replacing

FLAT = ("local", "api", "verdict", "feasible", "wins", "rate_rps", "goodput_rps")


def rows_table(document: Mapping[str, Any]) -> pl.DataFrame:
    """One line a pair: λ* with its interval, capacity, monthly and yearly bills, payback and the reason."""
    return pl.DataFrame([_row(row) for row in document["rows"]], infer_schema_length=None)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["ci"] or (None, None)
    kinds = ("local", "api", "mix")
    return {
        **{name: row[name] for name in FLAT},
        "rate_rps_low": low,
        "rate_rps_high": high,
        **{f"usd_per_month_{kind}": row["usd_per_month"][kind] for kind in kinds},
        **{f"usd_per_year_{kind}": row["usd_per_year"][kind] for kind in kinds},
        "payback_months": row["payback"]["months"],
        "because": row["because"],
    }


def flips_table(document: Mapping[str, Any]) -> pl.DataFrame:
    """One line an input and pair: its present value, where the answer flips, and what its plausible ends do."""
    return pl.DataFrame([_flip(line) for line in document["flips"]], infer_schema_length=None)


def _flip(line: Mapping[str, Any]) -> dict[str, Any]:
    saves = line["saves_usd_per_month"] or {"now": None, "low": None, "high": None}
    plain = {name: value for name, value in line.items() if name != "saves_usd_per_month"}
    return {**plain, **{f"saves_usd_per_month_{name}": value for name, value in saves.items()}}


def write_tables(document: Mapping[str, Any], folder: Path) -> None:
    """Write `rows.csv` and `flips.csv`, each whole or not at all.

    Raises:
        StoreError: the folder cannot be written.
    """
    for name, table in (("rows", rows_table(document)), ("flips", flips_table(document))):
        with replacing(folder / f"{name}.csv") as beside:
            table.write_csv(beside)
