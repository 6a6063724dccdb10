"""RouterArena's cached answers: the public split, each model's answer with its tokens and US dollars.

Source: https://github.com/RouteWorks/RouterArena, folder `cached_results` (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from workbench import __version__
from workbench.core import ConfigError
from workbench.core.files import read_jsonl
from workbench.evaluation.importers.long import one_row_a_prompt
from workbench.evaluation.manifest import Manifest
from workbench.evaluation.outcomes import Outcomes

METRICS_BELOW_ZERO = "scores below 0 (rounding of the METEOR penalty) were set to 0: {} rows"


def import_routerarena(path: Path) -> Outcomes:
    """Outcomes of `cached_results/*.jsonl`; the data set of a question is its task.

    Args:
        path: the checked-out repository or its folder `cached_results`.

    Raises:
        ConfigError: no such files, or a line without what is needed.
    """
    folder = path / "cached_results" if (path / "cached_results").is_dir() else path
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise ConfigError(f"{path} holds no cached results: the folder with cached_results/*.jsonl is needed")
    rows = [
        _row(line, f"{file}, line {number}") for file in files for number, line in read_jsonl(file, "cached results")
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    n_clipped = table.filter(pl.col("score") < 0).height
    table = table.with_columns(pl.col("score").clip(lower_bound=0.0))
    notes = (METRICS_BELOW_ZERO.format(n_clipped),) if n_clipped else ()
    manifest = Manifest("import:routerarena", package_version=__version__, notes=notes)
    return Outcomes.from_frames(table.drop("prompt", "reference"), one_row_a_prompt(table), manifest)


def _row(line: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        result, usage = line["evaluation_result"], line["token_usage"]
        return {
            "prompt_id": line["global_index"],
            "prompt": line["question"],
            "task": line["global_index"].split("_")[0],
            "reference": None if result["ground_truth"] is None else str(result["ground_truth"]),
            "model": line["llm_selected"],
            "score": None if result["score"] is None else float(result["score"]),
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "cost_usd": result["inference_cost"],
            "error": None if line["success"] else str(line["error"]),
            "answer": line["generated_answer"],
        }
    except (KeyError, TypeError) as exc:
        raise ConfigError(f"{where}: no line of RouterArena's cached results ({type(exc).__name__}: {exc})") from exc
