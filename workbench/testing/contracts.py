"""What verbs print with `--json`, as schemas: keys may be added, not renamed. `python -m workbench.testing.contracts` publishes them.

Money is USD per 1,000 requests unless a name says otherwise, times are seconds, scores and shares lie in 0..1, a `ci` is a 95 % interval.
What is unknown is null. For tests of what reads or makes such a document: `SweepDocument.model_validate(document)`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.core.files import write_text

PUBLISHED = Path("docs/schemas")

Interval = Annotated[tuple[float | None, float | None], Field(description="[low, high] at 95 %")]


class Document(BaseModel):
    """An object of a result; it may have more keys than are promised."""

    model_config = ConfigDict(extra="allow")


class SplitSizes(Document):
    """Prompts in each of the three splits."""

    tune: int
    choose: int
    report: int


class BaselineLine(Document):
    """A trivial policy, measured on the report split."""

    score: float
    cost_usd_per_1k: float


class PolicyLine(Document):
    """A predictor's whole frontier."""

    aiq: float | None
    apgr: float | None
    points: Annotated[list[tuple[float, float, float | None]], Field(description="[cost_usd_per_1k, score, threshold]")]


class ChosenLine(Document):
    """The recommended policy at its threshold, on the report split."""

    policy: str
    threshold: float
    score: float
    score_ci: Interval
    cost_usd_per_1k: float
    cost_ci: Interval
    optimism: Annotated[float, Field(description="score on the choose split minus score on the report split")]


class SweepDocument(Document):
    """`workbench sweep --json`."""

    run_id: str | None
    n_prompts: int
    n_models: int
    split: SplitSizes
    baselines: dict[str, BaselineLine]
    policies: dict[str, PolicyLine]
    chosen: ChosenLine
    verdict: Literal["route", "do_not_route"]
    because: str


class SpaceChosenLine(ChosenLine):
    """The chosen configuration of a space, on the report split."""

    threshold: Annotated[None, Field(description="a configuration has several numbers: see `configuration`")]  # type: ignore[assignment]
    optimism_tune: Annotated[
        float, Field(description="score on the tune split's held-out rows minus on the choose split")
    ]
    unserved: Annotated[float, Field(description="share of report requests without a model within the limits")]


class LookedAt(Document):
    """How many configurations were looked at."""

    in_all: int
    trials: int
    resumed: Annotated[int, Field(description="trials found in the study's journal")]
    searched: int
    listed: int
    swept: int
    finalists: int


class SearchLine(Document):
    """Who proposed the trials."""

    sampler: Literal["auto", "tpe", "nsga2", "random"]
    trials_by: Annotated[dict[str, int], Field(description="sampler → trials that it proposed")]


class RealisedLine(Document):
    """What a configuration realises on a split."""

    score: float
    cost_usd_per_1k: float
    latency_s: float | None
    latency_p95_s: float | None
    unserved: float


class FrontLine(Document):
    """A finalist."""

    predictor: str
    embedder: str | None
    calibration: str
    objective: dict[str, Any]
    found_by: Literal["search", "exact sweep", "list"]
    is_chosen: bool
    tune: RealisedLine
    choose: RealisedLine


class OverPlain(Document):
    """The chosen configuration minus the plain sweep of one λ, paired, on the report split."""

    score_difference: float
    score_difference_ci: Interval
    cost_difference_usd_per_1k: float
    cost_difference_ci: Interval


class SpaceSweepDocument(SweepDocument):
    """`workbench sweep --space FILE --json`."""

    chosen: SpaceChosenLine
    configuration: Annotated[dict[str, Any], Field(description="predictor, embedder, calibration, objective")]
    looked_at: LookedAt
    search: Annotated[SearchLine | None, Field(description="null where nothing had to be searched")]
    front: list[FrontLine]
    over_plain: OverPlain


class CascadeChosenLine(ChosenLine):
    """The cascade at its chosen threshold, on the report split."""

    threshold: Annotated[float | None, Field(description="least confidence that is accepted; null for agreement")]  # type: ignore[assignment]
    latency_s: Annotated[float | None, Field(description="serial, judges included; null where not measured")]
    stops_at: Annotated[dict[str, float], Field(description="model → share of requests that stop there")]


class CascadeDocument(Document):
    """`workbench cascade --json`."""

    run_id: str | None
    n_prompts: int
    n_models: int
    split: SplitSizes
    order: list[str]
    accept: Literal["logprob", "agreement", "judge"]
    baselines: dict[str, BaselineLine]
    policies: dict[str, PolicyLine]
    chosen: CascadeChosenLine
    pattern: Annotated[dict[str, Any], Field(description="the `answer.pattern` of a stack that does the same")]
    verdict: Literal["cascade", "do_not_cascade"]
    because: str


class VerifyCheck(Document):
    """One claim of the evidence beside the live figure."""

    name: str
    predicted: float | None
    ci: Interval | None
    live: float | None
    inside: Annotated[bool | None, Field(description="null where the claim cannot be checked live")]


class VerifyDocument(Document):
    """`workbench verify --json`."""

    verdict: Annotated[
        Literal["holds", "incomplete", "fails"],
        Field(description="incomplete: every check that could be made is inside, but some claims could not be checked"),
    ]
    parity: Annotated[float | None, Field(ge=0, le=1, description="share of live decisions that are the sweep's")]
    checks: list[VerifyCheck]


class Percentiles(Document):
    """Quantiles over requests, seconds; null where nothing could be measured."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class BenchDocument(Document):
    """`workbench bench --json`."""

    model: str
    loop: Literal["open", "closed"] | None
    rate_rps: float | None
    n: int
    failed: int
    ttft_s: Percentiles
    tpot_s: Percentiles
    latency_s: Percentiles
    send_lag_s: Percentiles
    goodput_rps: float | None
    tokens_per_s: float | None
    memory_gib: float | None
    energy_wh: float | None
    reasons: Annotated[dict[str, str], Field(description="field → why it is null")]
    complete: bool


class MonthlyCost(Document):
    """USD a month at the stated rate or profile."""

    local: float | None
    api: float | None
    mix: float | None


class BreakEvenRow(Document):
    """One local configuration beside one API."""

    local: str
    api: str
    rate_rps: Annotated[float | None, Field(description="λ*: above it local is cheaper; null where there is none")]
    ci: Interval | None
    goodput_rps: float | None
    feasible: bool
    because: str
    usd_per_month: MonthlyCost


class Flip(Document):
    """An input and the value at which the answer changes."""

    input: str
    now: float | None
    flips_at: float | None


class BreakEvenDocument(Document):
    """`workbench break-even --json`."""

    rows: list[BreakEvenRow]
    flips: list[Flip]


CONTRACTS: dict[str, type[Document]] = {
    "sweep": SweepDocument,
    "space-sweep": SpaceSweepDocument,
    "cascade": CascadeDocument,
    "verify": VerifyDocument,
    "bench": BenchDocument,
    "break-even": BreakEvenDocument,
}


def schema_text(verb: str) -> str:
    """The JSON Schema of a verb's document, indented, with a newline at its end."""
    schema = CONTRACTS[verb].model_json_schema()
    head: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(head, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED
    for name in CONTRACTS:
        write_text(folder / f"{name}.schema.json", schema_text(name))
