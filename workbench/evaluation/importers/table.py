"""Reading a table that somebody else wrote: CSV (also gzipped) or parquet, refused with the row where it goes wrong."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from workbench.core import ConfigError
from workbench.core.files import read_text
from workbench.evaluation.frames import named

KINDS = ".csv, .csv.gz and .parquet are known"
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_table(path: Path) -> pl.DataFrame:
    """The table, without blank rows; columns of a CSV are text, so that nothing is guessed.

    Raises:
        ConfigError: no such file, another format, damaged, not UTF-8, a heading twice, or rows longer than the heading.
    """
    if not path.is_file():
        raise ConfigError(f"no table at {path}: a CSV or parquet file is needed")
    table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    return table.filter(~pl.all_horizontal(pl.all().is_null())) if table.width else table


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise _unreadable(path, str(exc).split("\n")[0]) from exc


def _read_csv(path: Path) -> pl.DataFrame:
    text = _text(path)
    if not text.strip():
        raise ConfigError(f"{path} is empty: a heading and at least one row are needed")
    try:
        _check_heading(next(csv.reader(io.StringIO(text, newline="")), []), path)
        return pl.read_csv(io.BytesIO(text.encode()), infer_schema=False)
    except (pl.exceptions.PolarsError, csv.Error) as exc:
        raise _unreadable(path, _ragged(text) or str(exc).split("\n")[0]) from exc


def _text(path: Path) -> str:
    suffixes = "".join(path.suffixes[-2:]).lower()
    if path.suffix.lower() == ".csv":
        return read_text(path, "table")
    if not suffixes.endswith(".csv.gz"):
        raise ConfigError(f"unknown format {path.suffix!r} of {path}: {KINDS}")
    try:
        return gzip.decompress(path.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"table {path} is not UTF-8 text (byte {exc.start}); save it as UTF-8") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise _unreadable(path, f"gzip: {exc}") from exc


def _check_heading(heading: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in heading if heading.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: columns appear twice: {named(twice)}; keep one of each")
    for separator, words in SEPARATORS.items():
        if len(heading) == 1 and separator in heading[0]:
            raise ConfigError(f"{path} is separated by {words}, not by commas; export it again with commas")


def _ragged(text: str) -> str | None:
    """The first row that has more fields than the heading, counted from 1 without it."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        width = len(next(rows))
        for number, row in enumerate(islice(rows, 10**7), 1):
            if len(row) > width:
                return f"row {number} has {len(row)} fields, the heading {width}"
    except csv.Error:
        return None
    return None


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path} cannot be read ({reason}): repair it or export it again")
