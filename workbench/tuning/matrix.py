"""Outcomes as dense arrays (prompts × models): what a sweep computes on.

An unanswered request (error, no score) scores 0, because a failure is a failure for the user. An ungraded answer is left out of
its cell's mean. Only prompts that every model has a score for are kept, so that all models are compared on the same requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation import Outcomes
from workbench.routing import Queries

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeMatrix:
    """What n prompts scored and cost on m models.

    Args:
        models: names, one a column.
        prompt_ids: one a row.
        queries: texts, tasks and paraphrase groups, one a row.
        score: mean over samples, 0..1, shape (n, m).
        cost_usd: mean USD of an answer, shape (n, m), finite.
        latency_s: mean seconds, shape (n, m); a column is NaN where a model's latency was never measured.
        samples: score of every sample, shape (n, m, s), NaN where a sample is missing.
        prompts: columns of `workbench.evaluation.PROMPT_SCHEMA`, one row a row.
        data_hash: hash of the Outcomes it was made of.
        cost_source: "measured", or which nominal costs stand in.
        notes: what was left out or filled in, one sentence each.
        prices: model → what its measured cost was made of, as the manifest has it.
    """

    models: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    queries: Queries
    score: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray
    samples: FloatArray
    prompts: pl.DataFrame
    data_hash: str
    cost_source: str = "measured"
    notes: tuple[str, ...] = ()
    prices: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompt_ids)

    @property
    def groups(self) -> tuple[str, ...]:
        """Paraphrase group of each row; a prompt without one is its own."""
        return self.queries.groups if self.queries.groups is not None else self.prompt_ids

    @property
    def difficulties(self) -> tuple[str | None, ...]:
        """Difficulty label of each row, None where there is none."""
        return tuple(self.prompts["difficulty"].to_list())

    @property
    def has_one_sample(self) -> bool:
        """Whether no cell was answered more than once."""
        return int(self.samples.shape[2]) == 1

    @classmethod
    def from_outcomes(cls, outcomes: Outcomes, costs: Mapping[str, float] | None = None) -> Self:
        """The matrix of recorded Outcomes.

        Args:
            outcomes: at least one model; variants of a prompt count as samples.
            costs: nominal USD an answer by model, for models without measured cost or instead of it.

        Raises:
            ConfigError: a model lacks scores on more than half of the prompts, no prompt is complete, or costs are
                missing, unknown, negative or not finite.
        """
        models = tuple(outcomes.models)
        cells = _cells(outcomes, models)
        complete, notes = _complete_prompts(cells.score, models)
        rows = np.flatnonzero(complete)
        prompts = outcomes.prompts[rows.tolist()]
        score = cells.score[rows]
        cost, source, cost_notes = _costs(cells.cost_usd[rows], score, models, costs)
        latency, latency_notes = _filled_by_mean(cells.latency_s[rows], models, "latency")
        groups, group_notes = _groups_of_texts(prompts)
        return cls(
            models=models,
            prompt_ids=tuple(prompts["prompt_id"].to_list()),
            queries=Queries.of(prompts["prompt"].to_list(), prompts["task"].to_list(), groups=groups),
            score=score,
            cost_usd=cost,
            latency_s=latency,
            samples=cells.samples[rows],
            prompts=prompts,
            data_hash=outcomes.data_hash,
            cost_source=source,
            notes=(*notes, *cost_notes, *latency_notes, *group_notes),
            prices={name: dict(outcomes.manifest.models.get(name, {})).get("price") for name in models},
        )

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """The matrix of these rows (numbers or a boolean mask)."""
        index = np.arange(len(self))[rows]
        listed = index.tolist()
        return type(self)(
            models=self.models,
            prompt_ids=tuple(self.prompt_ids[i] for i in listed),
            queries=self.queries[index],
            score=self.score[index],
            cost_usd=self.cost_usd[index],
            latency_s=self.latency_s[index],
            samples=self.samples[index],
            prompts=self.prompts[listed],
            data_hash=self.data_hash,
            cost_source=self.cost_source,
            notes=self.notes,
            prices=self.prices,
        )

    def shares(self, choice: npt.NDArray[np.intp]) -> dict[str, float]:
        """Model → share of the rows that it answers.

        Args:
            choice: columns, shape (n,); -1 where nobody answers.
        """
        counts = np.bincount(choice[choice >= 0], minlength=len(self.models)) / len(choice)
        return dict(zip(self.models, counts.tolist(), strict=True))


def check_matrix(matrix: OutcomeMatrix) -> None:
    """Refuse arrays that no Outcomes could have given, before anything is computed on them.

    Raises:
        ConfigError: shapes that do not belong together; scores outside 0..1; costs or seconds that are infinite or negative;
            NaN anywhere but in the seconds of a model that was never timed.
    """
    shape = (len(matrix.prompt_ids), len(matrix.models))
    for name, values in (("score", matrix.score), ("cost_usd", matrix.cost_usd), ("latency_s", matrix.latency_s)):
        if values.shape != shape:
            raise ConfigError(f"{name} has shape {values.shape}; {shape[0]} prompts and {shape[1]} models need {shape}")
        untimed = np.isnan(values).all(axis=0) if name == "latency_s" else np.zeros(shape[1], np.bool_)
        most = 1.0 if name == "score" else np.finfo(np.float64).max / max(values.size, 1)
        good = ((values >= 0) & (values <= most)) | untimed
        if not good.all():
            row, column = np.argwhere(~good)[0].tolist()
            raise ConfigError(
                f"{name} of model {matrix.models[column]!r} on prompt {matrix.prompt_ids[row]!r} is {values[row, column]}; "
                f"it must be {'between 0 and 1' if name == 'score' else 'finite and 0 or more'}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    score: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray
    samples: FloatArray


def _cells(outcomes: Outcomes, models: tuple[str, ...]) -> _Cells:
    """Dense arrays over all prompts, NaN where nothing was measured."""
    frame = outcomes.with_failures_scored(0.0).filter(pl.col("score").is_not_null())
    frame = frame.with_columns(pl.int_range(pl.len()).over("prompt_id", "model").alias("take"))
    prompt_rows = {name: row for row, name in enumerate(outcomes.prompts["prompt_id"])}
    columns = {name: column for column, name in enumerate(models)}
    row = np.fromiter((prompt_rows[name] for name in frame["prompt_id"]), np.intp, frame.height)
    column = np.fromiter((columns[name] for name in frame["model"]), np.intp, frame.height)
    n_samples = int(frame["take"].max() or 0) + 1
    shape = (len(prompt_rows), len(models), n_samples)

    def dense(name: str) -> FloatArray:
        array = np.full(shape, np.nan)
        array[row, column, frame["take"].to_numpy()] = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return array

    samples = dense("score")
    return _Cells(_mean(samples), _mean(dense("cost_usd")), _mean(dense("latency_s")), samples)


def _mean(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    mean: FloatArray = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def _groups_of_texts(prompts: pl.DataFrame) -> tuple[tuple[str, ...], list[str]]:
    """Group of each prompt; groups that share a prompt's very text become one, so that no text is tuned and reported on."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[above]
        return name

    first: dict[tuple[str, str | None], str] = {}
    for group, *text in prompts.select("group", "prompt", "messages").iter_rows():
        parent[root(group)] = root(first.setdefault((text[0], text[1]), group))
    found = tuple(root(group) for group in prompts["group"])
    repeated = len(prompts) - len(first)
    merged = len(set(prompts["group"])) - len(set(found))
    note = f"{repeated} of {len(prompts)} prompts repeat the text of another; the same text counts as one group"
    return found, [note] if merged else []


