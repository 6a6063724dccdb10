"""What makes a loose table a table of Outcomes: columns, types, unique cells, finite numbers, and a hash of the content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl

from workbench.core import ConfigError, StoreError
from workbench.core.files import replacing
from workbench.core.naming import did_you_mean

SHOWN = 3  # offenders named in a message
WORDS = {pl.String: "text", pl.Float64: "a number", pl.Int64: "a whole number"}


def named(values: Iterable[Any], shown: int = SHOWN) -> str:
    """The first few values for a message, and how many more there are.

    Example:
        >>> named(["a", "b", "c", "d", "e"])
        "'a', 'b', 'c' and 2 more"
    """
    listed = list(values)
    more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return ", ".join(repr(value) for value in listed[:shown]) + more


def conform(
    frame: pl.DataFrame, schema: Mapping[str, Any], *, needed: Sequence[str], filled: Sequence[str], what: str
) -> pl.DataFrame:
    """The frame with exactly the schema's columns and types; those that are missing are null, others are dropped.

    Args:
        frame: any table.
        schema: column → polars type.
        needed: columns that must be there.
        filled: columns among them that may hold no null.
        what: names the table in messages.

    Raises:
        ConfigError: a needed column is missing, a filled one holds nulls, or a value cannot be converted.
    """
    for name in needed:
        if name not in frame.columns:
            raise ConfigError(f"{what}: the column {name!r} is missing; {did_you_mean(name, frame.columns)}")
        if name in filled and frame[name].null_count():
            raise ConfigError(
                f"{what}: {frame[name].null_count()} rows have no {name!r}{_where_null(frame, name)}; fill or remove them"
            )
    return frame.select(_converted(frame, name, kind, what) for name, kind in schema.items())


def _where_null(frame: pl.DataFrame, name: str) -> str:
    """Ids of the rows where a column is null, or their numbers counted from 1."""
    by_id = name != "prompt_id" and "prompt_id" in frame.columns
    if by_id:
        return f" ({named(frame.filter(pl.col(name).is_null())['prompt_id'].to_list())})"
    rows = (frame[name].is_null().arg_true() + 1).to_list()
    return f" (row {', '.join(map(str, rows[:SHOWN]))}{' …' if len(rows) > SHOWN else ''})"


def _converted(frame: pl.DataFrame, name: str, kind: Any, what: str) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=kind)
    column = frame[name]
    if column.dtype == kind:
        return column
    if column.dtype.is_nested():
        raise ConfigError(
            f"{what}: the column {name!r} must be {WORDS[kind]}, found {column.dtype}; give one value a row"
        )
    try:
        converted = _as_whole_numbers(column) if kind.is_integer() else column.cast(kind, strict=False)
    except pl.exceptions.PolarsError as exc:
        raise ConfigError(f"{what}: the column {name!r} must be {WORDS[kind]}, found {column.dtype}") from exc
    lost = column.filter(converted.is_null() & column.is_not_null()).unique(maintain_order=True)
    if len(lost):
        raise ConfigError(
            f"{what}: the column {name!r} must be {WORDS[kind]}, found {named(lost.to_list())}; leave unknown cells empty"
        )
    return converted


def _as_whole_numbers(column: pl.Series) -> pl.Series:
    """Int64, null for what is none; 3.0 is one (how tables with gaps write 3), 3.5 is not."""
    direct = column.cast(pl.Int64, strict=False)
    if column.dtype.is_integer():
        return direct
    number = column.cast(pl.Float64, strict=False)
    whole = number.is_not_null() & (number == number.round()) & (number.abs() < 2.0**53)
    rounded = pl.select(pl.when(whole).then(number).otherwise(None)).to_series().cast(pl.Int64, strict=False)
    return direct.fill_null(rounded).alias(column.name) if column.dtype == pl.String else rounded.alias(column.name)


def check_prompts(prompts: pl.DataFrame) -> None:
    """Every prompt id stands for one prompt.

    Raises:
        ConfigError: ids that appear twice, by name; says when their prompts differ.
    """
    repeated = prompts.filter(prompts["prompt_id"].is_duplicated())
    if not repeated.height:
        return
    counts = repeated.group_by("prompt_id", maintain_order=True).agg(pl.col("prompt").n_unique())
    differ = counts.filter(pl.col("prompt") > 1)["prompt_id"].to_list()
    if differ:
        raise ConfigError(f"the same prompt_id stands for different prompts: {named(differ)}; give each its own id")
    raise ConfigError(f"prompts appear twice: {named(counts['prompt_id'].to_list())}; remove the repetitions")


def check_cells(frame: pl.DataFrame, prompts: pl.DataFrame, cell: Sequence[str]) -> None:
    """One row a cell, and a prompt for every row.

    Raises:
        ConfigError: two rows for one cell, or rows whose prompt is unknown; by name.
    """
    repeated = frame.filter(frame.select(cell).is_duplicated()).select(cell).unique(maintain_order=True)
    if repeated.height:
        cells = [" ".join(str(part) for part in row) for row in repeated.rows()]
        copies = repeated.height == frame.filter(frame.select(cell).is_duplicated()).unique().height
        how = "as exact copies; remove them" if copies else "that differ; give repeated answers their own sample number"
        raise ConfigError(f"two rows for the same cell ({', '.join(cell)}): {named(cells)} {how}")
    orphans = frame.join(prompts, on="prompt_id", how="anti")["prompt_id"].unique().sort().to_list()
    if orphans:
        raise ConfigError(f"rows without a prompt: {named(orphans)}; every prompt_id needs one row among the prompts")


def check_numbers(frame: pl.DataFrame) -> None:
    """Scores lie in 0..1; money, seconds and counts are finite and not negative. Unknown is null, not NaN.

    Raises:
        ConfigError: names column, value and rows.
    """
    checks = {name: _is_broken(name, kind) for name, kind in frame.schema.items() if kind.is_numeric()}
    found = frame.select(check.any().alias(name) for name, check in checks.items())
    for name, check in checks.items():
        if found[name][0]:
            _refuse(frame.filter(check), name)


def _is_broken(name: str, kind: Any) -> pl.Expr:
    value = pl.col(name)
    broken = ~value.is_between(0, 1) if name == "score" else value < 0
    if name == "logprob":
        broken = value > 1e-6  # rounding of a certain answer may leave the sum a hair above 0
    return broken | value.is_nan() | value.is_infinite() if kind.is_float() else broken


def _refuse(offenders: pl.DataFrame, column: str) -> NoReturn:
    allowed = {"score": "between 0 and 1", "logprob": "at most 0"}.get(column, "finite and not negative")
    rows = [f"{prompt} {model} = {value}" for prompt, model, value in offenders["prompt_id", "model", column].rows()]
    hint = "; divide points or percent by the most that can be reached" if column == "score" else ""
    raise ConfigError(f"{column} must be {allowed}, or null where unknown; found {named(rows)}{hint}")


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame, whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written; a file that was there is kept.
    """
    with replacing(path) as beside:
        try:
            frame.write_parquet(beside, compression="zstd")
        except pl.exceptions.PolarsError as exc:  # how a full disk arrives
            raise StoreError(f"cannot write {path}: {exc}; the previous file is untouched") from exc


def frame_hash(*frames: pl.DataFrame) -> str:
    """Hex SHA-256 of names, types and values; independent of parquet, compression and library versions."""
    digest = hashlib.sha256()
    for frame in frames:
        for column in frame.iter_columns():
            digest.update(f"{column.name}:{column.dtype}:{len(column)};".encode())
            for part in _column_bytes(column):
                digest.update(part)
    return digest.hexdigest()


def _column_bytes(column: pl.Series) -> Iterable[bytes]:
    yield np.packbits(column.is_null().to_numpy()).tobytes()
    if column.dtype == pl.String:
        texts = column.fill_null("")
        yield texts.str.len_bytes().to_numpy().astype("<u4").tobytes()
        yield "".join(texts.to_list()).encode()
    else:
        yield column.fill_null(0).to_numpy().astype("<f8" if column.dtype.is_float() else "<i8").tobytes()
