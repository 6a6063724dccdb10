"""RouteLLM's published evaluations: MMLU and GSM8K right or wrong, MT-Bench as a judge's points, of GPT-4 and Mixtral.

Source: https://github.com/lm-sys/RouteLLM, folder `routellm/evals` (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from workbench import __version__
from workbench.core import ConfigError
from workbench.core.files import read_jsonl
from workbench.core.hashing import sha256_text
from workbench.core.naming import did_you_mean
from workbench.evaluation.manifest import Manifest
from workbench.evaluation.outcomes import Outcomes

MIXTRAL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
GPT4 = "gpt-4-1106-preview"
MODELS = (MIXTRAL, GPT4)
BROKEN_SUBJECT = "high_school_mathematics"


def import_routellm(
    path: Path, subset: str = "mmlu", keep_broken: bool = False, keep_contaminated: bool = False
) -> Outcomes:
    """Outcomes of one of RouteLLM's evaluation sets.

    Args:
        path: the checked-out repository, or a folder with its `routellm/evals`.
        subset: mmlu (the subject is the task), gsm8k (with both answers) or mt_bench (points / 10, the mean of both turns).
        keep_broken: keep MMLU's high school mathematics, whose GPT-4 answers were evidently not parsed (8 of 270 right).
        keep_contaminated: keep the prompts that RouteLLM found in its routers' training data.

    Raises:
        ConfigError: unknown set, or its files are not there.
    """
    readers = {"mmlu": _mmlu, "gsm8k": _gsm8k, "mt_bench": _mt_bench}
    if subset not in readers:
        raise ConfigError(f"unknown set {subset!r} of routellm: {did_you_mean(subset, readers)}")
    folder = _evals(path) / subset
    if not folder.is_dir():
        raise ConfigError(f"{folder} is missing: routellm/evals/{subset} of the RouteLLM repository is needed")
    table, notes = readers[subset](folder, keep_broken), []
    if subset == "mmlu" and not keep_broken:
        notes.append(
            f"the subject {BROKEN_SUBJECT} is left out: GPT-4 has 8 of 270 right there, an answer-parsing failure (--keep-broken keeps it)"
        )
    if not keep_contaminated:
        table, n_dropped = _without_contaminated(table, folder / "contaminated_prompts.jsonl")
        notes.append(
            f"{n_dropped} prompts found in the training data of RouteLLM's routers are left out (--keep-contaminated)"
        )
    return _outcomes(table, subset, tuple(notes))


def _evals(path: Path) -> Path:
    found = next((p for p in (path, path / "evals", path / "routellm" / "evals") if (p / "mmlu").is_dir()), None)
    if found is None:
        raise ConfigError(
            f"{path} holds no RouteLLM evaluations: name the checked-out repository (with routellm/evals in it)"
        )
    return found


def _mmlu(folder: Path, keep_broken: bool) -> pl.DataFrame:
    """prompt, task, model, score: one row a model and question."""
    files = sorted((folder / "responses").glob("mmlu_*.csv"))
    if not files:
        raise ConfigError(f"{folder / 'responses'} holds no mmlu_*.csv")
    subjects = {path.stem.removeprefix("mmlu_"): path for path in files}
    wide = [
        _read_csv(path).with_columns(pl.lit(subject).alias("task"))
        for subject, path in subjects.items()
        if keep_broken or subject != BROKEN_SUBJECT
    ]
    return _long(pl.concat(wide))


def _gsm8k(folder: Path, _: bool) -> pl.DataFrame:
    wide = _read_csv(folder / "gsm8k_responses.csv").with_columns(pl.lit("gsm8k").alias("task"))
    return _long(wide)


def _long(wide: pl.DataFrame) -> pl.DataFrame:
    """One row a model; the n-th repetition of an identical question is its n-th sample."""
    wide = wide.with_columns(pl.int_range(pl.len()).over("task", "prompt").alias("sample"))
    return pl.concat(
        wide.select(
            "prompt",
            "task",
            "sample",
            pl.lit(model).alias("model"),
            pl.col(model).cast(pl.String).str.to_lowercase().replace_strict({"true": 1.0, "false": 0.0}).alias("score"),
            (pl.col(f"{model}_response") if f"{model}_response" in wide.columns else pl.lit(None, pl.String)).alias(
                "answer"
            ),
        )
        for model in MODELS
    )


def _mt_bench(folder: Path, _: bool) -> pl.DataFrame:
    """The mean of both turns' points over 10; the prompt is the first turn."""
    questions = pl.DataFrame(
        [
            {"question_id": row["question_id"], "task": row["category"], "prompt": row["turns"][0]}
            for _, row in read_jsonl(folder / "question.jsonl", "questions")
        ]
    )
    points = pl.DataFrame(
        [
            {"question_id": row["question_id"], "model": row["model"], "points": float(row["score"])}
            for _, row in read_jsonl(folder / "judgements.jsonl", "judgements")
            if row["score"] >= 0  # -1: the judge gave no points
        ]
    )
    means = points.group_by("question_id", "model").agg((pl.col("points").mean() / 10).alias("score"))
    table = means.join(questions, on="question_id").with_columns(
        pl.lit(0).alias("sample"), answer=pl.lit(None, pl.String)
    )
    return table.select("prompt", "task", "sample", "model", "score", "answer")


def _read_csv(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path)
    except (pl.exceptions.PolarsError, OSError) as exc:
        reason = str(exc).split("\n")[0]
        raise ConfigError(f"cannot read {path} ({reason})") from exc
    missing = [name for name in ("prompt", *MODELS) if name not in frame.columns]
    if missing:
        raise ConfigError(f"{path} lacks the columns {', '.join(missing)}: it is not a file of RouteLLM's evaluations")
    return frame


def _without_contaminated(table: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, int]:
    listed = {str(row["eval_prompt"]).strip() for _, row in read_jsonl(path, "list of contaminated prompts")}
    kept = table.filter(~pl.col("prompt").str.strip_chars().is_in(list(listed)))
    return kept, table["prompt"].n_unique() - kept["prompt"].n_unique()


def _outcomes(table: pl.DataFrame, set_name: str, notes: tuple[str, ...]) -> Outcomes:
    ids = pl.struct("task", "prompt").map_elements(
        lambda row: f"{set_name}-{sha256_text(row['task'] + row['prompt'])[:16]}", return_dtype=pl.String
    )
    table = table.with_columns(ids.alias("prompt_id"))
    same_question = pl.col("prompt").map_elements(lambda text: sha256_text(text)[:16], return_dtype=pl.String)
    prompts = table.select("prompt_id", "prompt", "task", group=same_question).unique("prompt_id")
    manifest = Manifest(f"import:routellm:{set_name}", package_version=__version__, notes=notes)
    return Outcomes.from_frames(table.drop("prompt", "task"), prompts, manifest)
