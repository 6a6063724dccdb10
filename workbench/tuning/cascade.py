"""Cascades, offline: every threshold of acceptance over recorded Outcomes, exactly, on the same three splits as a routing sweep.

A request stops at the first model whose confidence reaches the threshold, at the last one at the latest. As the threshold rises a
request moves up only where it passes the confidence of the model it stopped at, so that all thresholds are one sort and one running
sum, as in `workbench.tuning.frontier`. Money and seconds of a request are the sums over all models it asked, judges included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation import Outcomes
from workbench.evaluation.statistics import clustered_se
from workbench.orchestration import agreed
from workbench.tuning.baselines import best_single
from workbench.tuning.evidence import DEFAULT_MARGIN, Comparison, SweepVerdict, compare, judge
from workbench.tuning.frontier import Frontier, Switches
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.split import Split, three_way_split
from workbench.tuning.sweeps import SweepConfig

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Accept = Literal["logprob", "agreement", "judge"]
SAMPLE = "\x1f"
"""Stands between a prompt's id and its sample where a prompt was answered more than once: each sample is a request of its own."""


@dataclass(frozen=True, eq=False)
class Cascade:
    """Models in order over n recorded requests.

    Args:
        order: names, cheap first.
        matrix: of all recorded models; a prompt that was sampled several times has a row a sample.
        confidence: of each model's answer but the last one's, shape (n, len(order) − 1); minus infinity is never accepted. None
            where answers are accepted by agreement.
        texts: answers by column of `order`, where they are accepted by agreement; else empty.
        judge_usd, judge_s: what judging each answer cost and took, shape (n, len(order) − 1).
    """

    order: tuple[str, ...]
    matrix: OutcomeMatrix
    confidence: FloatArray | None
    texts: tuple[tuple[str | None, ...], ...]
    judge_usd: FloatArray
    judge_s: FloatArray

    @property
    def columns(self) -> list[int]:
        """Columns of the matrix, in the cascade's order."""
        return [self.matrix.models.index(name) for name in self.order]

    @cached_property
    def score(self) -> FloatArray:
        """What a request scores that stops at each level, shape (n, levels)."""
        return self.matrix.score[:, self.columns]

    @cached_property
    def cost_usd(self) -> FloatArray:
        """What it has cost by then, shape (n, levels)."""
        return _summed(self.matrix.cost_usd[:, self.columns], self.judge_usd)

    @cached_property
    def latency_s(self) -> FloatArray:
        """How long it has taken by then, one call after another; NaN where not measured.

        The first two of an agreement are asked at once.
        """
        seconds = self.matrix.latency_s[:, self.columns].copy()
        if self.confidence is None:
            seconds[:, 1] = np.maximum(seconds[:, 1] - seconds[:, 0], 0.0)
        return _summed(seconds, self.judge_s)

    def levels(self, threshold: float) -> tuple[IntArray, IntArray]:
        """At which level each request stops, and which level's answer it gets, both of shape (n,)."""
        last = len(self.order) - 1
        if self.confidence is None:
            found = [_agreement(texts) for texts in self.texts]
            stops, answers = zip(*found, strict=True) if found else ((), ())
            return np.array(stops, np.intp), np.array(answers, np.intp)
        accepted = self.confidence >= threshold
        stop = np.where(accepted.any(axis=1), accepted.argmax(axis=1), last).astype(np.intp)
        return stop, stop

    @cached_property
    def switches(self) -> Switches:
        """Every move to a dearer model as the threshold rises."""
        assert self.confidence is not None, "agreement has no threshold"
        return cascade_switches(self.confidence)

    @cached_property
    def frontier(self) -> Frontier:
        """Realised score, cost and latency at every threshold; a single entry where there is none."""
        if self.confidence is not None:
            return Frontier.of(self.switches, self.score, self.cost_usd, self.latency_s)
        score, cost, seconds = (values.mean(keepdims=True) for values in self.realised(0.0))
        return Frontier(np.zeros(1), score, cost, None if np.isnan(seconds).any() else seconds)

    def realised(self, threshold: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Score, USD and seconds of each request, shape (n,) each."""
        stop, answer = self.levels(threshold)
        rows = np.arange(len(stop))
        return self.score[rows, answer], self.cost_usd[rows, stop], self.latency_s[rows, stop]

    def take(self, rows: npt.NDArray[Any]) -> Cascade:
        """The cascade over these requests."""
        return Cascade(
            self.order,
            self.matrix.take(rows),
            None if self.confidence is None else self.confidence[rows],
            tuple(self.texts[i] for i in np.arange(len(self.matrix))[rows]) if self.texts else (),
            self.judge_usd[rows],
            self.judge_s[rows],
        )


def cascade_switches(confidence: FloatArray) -> Switches:
    """Every move to the next level as the threshold rises from the least known confidence.

    Args:
        confidence: of each level but the last, shape (n, levels − 1); minus infinity is never accepted.
    """
    n, m = confidence.shape[0], confidence.shape[1] + 1
    known = np.isfinite(confidence)
    first = float(confidence[known].min()) if known.any() else 0.0
    at = np.where(known.any(axis=1), known.argmax(axis=1), m - 1)
    start, rows, parts = at.astype(np.intp), np.arange(n), []
    reached = np.where(known.any(axis=1), confidence[rows, np.minimum(at, m - 2)], np.inf)
    for level in range(1, m):
        rises = (np.full(n, np.inf) if level == m - 1 else confidence[:, level]) > reached
        moved = np.flatnonzero(rises & (at < level))
        # A threshold equal to the confidence still accepts, so the move comes at the next larger number.
        parts.append((np.nextafter(reached[moved], np.inf), moved * m + at[moved], moved * m + level))
        at[moved] = level
        reached[moved] = np.inf if level == m - 1 else confidence[moved, level]
    thresholds, old, new = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(thresholds, kind="stable")
    return Switches(first, start, thresholds[order], old[order], new[order], m)


def cascade_of(
    outcomes: Outcomes,
    order: Sequence[str],
    accept: Accept = "logprob",
    *,
    judgements: pl.DataFrame | None = None,
    costs: Mapping[str, float] | None = None,
) -> Cascade:
    """The cascade over recorded Outcomes.

    A model that failed is never accepted; the request moves on, as it does live.

    Args:
        outcomes: of all models of `order`, and of others to compare with.
        order: names, cheap first.
        accept: by the recorded `logprob` a token, by agreement of recorded answers, or by a judge.
        judgements: `prompt_id, model, judge_score`, and where known `variant, sample, judge_usd, judge_s`; for "judge" only. See
            `workbench.tuning.cascade_judging`.
        costs: nominal USD an answer by model, instead of measured cost.

    Raises:
        ConfigError: fewer than two models, an unknown one, or nothing to accept answers by.
    """
    order = tuple(order)
    _check_order(order, outcomes.models, accept)
    separate = _one_row_a_sample(outcomes)
    matrix = OutcomeMatrix.from_outcomes(separate, costs)
    shape = (len(matrix), len(order) - 1)
    confidence: FloatArray | None = None
    texts: tuple[tuple[str | None, ...], ...] = ()
    usd, seconds = np.zeros(shape), np.zeros(shape)
    if accept == "logprob":
        confidence = _logprobs(separate, matrix, order)
    elif accept == "agreement":
        texts = _texts(separate, matrix, order)
    else:
        confidence, usd, seconds = _judgements(judgements, matrix, order)
    return Cascade(order, matrix, confidence, texts, usd, seconds)


@dataclass(frozen=True, slots=True, eq=False)
class CascadeResult:
    """A swept cascade.

    Args:
        document: what `workbench cascade --json` prints; `run_id` is None until tracking logs it.
        frontier: exact, on the report split.
        verdict: whether the cascade pays against the best single model.
    """

    document: dict[str, Any]
    frontier: Frontier
    verdict: SweepVerdict


def cascade_sweep(
    outcomes: Outcomes,
    order: Sequence[str],
    accept: Accept = "logprob",
    *,
    judgements: pl.DataFrame | None = None,
    costs: Mapping[str, float] | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
    margin: float = DEFAULT_MARGIN,
) -> CascadeResult:
    """Every threshold of a cascade; the threshold chosen on one split, reported on another, against the best single model.

    Nothing is fitted: the tune and choose splits of a routing sweep are both used for choosing, and the report split is the same
    as that sweep's, so that the two can stand in one table.

    Args:
        outcomes, order, accept, judgements, costs: see `cascade_of`.
        seed: of the split and the resampling.
        n_bootstrap: resamples behind each interval.
        margin: score that a saving may cost at most to count as no worse.

    Raises:
        ConfigError: see `cascade_of`; a margin outside 0..1; or too few prompts.
    """
    from workbench.tuning.cascade_document import cascade_document

    SweepConfig(margin=margin, n_bootstrap=n_bootstrap)  # the same limits hold for both
    cascade = cascade_of(outcomes, order, accept, judgements=judgements, costs=costs)
    split = three_way_split(cascade.matrix, seed)
    choose, report = cascade.take(np.concatenate([split.tune, split.choose])), cascade.take(split.report)
    single = best_single(choose.matrix)
    picked = pick_entry(choose, single)
    threshold = choose.frontier.middle(picked) if cascade.confidence is not None else 0.0
    found = compare_cascade(report, threshold, single, np.random.default_rng([seed, 1]), n_bootstrap)
    stops = np.bincount(report.levels(threshold)[0], minlength=len(order)) / len(report.matrix)
    name, rival = f"cascade {' → '.join(order)}", cascade.matrix.models[single]
    verdict = judge(found, name, rival, list(zip(order, stops.tolist(), strict=True)), margin)
    settings = CascadeChoice(accept, threshold, single, stops, float(choose.frontier.score[picked]), seed, split)
    return CascadeResult(cascade_document(report, found, verdict, settings), report.frontier, verdict)


@dataclass(frozen=True, slots=True, eq=False)
class CascadeChoice:
    """What was chosen, for the document.

    Args:
        accept: how answers are accepted.
        threshold: chosen; means nothing for agreement.
        single: column of the best single model.
        stops: share of report requests that stop at each level.
        choose_score: mean score on the rows it was chosen on.
        seed: of the split.
        split: row numbers.
    """

    accept: Accept
    threshold: float
    single: int
    stops: FloatArray
    choose_score: float
    seed: int
    split: Split


def pick_entry(cascade: Cascade, single: int) -> int:
    """The entry of the frontier that the sweep's rule takes: the best score at no more than the best single model's cost, then the
    cheapest within one standard error of it; the cheapest of all where none is within that cost.

    Args:
        cascade: on the rows to choose on.
        single: column of the best single model.
    """
    frontier, matrix = cascade.frontier, cascade.matrix
    budget = float(matrix.cost_usd[:, single].mean()) * (1 + 1e-9)
    affordable = np.flatnonzero(frontier.cost_usd <= budget)
    if not len(affordable):
        return int(np.lexsort((-frontier.score, frontier.cost_usd))[0])
    top = int(affordable[frontier.score[affordable].argmax()])
    score, _, _ = cascade.realised(frontier.middle(top) if cascade.confidence is not None else 0.0)
    error = clustered_se(score - matrix.score[:, single], matrix.groups)
    enough = frontier.score[top] - (0.0 if np.isnan(error) else error)
    within = affordable[frontier.score[affordable] >= enough]
    return int(within[np.lexsort((-frontier.score[within], frontier.cost_usd[within]))[0]])


def compare_cascade(
    cascade: Cascade, threshold: float, single: int, rng: np.random.Generator, n_bootstrap: int
) -> Comparison:
    """The cascade beside one model alone, on the same requests, resampling whole groups together."""
    score, cost, seconds = (values[:, None] for values in cascade.realised(threshold))
    matrix = cascade.matrix
    beside = replace(
        matrix,
        models=("cascade", *matrix.models),
        score=np.hstack([score, matrix.score]),
        cost_usd=np.hstack([cost, matrix.cost_usd]),
        latency_s=np.hstack([seconds, matrix.latency_s]),
        samples=np.concatenate([score[:, :, None], matrix.score[:, :, None]], axis=1),
    )
    return compare(beside, np.zeros(len(matrix), np.intp), single + 1, rng, n_bootstrap)


def _summed(values: FloatArray, judging: FloatArray) -> FloatArray:
    """Running sums along the levels, with the judging of every level but the last."""
    values = values.copy()
    values[:, : judging.shape[1]] += judging
    return np.cumsum(values, axis=1)


def _agreement(texts: tuple[str | None, ...]) -> tuple[int, int]:
    """Where a request stops, and whose answer it gets, as `orchestration.cascade` does it."""
    known = [(level, text) for level, text in enumerate(texts[:2]) if text is not None]
    last = len(texts) - 1
    for level in range(2, len(texts)):
        if len(known) > 1 and (earlier := agreed([text for _, text in known])) is not None:
            return level - 1, known[earlier][0]
        text = texts[level]
        if level < last and text is not None:
            known.append((level, text))
    return last, last


def _check_order(order: tuple[str, ...], models: Sequence[str], accept: Accept) -> None:
    fewest = 3 if accept == "agreement" else 2
    if len(order) < fewest:
        raise ConfigError(f"a cascade by {accept} needs at least {fewest} models, cheap first; {len(order)} given")
    for name in order:
        if name not in models:
            raise ConfigError(f"{name!r} was not recorded: {did_you_mean(name, models)}")
    if len(set(order)) < len(order):
        raise ConfigError(f"a model stands twice in the cascade {' → '.join(order)}; name each once")


def _one_row_a_sample(outcomes: Outcomes) -> Outcomes:
    """The same Outcomes with a prompt of its own for each sample, so that a decision is made once an answer; groups stay."""
    cells = outcomes.frame.select("variant", "sample").unique()
    if cells.height <= 1:
        return outcomes
    apart = pl.concat_str("prompt_id", "variant", pl.col("sample").cast(pl.String), separator=SAMPLE)
    frame = outcomes.frame.with_columns(apart.alias("apart"))
    ids = frame.select("prompt_id", "apart").unique()
    prompts = outcomes.prompts.join(ids, on="prompt_id", how="inner").drop("prompt_id").rename({"apart": "prompt_id"})
    frame = frame.drop("prompt_id").rename({"apart": "prompt_id"})
    return Outcomes.from_frames(frame, prompts, outcomes.manifest)


def _logprobs(outcomes: Outcomes, matrix: OutcomeMatrix, order: tuple[str, ...]) -> FloatArray:
    """Mean log-probability a token, as the live cascade computes it."""
    frame = outcomes.frame.with_columns(
        pl.when(pl.col("error").is_null() & (pl.col("completion_tokens") > 0))
        .then(pl.col("logprob") / pl.col("completion_tokens"))
        .alias("confidence")
    )
    confidence = _dense(frame, "confidence", matrix, order[:-1])
    for column, name in enumerate(order[:-1]):
        if not np.isfinite(confidence[:, column]).any():
            raise ConfigError(
                f"model {name!r} was recorded without log-probabilities; set logprobs: true in its card and record again, or accept "
                "by agreement or by a judge"
            )
    return confidence


def _texts(outcomes: Outcomes, matrix: OutcomeMatrix, order: tuple[str, ...]) -> tuple[tuple[str | None, ...], ...]:
    frame = outcomes.frame.filter(pl.col("error").is_null() & pl.col("answer").is_not_null())
    answers = {(row[0], row[1]): row[2] for row in frame.select("prompt_id", "model", "answer").iter_rows()}
    if not answers:
        raise ConfigError("no answers were recorded, so none can agree; record with answers kept")
    return tuple(tuple(answers.get((prompt, name)) for name in order) for prompt in matrix.prompt_ids)


def _judgements(
    judgements: pl.DataFrame | None, matrix: OutcomeMatrix, order: tuple[str, ...]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Marks, USD and seconds of judging each answer."""
    if judgements is None:
        raise ConfigError(
            "a cascade by a judge needs judgements; make them with workbench.tuning.cascade_judging.judgements_of"
        )
    for name in ("prompt_id", "model", "judge_score"):
        if name not in judgements.columns:
            raise ConfigError(f"the judgements have no column {name!r}; they have {', '.join(judgements.columns)}")
    frame = judgements
    if any(SAMPLE in prompt for prompt in matrix.prompt_ids):
        if not {"variant", "sample"} <= set(frame.columns):
            raise ConfigError("prompts were answered several times; the judgements need the columns variant and sample")
        apart = pl.concat_str("prompt_id", "variant", pl.col("sample").cast(pl.String), separator=SAMPLE)
        frame = frame.with_columns(apart.alias("prompt_id"))
    names = order[:-1]
    frame = _as_numbers(frame)
    confidence = _dense(frame, "judge_score", matrix, names)
    frame = frame.filter(pl.col("model").is_in(names))
    if "judge_usd" not in frame.columns or frame["judge_usd"].null_count() == frame.height:
        raise ConfigError(
            "what the judgements cost is unknown, and a cascade that forgets its judge looks cheaper than it is; give judge_usd"
        )
    filled = frame.with_columns(pl.col("judge_usd").fill_null(pl.col("judge_usd").mean()))
    timed = frame.with_columns(
        pl.col("judge_s").fill_null(float("nan"))
        if "judge_s" in frame.columns
        else pl.lit(float("nan")).alias("judge_s")
    )
    # An answer that never came was not judged either: nothing is paid.
    usd, seconds = (
        _dense(part, name, matrix, names, unknown=0.0) for part, name in ((filled, "judge_usd"), (timed, "judge_s"))
    )
    return confidence, usd, seconds


def _as_numbers(judgements: pl.DataFrame) -> pl.DataFrame:
    """Judgements whose marks, USD and seconds are finite numbers; money and time are not negative."""
    for name in ("judge_score", "judge_usd", "judge_s"):
        if name not in judgements.columns:
            continue
        given, number = judgements[name], judgements[name].cast(pl.Float64, strict=False)
        least = -np.inf if name == "judge_score" else 0.0
        wrong = given.filter((given.is_not_null() & number.is_null()) | ~number.is_finite() | (number < least))
        if len(wrong):
            raise ConfigError(
                f"{name} must be a finite number{'' if name == 'judge_score' else ', 0 or more'}, or null where unknown; found {wrong[0]!r}"
            )
        judgements = judgements.with_columns(number.alias(name))
    return judgements


def _dense(
    frame: pl.DataFrame, column: str, matrix: OutcomeMatrix, names: tuple[str, ...], unknown: float = -np.inf
) -> FloatArray:
    """A column as an array of shape (n, len(names))."""
    cells = frame.select("prompt_id", "model", pl.col(column).cast(pl.Float64)).drop_nulls()
    row_of = {prompt: row for row, prompt in enumerate(matrix.prompt_ids)}
    column_of = {name: index for index, name in enumerate(names)}
    values = np.full((len(row_of), len(names)), unknown)
    for prompt, model, value in cells.iter_rows():
        if prompt in row_of and model in column_of:
            values[row_of[prompt], column_of[model]] = value
    return values
