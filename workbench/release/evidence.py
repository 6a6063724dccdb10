"""What a release predicts about itself: claims with intervals, and where they come from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.core import StoreError
from workbench.core.files import read_json, write_json

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """One predicted number.

    Args:
        name: score, cost_usd_per_1k or latency_s.
        estimate: the point estimate, in `unit`.
        ci: (low, high), 95 %. Latency's low end is 0: an answer that comes sooner breaks no promise.
        n: rows behind it.
        method: how estimate and interval were computed, in a sentence.
        unit: score in 0..1, USD per 1,000 requests, seconds.
        data_hash: hash of the rows; None when unknown.
        run_id: MLflow run that holds them; None when untracked.
        unchecked_because: why live answers cannot be held to it; None where they can.

    Raises:
        StoreError: a number is not finite or the interval is empty.
    """

    name: str
    estimate: float
    ci: tuple[float, float]
    n: int
    method: str
    unit: str
    data_hash: str | None = None
    run_id: str | None = None
    unchecked_because: str | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.estimate, *self.ci))) or self.ci[0] > self.ci[1]:
            raise StoreError(f"claim {self.name!r} is {self.estimate} in {list(self.ci)}; finite numbers, low <= high")

    def interval_for(self, n: int) -> tuple[float, float]:
        """The interval that a mean over `n` rows should fall into.

        A mean over fewer rows than the claim rests on spreads wider, by sqrt(self.n / n) on either side of the estimate.

        Example:
            >>> Claim("score", 0.5, (0.4, 0.6), 100, "", "score").interval_for(25)
            (0.3, 0.7)
        """
        wider = math.sqrt(max(1.0, self.n / n))
        low, high = (self.estimate + wider * (end - self.estimate) for end in self.ci)
        if self.unit == "score":
            return round(max(0.0, low), 12), round(min(1.0, high), 12)
        return max(0.0, low), high


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a release claims.

    Args:
        claims: by their order in reports.
        chosen: the sweep's chosen policy, as its document states it.
        verdict: "route" or "do_not_route".
        because: the sweep's reason, a sentence.
        sampling: how the answers behind the claims were drawn.
        provenance: version, commit, hardware, date; see `workbench.tracking.provenance`.
        schema_version: version of this layout.
    """

    claims: tuple[Claim, ...]
    chosen: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    because: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def claim(self, name: str) -> Claim | None:
        """The claim of that name; None when the release does not make it."""
        return next((claim for claim in self.claims if claim.name == name), None)

    def save(self, path: Path) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """The evidence in a file.

        Raises:
            ConfigError: missing or not JSON.
            StoreError: written by a newer version, or not evidence.
        """
        data = read_json(path, "evidence")
        version = data.get("schema_version") if isinstance(data, dict) else None
        if not isinstance(version, int):
            raise StoreError(f"{path} is not evidence: it has no schema_version; create the release again")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{path} was made by a newer version (schema_version {version}, this one reads {SCHEMA_VERSION}); "
                "upgrade: pip install -U llm-workbench"
            )
        try:
            claims = tuple(Claim(**{**claim, "ci": tuple(claim["ci"])}) for claim in data.pop("claims"))
            return cls(claims=claims, **data)
        except (KeyError, TypeError) as exc:
            raise StoreError(f"{path} is not evidence: {exc}; create the release again") from exc
