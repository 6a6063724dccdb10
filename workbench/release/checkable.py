"""Which claims live answers can be held to, and what is missing where they cannot: a grader, or a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.core import ConfigError
from workbench.evaluation.graders import GraderSpec
from workbench.release.candidate import Candidate

if TYPE_CHECKING:
    import polars as pl

    from workbench.evaluation import Suite
    from workbench.models import ModelCard

NAMED = 3


def why_score_unchecked(report: pl.DataFrame) -> str | None:
    """Why live answers to these prompts cannot be graded as the recorded ones were; None where every one can.

    Args:
        report: rows of the report split, with `grader`.
    """
    graders = report["grader"].to_list()
    unknown = sum(written is None for written in graders)
    judged = sum(written is not None and GraderSpec.parse(written).is_judge for written in graders)
    if unknown:
        return f"no grader is known for {unknown} of {len(graders)} report prompts"
    if judged:
        return f"a judge, which verify does not ask, graded {judged} of {len(graders)} report prompts"
    return None


def why_cost_unchecked(cards: Mapping[str, ModelCard], models: tuple[str, ...]) -> str | None:
    """Why the cost of live answers stays unknown; None where every model that may be chosen has a price."""
    unpriced = [name for name in models if cards[name].price is None]
    return f"no price is known for {', '.join(unpriced)}" if unpriced else None


def with_grader(candidate: Candidate, grader: str) -> Candidate:
    """The candidate with that grader where none is known.

    Args:
        candidate: of a sweep.
        grader: as `--grader` of `workbench record` writes it: `exact`, `numeric:tolerance=0.01`.

    Raises:
        ConfigError: an unknown grader, a judge, or a prompt without the right answer that the grader needs.
    """
    spec = _no_judge(GraderSpec.parse(grader))
    rows = [row if row["grader"] else {**row, "grader": spec.to_text()} for row in candidate.report.to_dicts()]
    for row in rows:
        _check(GraderSpec.parse(row["grader"]), row["prompt_id"], row["answer"])
    return replace(candidate, report=_like(candidate.report, rows))


def with_suite(candidate: Candidate, suite: Suite) -> Candidate:
    """The candidate with the suite's right answers and graders, found by prompt_id.

    Raises:
        ConfigError: a report prompt is not in the suite, is another prompt there, or is graded by a judge.
    """
    items = {item.prompt_id: item for item in suite}
    rows = candidate.report.to_dicts()
    missing = [row["prompt_id"] for row in rows if row["prompt_id"] not in items]
    if missing:
        raise ConfigError(
            f"{suite.name} lacks {len(missing)} of {len(rows)} report prompts ({_named(missing)}); give the suite that was asked, "
            "with the same prompt_id"
        )
    if other := [row["prompt_id"] for row in rows if items[row["prompt_id"]].prompt != row["prompt"]]:
        raise ConfigError(
            f"{suite.name} has other prompts under the ids {_named(other)} than the Outcomes; give the suite that was asked"
        )
    graded = [
        {
            **row,
            "answer": items[row["prompt_id"]].answer,
            "grader": _no_judge(suite.grader_of(items[row["prompt_id"]])).to_text(),
        }
        for row in rows
    ]
    return replace(candidate, report=_like(candidate.report, graded))


def _no_judge(spec: GraderSpec) -> GraderSpec:
    if spec.is_judge:
        raise ConfigError("a judge cannot be the grader of a release: verify asks no judge; give another grader")
    return spec


def _check(spec: GraderSpec, prompt_id: str, answer: str | None) -> None:
    try:
        spec.check(answer)
    except ConfigError as exc:
        raise ConfigError(
            f"prompt {prompt_id!r}: {exc}; give --suite FILE with the answers, or import the Outcomes with a column 'reference'"
        ) from exc


def _like(frame: pl.DataFrame, rows: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    text = {"answer": pl.String, "grader": pl.String}
    return pl.DataFrame(rows, schema={**frame.schema, **text})


def _named(ids: list[str]) -> str:
    more = ", …" if len(ids) > NAMED else ""
    return ", ".join(map(str, ids[:NAMED])) + more
