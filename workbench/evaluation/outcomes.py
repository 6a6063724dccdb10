"""Outcomes: one measured row per (prompt, model, variant, sample), their prompts and their manifest. The dataset of this project.

An answer has one of three states, and no state hides in another:

- scored: `score` in 0..1, `error` and `ungraded` null;
- failed: the model gave no answer. `error` says why, `score` is null. Analyses count it as a failure (score 0), see
  `Outcomes.with_failures_scored`;
- ungraded: answered, but the grader could not tell (an unreadable judgement). `ungraded` says why, `score` is null, and
  analyses leave the row out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json, write_json
from workbench.evaluation.frames import check_cells, check_numbers, check_prompts, conform, frame_hash, write_parquet
from workbench.evaluation.manifest import Manifest

SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "prompt_id": pl.String,
        "task": pl.String,
        "difficulty": pl.String,
        "group": pl.String,
        "model": pl.String,
        "variant": pl.String,
        "sample": pl.Int64,
        "score": pl.Float64,
        "prompt_tokens": pl.Int64,
        "cached_tokens": pl.Int64,
        "cache_write_tokens": pl.Int64,
        "cache_write_1h_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
        "reasoning_tokens": pl.Int64,
        "ttft_s": pl.Float64,
        "latency_s": pl.Float64,
        "tpot_s": pl.Float64,
        "concurrency": pl.Int64,
        "memory_gib": pl.Float64,
        "energy_wh": pl.Float64,
        "compute_flop": pl.Float64,
        "cost_usd": pl.Float64,
        "grading_tokens": pl.Int64,
        "grading_cost_usd": pl.Float64,
        "logprob": pl.Float64,
        "finish_reason": pl.String,
        "error": pl.String,
        "ungraded": pl.String,
        "answer": pl.String,
    }
)
PROMPT_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "prompt_id": pl.String,
        "prompt": pl.String,
        "task": pl.String,
        "group": pl.String,
        "difficulty": pl.String,
        "answer": pl.String,
        "messages": pl.String,  # the whole chat as JSON where it is more than one user message; `verify` asks it again
        "grader": pl.String,  # how the answer is graded, in its written form; `verify` grades again
    }
)
ADDED_LATER = frozenset({"cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens"})
"""Columns that folders of earlier versions lack. Where they hold nothing they do not count in the hash, so that it stays what it was."""
CELL = ("prompt_id", "model", "variant", "sample")
DEFAULT_VARIANT = "default"


@dataclass(frozen=True, slots=True)
class Matrix:
    """One column of Outcomes as an array.

    Args:
        prompt_ids: row labels.
        models: column labels.
        values: float64 (n_prompts, n_models), the mean over samples and variants; NaN where nothing was measured.
    """

    prompt_ids: list[str]
    models: list[str]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Measured rows, their prompts and where they came from. Make it with `from_frames` or `read`, which check it.

    Args:
        frame: columns and types of `SCHEMA`, sorted by prompt, model, variant and sample; unknown is null.
        prompts: columns and types of `PROMPT_SCHEMA`, one row a prompt.
        manifest: provenance.
    """

    frame: pl.DataFrame
    prompts: pl.DataFrame
    manifest: Manifest

    @classmethod
    def from_frames(cls, frame: pl.DataFrame, prompts: pl.DataFrame, manifest: Manifest) -> Outcomes:
        """Outcomes from loose frames: columns that are missing become null, task, group and difficulty come from `prompts`.

        Args:
            frame: at least `prompt_id, model, score`; `variant` defaults to "default", `sample` to 0.
            prompts: at least `prompt_id, prompt`; `group` defaults to the prompt's id.

        Raises:
            ConfigError: a needed column is missing, a cell or prompt id appears twice, a row has no prompt, a score lies
                outside 0..1, or a number is NaN, infinite or negative. Names the offenders.
        """
        needed = ("prompt_id", "prompt")
        prompts = conform(prompts, PROMPT_SCHEMA, needed=needed, filled=needed, what="prompts")
        prompts = prompts.with_columns(pl.col("group").fill_null(pl.col("prompt_id"))).sort("prompt_id")
        check_prompts(prompts)
        named = ("prompt_id", "model")
        frame = conform(frame, SCHEMA, needed=(*named, "score"), filled=named, what="outcomes")
        frame = frame.with_columns(pl.col("variant").fill_null(DEFAULT_VARIANT), pl.col("sample").fill_null(0))
        check_cells(frame, prompts, CELL)
        check_numbers(frame)
        described = frame.drop("task", "group", "difficulty").join(
            prompts.select("prompt_id", "task", "group", "difficulty"), on="prompt_id", how="left"
        )
        return cls(described.select(list(SCHEMA)).sort(CELL), prompts, manifest)

    @property
    def models(self) -> list[str]:
        """Names of the models, sorted."""
        return sorted(self.frame["model"].unique().to_list())

    @property
    def tasks(self) -> list[str]:
        """Task labels, sorted; prompts without a label are not listed."""
        return sorted(self.prompts["task"].drop_nulls().unique().to_list())

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of every value of both frames; does not depend on the row order they came in."""
        empty = [name for name in ADDED_LATER if self.frame[name].null_count() == self.frame.height]
        return frame_hash(self.frame.drop(empty), self.prompts)

    def with_failures_scored(self, score: float = 0.0) -> pl.DataFrame:
        """The frame with `score` filled in where the model failed to answer; ungraded rows stay null."""
        failed = pl.col("error").is_not_null() & pl.col("score").is_null()
        return self.frame.with_columns(pl.when(failed).then(score).otherwise(pl.col("score")).alias("score"))

    def matrix(self, column: str = "score", *, failures_score: float | None = 0.0) -> Matrix:
        """A numeric column as prompts × models, averaged over samples and variants.

        Args:
            column: a numeric column of `SCHEMA`.
            failures_score: what an unanswered request scores; None leaves it out of the mean.

        Example:
            >>> rows = pl.DataFrame({"prompt_id": ["p", "p"], "model": ["a", "a"], "sample": [0, 1], "score": [1.0, 0.0]})
            >>> asked = pl.DataFrame({"prompt_id": ["p"], "prompt": ["1 + 1?"]})
            >>> Outcomes.from_frames(rows, asked, Manifest("example")).matrix().values.tolist()
            [[0.5]]
        """
        frame = self.frame if failures_score is None else self.with_failures_scored(failures_score)
        means = frame.group_by("prompt_id", "model").agg(pl.col(column).cast(pl.Float64).mean())
        prompt_ids, models = self.prompts["prompt_id"].to_list(), self.models
        values = np.full((len(prompt_ids), len(models)), np.nan)
        row_of = {name: row for row, name in enumerate(prompt_ids)}
        column_of = {name: index for index, name in enumerate(models)}
        rows = np.array([row_of[name] for name in means["prompt_id"]], dtype=np.int64)
        columns = np.array([column_of[name] for name in means["model"]], dtype=np.int64)
        values[rows, columns] = means[column].fill_null(float("nan")).to_numpy()
        return Matrix(prompt_ids, models, values)

    def write(self, folder: Path) -> None:
        """Write outcomes.parquet, prompts.parquet and manifest.json; each whole or not at all, the manifest last.

        Raises:
            StoreError: the disk is full or the folder cannot be written; files that were there are kept.
        """
        for name, frame in (("prompts.parquet", self.prompts), ("outcomes.parquet", self.frame)):
            write_parquet(frame, folder / name)
        write_json(folder / "manifest.json", self.manifest.stamped(self.data_hash).to_dict())

    @classmethod
    def read(cls, folder: Path) -> Outcomes:
        """Outcomes of a folder, checked against the hash in its manifest.

        Raises:
            ConfigError: no such folder, or nothing finished in it.
            StoreError: a file is cut or changed, lacks columns, or was made by a newer version.
        """
        _check_folder(folder)
        manifest_path = folder / "manifest.json"
        manifest = Manifest.from_dict(read_json(manifest_path, "manifest"), str(manifest_path))
        frame = _read_parquet(folder / "outcomes.parquet", SCHEMA)
        outcomes = cls(frame, _read_parquet(folder / "prompts.parquet", PROMPT_SCHEMA), manifest)
        if manifest.data_hash not in (None, outcomes.data_hash):
            raise StoreError(
                f"{folder}: the rows do not belong to manifest.json (hash {outcomes.data_hash[:12]}, manifest says "
                f"{manifest.data_hash[:12]}): a file was changed or copied from elsewhere; record or import again"
            )
        return outcomes


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"no Outcomes at {folder}: record some with `workbench record --out {folder}`")
    if (folder / "outcomes.parquet").exists() and (folder / "manifest.json").exists():
        return
    if (folder / "journal.jsonl").exists():
        raise ConfigError(f"the recording in {folder} is not finished: run the same `workbench record` again to go on")
    raise ConfigError(f"{folder} holds no Outcomes: outcomes.parquet and manifest.json are expected in it")


def _read_parquet(path: Path, schema: Mapping[str, Any]) -> pl.DataFrame:
    if not path.exists():
        raise StoreError(f"{path} is missing: the folder was copied without it, or a write was interrupted")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as exc:
        reason = str(exc).split("\n")[0]
        raise StoreError(f"{path} is damaged or not parquet ({reason}): restore it or record again") from exc
    missing = [name for name in schema if name not in frame.columns]
    if not ADDED_LATER.issuperset(missing):
        raise StoreError(f"{path} lacks the columns {', '.join(missing)}: it is no table of Outcomes")
    frame = frame.with_columns(pl.lit(None).alias(name) for name in missing)
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())
