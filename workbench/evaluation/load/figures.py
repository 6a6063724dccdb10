"""From rows to figures: percentiles, throughput over the window, goodput. The same for our runs and imported ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.evaluation.load.series import OpenInterval, percentiles, rate_interval, share_interval
from workbench.evaluation.load.slo import SLO
from workbench.evaluation.statistics import Interval

SECONDS = ("ttft_s", "tpot_s", "latency_s", "send_lag_s", "ttft_from_send_s", "latency_from_send_s")
FORMULAS = {
    "ttft_s": "first chunk with text − intended start",
    "latency_s": "end of the answer − intended start",
    "ttft_from_send_s": "first chunk with text − send",
    "latency_from_send_s": "end of the answer − send",
    "tpot_s": "(end − first chunk with text) / (completion tokens − 1), from 2 tokens on",
    "itl_s": "gaps between consecutive chunks with text of one answer, all answers together",
    "send_lag_s": "send − intended start",
    "requests_per_s": "answers that ended inside the window / its length",
    "tokens_per_s": "completion tokens at the time of their chunks, inside the window / its length; an answer's tokens count evenly over "
    "its chunks",
    "good_share": "good / (good + bad); good: answered and every bound of the SLO held; failures are bad; cut requests are left out unless "
    "they had overrun a bound",
    "goodput_rps": "good requests that were meant to start inside the window / its length",
    "requests_per_s_ci": "t over ten equal stretches of the window",
    "tokens_per_s_ci": "t over ten equal stretches of the window",
    "ci": "95 % unless `confidence` says otherwise; quantiles by order statistics, shares by Wilson, both at the effective number of "
    "requests n / τ (integrated autocorrelation time); null where too few requests bound that end",
}


@dataclass(frozen=True, slots=True)
class Window:
    """The measured stretch of one stage, seconds from the start of the run."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its length; 0 when the run ended before the warm-up did."""
        return max(0.0, self.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class Goodput:
    """How much of a load was served well.

    Args:
        n_good: requests known to be good.
        n_judged: requests known to be good or bad.
        n_unknown: measured requests that are neither (cut, or seconds missing).
        share: n_good / n_judged; None when nothing could be judged.
        ci: of the share.
    """

    n_good: int
    n_judged: int
    n_unknown: int
    share: float | None
    ci: Interval


def goodput(measured: pl.DataFrame, slo: SLO, confidence: float = 0.95) -> Goodput:
    """The share of measured requests, in the order of their starts, that held the SLO."""
    judged = [(slo.judge(row), row) for row in measured.iter_rows(named=True)]
    known = [(is_good, row) for is_good, row in judged if is_good is not None]
    series = [float(is_good) for is_good, _ in known]
    kindred = [_felt_s(row) for _, row in known]
    ci = share_interval(series, [s for s in kindred if s is not None], confidence)
    share = float(np.mean(series)) if series else None
    return Goodput(int(sum(series)), len(series), len(judged) - len(series), share, ci)


def figures(rows: pl.DataFrame, windows: Mapping[int, Window], slo: SLO | None, confidence: float) -> dict[str, Any]:
    """Every figure of a set of rows.

    Args:
        rows: of one load, all phases; of several stages when they offered the same load.
        windows: stage → its window. Tokens count by their own time, whichever phase their request belongs to.
        slo: what counts as good; None leaves goodput unknown.
        confidence: nominal coverage.
    """
    measured = rows.filter(pl.col("phase") == "measured").sort("stage", "intended_s", "request", nulls_last=True)
    answered = measured.filter(pl.col("error").is_null() & pl.col("end_s").is_not_null())
    seconds = {name: percentiles(_known(answered, name), confidence) for name in SECONDS if name != "send_lag_s"}
    cut = measured.filter((pl.col("finish_reason") == "cut").fill_null(False))
    return {
        "n": measured.height,
        "failed": measured["error"].drop_nulls().len(),
        "cut": cut.height,
        **seconds,
        "itl_s": percentiles(_gaps_s(answered), confidence),
        "send_lag_s": percentiles(_known(measured, "send_lag_s"), confidence),
        **_throughput(rows, windows),
        **_goodput(measured, windows, slo, confidence),
        **{name: _sum(answered, name) for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd")},
    }


def _throughput(rows: pl.DataFrame, windows: Mapping[int, Window]) -> dict[str, Any]:
    """Requests and tokens a second over the windows; of several windows the mean weighted by length."""
    parts = []
    for stage, window in windows.items():
        if window.length_s <= 0:
            continue
        mine = rows.filter(pl.col("stage") == stage)
        ends = _known(mine.filter(pl.col("error").is_null()), "end_s")
        parts.append(
            (
                window.length_s,
                rate_interval(ends, np.ones(len(ends)), window.start_s, window.end_s),
                _tokens(mine, window),
            )
        )
    names = ("requests_per_s", "requests_per_s_ci", "tokens_per_s", "tokens_per_s_ci")
    if not parts:
        return dict.fromkeys(names)
    requests, tokens = [(length, found) for length, found, _ in parts], [(length, found) for length, _, found in parts]
    pooled = (*_pooled(requests), *_pooled([(length, found) for length, found in tokens if found is not None]))
    return dict(zip(names, pooled, strict=True))


def _tokens(rows: pl.DataFrame, window: Window) -> tuple[float, OpenInterval] | None:
    """Tokens a second at the time of their chunks; None where no answer says how many tokens it has."""
    answered = rows.filter(pl.col("error").is_null() & (pl.col("chunks_s").list.len() > 0))
    counted = answered.filter(pl.col("completion_tokens").is_not_null())
    if not counted.height:
        return _tokens_at_the_end(rows, window)
    n_tokens, n_chunks = counted["completion_tokens"].to_numpy(), counted["chunks_s"].list.len().to_numpy()
    usual = float(n_tokens.sum() / n_chunks.sum())
    uncounted = answered.filter(
        pl.col("completion_tokens").is_null()
    )  # still running when the run ended: as many a chunk as elsewhere
    weights = np.concatenate([np.repeat(n_tokens / n_chunks, n_chunks), np.full(_n_chunks(uncounted), usual)])
    events = np.concatenate([_flat(counted), _flat(uncounted)])
    return rate_interval(events, weights, window.start_s, window.end_s)


def _tokens_at_the_end(rows: pl.DataFrame, window: Window) -> tuple[float, OpenInterval] | None:
    """The same where chunks were not kept (imports): an answer's tokens all count at its end."""
    ended = rows.filter(pl.col("error").is_null() & pl.col("chunks_s").is_null() & pl.col("end_s").is_not_null())
    counted = ended.drop_nulls("completion_tokens")
    if not counted.height:
        return None
    return rate_interval(_known(counted, "end_s"), _known(counted, "completion_tokens"), window.start_s, window.end_s)


def _pooled(parts: list[tuple[float, tuple[float, OpenInterval]]]) -> tuple[float | None, list[float | None] | None]:
    if not parts:
        return None, None
    lengths = np.array([length for length, _ in parts])
    means = np.array([mean for _, (mean, _) in parts])
    halves = np.array([(high or 0.0) - mean for _, (mean, (_, high)) in parts])
    mean = float(lengths @ means / lengths.sum())
    half = float(np.sqrt(np.sum((lengths * halves) ** 2)) / lengths.sum())
    return mean, [max(0.0, mean - half), mean + half]


def _goodput(
    measured: pl.DataFrame, windows: Mapping[int, Window], slo: SLO | None, confidence: float
) -> dict[str, Any]:
    names = ("goodput_rps", "goodput_ci", "good_share", "good_share_ci")
    length_s = sum(window.length_s for window in windows.values())
    if slo is None or not measured.height or length_s <= 0:
        return dict.fromkeys(names)
    found = goodput(measured, slo, confidence)
    if found.share is None:
        return dict.fromkeys(names)
    per_share = found.n_judged / length_s  # the arrivals are taken as given, the share as what is estimated
    ends = [per_share * end for end in found.ci]
    return dict(zip(names, (found.n_good / length_s, ends, found.share, list(found.ci)), strict=True))


def _felt_s(row: Mapping[str, Any]) -> float | None:
    """Seconds that show how loaded the server was at this request, for the correlation of neighbours."""
    for name in ("latency_s", "ttft_s"):
        if row.get(name) is not None:
            return float(row[name])
    return None


def _known(frame: pl.DataFrame, column: str) -> np.ndarray[Any, Any]:
    return np.asarray(frame[column].drop_nulls().to_numpy(), dtype=np.float64)


def _flat(frame: pl.DataFrame) -> np.ndarray[Any, Any]:
    return np.asarray(frame["chunks_s"].explode().drop_nulls().to_numpy(), dtype=np.float64)


def _n_chunks(frame: pl.DataFrame) -> int:
    return int(frame["chunks_s"].list.len().sum() or 0)


def _gaps_s(answered: pl.DataFrame) -> np.ndarray[Any, Any]:
    """Gaps between the chunks of each answer, in the order in which the later chunk came: one engine step delays them together."""
    exploded = answered.select("stage", "request", "chunks_s").explode("chunks_s").drop_nulls("chunks_s")
    gaps = exploded.with_columns(gap_s=pl.col("chunks_s").diff().over("stage", "request")).drop_nulls("gap_s")
    return np.asarray(gaps.sort("stage", "chunks_s")["gap_s"].to_numpy(), dtype=np.float64)


def _sum(frame: pl.DataFrame, column: str) -> float | int | None:
    """Sum of a column that every row knows; None where one does not, for a partial sum would be read as the whole."""
    known = frame[column]
    if not frame.height or known.null_count():
        return None
    total: float | int = known.sum()
    return total
