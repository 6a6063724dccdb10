"""The long format: a CSV or parquet table with one row a measured answer."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from workbench import __version__
from workbench.core import ConfigError
from workbench.core.files import read_text
from workbench.evaluation.frames import conform, named
from workbench.evaluation.manifest import Manifest
from workbench.evaluation.outcomes import SCHEMA, Outcomes

NEEDED = ("prompt_id", "prompt", "model", "score")
EVERY = {**SCHEMA, "prompt": pl.String, "reference": pl.String}


def import_long(path: Path) -> Outcomes:
    """Outcomes of a table with `prompt_id, prompt, model, score` and any further columns of `SCHEMA` (and `reference`, the right answer).

    Raises:
        ConfigError: a column is missing, NaN or infinities (rows are named; unknown is an empty cell), a cell measured twice, or one
            prompt_id with different prompts, tasks or groups.
    """
    table = conform(_read(path), EVERY, needed=NEEDED, filled=("prompt_id", "model"), what=str(path))
    if not table.height:
        raise ConfigError(f"{path} is empty: at least one row is needed")
    _refuse_broken_numbers(table, path)
    prompts = one_row_a_prompt(table)
    manifest = Manifest("import:long", package_version=__version__, notes=(f"imported from {path.name}",))
    return Outcomes.from_frames(table.drop("prompt", "reference"), prompts, manifest)


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ConfigError(f"no table at {path}: a CSV or parquet file is needed")
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        if path.suffix.lower() != ".csv":
            raise ConfigError(f"unknown format {path.suffix!r} of {path}: .csv and .parquet are known")
        text = read_text(path, "table")
        table = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False) if text.strip() else pl.DataFrame()
    except pl.exceptions.PolarsError as exc:
        reason = str(exc).split("\n")[0]
        raise ConfigError(f"{path} cannot be read ({reason}): repair it or export it again") from exc
    return table.filter(~pl.all_horizontal(pl.all().is_null())) if table.width else table


def _refuse_broken_numbers(table: pl.DataFrame, path: Path) -> None:
    """Name the rows with NaN or infinities, counted from 1 without the heading."""
    for name, kind in table.schema.items():
        if not kind.is_float():
            continue
        broken = table.with_row_index("row", 1).filter(pl.col(name).is_nan() | pl.col(name).is_infinite())
        if broken.height:
            found = [f"row {row}: {value}" for row, value in broken["row", name].rows()]
            raise ConfigError(f"{path}: {name} must be finite, found {named(found)}; leave unknown cells empty")


def one_row_a_prompt(table: pl.DataFrame) -> pl.DataFrame:
    """The prompts of a long table. Rows of one prompt_id may leave a column empty, but not contradict each other.

    Args:
        table: `prompt_id` and any of `prompt, task, group, difficulty, reference`.

    Raises:
        ConfigError: names the ids with several prompts, tasks, groups, difficulties or right answers.
    """
    columns = [name for name in ("prompt", "task", "group", "difficulty", "reference") if name in table.columns]
    by_prompt = table.group_by("prompt_id", maintain_order=True)
    counts = by_prompt.agg(pl.col(name).drop_nulls().n_unique() for name in columns)
    for name in columns:
        several = counts.filter(pl.col(name) > 1)["prompt_id"].to_list()
        if several:
            raise ConfigError(
                f"the same prompt_id has different values of {name!r}: {named(several)}; one id is one prompt"
            )
    firsts = by_prompt.agg(pl.col(name).drop_nulls().first() for name in columns)
    return firsts.rename({"reference": "answer"}, strict=False)
