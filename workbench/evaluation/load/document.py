"""The document of a bench: what `workbench bench --json` prints and `bench.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.figures import FORMULAS, Window, figures
from workbench.evaluation.load.search import Verdict

SPREADS = ("ttft_s", "tpot_s", "itl_s", "latency_s", "send_lag_s", "ttft_from_send_s", "latency_from_send_s")
IN_A_STAGE = (
    *(
        "rate_rps",
        "concurrency",
        "duration_s",
        "n",
        "failed",
        "cut",
        "ttft_s",
        "latency_s",
        "tpot_s",
        "send_lag_s",
        "requests_per_s",
    ),
    *(
        "tokens_per_s",
        "goodput_rps",
        "goodput_ci",
        "good_share",
        "good_share_ci",
        "slo_verdict",
        "complete",
        "stopped_because",
    ),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of steady load.

    Args:
        number: 0, 1, … in the order of time.
        config: its load.
        window: its measured window, seconds from the start of the run.
        stopped_because: why it ended early; None when it did not.
    """

    number: int
    config: BenchConfig
    window: Window
    stopped_because: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for the manifest."""
        window = {"start_s": self.window.start_s, "end_s": self.window.end_s}
        load = {"rate_rps": self.config.rate_rps, "concurrency": self.config.concurrency}
        return {"stage": self.number, **load, "window": window, "stopped_because": self.stopped_because}


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run needed besides time. Unknown is None, and `reasons` says why.

    Args:
        memory_gib: peak of the serving processes.
        energy_wh: over the whole run.
        memory, energy: everything that was read, for the document.
        reasons: field → why it is null.
    """

    memory_gib: float | None = None
    energy_wh: float | None = None
    memory: Mapping[str, Any] | None = None
    energy: Mapping[str, Any] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


