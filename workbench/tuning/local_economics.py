"""Local machine or API: break-even of what was measured, assembled from bench folders, Outcomes, hardware profiles and the price book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench import __version__
from workbench.core import ConfigError
from workbench.core.files import replacing, write_json
from workbench.core.naming import did_you_mean
from workbench.core.price import TokenPrice
from workbench.economics import HardwareProfile
from workbench.economics.daily_profile import LoadProfile, described
from workbench.economics.hardware import find_profile
from workbench.economics.price_book import PriceBook
from workbench.evaluation import Outcomes
from workbench.models import ModelCard
from workbench.tuning.break_even_tables import write_tables
from workbench.tuning.local_economics_configuration import (
    MeasuredConfiguration,
    api_configuration,
    machine_configuration,
)
from workbench.tuning.local_economics_load import MeasuredLoad
from workbench.tuning.local_economics_quality import QualityRule, Scores
from workbench.tuning.local_economics_rows import (
    Comparison,
    Question,
    compare_configurations,
    flip_document,
    row_document,
)
from workbench.tuning.local_economics_tokens import TokenCounts

FORMULAS = {
    "rate_rps": "λ* = (fixed_local − fixed_api) / (3600 · (variable_api − variable_local)), USD an hour and USD a request, with one "
    "machine of each kind",
    "feasible": "in at least 97.5 % of the draws λ* ≤ the capacity of one machine, and the quality interval lies above −margin",
    "ci": "95 %: percentiles of λ* over bootstrap draws (groups of prompts resampled; capacity from blocks of time or the search)",
    "usd_per_month": "a year of 365.25 days / 12; machines are paid every hour, busy or idle; mix: the cheapest number of machines, what "
    "they cannot carry overflows",
    "usd_per_year": "usd_per_hour · 24 · 365.25",
    "flips": "value of one input at which 'one machine at least pays at this load' changes, all others as they are",
}


@dataclass(frozen=True, slots=True)
class OutcomesFolder:
    """Recorded answers and the name their folder was given by.

    Args:
        folder: as the user named it.
        outcomes: its content.
    """

    folder: str
    outcomes: Outcomes

    @classmethod
    def read(cls, folder: Path) -> OutcomesFolder:
        """The Outcomes of a folder; a bench given by mistake is told apart."""
        if (folder / "bench.json").exists():
            raise ConfigError(f"{folder} holds a bench, no Outcomes: give it as --bench")
        return cls(str(folder), Outcomes.read(folder))


@dataclass(frozen=True, eq=False)
class Sources:
    """Where names are looked up.

    Args:
        outcomes: recorded answers, for quality and for the API's own token counts.
        cards: models of the lab, for their prices.
        book: prices by name; None: only the cards'.
        profiles: hardware by name.
        aliases: name in a table → name in the Outcomes, where they differ.
        token_factor: tokens of the APIs for one token of the local model, (value, low, high) at 95 %.
        cached_share: share of the prompts that the APIs read from their cache, instead of the measured one.
        batch_share: share of the requests sent to the APIs as batch.
        seed: of all resampling.
        n_draws: bootstrap draws.
    """

    outcomes: Sequence[OutcomesFolder] = ()
    cards: Mapping[str, ModelCard] = field(default_factory=dict)
    book: PriceBook | None = None
    profiles: Mapping[str, HardwareProfile] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    token_factor: tuple[float, float, float] = (1.0, 1.0, 1.0)
    cached_share: float | None = None
    batch_share: float = 0.0
    seed: int = 0
    n_draws: int = 2000

    def __post_init__(self) -> None:
        low_is_low = 0 < self.token_factor[1] <= self.token_factor[0] <= self.token_factor[2]
        if not low_is_low:
            raise ConfigError(
                f"the token factor is value, low, high with 0 < low ≤ value ≤ high, found {self.token_factor}"
            )
        for name, share in (("cached share", self.cached_share), ("batch share", self.batch_share)):
            if share is not None and not 0 <= share <= 1:
                raise ConfigError(f"the {name} is {share}; a share lies in 0 to 1")
        if self.n_draws < 100:
            raise ConfigError(
                f"{self.n_draws} bootstrap draws are too few for a 95 % interval; at least 100 are expected"
            )

    def recorded(self, name: str) -> tuple[OutcomesFolder, str] | None:
        """Where a model's answers are: by its alias, its name, or its name without the seller. None where there are none.

        Raises:
            ConfigError: an alias names a model that no Outcomes have.
        """
        wanted = [self.aliases[name]] if name in self.aliases else [name, name.rpartition("/")[2]]
        for model in wanted:
            for source in self.outcomes:
                if model in source.outcomes.models:
                    return source, model
        if name in self.aliases:
            known = [model for source in self.outcomes for model in source.outcomes.models]
            raise ConfigError(
                f"--as {name}={self.aliases[name]}: no such model in the Outcomes; {did_you_mean(self.aliases[name], known)}"
            )
        return None

    def scores(self, name: str) -> Scores | None:
        """A model's measured quality; None where nothing was recorded or graded."""
        found = self.recorded(name)
        if found is None:
            return None
        source, model = found
        rows = source.outcomes.frame.filter(source.outcomes.frame["model"] == model)
        if rows["score"].is_null().all() and rows["error"].is_null().all():
            return None
        return Scores.of(source.outcomes, model, source.folder)

    def own_tokens(self, name: str) -> TokenCounts | None:
        """A model's own token counts; None where it was not recorded with counts."""
        found = self.recorded(name)
        if found is None:
            return None
        source, model = found
        rows = source.outcomes.frame.filter(source.outcomes.frame["model"] == model)
        if not (rows["prompt_tokens"].is_not_null() & rows["completion_tokens"].is_not_null()).any():
            return None
        evidence = {"outcomes": source.folder, "model": model, "data_hash": source.outcomes.data_hash}
        return TokenCounts.of(rows, "group", f"{name} itself, in {source.folder}", True, evidence)

    def price(self, name: str) -> tuple[TokenPrice, dict[str, Any]]:
        """A token price, of the lab's card or of the price book, and where it was found.

        Raises:
            ConfigError: no price, or the model is not paid by the token.
        """
        if name in self.cards:
            found = self.cards[name].price
            if isinstance(found, TokenPrice):
                return found, {"price": found.model_dump(mode="json", exclude_none=True), "card": name}
            kind = "no price" if found is None else "a hardware profile for a price"
            raise ConfigError(
                f"model {name!r} of the lab has {kind}: --against names models that are paid by the token; give its card a token price "
                "or a listed one, or bench it and give the folder as --bench"
            )
        if self.book is None:
            raise ConfigError(f"no price for {name!r}: {did_you_mean(name, self.cards)}; or give a price book")
        price = self.book.price(name)
        return price, {"price": price.model_dump(mode="json", exclude_none=True), "book": self.book.provenance}

    def api(
        self, name: str, model: str, counts: TokenCounts, price: TokenPrice, evidence: Mapping[str, Any]
    ) -> MeasuredConfiguration:
        """A model that is paid by the token, under what is assumed here of all of them; arguments as in `api_configuration`."""
        return api_configuration(
            name,
            counts,
            price,
            evidence,
            model=model,
            scores=self.scores(model),
            token_factor=(1.0, 1.0, 1.0) if counts.is_own else self.token_factor,
            cached_share=self.cached_share,
            batch_share=self.batch_share,
            seed=self.seed,
            n_draws=self.n_draws,
        )


