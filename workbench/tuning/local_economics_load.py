"""What a bench folder says about a machine: the rate it carries under the SLO, with draws of it, and the tokens of its requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.core import ConfigError
from workbench.core.hashing import sha256_json
from workbench.economics.break_even_headroom import rate_within_wait
from workbench.evaluation.frames import frame_hash

Floats = NDArray[np.float64]
CapacityKind = Literal["search", "goodput", "queue model", "throughput"]

FEWEST_BLOCKS, MOST_BLOCKS = 4, 20
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """The rate that one machine carries with the SLO held.

    Args:
        rps: requests a second.
        draws: (n_draws,) resampled values of it.
        kind: "search" (highest rate that held), "goodput" (at the measured rate), "queue model" (a closed loop, derated), "throughput"
            (no SLO was set).
        because: one sentence of how it was got.
        is_lower_bound: whether more may be carried than was measured.
    """

    rps: float
    draws: Floats
    kind: CapacityKind
    because: str
    is_lower_bound: bool

    @property
    def ci(self) -> tuple[float, float]:
        """95 % interval."""
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredLoad:
    """A bench folder, read and checked: `bench.json`, `requests.parquet`, `manifest.json`.

    Args:
        folder: as the user named it.
        document: what `workbench bench --json` printed.
        answered: rows of the measured phase that were answered.
        measured: all rows of the measured phase.
        manifest: provenance.
        sha256: of the document and the requests, which the figures come from.
    """

    folder: str
    document: Mapping[str, Any]
    answered: pl.DataFrame
    measured: pl.DataFrame
    manifest: Mapping[str, Any]
    sha256: str

    @classmethod
    def read(cls, folder: Path) -> MeasuredLoad:
        """A bench folder.

        Raises:
            ConfigError: no bench in it, or one that measured nothing; says what it is instead.
            StoreError: written by a newer version of this package.
        """
        from workbench.evaluation.load import BenchResult

        _check_kind(folder)
        found = BenchResult.read(folder)
        document, measured = found.document, found.requests.filter(pl.col("phase") == "measured")
        answered = measured.filter(pl.col("error").is_null() & pl.col("end_s").is_not_null())
        if not answered.height:
            n_failed = document.get("failed")
            reason = f"all {n_failed} requests failed" if n_failed else "no measured request was answered"
            raise ConfigError(
                f"{folder}: {reason}, so that nothing can be priced; see `error` in its requests, and bench again"
            )
        digest = sha256_json([dict(document), frame_hash(found.requests.drop("chunks_s"))])
        return cls(str(folder), document, answered, measured, found.manifest, digest)

    @property
    def model(self) -> str:
        """Name of the model that was measured."""
        return str(self.document["model"])

    @property
    def hardware(self) -> str | None:
        """Hardware profile that the model's card names; None when it names none."""
        price = (self.manifest.get("card") or {}).get("price") or {}
        return price.get("hardware")

    @property
    def run_id(self) -> str | None:
        """MLflow run that holds it; None when it was not logged."""
        return self.document.get("run_id")

    def evidence(self) -> dict[str, Any]:
        """Where the figures come from, for the document."""
        return {
            "bench": self.folder,
            "run_id": self.run_id,
            "sha256": self.sha256,
            "started_at": self.manifest.get("started_at"),
            "complete": self.document.get("complete", True),
        }

    def capacity(self, rng: np.random.Generator, n_draws: int) -> Capacity:
        """The rate it carries: of the search where rates were searched, else the goodput at the measured rate.

        A closed loop keeps the server saturated without ever building a queue. What a stream of random arrivals may bring is less, and
        is derived from it with a queue model (`economics.break_even_headroom`).

        Raises:
            ConfigError: no rate held the SLO.
        """
        searched = self.document.get("holds_slo_up_to_rps")
        if searched is not None or self.document.get("stages"):
            return self._searched(searched or {"because": "see its stages"}, rng, n_draws)
        if self.document.get("loop") == "closed":
            return self._closed(rng, n_draws)
        return self._goodput(rng, n_draws)

    def _searched(self, searched: Mapping[str, Any], rng: np.random.Generator, n_draws: int) -> Capacity:
        rate, why = searched.get("rate_rps"), searched.get("because") or "see its stages"
        if not rate:
            raise ConfigError(f"{self.folder}: {why}; nothing can be carried locally under that SLO")
        broken = (searched.get("ci") or [None, None])[1]
        between = (
            np.full(n_draws, 1.0) if broken is None else np.exp(rng.random(n_draws) * np.log(max(1.0, broken / rate)))
        )
        because = f"searched: {why}"
        return Capacity(float(rate), rate * between, "search", because, is_lower_bound=broken is None)

    def _goodput(self, rng: np.random.Generator, n_draws: int) -> Capacity:
        slo = self.document.get("slo")
        value, draws = self._good_rate(rng, n_draws)
        offered = self.document.get("rate_rps")
        at = "" if offered is None else f" at the measured rate of {offered:g} requests/s"
        if not value > 0:
            raise ConfigError(
                f"{self.folder}: no request met the SLO {slo}{at}; nothing can be carried locally under it"
            )
        is_lower_bound = offered is None or value >= 0.9 * offered
        more = "; it kept up, so it may carry more: search with `workbench bench --find-rate`" if is_lower_bound else ""
        if self.document.get("slo_verdict") == "breaks":
            more = "; at that rate the SLO is broken for the others: search with `workbench bench --find-rate` for one that holds it"
        if not slo:
            because = f"answered requests a second{at}; no SLO was set{more}"
            return Capacity(value, draws, "throughput", because, is_lower_bound)
        return Capacity(value, draws, "goodput", f"goodput under {_told(slo)}{at}{more}", is_lower_bound)

    def _closed(self, rng: np.random.Generator, n_draws: int) -> Capacity:
        value, draws = self._good_rate(rng, n_draws)
        slots, slo = self.document.get("concurrency"), self.document.get("slo")
        if not slo or not slots:
            because = "answered requests a second of a closed loop, which is saturation: no SLO was set"
            return Capacity(value, draws, "throughput", because, is_lower_bound=False)
        if not value > 0:
            raise ConfigError(
                f"{self.folder}: no request met the SLO {slo} in the closed loop; nothing can be carried locally under it"
            )
        wait_s = min(bound - self._quantile(name) for name, bound in slo.items() if name in ("ttft_s", "latency_s"))
        service_s = float(np.mean(self.answered["latency_s"].drop_nulls().to_numpy()))
        allowed = rate_within_wait(int(slots), service_s, wait_s) if np.isfinite(wait_s) else 0.0
        if not allowed > 0:
            raise ConfigError(
                f"{self.folder}: with {slots} requests in flight the SLO {slo} leaves no time to wait; bench with fewer, or at a rate"
            )
        share = min(1.0, allowed / (int(slots) / service_s))
        because = (
            f"saturation with {slots} in flight is {value:.3g} good requests/s; random arrivals may use {100 * share:.0f} % of it so "
            f"that 95 % wait at most {wait_s:.3g} s (M/M/c). A bench at a rate measures it"
        )
        return Capacity(share * value, share * draws, "queue model", because, is_lower_bound=False)

    def _quantile(self, name: str) -> float:
        """p95 of a measured time; infinite where none was seen."""
        values = self.answered[name].drop_nulls().to_numpy() if name in self.answered.columns else np.array([])
        return float(np.quantile(values, 0.95)) if len(values) else float("inf")

    def _good_rate(self, rng: np.random.Generator, n_draws: int) -> tuple[float, Floats]:
        """Good requests a second and draws of it: blocks of time are resampled, because neighbours in a queue share their fate."""
        from workbench.evaluation.load.slo import SLO

        bounds = self.document.get("slo")
        slo = SLO(**bounds) if bounds else None
        rows = self.measured.drop("chunks_s", strict=False).iter_rows(named=True)
        good = np.array([(slo.judge(row) is True) if slo else row["error"] is None for row in rows], dtype=np.float64)
        starts = self.measured["intended_s"].to_numpy()
        length_s = float(self.document.get("duration_s") or (starts.max() - starts.min()) or 1.0)
        reported = self.document.get("goodput_rps" if slo else "requests_per_s")
        value = float(reported) if reported is not None else float(good.sum() / length_s)
        per_block = _blocks(starts, good)
        drawn = rng.integers(0, len(per_block), size=(n_draws, len(per_block)))
        relative = per_block[drawn].mean(axis=1) / max(per_block.mean(), 1e-12)
        return value, np.maximum(value * relative, 1e-9)


