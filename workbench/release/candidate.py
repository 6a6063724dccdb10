"""What a sweep hands to a release: the chosen policy, its models, what it promises and the prompts to hold it to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json, replacing, write_json
from workbench.core.validation import parse
from workbench.models import ModelCard
from workbench.routing import load_policy

if TYPE_CHECKING:
    import polars as pl

    from workbench.routing import AnyPolicy

REPORT_COLUMNS = ("prompt_id", "prompt", "messages", "task", "group", "answer", "grader", "choice", "score", "cost_usd")
PILOT_COLUMNS = ("prompt_id", "prompt", "messages", "task", "choice")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A tuned configuration that may become a release.

    Args:
        document: the sweep's result as `workbench sweep --json` prints it.
        policy: the fitted policy that was chosen.
        cards: model name → card, at least every model the policy may choose.
        report: one row a prompt of the untouched split, columns `REPORT_COLUMNS`; `messages` is a chat as JSON where a
            prompt is more than one user message, else null; `choice`, `score` and `cost_usd` are the policy's on recorded rows.
        pilot: prompts of the other splits, columns `PILOT_COLUMNS`; latency is measured on them.
        max_answer_tokens: limit of an answer while recording.
    """

    document: Mapping[str, Any]
    policy: AnyPolicy
    cards: Mapping[str, ModelCard]
    report: pl.DataFrame
    pilot: pl.DataFrame
    max_answer_tokens: int

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
                f"there is no card for {', '.join(unknown)}, which the policy may choose; give cards for all of its models: "
                "name them in lab.yaml as in the recording"
            )

    def save(self, folder: Path) -> None:
        """Write the candidate to a folder, each file whole or not at all."""
        write_json(folder / "sweep.json", dict(self.document))
        cards = {name: _plain(card) for name, card in self.cards.items()}
        write_json(folder / "cards.json", {"cards": cards, "max_answer_tokens": self.max_answer_tokens})
        self.policy.save(folder / "policy")
        for name, frame in (("report", self.report), ("pilot", self.pilot)):
            with replacing(folder / f"{name}.parquet") as beside:
                frame.write_parquet(beside, compression="zstd")

    @classmethod
    def load(cls, folder: Path) -> Candidate:
        """The candidate in a folder.

        Raises:
            ConfigError: no candidate there.
            StoreError: it is damaged.
        """
        settings = read_json(folder / "cards.json", "release candidate")
        cards = {name: parse(ModelCard, card, f"card of {name}") for name, card in settings["cards"].items()}
        return cls(
            document=read_json(folder / "sweep.json", "sweep result"),
            policy=load_policy(folder / "policy"),
            cards=cards,
            report=read_rows(folder / "report.parquet"),
            pilot=read_rows(folder / "pilot.parquet"),
            max_answer_tokens=settings["max_answer_tokens"],
        )


def _plain(card: ModelCard) -> dict[str, Any]:
    data = card.model_dump(mode="json")
    return {**data, "capabilities": sorted(data["capabilities"])}


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