def measured_machine(
    folder: Path, hardware: str | None, sources: Sources, name: str | None = None
) -> MeasuredConfiguration:
    """The configuration of a bench folder: the benched model on a machine of that profile.

    Args:
        folder: written by `workbench bench --out`.
        hardware: name of a hardware profile; None takes the one that the model's card names.
        sources: where names are looked up.
        name: in tables; None is the model's.

    Raises:
        ConfigError: no bench, nothing answered, or no hardware profile is known.
    """
    load = MeasuredLoad.read(folder)
    chosen = hardware or load.hardware
    if chosen is None:
        raise ConfigError(
            f"{folder}: nothing says which machine {load.model!r} ran on; give --hardware, one of {', '.join(sorted(sources.profiles))}"
        )
    profile = find_profile(chosen, sources.profiles)
    capacity = load.capacity(np.random.default_rng([sources.seed, 2]), sources.n_draws)
    name = name or load.model
    found = machine_configuration(name, capacity, profile, chosen, load.evidence(), sources.scores(load.model))
    if not load.document.get("complete", True):
        why = load.document.get("stopped_because") or "it was cut short"
        found = _noted(found, f"{name}: its bench is incomplete ({why})")
    if load.hardware not in (None, chosen):
        found = _noted(
            found,
            f"{name}: its capacity was measured on {load.hardware}, its hour is that of {chosen}: a what-if, not a measurement",
        )
    if capacity.kind != "search":
        found = _noted(found, f"{name}: {capacity.because}")
    return found


