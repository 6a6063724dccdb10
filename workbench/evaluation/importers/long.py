"""The long format: a CSV or parquet table with one row a measured answer."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from workbench import __version__
from workbench.core import ConfigError
from workbench.evaluation.frames import conform, named
from workbench.evaluation.importers.table import read_table
from workbench.evaluation.manifest import Manifest
from workbench.evaluation.outcomes import SCHEMA, Outcomes

NEEDED = ("prompt_id", "prompt", "model", "score")
EVERY = {**SCHEMA, "prompt": pl.String, "reference": pl.String}


def import_long(path: Path) -> Outcomes:
    """Outcomes of a table with `prompt_id, prompt, model, score` and any further columns of `SCHEMA` (and `reference`, the right answer).

    Columns with other names are not used, and the manifest's notes name them. A score may be true or false.

    Raises:
        ConfigError: a column is missing, NaN or infinities (rows are named; unknown is an empty cell), a cell measured twice, or one
            prompt_id with different prompts, tasks or groups.
    """
    given = read_table(path)
    table = conform(_right_or_wrong(given), EVERY, needed=NEEDED, filled=("prompt_id", "model"), what=str(path))
    if not table.height:
        raise ConfigError(f"{path} is empty: at least one row is needed")
    _refuse_broken_numbers(table, path)
    prompts = one_row_a_prompt(table)
    manifest = Manifest("import:long", package_version=__version__, notes=_notes(path, given.columns, table))
    return Outcomes.from_frames(table.drop("prompt", "reference"), prompts, manifest)


def _right_or_wrong(table: pl.DataFrame) -> pl.DataFrame:
    """The table with a score of true and false, as a CSV writes booleans, made 1 and 0."""
    if "score" not in table.columns or table["score"].dtype != pl.String:
        return table
    score = pl.col("score").str.to_lowercase().replace({"true": "1", "false": "0"})
    return table.with_columns(pl.when(pl.col("score").is_null()).then(None).otherwise(score).alias("score"))


def _notes(path: Path, columns: Sequence[str], table: pl.DataFrame) -> tuple[str, ...]:
    """Where it came from, which columns were not used, and models whose names are alike."""
    notes = [f"imported from {path.name}"]
    unused = [_unused(name) for name in columns if name not in EVERY]
    if unused:
        notes.append(f"columns that are not known were left out: {', '.join(unused)}")
    models = table["model"].unique().sort().to_list()
    alike: dict[str, list[str]] = {}
    for name in models:
        alike.setdefault(" ".join(name.split()).casefold(), []).append(name)
    notes += [
        f"{' and '.join(map(repr, names))} count as different models; if they are one, give it one name"
        for names in alike.values()
        if len(names) > 1
    ]
    return tuple(notes)


def _unused(name: str) -> str:
    near = difflib.get_close_matches(name.strip().lower(), list(EVERY), n=1, cutoff=0.6)
    return f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name)


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