def _complete_prompts(score: FloatArray, models: tuple[str, ...]) -> tuple[npt.NDArray[np.bool_], list[str]]:
    known = ~np.isnan(score)
    n = len(score)
    for column, name in enumerate(models):
        count = int(known[:, column].sum())
        if 2 * count < n:
            raise ConfigError(
                f"model {name!r} has scores on {count} of {n} prompts, at least half are needed; "
                "record the rest, or leave the model out of the Outcomes"
            )
    complete: npt.NDArray[np.bool_] = np.asarray(known.all(axis=1))
    if not complete.any():
        raise ConfigError(
            f"no prompt has a score from all of {', '.join(map(repr, models))}; record every model on the same prompts"
        )
    dropped = n - int(complete.sum())
    return complete, [f"{dropped} of {n} prompts were left out: not every model has a score on them"] if dropped else []


def _costs(
    measured: FloatArray, score: FloatArray, models: tuple[str, ...], nominal: Mapping[str, float] | None
) -> tuple[FloatArray, str, list[str]]:
    """Finite costs, where they come from, and notes."""
    if nominal:
        _check_nominal(nominal, models)
        measured = measured.copy()
        for name, cost in nominal.items():
            measured[:, models.index(name)] = cost
    unknown = [name for column, name in enumerate(models) if np.isnan(measured[:, column]).all()]
    if unknown and nominal is None and len(unknown) == len(models) == 2:
        return _unit_costs(score, models)
    if unknown:
        known = "; ".join(f"--cost {name}=USD" for name in unknown)
        raise ConfigError(f"no cost was measured for {', '.join(unknown)}; give a nominal cost an answer: {known}")
    filled, notes = _filled_by_mean(measured, models, "cost")
    if not np.isfinite(filled).all() or filled.min() < 0:
        raise ConfigError("costs must be finite and 0 or more; correct cost_usd in the Outcomes")
    source = "measured" if not nominal else "nominal: " + ", ".join(f"{k}={v:g}" for k, v in sorted(nominal.items()))
    return filled, source, notes


def _check_nominal(nominal: Mapping[str, float], models: tuple[str, ...]) -> None:
    for name, cost in nominal.items():
        if name not in models:
            raise ConfigError(f"a cost is given for the unknown model {name!r}: {did_you_mean(name, models)}")
        if not (np.isfinite(cost) and cost >= 0):
            raise ConfigError(f"the cost of {name!r} is {cost}; give USD an answer, finite and 0 or more")


def _unit_costs(score: FloatArray, models: tuple[str, ...]) -> tuple[FloatArray, str, list[str]]:
    """Cost 1 for the better of two models and 0 for the other: mean cost is then the share of strong calls."""
    strong = int(score.mean(axis=0).argmax())
    cost = np.zeros_like(score)
    cost[:, strong] = 1.0
    source = f"unit: {models[strong]}=1, {models[1 - strong]}=0 (no cost was measured; cost is the share of calls to {models[strong]})"
    return cost, source, []


def _filled_by_mean(values: FloatArray, models: tuple[str, ...], what: str) -> tuple[FloatArray, list[str]]:
    """Missing cells get the model's mean; a model without any value stays NaN."""
    missing = np.isnan(values)
    partly = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
    if not len(partly):
        return values, []
    filled = values.copy()
    for column in partly:
        filled[missing[:, column], column] = values[~missing[:, column], column].mean()
    names = ", ".join(f"{models[column]} {int(missing[:, column].sum())}" for column in partly.tolist())
    return filled, [f"{what} was not measured in some cells ({names}); the model's mean stands in"]
