"""The sweep: fit on one split, choose on a second, report on a third; route, or do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.embedding import CachedEmbedder, Embedder, load_embedder
from workbench.evaluation import Outcomes
from workbench.routing import FixedPolicy, Policy, make_predictor, predictor_kinds
from workbench.routing.calibration import METHODS
from workbench.routing.predictors import EMBEDDING_KINDS
from workbench.tuning.baselines import best_single
from workbench.tuning.evidence import DEFAULT_MARGIN, RULES, Comparison, SweepVerdict, compare, judge
from workbench.tuning.matrix import OutcomeMatrix, check_matrix
from workbench.tuning.result import SweepResult
from workbench.tuning.selection import (
    Pick,
    Replay,
    SweptObjective,
    default_predictors,
    pick,
    swept_objective,
    trivial_predictors,
)
from workbench.tuning.split import Split, three_way_split

Progress = Callable[[str], None]
CALIBRATIONS = ("auto", "none", *METHODS)
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """How a sweep is done.

    Args:
        objective: "cost-aware" (λ is swept) or "capability" (the quality floor is swept).
        predictors: names that may be chosen; empty takes the default set. The trivial ones (prompt length, task label) are swept
            in any case, as baselines.
        embedder: "static" (quick, sees wording) or "minilm" (sees meaning); or an Embedder.
        seed: of the split and the resampling.
        n_bootstrap: resamples behind each interval; 2000 keep the ends steady to a few percent of the width.
        margin: score that a saving may cost at most to count as no worse. With rule "trade-off", the score that may be given up against
            the best single model; None is 0.01 for "no-worse" and no limit for "trade-off".
        rule: "no-worse" (better at no higher cost, or cheaper and no worse) or "trade-off" (above every mix of single models at its own
            cost, whatever that is).
        calibration: "isotonic" or "platt" (fitted on the choose split), "none", or "auto": isotonic where a floor is swept, since a floor
            is a chance, and none where models are weighed against each other, since it changes differences.
        spend_usd_per_1k: most mean USD for 1,000 requests; None sets no limit. A limit is judged as a trade-off is.
    """

    objective: str = "cost-aware"
    predictors: tuple[str, ...] = ()
    embedder: str | Embedder = "static"
    seed: int = 0
    n_bootstrap: int = 2000
    margin: float | None = None
    rule: str = "no-worse"
    spend_usd_per_1k: float | None = None
    calibration: str = "auto"

    @property
    def calibration_method(self) -> str | None:
        """What predictions are calibrated with; None leaves them."""
        if self.calibration == "auto":
            return "isotonic" if self.objective == "capability" else None
        return None if self.calibration == "none" else self.calibration

    @property
    def spend_usd(self) -> float | None:
        """Most mean USD a request."""
        return None if self.spend_usd_per_1k is None else self.spend_usd_per_1k / 1000.0

    @property
    def loss(self) -> float:
        """Score that may be given up against the best single model."""
        if self.margin is not None:
            return self.margin
        return DEFAULT_MARGIN if self.rule == "no-worse" and self.spend_usd is None else 1.0

    def __post_init__(self) -> None:
        swept_objective(self.objective)
        for name in self.predictors:
            if name not in predictor_kinds():
                raise ConfigError(f"unknown predictor {name!r}: {did_you_mean(name, predictor_kinds())}")
        if self.n_bootstrap < 100:
            raise ConfigError(
                f"{self.n_bootstrap} resamples cannot give a 95 % interval; use at least 100, better 2000"
            )
        if self.calibration not in CALIBRATIONS:
            raise ConfigError(
                f"unknown calibration {self.calibration!r}: {did_you_mean(self.calibration, CALIBRATIONS)}"
            )
        if self.rule not in RULES:
            raise ConfigError(f"unknown rule {self.rule!r}: {did_you_mean(self.rule, RULES)}")
        if self.spend_usd_per_1k is not None and not 0 < self.spend_usd_per_1k < float("inf"):
            raise ConfigError(f"the spending limit is {self.spend_usd_per_1k}; give USD per 1,000 requests, above 0")
        if self.margin is not None and not 0 <= self.margin < 1:
            raise ConfigError(f"the margin is {self.margin}; it is a loss of score, 0 or more and below 1")


@dataclass(frozen=True, eq=False)
class SweepState:
    """Everything a finished sweep knows; `workbench.tuning.document` makes the result of it."""

    config: SweepConfig
    matrix: OutcomeMatrix
    split: Split
    single: int
    choose: Mapping[str, Replay]
    report: Mapping[str, Replay]
    picks: Mapping[str, Pick]
    found: Mapping[str, Comparison]
    chosen: Pick
    verdict: SweepVerdict

    @property
    def choice(self) -> IntArray:
        """The chosen policy's choices on the report split, shape (n,)."""
        return self.report[self.chosen.name].choices_at(self.chosen.threshold)

    @property
    def policy(self) -> Policy | FixedPolicy:
        """What the sweep recommends to serve."""
        if self.verdict.answer == "route":
            return self.report[self.chosen.name].policy_at(self.chosen.threshold)
        return FixedPolicy(self.matrix.models[self.single], self.matrix.models)


