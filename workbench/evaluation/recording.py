"""The journal of one recording: what was asked and how it was set up, so that a killed recording goes on where it stopped."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench import __version__
from workbench.core import Clock, ConfigError, StoreError
from workbench.core.environment import git_commit, hardware, versions
from workbench.core.hashing import sha256_json
from workbench.core.journal import Journal, read_journal
from workbench.economics import ComputePrice, HardwareProfile, load_profiles, price_record
from workbench.evaluation.manifest import SCHEMA_VERSION, Manifest
from workbench.evaluation.plan import Load, RecordConfig
from workbench.evaluation.suite import Suite
from workbench.evaluation.weights import weights_hash
from workbench.models import ModelCard

JOURNAL_FILE = "journal.jsonl"
NOT_THE_MODEL = frozenset({"timeout_s", "retries"})  # how patiently it is asked, not what it is
PROVENANCE = frozenset(
    {"as_of", "source", "price_basis", "flop_basis"}
)  # of a hardware profile: how its figures are known
TIMES_OF_WORKERS = (
    "ttft_s, latency_s and tpot_s are measured on the worker that held the model; the way to the cluster is not in them"
)
Key = tuple[str, int]


@dataclass(slots=True)
class Recorded:
    """What a journal holds.

    Args:
        header: settings of the recording; None in a new one.
        models: name → record of its card and load.
        rows: (model, prompt, sample) → the last row of that cell.
        measuring: name → how memory and energy were read, and why they are null where they are.
        nodes: id → what is known of a cluster's node that answered; a row's `node` names it, rows of this machine have none.
        stopped_at: when the last session ended by itself; None if none did.
    """

    header: dict[str, Any] | None = None
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    measuring: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped_at: str | None = None

    def add(self, record: dict[str, Any]) -> None:
        """Take in one line of the journal."""
        kind = record.get("kind")
        if kind == "header":
            self.header = record
        elif kind == "model":
            self.models[record["model"]] = record
        elif kind == "measuring":
            self.measuring[record["model"]] = record["facts"]
        elif kind == "node":
            self.nodes[record["node"]] = record["facts"]
        elif kind == "row":
            self.rows[record["model"], record["prompt_id"], record["sample"]] = record
        elif kind == "stop":
            self.stopped_at = record["at"]


class Recording:
    """One folder's journal, open for writing; at most one process has it.

    Args:
        folder: where journal and Outcomes are.
        suite: what is asked.
        config: how; a journal that was made with other settings is refused.
        clock: dates of the manifest.

    Raises:
        ConfigError: the folder holds a recording of another suite or with other settings.
        StoreError: the journal is damaged, newer than this version, or being written by another process.
    """

    def __init__(self, folder: Path, suite: Suite, config: RecordConfig, clock: Clock) -> None:
        self.folder = folder
        self._suite, self._config, self._clock = suite, config, clock
        path = folder / JOURNAL_FILE
        if config.fresh and path.exists():
            Journal(path).close()  # refuses while another process records
            path.unlink()
        self._journal = Journal(path)
        self._writing = threading.Lock()  # models recorded side by side journal from different threads
        try:
            self.recorded = Recorded()
            for record in read_journal(path):
                self.recorded.add(record)
            self._agree_on_header()
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def open_model(
        self, name: str, card: ModelCard, load: Load, profiles: Mapping[str, HardwareProfile] | None = None
    ) -> None:
        """Note a model before its first answer.

        Raises:
            ConfigError: the journal holds answers of a model of that name with another card, or its hardware is unknown.
        """
        described = describe_card(card, profiles)
        found = self.recorded.models.get(name)
        changed = [] if found is None else _changed_terms(found, described)
        if changed:
            raise ConfigError(
                f"{self.folder} holds answers of model {name!r} with another card ({', '.join(changed)} differ); "
                "choose another folder, or throw them away with --fresh"
            )
        if found is None:
            self._append([{"kind": "model", "model": name, **described, "load": asdict(load)}])

    def is_done(self, model: str, key: Key) -> bool:
        """Whether the cell needs no (further) asking."""
        row = self.recorded.rows.get((model, *key))
        return row is not None and not (self._config.retry_failures and row["error"] is not None)

    def add_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows; they are on disk when this returns."""
        self._append([{"kind": "row", **row} for row in rows])

    def note_measuring(self, model: str, facts: Mapping[str, Any]) -> None:
        """Note how a model's memory and energy were read; the last note stands."""
        self._append([{"kind": "measuring", "model": model, "facts": dict(facts)}])

    def note_node(self, node: str, facts: Mapping[str, Any]) -> None:
        """Note a node of a cluster before the first of its answers that this session keeps."""
        if self.recorded.nodes.get(node) != facts:
            self._append([{"kind": "node", "node": node, "facts": dict(facts)}])

    def stop(self) -> None:
        """Note that everything planned was asked."""
        self._append([{"kind": "stop", "at": self._clock.now().isoformat()}])

    def manifest(self) -> Manifest:
        """Provenance of what the journal holds."""
        header, models = self.recorded.header or {}, self.recorded.models
        loads = {name: record["load"] for name, record in models.items()}
        kept = ("card", "card_hash", "weights_hash", "price")
        return Manifest(
            source="recorded",
            suite_hash=self._suite.hash,
            models={
                name: {**{key: record.get(key) for key in kept}, "measuring": self.recorded.measuring.get(name)}
                for name, record in models.items()
            },
            sampling={**header["sampling"], "samples": 1 + max((key[2] for key in self.recorded.rows), default=0)},
            grader=self._suite.grader.to_text(),
            package_version=header["package_version"],
            git_commit=header["git_commit"],
            seed=header["seed"],
            hardware=header["hardware"],
            backends=header["backends"],
            started_at=header["started_at"],
            ended_at=self.recorded.stopped_at,
            load={"loop": "closed", "models": loads, "parallel_models": self._config.parallel_models}
            | {"engine": _engine_facts(self.recorded)},
        )

    def _append(self, records: list[dict[str, Any]]) -> None:
        with self._writing:
            self._journal.append(records)
            for record in records:
                self.recorded.add(record)

    def _agree_on_header(self) -> None:
        settings = self._settings()
        header = self.recorded.header
        if header is None:
            self._append([{"kind": "header", **settings, **self._circumstances()}])
            return
        if header["schema_version"] > SCHEMA_VERSION:
            raise StoreError(
                f"{self.folder / JOURNAL_FILE} was made by a newer version of the workbench (schema_version "
                f"{header['schema_version']}; this one reads up to {SCHEMA_VERSION}): upgrade llm-workbench"
            )
        changed = [name for name in settings if header.get(name) != settings[name]]
        if changed:
            raise ConfigError(
                f"{self.folder} holds a recording with other settings ({'; '.join(_change(n, header, settings) for n in changed)}); "
                "choose another folder, or throw it away with --fresh"
            )

    def _settings(self) -> dict[str, Any]:
        sampling = asdict(self._config.sampling)
        sampling["stop"] = list(sampling["stop"])
        return {
            "schema_version": SCHEMA_VERSION,
            "suite_hash": self._suite.hash,
            "sampling": sampling,
            "seed": self._config.seed,
        }

    def _circumstances(self) -> dict[str, Any]:
        return {
            "package_version": __version__,
            "git_commit": git_commit(),
            "hardware": hardware(),
            "backends": versions(),
            "started_at": self._clock.now().isoformat(),
        }


