"""Where Outcomes came from: suite, models, machine, load and dates, so that a number can be traced to its measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from workbench.core import StoreError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The provenance of one set of Outcomes. Unknown is None or empty.

    Args:
        source: "recorded", or "import:FORMAT" with the chosen set.
        suite_hash: content hash of the suite that was asked.
        models: model name → card, `card_hash`, `weights_hash` where the weights are local, and `price`: the rates or the hardware
            profile that its costs were made of, with the price book's edition. `measuring`: how energy was read and shared, the memory
            before the model was loaded, and figure → why it is null; None where the recording was cut short.
        sampling: how answers were drawn, and how many samples a cell.
        grader: the suite's default grader.
        package_version: version of this package that made the rows.
        git_commit: commit of the checkout it ran from; None outside a checkout.
        seed: seed of the recording.
        hardware: processor, cores, memory and GPU.
        backends: library → version.
        started_at: UTC, ISO 8601; the first start when a recording was resumed.
        ended_at: UTC, ISO 8601.
        load: how requests arrived: {"loop": "closed", "concurrency": …} or {"loop": "open", "rate_rps": …}.
        notes: what a reader must know, one sentence each (dropped rows, known damage).
        schema_version: version of the files' layout.
        data_hash: hash of rows and prompts, filled when written.
    """

    source: str
    suite_hash: str | None = None
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    grader: str | None = None
    package_version: str | None = None
    git_commit: str | None = None
    seed: int | None = None
    hardware: Mapping[str, Any] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
    started_at: str | None = None
    ended_at: str | None = None
    load: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION
    data_hash: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**asdict(self), "notes": list(self.notes)}

    def stamped(self, data_hash: str) -> Manifest:
        """The same manifest for rows with that hash."""
        return replace(self, data_hash=data_hash)

    @classmethod
    def from_dict(cls, values: Any, where: str) -> Manifest:
        """The manifest of a parsed JSON file.

        Raises:
            StoreError: not a manifest, or written by a newer version of this package.
        """
        if not isinstance(values, dict) or "schema_version" not in values or "source" not in values:
            raise StoreError(f"{where} is not a manifest of Outcomes: it needs 'schema_version' and 'source'")
        version = values["schema_version"]
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise StoreError(
                f"{where} was made by a newer version of the workbench (schema_version {version}; this one reads up to "
                f"{SCHEMA_VERSION}): upgrade llm-workbench"
            )
        known = {name: values[name] for name in (f.name for f in fields(cls)) if name in values}
        return cls(**{**known, "notes": tuple(values.get("notes", ()))})
