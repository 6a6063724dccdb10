"""From the journal of a run to its result: how a run that ends assembles it, and how one that was killed still has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from workbench.core import ConfigError, Sampling
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.document import Stage, load_document, search_document
from workbench.evaluation.load.figures import Window
from workbench.evaluation.load.requests import frame_of
from workbench.evaluation.load.slo import SLO

Parts = tuple[dict[str, Any], pl.DataFrame, dict[str, Any]]
KILLED = "killed: the run did not end by itself, and what was in flight then is not among the requests"


def recovered(records: Iterable[Mapping[str, Any]], where: str) -> Parts:
    """Document, requests and manifest of a journal whose run was killed.

    Raises:
        ConfigError: the journal has no header.
    """
    listed = list(records)
    header = next((record for record in listed if record.get("kind") == "header"), None)
    if header is None:
        raise ConfigError(f"{where} holds a journal without a beginning: nothing was measured in it")
    rows = frame_of([record for record in listed if record.get("kind") == "row"])
    stages = _stages([record for record in listed if record.get("kind") == "stage"], header, rows)
    manifest = {key: value for key, value in header.items() if key != "kind"}
    notes = header.get("notes", [])
    if len(stages) > 1:
        answer = {"rate_rps": None, "ci": [None, None], "because": KILLED}
        last = [stages[-1].number]
        document = search_document(header["model"], rows, stages, last, answer, notes=notes, stopped_because=KILLED)
    else:
        document = load_document(header["model"], rows, stages, notes=notes)
    reasons = {**document["reasons"], "memory_gib": KILLED, "energy_wh": KILLED}
    document = {**document, "complete": False, "stopped_because": KILLED, "reasons": reasons}
    return document, rows, {**manifest, "stages": [stage.to_dict() for stage in stages], "ended_at": None}


def _stages(records: Sequence[Mapping[str, Any]], header: Mapping[str, Any], rows: pl.DataFrame) -> list[Stage]:
    """The stages that began; the last one's window ends where its last event is known to have been."""
    config = config_of(header["config"])
    begun = records or [{"stage": 0, "start_s": 0.0, "rate_rps": config.rate_rps}]
    stages = []
    for record in begun:
        load = replace(config, rate_rps=record["rate_rps"])
        start_s = record["start_s"] + load.warm_up_s
        mine = rows.filter(pl.col("stage") == record["stage"])
        last_s = mine["end_s"].max() or record["start_s"]
        end_s = max(start_s, min(record["start_s"] + load.window_end_s, float(last_s)))
        stages.append(Stage(record["stage"], load, Window(start_s, end_s)))
    return stages


def config_of(values: Mapping[str, Any]) -> BenchConfig:
    """The settings that `BenchConfig.to_dict` wrote."""
    slo = values["slo"]
    return BenchConfig(**{**values, "slo": SLO(**slo) if slo else None, "sampling": Sampling(**values["sampling"])})
