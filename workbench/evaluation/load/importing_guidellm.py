"""GuideLLM's benchmarks.json: a report of one or more loads, requests by how they ended, times as Unix seconds.

Fields as GuideLLM 0.8 writes them (report schema version 2): `benchmarks[].config.strategy`, `.start_time, .end_time`,
`.requests.{successful, incomplete, errored}[]`, and of a request `info.timings.{targeted_start, request_start, first_token_iteration,
request_end}`, `input_metrics`, `output_metrics`. Its `time_per_output_token_ms` includes the first token; TPOT here is computed from the
times and excludes it, as its `inter_token_latency_ms` does, except that ours runs to the end of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core import ConfigError
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.figures import Window
from workbench.evaluation.load.importing import Imported, ImportedStage

SCHEDULED = ("constant", "poisson", "trace")
ENDINGS = {"successful": None, "errored": "error", "incomplete": "cut"}
NOTES = (
    "GuideLLM's time_per_output_token includes the first token; tpot_s here is (end − first token) / (tokens − 1) from its times",
    "GuideLLM keeps the first and the last token's time only: tokens count at the end of their answer, and no ITL is known",
)


def read_guidellm(data: Mapping[str, Any], where: str) -> Imported:
    """The loads in such a report, in order.

    Raises:
        ConfigError: not a GuideLLM report, one without requests, or one of a version whose requests lack `info.timings`.
    """
    benchmarks = data.get("benchmarks")
    if not isinstance(benchmarks, list) or not benchmarks:
        raise ConfigError(f"{where} is not a GuideLLM report: it has no benchmarks; name its benchmarks.json")
    version = (data.get("metadata") or {}).get("version")
    if isinstance(version, int) and version > 2:
        raise ConfigError(f"{where} has GuideLLM's report schema version {version}; this version reads up to 2")
    zero_s = min(_starts(benchmarks, where))
    stages = [_stage(benchmark, zero_s) for benchmark in benchmarks]
    reasons = {
        "itl_s": "GuideLLM does not keep the time of each token",
        "cost_usd": "an import has no price",
        "cached_tokens": "the report does not hold cached tokens for every request",
    }
    if all(row["intended_s"] is None for stage in stages for row in stage.rows):
        reasons |= dict.fromkeys(("ttft_s", "latency_s", "send_lag_s"), "the report holds no targeted starts")
    facts = {"tool": "guidellm", **{k: v for k, v in (data.get("metadata") or {}).items() if k.endswith("version")}}
    return Imported(_model(data, benchmarks[0]), stages, reasons, NOTES, facts)


def _starts(benchmarks: list[Mapping[str, Any]], where: str) -> list[float]:
    """When requests began; their lack is the one complaint about reports of other versions and samples of size 0."""
    starts = []
    for benchmark in benchmarks:
        for request in (r for ending in ENDINGS for r in benchmark["requests"].get(ending) or ()):
            timings = _timings(request)
            if timings is None:
                raise ConfigError(
                    f"{where} was written by a GuideLLM version whose requests have no info.timings; use 0.4 or newer"
                )
            starts += [
                float(timings[name]) for name in ("targeted_start", "request_start") if timings.get(name) is not None
            ]
    if not starts:
        raise ConfigError(
            f"{where} holds no requests; run GuideLLM so that it keeps them (its metrics' sample size must not be 0)"
        )
    return starts


def _timings(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    info = request.get("info") or request.get("scheduler_info") or {}
    found = info.get("timings") or info.get("request_timings")
    return found if isinstance(found, Mapping) else None


def _stage(benchmark: Mapping[str, Any], zero_s: float) -> ImportedStage:
    strategy = (benchmark.get("config") or {}).get("strategy") or {}
    kind = strategy.get("type_") or strategy.get("kind")
    window = Window(max(0.0, float(benchmark["start_time"]) - zero_s), float(benchmark["end_time"]) - zero_s)
    rows = [
        _row(request, ended, zero_s, is_scheduled=kind in SCHEDULED)
        for ending, ended in ENDINGS.items()
        for request in benchmark["requests"].get(ending) or ()
    ]
    measured = [{**row, "phase": _phase(row, window)} for row in rows]
    config = _config(kind, strategy, window.length_s, max(1, len(rows)))
    state = benchmark.get("scheduler_state") or {}
    return ImportedStage(sorted(measured, key=lambda row: row["sent_s"] or 0.0), config, window, _stopped(state))


def _config(kind: Any, strategy: Mapping[str, Any], duration_s: float, n: int) -> BenchConfig:
    rate, limit = strategy.get("rate"), strategy.get("max_concurrency") or strategy.get("streams")
    common: dict[str, Any] = {"duration_s": max(duration_s, 1e-9), "warm_up_s": 0.0}
    if kind in ("constant", "poisson") and rate:
        arrivals = "constant" if kind == "constant" else "poisson"
        return BenchConfig(rate_rps=float(rate), concurrency=limit, arrivals=arrivals, **common)  # type: ignore[arg-type]
    return BenchConfig(concurrency=1 if kind == "synchronous" else int(limit or n), **common)


def _row(request: Mapping[str, Any], ended: str | None, zero_s: float, *, is_scheduled: bool) -> dict[str, Any]:
    timings = _timings(request) or {}
    at = {name: None if value is None else float(value) - zero_s for name, value in timings.items() if _is_time(value)}
    sent_s, end_s = at.get("request_start"), at.get("request_end")
    first_s = at.get("first_token_iteration")
    intended_s = at.get("targeted_start") if is_scheduled else sent_s
    n_tokens = _tokens(request, "output_metrics")
    row = {
        "prompt_id": None,
        "intended_s": intended_s,
        "sent_s": sent_s,
        "first_token_s": first_s,
        "send_lag_s": _between(intended_s, sent_s),
        "ttft_s": _between(intended_s, first_s),
        "ttft_from_send_s": _between(sent_s, first_s),
        "prompt_tokens": _tokens(request, "input_metrics"),
        "cached_tokens": (request.get("input_metrics") or {}).get("cached_tokens"),
        "completion_tokens": n_tokens,
    }
    if ended == "cut":
        return {**row, "finish_reason": "cut", "cut_s": end_s, "error": None, "end_s": None}
    if ended == "error":
        error = str((request.get("info") or {}).get("error") or "failed")[:500]
        return {**row, "finish_reason": "error", "error": error, "end_s": end_s}
    tail_s = _between(first_s, end_s)
    return {
        **row,
        "end_s": end_s,
        "latency_s": _between(intended_s, end_s),
        "latency_from_send_s": _between(sent_s, end_s),
        "tpot_s": tail_s / (n_tokens - 1) if tail_s is not None and n_tokens and n_tokens > 1 else None,
        "finish_reason": None,
        "error": None,
    }


def _phase(row: Mapping[str, Any], window: Window) -> str:
    """By the send. A request exactly at the window's edge, as the first and last one are without warm-up, belongs to it."""
    at_s = row["sent_s"] if row["sent_s"] is not None else row["intended_s"]
    if at_s is None or at_s >= window.start_s - 1e-6:
        return "measured" if at_s is None or at_s <= window.end_s + 1e-6 else "drain"
    return "warm_up"


def _tokens(request: Mapping[str, Any], side: str) -> int | None:
    """Tokens of one side of a request; None where the server did not report them."""
    metrics = request.get(side) or {}
    for name in ("total_tokens", "text_tokens"):
        if isinstance(metrics.get(name), int):
            return int(metrics[name])
    return None


def _model(data: Mapping[str, Any], benchmark: Mapping[str, Any]) -> str:
    backend = (benchmark.get("config") or {}).get("backend") or {}
    found = (
        backend.get("model")
        or ((data.get("config") or {}).get("backend") or {}).get("model")
        or (data.get("args") or {}).get("model")
    )
    return str(found or "unknown")


def _stopped(state: Mapping[str, Any]) -> str | None:
    """Over-saturation is the one reason of GuideLLM's to end early that changes what its figures mean."""
    constraints = state.get("end_processing_constraints") or {}
    return "over-saturated: GuideLLM's own constraint ended the load" if "over_saturation" in constraints else None


def _between(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 1e6