def load_document(
    model: str,
    rows: pl.DataFrame,
    stages: Sequence[Stage],
    resources: Resources | None = None,
    *,
    notes: Sequence[str] = (),
    reasons: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document of one load: stages that offered the same one are taken together.

    Args:
        model: its name.
        rows: of these stages.
        stages: at least one.
        resources: memory and energy.
        notes: what a reader must know.
        reasons: why fields are null that the rows alone cannot tell.
    """
    config, used = stages[0].config, resources or Resources()
    found = figures(rows, {stage.number: stage.window for stage in stages}, config.slo, config.confidence)
    early = next((stage.stopped_because for stage in stages if stage.stopped_because), None)
    document = {
        "model": model,
        "loop": config.loop,
        "arrivals": config.arrivals if config.loop == "open" else None,
        "burstiness": config.burstiness if config.arrivals == "gamma" and config.loop == "open" else None,
        "rate_rps": config.rate_rps,
        "concurrency": config.concurrency,
        "duration_s": sum(stage.window.length_s for stage in stages),
        "warm_up_s": config.warm_up_s,
        **found,
        "slo": None if config.slo is None else config.slo.bounds,
        "target_share": config.target_share if config.slo else None,
        "slo_verdict": slo_verdict(found, config.target_share, early) if config.slo else None,
        "memory_gib": used.memory_gib,
        "energy_wh": used.energy_wh,
        "memory": used.memory,
        "energy": used.energy,
        "seed": config.seed,
        "confidence": config.confidence,
        "complete": early is None,
        "stopped_because": early,
        "stages": [],
        "holds_slo_up_to_rps": None,
        "notes": list(notes),
        "formulas": FORMULAS,
        "run_id": None,
    }
    return {**document, "reasons": {**_reasons(document, config, rows), **used.reasons, **(reasons or {})}}


def slo_verdict(found: Mapping[str, Any], target_share: float, stopped_because: str | None = None) -> Verdict | None:
    """holds, breaks or undecided: where the interval of the good share lies beside the target; None when nothing could be judged.

    A load that was stopped because it is more than the server can take breaks any SLO: it only had not broken it yet.
    """
    if stopped_because is not None and stopped_because.startswith("over-saturated"):
        return "breaks"
    interval = found["good_share_ci"]
    if interval is None:
        return None
    return "holds" if interval[0] >= target_share else "breaks" if interval[1] < target_share else "undecided"


def _reasons(document: Mapping[str, Any], config: BenchConfig, rows: pl.DataFrame) -> dict[str, str]:
    """Why each field that is null is null."""
    why = _why_null(document, config, rows)
    empty = [name for name in SPREADS if document[name]["p50"] is None]
    empty += [name for name, value in document.items() if value is None]
    return {name: why[name] for name in empty if name in why}


def _why_null(document: Mapping[str, Any], config: BenchConfig, rows: pl.DataFrame) -> dict[str, str]:
    answered = document["n"] - document["failed"] - document["cut"]
    nothing = (
        f"no measured request was answered ({document['n']} sent, {document['failed']} failed, {document['cut']} cut)"
    )
    open_loop = "a closed loop has no rate: answers decide when requests start"
    no_slo = "no SLO was given"
    short = "the run ended before its warm-up did"
    no_usage = "the server does not report how many tokens it answered" if answered else nothing
    no_chunks = "no answer came in two or more chunks" if answered else nothing
    unjudged = no_slo if config.slo is None else f"no request could be judged by {config.slo.bounds}"
    throughput = short if document["duration_s"] <= 0 else None
    return {
        **dict.fromkeys(("ttft_s", "latency_s", "ttft_from_send_s", "latency_from_send_s"), nothing),
        "tpot_s": no_usage if not rows["completion_tokens"].drop_nulls().len() else "no answer has two or more tokens",
        "itl_s": no_chunks,
        "send_lag_s": "no measured request was sent",
        "rate_rps": open_loop,
        "arrivals": open_loop,
        "burstiness": "only gamma arrivals have one",
        "concurrency": "not limited: an open loop sends whatever is in flight",
        **dict.fromkeys(
            ("tokens_per_s", "tokens_per_s_ci", "completion_tokens", "prompt_tokens"), throughput or no_usage
        ),
        **dict.fromkeys(("requests_per_s", "requests_per_s_ci"), throughput or nothing),
        "cached_tokens": "the server does not report cached tokens" if answered else nothing,
        "cost_usd": "the model's card has no price, or answers lack the counts that it needs" if answered else nothing,
        **dict.fromkeys(("goodput_rps", "goodput_ci", "good_share", "good_share_ci"), unjudged),
        **dict.fromkeys(("slo", "target_share"), no_slo),
        "slo_verdict": unjudged,
        **dict.fromkeys(("memory_gib", "memory"), "not watched"),
        **dict.fromkeys(("energy_wh", "energy"), "not metered"),
        "holds_slo_up_to_rps": "rates were not searched",
        "run_id": "not tracked",
    }


def search_document(
    model: str,
    rows: pl.DataFrame,
    stages: Sequence[Stage],
    chosen: Sequence[int],
    answer: Mapping[str, Any],
    resources: Resources | None = None,
    *,
    notes: Sequence[str] = (),
    stopped_because: str | None = None,
) -> dict[str, Any]:
    """The document of a search over rates: the figures of the chosen rate's stages, one short document a stage, and the answer.

    Args:
        chosen: numbers of the stages at the highest rate that holds, or at the lowest tried where none does.
        answer: `holds_slo_up_to_rps`.
        stopped_because: why the search itself ended early.
    """
    picked = [stage for stage in stages if stage.number in chosen]
    document = load_document(model, rows.filter(pl.col("stage").is_in(list(chosen))), picked, resources, notes=notes)
    each = [load_document(model, rows.filter(pl.col("stage") == stage.number), [stage]) for stage in stages]
    listed = [stage_summary(stage.number, one) for stage, one in zip(stages, each, strict=True)]
    reasons = {name: why for name, why in document["reasons"].items() if name != "holds_slo_up_to_rps"}
    ended = stopped_because or document["stopped_because"]
    own = {"complete": stopped_because is None, "stopped_because": ended, "reasons": reasons}
    return {**document, **own, "stages": listed, "holds_slo_up_to_rps": dict(answer)}


def stage_summary(number: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """The short document of one stage among several."""
    return {"stage": number, **{name: document[name] for name in IN_A_STAGE}}