def sweep(
    outcomes: Outcomes,
    *,
    objective: str = "cost-aware",
    predictors: Sequence[str] = (),
    embedder: str | Embedder = "static",
    seed: int = 0,
    n_bootstrap: int = 2000,
    margin: float | None = None,
    rule: str = "no-worse",
    spend_usd_per_1k: float | None = None,
    calibration: str = "auto",
    costs: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """Every threshold of every predictor over recorded Outcomes, and whether routing pays.

    Args:
        outcomes: recorded or imported.
        objective, predictors, embedder, seed, n_bootstrap, margin, rule, spend_usd_per_1k, calibration: see `SweepConfig`.
        costs: nominal USD an answer by model, instead of measured cost.
        progress: called with a line at the beginning of each stage.

    Raises:
        ConfigError: fewer than two models, too few prompts, missing or impossible costs, unknown names.
    """
    config = SweepConfig(
        objective, tuple(predictors), embedder, seed, n_bootstrap, margin, rule, spend_usd_per_1k, calibration
    )
    return sweep_matrix(OutcomeMatrix.from_outcomes(outcomes, costs), config, progress)


def sweep_matrix(
    matrix: OutcomeMatrix, config: SweepConfig | None = None, progress: Progress | None = None
) -> SweepResult:
    """`sweep` for a matrix that is already there."""
    from workbench.tuning.document import result_of

    return result_of(sweep_state(matrix, config or SweepConfig(), progress or (lambda line: None)))


def sweep_state(matrix: OutcomeMatrix, config: SweepConfig, progress: Progress) -> SweepState:
    """Fit, choose, report: the steps of a sweep with all that they found."""
    check_matrix(matrix)
    if len(matrix.models) < 2:
        raise ConfigError(f"only {', '.join(matrix.models)} was measured; a sweep compares at least two models")
    split, objective = three_way_split(matrix, config.seed), swept_objective(config.objective)
    tune, choose, report = (matrix.take(rows) for rows in (split.tune, split.choose, split.report))
    single = best_single(matrix.take(np.concatenate([split.tune, split.choose])))
    replays = dict(_replays(matrix, (tune, choose, report), objective, config, progress))
    on_choose = {name: pair[0] for name, pair in replays.items()}
    on_report = {name: pair[1] for name, pair in replays.items()}
    rule = (single, config.rule, config.spend_usd)
    picks = {name: pick({name: replay}, *rule) for name, replay in on_choose.items()}
    chosen = pick({name: on_choose[name] for name in _candidates(matrix, config)}, *rule)
    progress(f"resampling {len(report)} report prompts {config.n_bootstrap} times")
    picks = {**picks, chosen.name: chosen}
    found = {name: _compared(on_report[name], picks[name], single, config, len(picks)) for name in picks}
    shares = report.shares(on_report[chosen.name].choices_at(chosen.threshold))
    verdict = judge(
        found[chosen.name],
        chosen.name,
        matrix.models[single],
        list(shares.items()),
        config.loss,
        rule=config.rule,
        spend_usd=config.spend_usd,
        report_share=len(report) / len(matrix),
    )
    return SweepState(config, matrix, split, single, on_choose, on_report, picks, found, chosen, verdict)


def _compared(replay: Replay, picked: Pick, single: int, config: SweepConfig, n_compared: int) -> Comparison:
    rng = np.random.default_rng([config.seed, 1])
    return compare(replay.matrix, replay.choices_at(picked.threshold), single, rng, config.n_bootstrap, n_compared)


def _replays(
    matrix: OutcomeMatrix,
    parts: tuple[OutcomeMatrix, OutcomeMatrix, OutcomeMatrix],
    objective: SweptObjective,
    config: SweepConfig,
    progress: Progress,
) -> Iterator[tuple[str, tuple[Replay, Replay]]]:
    tune, choose, report = parts
    candidates = _candidates(matrix, config)
    kinds = (*candidates, *(kind for kind in trivial_predictors(matrix.queries.tasks) if kind not in candidates))
    embedder: Embedder | None = None
    if set(kinds) & EMBEDDING_KINDS:
        progress(f"embedding {len(matrix)} prompts")
        embedder = EmbeddedTexts(_embedder(config.embedder), matrix.queries.texts)
    for kind in kinds:
        progress(f"fitting {kind} on {len(tune)} prompts")
        predictor = make_predictor(kind, embedder).fit(tune.queries, tune.score, tune.cost_usd, tune.latency_s)
        if config.calibration_method is not None:
            predictor.calibrate(config.calibration_method, choose.queries, choose.score)
        yield kind, (Replay(choose, predictor, objective), Replay(report, predictor, objective))


def _candidates(matrix: OutcomeMatrix, config: SweepConfig) -> tuple[str, ...]:
    """The predictors that may be chosen."""
    return config.predictors or default_predictors(matrix.queries.tasks)


def _embedder(embedder: str | Embedder) -> Embedder:
    if not isinstance(embedder, str):
        return embedder
    loaded = load_embedder(embedder)
    return loaded if embedder == "static" else CachedEmbedder(loaded)


class EmbeddedTexts:
    """An embedder that embedded the sweep's prompts once; any other text goes to the embedder itself and is not kept."""

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        self.embedder = embedder
        self.fingerprint = embedder.fingerprint
        self.dim = embedder.dim
        unique = list(dict.fromkeys(texts))
        self._row = {text: row for row, text in enumerate(unique)}
        self._vectors = embedder.embed(unique)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors, float32 (len(texts), dim)."""
        rows = [self._row.get(text, -1) for text in texts]
        if -1 in rows:
            return self.embedder.embed(texts)
        return self._vectors[rows]