def _blocks(starts: Floats, good: Floats) -> Floats:
    """Good requests in each of equal stretches of time."""
    n_blocks = int(np.clip(len(starts) // 10, FEWEST_BLOCKS, MOST_BLOCKS))
    edges = np.linspace(starts.min(), np.nextafter(starts.max(), np.inf), n_blocks + 1)
    return np.asarray(np.histogram(starts, bins=edges, weights=good)[0], dtype=np.float64)


def spread(
    value: float, ci: object, rng: np.random.Generator, n_draws: int, least: float = 0.0, most: float = float("inf")
) -> Floats:
    """Draws around a value that is known by its 95 % interval alone: normal on each side with that side's width, kept in bounds."""
    if not isinstance(ci, list | tuple) or len(ci) != 2 or ci[0] is None or ci[1] is None:
        return np.full(n_draws, float(value))
    z = rng.standard_normal(n_draws)
    width = np.where(z < 0, max(value - ci[0], 0.0), max(ci[1] - value, 0.0)) / Z95
    return np.asarray(np.clip(value + z * width, least, most), dtype=np.float64)


def _told(slo: Mapping[str, float]) -> str:
    return ", ".join(f"{name} ≤ {bound:g}" for name, bound in slo.items())


def _check_kind(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"no bench at {folder}: measure one with `workbench bench NAME --rate R --out {folder}`")
    if (folder / "bench.json").exists() or (folder / "requests.parquet").exists():
        return
    if (folder / "outcomes.parquet").exists():
        raise ConfigError(
            f"{folder} holds Outcomes, no bench: give it as --outcomes, and a folder of `workbench bench` as --bench"
        )
    if (folder / "stack.yaml").exists():
        raise ConfigError(
            f"{folder} holds a release, no bench: bench it with a card of kind stack and give that folder"
        )
