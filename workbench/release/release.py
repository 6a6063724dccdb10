"""A release: one configuration with the evidence for it, in a folder that can be carried, served and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import Clock, ConfigError, Message, Request, Sampling, StoreError, SystemClock
from workbench.core.event_loop import run_anywhere
from workbench.core.files import replacing
from workbench.core.hashing import sha256_json
from workbench.release.candidate import PILOT_COLUMNS, REPORT_COLUMNS, Candidate, messages_of, read_rows
from workbench.release.claims import money_and_score_claims
from workbench.release.evidence import Claim, Evidence
from workbench.release.folder import building, check_seal
from workbench.release.latency import PilotConfig, latency_claim
from workbench.release.pilot import Progress, run_pilot
from workbench.routing import FixedPolicy
from workbench.stack import Stack, StackConfig
from workbench.stack.promises import is_local
from workbench.tracking.provenance import provenance

if TYPE_CHECKING:
    import polars as pl

    from workbench.models import Model, ModelCard

STACK, EVIDENCE, POLICY, REPORT, PILOT = "stack.yaml", "evidence.json", "policy", "report.parquet", "pilot.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A release that was made or loaded; its files are as they were sealed.

    Args:
        folder: where it lies.
        config: the stack.
        evidence: what it claims.
        report: the untouched split, columns `REPORT_COLUMNS` of `workbench.release.candidate`.
        pilot: prompts outside the report split, for warming up.
    """

    folder: Path
    config: StackConfig
    evidence: Evidence
    report: pl.DataFrame
    pilot: pl.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Release:
        """The release in a folder.

        Raises:
            ConfigError: there is none.
            StoreError: a file is missing, was changed or added, or was made by a newer version; names it.
        """
        if not folder.is_dir():
            raise ConfigError(f"no release at {folder}; make one with: workbench release create")
        check_seal(folder)
        for name in (STACK, EVIDENCE, REPORT, PILOT):
            if not (folder / name).is_file():
                raise StoreError(f"release {folder} has no {name}; create it again, or restore a copy")
        return cls(
            folder=folder,
            config=StackConfig.load(folder / STACK),
            evidence=Evidence.load(folder / EVIDENCE),
            report=read_rows(folder / REPORT),
            pilot=read_rows(folder / PILOT),
        )


def create_release(
    candidate: Candidate,
    out: Path,
    *,
    name: str,
    run_id: str | None = None,
    pilot: PilotConfig | None = None,
    replace: bool = False,
    models: Mapping[str, Model] | None = None,
    clock: Clock | None = None,
    progress: Progress = lambda done, total: None,
) -> Release:
    """Make a release: measure its latency in a pilot, write down what it claims, and seal the folder.

    Args:
        candidate: what the sweep chose.
        out: the folder to be; it appears whole or not at all.
        name: what the stack is called.
        run_id: the sweep's MLflow run; None when untracked.
        pilot: how latency is measured.
        replace: whether a release that is there already is replaced.
        models: models to measure with; None loads those of the cards.
        clock: what tells the time.
        progress: called with pilot requests done and in total.

    Raises:
        ConfigError: `out` is taken, or a model or its key is missing.
        StoreError: the folder cannot be written.
        WorkbenchError: the stack could not answer a request of the pilot.
    """
    clock, pilot = clock or SystemClock(), pilot or PilotConfig()
    config = stack_config(candidate, name)
    with building(out, replace=replace) as folder:
        config.dump(folder / STACK)
        candidate.policy.save(folder / POLICY)
        _write_rows(candidate.report.select(REPORT_COLUMNS), folder / REPORT)
        _write_rows(candidate.pilot.select(PILOT_COLUMNS), folder / PILOT)
        blocks = run_anywhere(_measured(config, folder, candidate, pilot, models, clock, progress))
        pilot_hash = sha256_json(candidate.pilot["prompt_id"].to_list())
        latency = latency_claim(blocks, pilot, data_hash=pilot_hash, run_id=run_id)
        _evidence(candidate, latency, run_id).save(folder / EVIDENCE)
    return Release.load(out)


def stack_config(candidate: Candidate, name: str) -> StackConfig:
    """The configuration that serves exactly what was swept.

    Capabilities are dropped from the cards: the sweep measured every model on every task, and a stack that kept a model away
    from a task would choose otherwise than the sweep did.
    """
    cards = {name: card.model_copy(update={"capabilities": frozenset()}) for name, card in candidate.cards.items()}
    cards = {name: card for name, card in cards.items() if name in candidate.policy.models}
    policy = (
        {"kind": "fixed", "model": candidate.policy.model}
        if isinstance(candidate.policy, FixedPolicy)
        else {"kind": "learned", "artifact": POLICY}
    )
    data = {
        "schema_version": 1,
        "name": name,
        "models": cards,
        "choose": {"policy": policy, "fallbacks": _fallbacks(candidate, cards)},
        "compose": {"max_answer_tokens": candidate.max_answer_tokens},
    }
    return StackConfig.from_data(data, f"release {name}")


def _fallbacks(candidate: Candidate, cards: Mapping[str, ModelCard]) -> list[str]:
    """The best models first, up to the last local one, so that the chain does not end with a network; the measured score ranks."""
    lines = candidate.document.get("baselines", {})
    ranked = sorted(cards, key=lambda model: (-float(lines.get(model, {}).get("score", 0.0)), model))
    last = max((index for index, model in enumerate(ranked) if is_local(cards[model])), default=-1)
    return ranked[: last + 1]


async def _measured(
    config: StackConfig,
    folder: Path,
    candidate: Candidate,
    pilot: PilotConfig,
    models: Mapping[str, Model] | None,
    clock: Clock,
    progress: Progress,
) -> list[list[float]]:
    async with Stack.from_config(config, base_dir=folder, models=models, clock=clock) as stack:
        return await run_pilot(stack.run, pilot_requests(candidate), pilot, clock, progress)


def pilot_requests(candidate: Candidate) -> list[Request]:
    """What the pilot asks: the pilot rows in a mixed but fixed order, and never from a cache."""
    sampling = sampling_of(candidate.sampling)
    rows = sorted(candidate.pilot.to_dicts(), key=lambda row: sha256_json(row["prompt_id"]))
    return [
        Request(
            tuple(Message(m["role"], m["content"]) for m in messages_of(row)),  # type: ignore[arg-type]
            sampling,
            task=row["task"],
            use_cache=False,
        )
        for row in rows
    ]


def sampling_of(recorded: Mapping[str, Any]) -> Sampling:
    """How recorded answers were drawn."""
    known = {name: recorded[name] for name in ("max_tokens", "temperature", "top_p") if recorded.get(name) is not None}
    return Sampling(**known, stop=tuple(recorded.get("stop") or ()))


def _evidence(candidate: Candidate, latency: Claim, run_id: str | None) -> Evidence:
    document = candidate.document
    seed = document.get("seeds", {}).get("split")
    made = provenance(data_hash=document.get("data_hash"), seed=seed, run_id=run_id)
    return Evidence(
        claims=(*money_and_score_claims(candidate, run_id), latency),
        chosen=dict(document["chosen"]),
        verdict=document["verdict"],
        because=document["because"],
        sampling=dict(candidate.sampling),
        provenance={**made, "weights": dict(candidate.weights)},
    )


def _write_rows(rows: pl.DataFrame, path: Path) -> None:
    with replacing(path) as beside:
        rows.write_parquet(beside, compression="zstd")