def _noted(found: MeasuredConfiguration, note: str) -> MeasuredConfiguration:
    return replace(found, notes=(*found.notes, note))


def listed_api(name: str, folders: Sequence[Path], sources: Sources) -> MeasuredConfiguration:
    """The configuration of a model that is paid by the token, on the traffic that was measured.

    Its own recorded token counts are used where the Outcomes have them, else those of the first bench.

    Args:
        name: of the lab or the price book.
        folders: bench folders.
        sources: where names are looked up.

    Raises:
        ConfigError: no price, or no token counts.
    """
    price, evidence = sources.price(name)
    counts = sources.own_tokens(name) or _bench_tokens(folders, name)
    return sources.api(name, name, counts, price, evidence)


def _bench_tokens(folders: Sequence[Path], name: str) -> TokenCounts:
    if not folders:
        raise ConfigError(f"no token counts for {name!r}: give a bench, or Outcomes in which it was recorded")
    load = MeasuredLoad.read(folders[0])
    return TokenCounts.of(load.answered, "prompt_id", f"{load.model}, in {load.folder}", False, load.evidence())


@dataclass(frozen=True, eq=False)
class LocalEconomics:
    """Break-even of every pair, as a document, tables and figures.

    Args:
        comparisons: one a pair.
        profile: the load that was asked about; None: each machine's best case.
        sources: where figures came from.
        rule: when quality holds.
    """

    comparisons: tuple[Comparison, ...]
    profile: LoadProfile | None
    sources: Sources
    rule: QualityRule

    @property
    def is_feasible(self) -> bool:
        """Whether any pair is shown to pay."""
        return any(found.is_feasible for found in self.comparisons)

    @cached_property
    def document(self) -> dict[str, Any]:
        """What `workbench break-even --json` prints."""
        rows = [row_document(found) for found in self.comparisons]
        return {
            "rows": rows,
            "flips": [line for found in self.comparisons for line in flip_document(found)],
            "verdict": "pays" if self.is_feasible else "no break-even shown",
            "load": None if self.profile is None else described(self.profile),
            "quality_rule": {
                "margin": self.rule.margin,
                "floor": self.rule.floor,
                "assume_equal": self.rule.assume_equal,
            },
            "prices": None if self.sources.book is None else self.sources.book.provenance,
            "notes": list(dict.fromkeys(note for row in rows for note in row["notes"])),
            "formulas": FORMULAS,
            "seed": self.sources.seed,
            "n_draws": self.sources.n_draws,
            "package_version": __version__,
            "run_id": None,
        }

    @cached_property
    def figures(self) -> dict[str, Any]:
        """matplotlib figures by name: costs over the rate, the day, and a tornado for each pair."""
        from workbench.tuning.break_even_figures import break_even_figures

        return dict(break_even_figures(self.comparisons))

    def write(self, folder: Path, run_id: str | None = None) -> None:
        """Write `break_even.json`, `rows.csv`, `flips.csv` and the figures.

        Raises:
            StoreError: the folder cannot be written.
        """
        document = {**self.document, "run_id": run_id}
        write_tables(document, folder)
        for name, figure in self.figures.items():
            with replacing(folder / f"{name}.png") as beside:
                figure.savefig(beside, format="png")
        write_json(folder / "break_even.json", document)


def local_economics(
    locals_: Sequence[MeasuredConfiguration],
    against: Sequence[MeasuredConfiguration],
    sources: Sources,
    *,
    profile: LoadProfile | None = None,
    rule: QualityRule | None = None,
    discount_per_year: float = 0.0,
    up_to_rps: float | None = None,
    pairs: Sequence[tuple[MeasuredConfiguration, MeasuredConfiguration]] = (),
) -> LocalEconomics:
    """Every local configuration against every other one.

    Args:
        locals_: usually of `measured_machine`.
        against: usually of `listed_api`.
        sources: for the document's provenance.
        profile: the load; None asks each machine at its best.
        rule: when quality holds; None: the defaults.
        discount_per_year: interest for the payback.
        up_to_rps: rates up to which winning ranges are listed.
        pairs: further pairs.

    Raises:
        ConfigError: nothing to compare.
    """
    asked = [*((a, b) for a in locals_ for b in against), *pairs]
    if not asked:
        raise ConfigError("there is nothing to compare: give --bench and --against, or --configurations")
    rule = rule or QualityRule()
    question = Question(profile, rule, sources.seed, discount_per_year, up_to_rps)
    return LocalEconomics(tuple(compare_configurations(a, b, question) for a, b in asked), profile, sources, rule)
