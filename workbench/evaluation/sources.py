"""Where a suite's rows come from: a file (JSON lines, CSV, parquet), the Hub, or the reference generator."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.core import ConfigError, MissingExtra
from workbench.core.files import read_jsonl, read_text
from workbench.core.naming import did_you_mean

Row = tuple[str, dict[str, Any]]
REFERENCE = "reference"
WORDINGS = ("seen", "held_out", "both")
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)?(:[\w.\[\]%-]+)?")


def read_rows(source: str | Path) -> Iterator[Row]:
    """Each row with the name of its place.

    Args:
        source: a file's path; `reference` or `reference:WORDINGS` for the generated suite; or a Hub data set,
            `owner/name[/config][:split]`.

    Raises:
        ConfigError: nothing of that name, an unknown format, or a file that cannot be read.
    """
    name = str(source)
    if name.partition(":")[0] == REFERENCE and not Path(name).exists():
        return reference_rows(name.partition(":")[2] or "seen")
    path = Path(source)
    if path.suffix.lower() in FORMATS or path.exists():
        return file_rows(path)
    if _HUB_ID.fullmatch(name):
        return hub_rows(name)
    raise ConfigError(
        f"no suite at {name}: name a {', '.join(sorted(FORMATS))} file, 'reference', or a Hub data set owner/name"
    )


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of a file in any of `FORMATS`; any mixture of line ends."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the suite's file in it")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"unknown suite format {path.suffix!r} of {path}: {did_you_mean(path.suffix, FORMATS)}")
    if kind == "jsonl":
        return ((f"{path}, line {number}", row) for number, row in read_jsonl(path, "suite"))
    return _table_rows(path, kind)


def _table_rows(path: Path, kind: str) -> Iterator[Row]:
    import polars as pl

    try:
        if kind == "csv":
            text = read_text(path, "suite")
            frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False) if text.strip() else pl.DataFrame()
        else:
            frame = pl.read_parquet(path)
    except FileNotFoundError as exc:
        raise ConfigError(f"no suite at {path}") from exc
    except (pl.exceptions.PolarsError, OSError) as exc:
        reason = str(exc).split("\n")[0]
        raise ConfigError(f"suite {path} cannot be read as {kind} ({reason}): repair it or export it again") from exc
    rows = enumerate(frame.iter_rows(named=True), start=1)
    return ((f"{path}, row {number}", row) for number, row in rows if any(value is not None for value in row.values()))


def reference_rows(wordings: str = "seen", **arguments: Any) -> Iterator[Row]:
    """The generated suite.

    Args:
        wordings: seen, held_out or both.
        arguments: split, n_per_task, seed, tasks: see `workbench.evaluation.reference.build_suite`.
    """
    from workbench.evaluation.reference import build_suite

    if wordings not in WORDINGS:
        raise ConfigError(f"unknown reference suite {wordings!r}: {did_you_mean(wordings, WORDINGS)}")
    items = build_suite(wordings=wordings, **{"n_per_task": 60, **arguments})  # type: ignore[arg-type]
    for item in items:
        record = item.to_record()
        record.pop("id", None)
        yield f"reference item {item.prompt_id}", {**record, "grader": "json" if item.task == "json" else "exact"}


def hub_rows(name: str) -> Iterator[Row]:
    """Rows of a Hub data set; needs a network or a filled cache."""
    try:
        import datasets
    except ModuleNotFoundError as exc:
        raise MissingExtra("a suite from the Hub", "evaluation") from exc
    place, _, split = name.partition(":")
    owner, _, rest = place.partition("/")
    title, _, config = rest.partition("/")
    try:
        loaded = datasets.load_dataset(f"{owner}/{title}", config or None, split=split or "test")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as exc:
        reason = str(exc).strip().split("\n")[0]
        raise ConfigError(
            f"cannot load {name!r} from the Hub ({type(exc).__name__}: {reason}); if it is a file, its path is wrong; "
            "without a network, export the data set to JSON lines elsewhere and name that file"
        ) from exc
    return ((f"{name}, row {number}", dict(row)) for number, row in enumerate(loaded, start=1))


def renamed(rows: Iterator[Row], columns: Mapping[str, str]) -> Iterator[Row]:
    """The rows with columns under the suite's names: {"prompt": "question"} reads the prompt from `question`.

    Raises:
        ConfigError: a row lacks the named column.
    """
    for where, row in rows:
        for wanted, found in columns.items():
            if found not in row:
                raise ConfigError(
                    f"{where}: no column {found!r} for {wanted!r}; {did_you_mean(found, [str(n) for n in row])}"
                )
        moved = {wanted: row[found] for wanted, found in columns.items()}
        yield where, {**{name: value for name, value in row.items() if name not in columns.values()}, **moved}
