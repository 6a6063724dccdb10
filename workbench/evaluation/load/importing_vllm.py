"""`vllm bench serve --save-result --save-detailed`: one JSON object, one list a measured quantity, seconds.

Fields as vLLM 0.32 writes them: `start_times, ttfts, itls, latencies, queue_times, input_lens, output_lens, errors`, and the settings
`request_rate` ("inf" sends everything at once), `burstiness`, `max_concurrency`. Without --save-detailed only `median_/p99_…_ms` are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from workbench.core import ConfigError
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.figures import Window
from workbench.evaluation.load.importing import Imported, ImportedStage
from workbench.evaluation.load.series import PERCENTILES

NO_PROMPTS = "the file does not say which prompt a request asked"
NOTES = (
    "vllm bench measures no warm-up window: every request counts, the filling and emptying of the server included",
    "vllm bench stretches its gaps to exactly n / rate seconds, so the offered load varies less than arrivals do in life",
)
AGGREGATES = {"ttft_from_send_s": "ttft", "tpot_s": "tpot", "itl_s": "itl", "latency_from_send_s": "e2el"}
DETAILED = "the file was written without --save-detailed: it holds aggregates and no requests"


def read_vllm(data: Mapping[str, Any], where: str) -> Imported:
    """The load in such a file.

    Raises:
        ConfigError: not a result of `vllm bench serve`, or lists of different lengths.
    """
    if "request_throughput" not in data or "duration" not in data:
        raise ConfigError(f"{where} is not a result of `vllm bench serve`: it has no request_throughput and duration")
    model, config = str(data.get("model_id", "unknown")), _config(data)
    keep = (
        "backend",
        "model_id",
        "tokenizer_id",
        "num_prompts",
        "request_rate",
        "burstiness",
        "max_concurrency",
        "date",
    )
    facts = {"tool": "vllm bench serve", **{name: data[name] for name in keep if name in data}}
    if "ttfts" not in data or "start_times" not in data:
        return _aggregates(data, model, config, facts)
    rows = _rows(data, where, config)
    last_s = max((row["end_s"] for row in rows if row["end_s"] is not None), default=float(data["duration"]))
    stage = ImportedStage(rows, config, Window(0.0, max(last_s, float(data["duration"]))))
    reasons = {"cached_tokens": "the file does not hold cached tokens", "cost_usd": "an import has no price"}
    if rows and all(row["intended_s"] is None for row in rows):
        no_start = "the file has one clock, from the send: no intended starts (vLLM before it kept queue_times)"
        reasons |= dict.fromkeys(("ttft_s", "latency_s", "send_lag_s"), no_start)
    return Imported(model, [stage], reasons, NOTES if config.loop == "open" else NOTES[:1], facts)


def _config(data: Mapping[str, Any]) -> BenchConfig:
    rate, limit = data.get("request_rate"), data.get("max_concurrency")
    burstiness = float(data.get("burstiness") or 1.0)
    is_open = rate is not None and float(rate) != float("inf")
    duration_s = float(data["duration"])
    if rate is None or not is_open:  # everything at once, so many at a time
        n = len(data.get("ttfts", ())) or int(data.get("num_prompts") or 1)
        return BenchConfig(concurrency=int(limit or n), duration_s=duration_s, warm_up_s=0.0)
    return BenchConfig(
        rate_rps=float(rate),
        concurrency=None if limit is None else int(limit),
        duration_s=duration_s,
        warm_up_s=0.0,
        arrivals="poisson" if burstiness == 1 else "gamma",
        burstiness=burstiness,
        rescale_gaps=True,
    )


def _rows(data: Mapping[str, Any], where: str, config: BenchConfig) -> list[dict[str, Any]]:
    n = len(data["ttfts"])
    names = ("start_times", "ttfts", "itls", "input_lens", "output_lens", "errors", "latencies", "queue_times")
    lists: dict[str, Sequence[Any]] = {name: data[name] for name in names if data.get(name) is not None}
    wrong = [f"{name} has {len(values)}" for name, values in lists.items() if len(values) != n]
    if wrong:
        raise ConfigError(f"{where}: ttfts has {n} entries, but {', '.join(wrong)}; the file is damaged")
    zero_s = min(lists["start_times"], default=0.0)
    queued = lists.get("queue_times") if config.loop == "open" else [0.0] * n
    first_wait_s = min(
        (start - zero_s - wait for start, wait in zip(lists["start_times"], queued or [], strict=False)), default=0.0
    )
    rows = []
    for index in range(n):
        sent_s = float(lists["start_times"][index]) - zero_s - min(0.0, first_wait_s)
        intended_s = None if queued is None else sent_s - float(queued[index])
        rows.append(_row({name: values[index] for name, values in lists.items()}, sent_s, intended_s))
    return sorted(rows, key=lambda row: row["sent_s"])


def _row(one: Mapping[str, Any], sent_s: float, intended_s: float | None) -> dict[str, Any]:
    base: dict[str, Any] = {
        "prompt_id": None,
        "phase": "measured",
        "intended_s": intended_s,
        "sent_s": sent_s,
        "prompt_tokens": one.get("input_lens"),
    }
    base["send_lag_s"] = None if intended_s is None else sent_s - intended_s
    if one.get("errors"):
        return {**base, "error": str(one["errors"])[:500], "finish_reason": "error", "end_s": None}
    ttft_s, gaps_s = float(one["ttfts"]), [float(gap) for gap in one.get("itls") or ()]
    latency_s = float(one["latencies"]) if one.get("latencies") is not None else ttft_s + sum(gaps_s)
    chunks_s = list(accumulate(gaps_s, initial=sent_s + ttft_s)) if one.get("itls") is not None else None
    n_tokens, lag_s = one.get("output_lens"), base["send_lag_s"]
    return {
        **base,
        "first_token_s": sent_s + ttft_s,
        "end_s": sent_s + latency_s,
        "ttft_s": None if lag_s is None else ttft_s + lag_s,
        "latency_s": None if lag_s is None else latency_s + lag_s,
        "ttft_from_send_s": ttft_s,
        "latency_from_send_s": latency_s,
        "tpot_s": (latency_s - ttft_s) / (n_tokens - 1) if n_tokens and n_tokens > 1 else None,
        "chunks_s": chunks_s,
        "completion_tokens": n_tokens,
        "finish_reason": None,
        "error": None,
    }


def _aggregates(data: Mapping[str, Any], model: str, config: BenchConfig, facts: Mapping[str, Any]) -> Imported:
    """What is left without --save-detailed: the tool's own points, without intervals."""
    overrides: dict[str, Any] = {
        name: _spread(data, short, int(data["completed"])) for name, short in AGGREGATES.items()
    }
    failed = data.get("failed")
    overrides |= {
        "n": int(data["completed"]) + int(failed or 0),
        "failed": int(failed or 0),
        "requests_per_s": data["request_throughput"],
        "tokens_per_s": data.get("output_throughput"),
        "prompt_tokens": data.get("total_input_tokens"),
        "completion_tokens": data.get("total_output_tokens"),
        "goodput_rps": data.get("request_goodput"),
    }
    known = (
        "ttft_s",
        "latency_s",
        "send_lag_s",
        "requests_per_s_ci",
        "tokens_per_s_ci",
        "goodput_ci",
        "good_share",
        "good_share_ci",
    )
    reasons = {**dict.fromkeys(known, DETAILED), "goodput_rps": "the file states none"}
    stage = ImportedStage([], config, Window(0.0, float(data["duration"])))
    return Imported(model, [stage], reasons, [*NOTES, DETAILED], facts, overrides)


def _spread(data: Mapping[str, Any], short: str, n: int) -> dict[str, Any]:
    in_ms = {"p50": data.get(f"median_{short}_ms")} | {
        name: data.get(f"{name}_{short}_ms") for name in ("p90", "p95", "p99")
    }
    points = {name: None if ms is None else float(ms) / 1000 for name, ms in in_ms.items()}
    mean_ms = data.get(f"mean_{short}_ms")
    unknown = {name: [None, None] for name in PERCENTILES}
    return {**points, "ci": unknown, "mean": None if mean_ms is None else float(mean_ms) / 1000, "n": n}