def _engine_facts(recorded: Recorded) -> dict[str, Any]:
    """Where the answers were made: on this machine, on a cluster's nodes, or some here and some there."""
    answered = Counter(row["node"] for row in recorded.rows.values() if row.get("node") is not None)
    n_here = len(recorded.rows) - answered.total()
    if not answered:
        return {"name": "local"}
    nodes = {node: {**recorded.nodes.get(node, {}), "n_answers": n} for node, n in sorted(answered.items())}
    name = "+".join(sorted({str(facts.get("engine", "ray")) for facts in nodes.values()}))
    return {"name": name, "n_nodes": len(nodes), "n_answers_here": n_here, "times": TIMES_OF_WORKERS, "nodes": nodes}


def describe_card(card: ModelCard, profiles: Mapping[str, HardwareProfile] | None = None) -> dict[str, Any]:
    """A card for the manifest: its content, the hash of what decides its answers, the hash of its weights, and its price in full.

    Args:
        card: the model's.
        profiles: hardware by name; None: the shipped ones, and a profile that is not among them is null.

    Raises:
        ConfigError: its price names a profile that is not among those given.
    """
    content = card.model_dump(mode="json")
    content["capabilities"] = sorted(content["capabilities"])
    identity = {key: value for key, value in content.items() if key not in NOT_THE_MODEL}
    if card.price is not None:
        identity = _terms(identity)
    weights = weights_hash(card)
    return {
        "card": content,
        "card_hash": sha256_json([identity, weights]),
        "weights_hash": weights,
        "price": _price(card, profiles),
    }


def _changed_terms(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What makes two records of a model's card two models, or two ways to price one; empty when they are the same."""
    if before["card_hash"] != now["card_hash"]:
        was, is_ = (_terms(record["card"]) for record in (before, now))
        return sorted(key for key in was if was[key] != is_.get(key)) or ["its weights"]
    old, new = ((record.get("price") or {}).get("profile") or {} for record in (before, now))
    figures = [key for key in old if key not in PROVENANCE and new and old[key] != new.get(key)]
    return [f"{key} of hardware {now['price']['hardware']!r}" for key in figures]


def _terms(card: dict[str, Any]) -> dict[str, Any]:
    """A card without where its price was looked up: another edition of the price book with the same price changes nothing."""
    return {**card, "price": {key: value for key, value in (card["price"] or {}).items() if key != "source"}}


def _price(card: ModelCard, profiles: Mapping[str, HardwareProfile] | None) -> dict[str, Any] | None:
    known = load_profiles() if profiles is None else profiles
    if profiles is None and isinstance(card.price, ComputePrice) and card.price.hardware not in known:
        return {"hardware": card.price.hardware, "profile": None}
    return price_record(card.price, known)


def _change(name: str, was: dict[str, Any], now: dict[str, Any]) -> str:
    if name == "suite_hash":
        return "another suite or grader"
    before, after = was.get(name), now[name]
    if isinstance(before, dict) and isinstance(after, dict):
        return ", ".join(
            f"{key} was {before.get(key)}, is {after[key]}" for key in after if before.get(key) != after[key]
        )
    return f"{name} was {before}, is {after}"
