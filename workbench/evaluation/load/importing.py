"""What another load generator measured, as a bench of ours: the same rows, figures computed the same way, gaps named.

Sources: vLLM 0.32, `vllm bench serve --save-result --save-detailed`; GuideLLM 0.8, benchmarks.json (report schema version 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from workbench import __version__
from workbench.core import ConfigError
from workbench.core.files import read_json
from workbench.core.hashing import sha256_file
from workbench.core.naming import did_you_mean
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.document import Resources, Stage, load_document, stage_summary
from workbench.evaluation.load.figures import Window
from workbench.evaluation.load.requests import frame_of
from workbench.evaluation.load.result import SCHEMA_VERSION, BenchResult
from workbench.evaluation.load.slo import SLO


@dataclass(frozen=True)
class Imported:
    """What a reader took from a file.

    Args:
        model: name of the measured model.
        stages: rows and load of each stretch of steady load.
        overrides: fields of the document that the tool states itself and its rows cannot give.
        reasons: why fields are null.
        notes: how the tool's figures differ from ours.
        facts: version and settings, for the manifest.
    """

    model: str
    stages: Sequence[ImportedStage]
    reasons: Mapping[str, str]
    notes: Sequence[str]
    facts: Mapping[str, Any]
    overrides: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ImportedStage:
    """One stretch of steady load: its rows, its load and its window in seconds from the first request of the file."""

    rows: Sequence[Mapping[str, Any]]
    config: BenchConfig
    window: Window
    stopped_because: str | None = None


FORMATS = ("guidellm", "vllm")
GOODPUT = ("goodput_rps", "goodput_ci", "good_share", "good_share_ci", "slo_verdict")


def import_bench(format_: str, path: Path, *, slo: SLO | None = None, target_share: float = 0.95) -> BenchResult:
    """The bench that another tool's file holds.

    Args:
        format_: vllm or guidellm.
        path: the JSON file.
        slo: judge its requests by this; these tools count from the send, so theirs are judged from it unless they kept the intended start.
        target_share: share that must be good.

    Raises:
        ConfigError: an unknown format, no JSON, or not what that tool writes; says what is missing.
    """
    if format_ not in FORMATS:
        raise ConfigError(f"unknown format {format_!r}: {did_you_mean(format_, FORMATS)}")
    data = read_json(path, f"{format_} result")
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is not a {format_} result: a JSON object is expected, found {type(data).__name__}")
    read = _reader(format_)
    try:
        found = read(data, str(path))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise ConfigError(
            f"{path} is not a {format_} result that this version can read ({type(exc).__name__}: {exc}); is it that tool's, and whole?"
        ) from exc
    return _result(found, format_, path, slo, target_share)


def _reader(format_: str) -> Callable[[dict[str, Any], str], Imported]:
    if format_ == "vllm":
        from workbench.evaluation.load.importing_vllm import read_vllm

        return read_vllm
    from workbench.evaluation.load.importing_guidellm import read_guidellm

    return read_guidellm


def _result(found: Imported, format_: str, path: Path, slo: SLO | None, target_share: float) -> BenchResult:
    stages = [
        Stage(number, replace(stage.config, slo=slo, target_share=target_share), stage.window, stage.stopped_because)
        for number, stage in enumerate(found.stages)
    ]
    listed = [{**row, "stage": number} for number, stage in enumerate(found.stages) for row in stage.rows]
    rows = frame_of({**row, "request": number} for number, row in enumerate(listed))
    document = _document(found, rows, stages)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "source": f"import:{format_}",
        "model": found.model,
        "file": {"name": path.name, "sha256": sha256_file(path)},
        "tool": dict(found.facts),
        "package_version": __version__,
        "stages": [stage.to_dict() for stage in stages],
    }
    return BenchResult({"schema_version": SCHEMA_VERSION, **document}, rows, manifest)


def _document(found: Imported, rows: pl.DataFrame, stages: list[Stage]) -> dict[str, Any]:
    """The figures of the only stage, or of the busiest one with every stage beside it."""
    unread = Resources(
        reasons=dict.fromkeys(("memory_gib", "memory", "energy_wh", "energy"), "the file does not hold it")
    )
    each = [_one(found, rows.filter(pl.col("stage") == stage.number), stage, unread) for stage in stages]
    busiest = max(range(len(each)), key=lambda number: each[number]["requests_per_s"] or 0.0)
    document = {**each[busiest], **(found.overrides or {})}
    reasons = {
        name: why for name, why in {**document["reasons"], **found.reasons}.items() if _is_null(document.get(name))
    }
    if len(stages) > 1:
        document["stages"] = [stage_summary(number, one) for number, one in enumerate(each)]
        document["notes"] = [
            *document["notes"],
            f"the file holds {len(stages)} loads; the figures are those of stage {busiest}, the busiest",
        ]
    return {**document, "reasons": reasons}


def _one(found: Imported, rows: pl.DataFrame, stage: Stage, unread: Resources) -> dict[str, Any]:
    """A load's figures. Without intended starts its requests are judged from the send, the only clock there is."""
    document = load_document(found.model, rows, [stage], unread, notes=found.notes)
    if stage.config.slo is None or not rows["intended_s"].is_null().all():
        return document
    from_send = rows.with_columns(ttft_s="ttft_from_send_s", latency_s="latency_from_send_s", intended_s="sent_s")
    judged = load_document(found.model, from_send, [stage], unread)
    note = (
        "goodput is judged from the send, because the file has no intended starts: waiting before the send is not in it"
    )
    return {**document, **{name: judged[name] for name in GOODPUT}, "notes": [*document["notes"], note]}


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and "p50" in value and value["p50"] is None)
