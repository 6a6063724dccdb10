"""What a sweep hands to a release: the chosen policy, its models, what it promises and the prompts to hold it to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json
from workbench.core.validation import parse
from workbench.models import ModelCard
from workbench.routing import load_policy

if TYPE_CHECKING:
    import polars as pl

    from workbench.routing import AnyPolicy
    from workbench.tuning import SweepResult

REPORT_COLUMNS = ("prompt_id", "prompt", "messages", "task", "group", "answer", "grader", "choice", "score", "cost_usd")
PILOT_COLUMNS = ("prompt_id", "prompt", "messages", "task", "choice")
DEFAULT_MAX_TOKENS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A tuned configuration that may become a release.

    Args:
        document: the sweep's result as `workbench sweep --json` prints it.
        policy: the fitted policy that was chosen.
        cards: model name → card, at least every model the policy may choose.
        report: one row a prompt of the untouched split, columns `REPORT_COLUMNS`; `messages` is a chat as JSON where a
            prompt is more than one user message, else null; `choice`, `score` and `cost_usd` are the policy's on recorded rows.
        pilot: prompts of another split, columns `PILOT_COLUMNS`; latency is measured on them.
        sampling: how answers were drawn while recording, as the manifest states it.
        weights: model name → hash of the weights that were recorded; None where they are not local.

    Raises:
        ConfigError: no rows, missing columns, or a model without a card.
    """

    document: Mapping[str, Any]
    policy: AnyPolicy
    cards: Mapping[str, ModelCard]
    report: pl.DataFrame
    pilot: pl.DataFrame
    sampling: Mapping[str, Any]
    weights: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, frame, columns in (("report", self.report, REPORT_COLUMNS), ("pilot", self.pilot, PILOT_COLUMNS)):
            if missing := [column for column in columns if column not in frame.columns]:
                raise ConfigError(f"the sweep's {name} rows lack {', '.join(missing)}; run the sweep again")
            if not frame.height:
                raise ConfigError(
                    f"the sweep has no {name} rows, so a release could not be checked; sweep more prompts"
                )
        if unknown := sorted(set(self.policy.models) - set(self.cards)):
            raise ConfigError(
                f"there is no card for {', '.join(unknown)}, which the policy may choose; the Outcomes were not recorded here, "
                "so name these models in a lab.yaml and give it with --lab"
            )

    @property
    def max_answer_tokens(self) -> int:
        """Most tokens of an answer while recording."""
        return int(self.sampling.get("max_tokens") or DEFAULT_MAX_TOKENS)

    @classmethod
    def from_sweep(
        cls, result: SweepResult, manifest: Mapping[str, Any], cards: Mapping[str, ModelCard] | None = None
    ) -> Candidate:
        """A candidate of a finished sweep.

        Args:
            result: the sweep.
            manifest: of its Outcomes (`outcomes.manifest.to_dict()`).
            cards: cards to use instead of, or beside, the manifest's.
        """
        return cls(
            document=result.document,
            policy=result.policy,
            cards=_cards(manifest, cards),
            report=result.report,
            pilot=result.pilot,
            sampling=manifest.get("sampling", {}),
            weights=_weights(manifest),
        )

    @classmethod
    def load(cls, folder: Path, cards: Mapping[str, ModelCard] | None = None) -> Candidate:
        """The candidate that `workbench.tracking.log_sweep` stored.

        Raises:
            ConfigError: no candidate there.
            StoreError: it is damaged.
        """
        document = read_json(folder / "sweep.json", "sweep result")
        path = folder / "manifest.json"
        manifest = read_json(path, "manifest") if path.exists() else {}
        return cls(
            document=document,
            policy=load_policy(folder / "policy"),
            cards=_cards(manifest, cards),
            report=read_rows(folder / "report.parquet"),
            pilot=read_rows(folder / "pilot.parquet"),
            sampling=manifest.get("sampling", {}),
            weights=_weights(manifest),
        )


def _cards(manifest: Mapping[str, Any], given: Mapping[str, ModelCard] | None) -> dict[str, ModelCard]:
    recorded = {
        name: parse(ModelCard, model["card"], f"card of {name} in the manifest")
        for name, model in manifest.get("models", {}).items()
        if model.get("card")
    }
    return {**recorded, **(given or {})}


def _weights(manifest: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: model.get("weights_hash") for name, model in manifest.get("models", {}).items()}


def read_rows(path: Path) -> pl.DataFrame:
    """A parquet file of prompts.

    Raises:
        StoreError: missing, cut or not parquet.
    """
    import polars as pl

    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise StoreError(
            f"{path} cannot be read ({str(exc).splitlines()[0]}); create it again or restore a copy"
        ) from exc


def messages_of(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """The chat that a row of prompts asks.

    Example:
        >>> messages_of({"prompt": "2 + 2?", "messages": None})
        [{'role': 'user', 'content': '2 + 2?'}]
    """
    if row.get("messages"):
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in json.loads(row["messages"])]
    return [{"role": "user", "content": row["prompt"]}]
