"""A judge's marks on recorded answers, so that a cascade by a judge can be swept without asking anybody again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from workbench.core import ConfigError, ModelError, Request
from workbench.economics import HardwareProfile, priced
from workbench.evaluation import Outcomes
from workbench.models import Model
from workbench.orchestration import judgement
from workbench.orchestration.cascade import judge_request
from workbench.orchestration.pattern_config import JudgeAcceptConfig

COLUMNS = {
    "prompt_id": pl.String,
    "model": pl.String,
    "variant": pl.String,
    "sample": pl.Int64,
    "judge_score": pl.Float64,
    "judge_usd": pl.Float64,
    "judge_s": pl.Float64,
}


async def judgements_of(
    outcomes: Outcomes,
    judge: Model,
    accept: JudgeAcceptConfig,
    models: Sequence[str],
    profiles: Mapping[str, HardwareProfile] | None = None,
) -> pl.DataFrame:
    """One row a recorded answer: the judge's mark (null where it failed or said nothing to go by), its USD and seconds.

    Args:
        outcomes: with answers.
        judge: who is asked, with the wording that the live cascade uses.
        accept: template, scale and length of a judgement.
        models: whose answers; the last model of a cascade is never judged.
        profiles: hardware by name, where the judge's price needs it.

    Raises:
        ConfigError: no answer of these models was recorded.
    """
    prompts = dict(outcomes.prompts.select("prompt_id", "prompt").iter_rows())
    known = outcomes.frame.filter(pl.col("model").is_in(list(models)) & pl.col("answer").is_not_null())
    rows = known.select("prompt_id", "model", "variant", "sample", "answer").rows()
    if not rows:
        raise ConfigError(f"no answers of {', '.join(models)} were recorded, so there is nothing to judge")
    requests = [judge_request(Request.from_prompt(prompts[row[0]]), accept, row[4]) for row in rows]
    replies = await judge.complete_batch(requests)
    marks: list[tuple[float | None, float | None, float | None]] = []
    for reply in replies:
        if isinstance(reply, ModelError):
            marks.append((None, None, None))
            continue
        paid = priced(reply, judge.card.price, profiles or {})
        marks.append((judgement(reply.text, accept.scale), paid.cost_usd, reply.timing.latency_s))
    found = [(*row[:4], *mark) for row, mark in zip(rows, marks, strict=True)]
    return pl.DataFrame(found, schema=COLUMNS, orient="row")
