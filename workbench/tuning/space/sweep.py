"""The sweep of a space: proposed on one split, chosen on a second, judged on a third.

Proposals (searched, listed or swept exactly) are scored on held-out predictions of the tune split. Their front is scored again on the
choose split, where the sweep's rule takes one, and only that one is judged on the report split, beside the baselines and the plain sweep
of one λ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError, MissingExtra
from workbench.core.files import check_file
from workbench.core.hashing import sha256_json
from workbench.core.naming import did_you_mean
from workbench.embedding import CachedEmbedder, Embedder, load_embedder
from workbench.evaluation import Outcomes
from workbench.evaluation.engine import Engine, LocalEngine
from workbench.routing import FixedPolicy, LearnedPredictor, Policy, Predictions
from workbench.tuning.baselines import best_single
from workbench.tuning.evidence import Comparison, SweepVerdict, compare, judge
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.space.file import SpaceConfig
from workbench.tuning.space.finalists import (
    Finalist,
    Proposal,
    Settled,
    decide_again,
    front_of,
    goal_values,
    with_nobody,
)
from workbench.tuning.space.fits import Fitted, fitted_bases
from workbench.tuning.space.plan import Basis, Branch, Configuration, Plan
from workbench.tuning.space.result import SpaceResult
from workbench.tuning.space.sampling import SAMPLER, SAMPLERS
from workbench.tuning.space.scoring import AT_ONCE, Realised, Scorer
from workbench.tuning.space.swept import pareto, swept_part
from workbench.tuning.split import Split, three_way_split
from workbench.tuning.sweeps import EmbeddedTexts, SweepConfig, SweepState, sweep_state

if TYPE_CHECKING:
    from workbench.tuning.space.study import Study, Trial

Progress = Callable[[str], None]
IntArray = npt.NDArray[np.intp]
DEFAULT_TRIALS = 1000
TASK_CONFIGURATIONS = 32
"""Configurations that one task of an engine scores at most."""
TASKS = 4
"""Tasks that a batch of a search is cut into, for the workers of a cluster; none is smaller than what is scored at once."""
STUDY_FILE = "study.jsonl"


@dataclass(frozen=True, slots=True)
class Looked:
    """How many configurations were looked at.

    Args:
        trials: of the search, repeated points counted.
        resumed: of them, found in the study's journal.
        searched, listed: different configurations.
        swept: settings of a threshold in exact sweeps.
        finalists: that the choose split chose among.
    """

    trials: int
    resumed: int
    searched: int
    listed: int
    swept: int
    finalists: int

    @property
    def in_all(self) -> int:
        """Different settings."""
        return self.searched + self.listed + self.swept


@dataclass(frozen=True, eq=False)
class SpaceState:
    """Everything that a finished sweep of a space knows; `workbench.tuning.space.document` makes the result of it."""

    plan: Plan
    config: SweepConfig
    matrix: OutcomeMatrix
    split: Split
    single: int
    finalists: tuple[Finalist, ...]
    chosen: Finalist
    predictor: LearnedPredictor
    predictions: Predictions
    """Of the chosen configuration, for the report split."""
    choice: IntArray
    """On the report split; -1 for nobody."""
    realised: Realised
    """On the report split."""
    found: Comparison
    verdict: SweepVerdict
    looked: Looked
    sampler: str | None
    """Of the search; None where nothing was searched."""
    plain: SweepState

    @property
    def report(self) -> OutcomeMatrix:
        """The report split."""
        return self.matrix.take(self.split.report)

    @property
    def policy(self) -> Policy | FixedPolicy:
        """What the sweep recommends to serve."""
        if self.verdict.answer == "route":
            return Policy(self.matrix.models, self.predictor, self.chosen.configuration.objective)
        return FixedPolicy(self.matrix.models[self.single], self.matrix.models)


def space_sweep(
    outcomes: Outcomes,
    space: SpaceConfig,
    *,
    n_trials: int = DEFAULT_TRIALS,
    study: Path | None = None,
    sampler: str = SAMPLER,
    engine: Engine | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
    margin: float | None = None,
    rule: str = "no-worse",
    spend_usd_per_1k: float | None = None,
    costs: Mapping[str, float] | None = None,
    embedders: Mapping[str, Embedder] | None = None,
    progress: Progress | None = None,
) -> SpaceResult:
    """The best configuration of a space over recorded Outcomes, and whether routing by it pays.

    Args:
        outcomes: recorded or imported.
        space: what is varied, see `load_space`.
        n_trials: configurations that the search may try; parts that are swept exactly or listed whole need none.
        study: journal file, or folder for one, with which a search that was stopped goes on; None keeps it in memory.
        sampler: "auto" (TPE for the first trials, then NSGA-II), "tpe", "nsga2" or "random"; measured in docs/spaces.md.
        engine: where fits and evaluations run; None is this process. Results do not depend on it.
        seed: of the split, the search and the resampling.
        n_bootstrap, margin, rule, spend_usd_per_1k: see `SweepConfig`.
        costs: nominal USD an answer by model, instead of measured cost.
        embedders: by name, instead of the shipped ones of these names.
        progress: called with a line at the beginning of each stage.

    Raises:
        ConfigError: fewer than two models or trials, too few prompts, unknown tasks, latency asked for but not measured, a journal that
            cannot be written or is of another space, or no configuration that serves every request within its limits.
        MissingExtra: something must be searched, and Optuna is not installed.
    """
    from workbench.tuning.space.document import result_of

    journal = None if study is None else study_file(study)
    if journal is not None:
        check_file(journal, "--study")
    config = SweepConfig(
        seed=seed, n_bootstrap=n_bootstrap, margin=margin, rule=rule, spend_usd_per_1k=spend_usd_per_1k
    )
    matrix = OutcomeMatrix.from_outcomes(outcomes, costs)
    asked = Asked(space, n_trials, journal, engine or LocalEngine(), dict(embedders or {}), sampler)
    return result_of(space_state(matrix, asked, config, progress or (lambda line: None)))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the sweep of a space is asked to do; see `space_sweep`."""

    space: SpaceConfig
    n_trials: int = DEFAULT_TRIALS
    study: Path | None = None
    engine: Engine = field(default_factory=LocalEngine)
    embedders: Mapping[str, Embedder] = field(default_factory=dict)
    sampler: str = SAMPLER

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(f"unknown sampler {self.sampler!r}: {did_you_mean(self.sampler, SAMPLERS)}")


def study_file(study: Path) -> Path:
    """The journal of a study that is named by its file or by its folder."""
    return study / STUDY_FILE if study.is_dir() or not study.suffix else study


def space_state(matrix: OutcomeMatrix, asked: Asked, config: SweepConfig, progress: Progress) -> SpaceState:
    """Propose, choose, judge: the steps of a sweep of a space with all that they found."""
    plan = Plan(asked.space, tuple(sorted({task for task in matrix.queries.tasks if task is not None})))
    check(plan, matrix, asked.n_trials)
    split = three_way_split(matrix, config.seed)
    tune, choose, report = (matrix.take(rows) for rows in (split.tune, split.choose, split.report))
    single = best_single(matrix.take(np.concatenate([split.tune, split.choose])))
    with_study = _opened(plan, asked, matrix, config.seed)
    try:
        embedders = _embedders(plan, asked, matrix, progress)
        bases = fitted_bases(tune, plan.bases, embedders, asked.engine, progress)
        search = Search(plan, tune, bases, asked, progress, with_study)
        proposals, looked = search.proposals()
    finally:
        if with_study is not None:
            with_study.close()
    settled = _settled(front_of(proposals, plan.space.goals), choose, bases, plan, progress)
    finalist, _ = settled.picked(single, config.rule, config.spend_usd)
    progress("the plain sweep of λ, for comparison")
    plain = sweep_state(matrix, _plain(asked.space, embedders, config), lambda line: None)
    progress(f"judging {finalist.configuration} on {len(report)} report prompts")
    predictor = bases[finalist.configuration.basis].predictor
    predictions = predictor.predict(report.queries)
    scorer = Scorer.of(predictions, report, plan.tasks, "latency-p95" in plan.space.goals)
    choice = Policy(matrix.models, predictor, finalist.configuration.objective).choose(report.queries)
    basis = {finalist.configuration.basis: predictor}
    decide_again(
        report,
        [finalist.configuration],
        basis,
        dict.fromkeys(basis, predictions),
        scorer.choices([finalist.configuration.objective]),
    )
    found = _compared(report, choice, single, config)
    return SpaceState(
        plan=plan,
        config=config,
        matrix=matrix,
        split=split,
        single=single,
        finalists=settled.finalists,
        chosen=finalist,
        predictor=predictor,
        predictions=predictions,
        choice=choice,
        realised=scorer.realised([finalist.configuration.objective])[0],
        found=found,
        verdict=_judged(found, finalist, choice, matrix, single, config),
        looked=Looked(*looked, len(settled.finalists)),
        sampler=None if with_study is None else asked.sampler,
        plain=plain,
    )


def _plain(space: SpaceConfig, embedders: Mapping[str, Embedder], config: SweepConfig) -> SweepConfig:
    """The sweep of λ alone with the space's predictors, on its first embedder."""
    name = space.embedder[0]
    return replace(config, predictors=space.predictor, embedder=embedders.get(name, name))


def task_size(n: int) -> int:
    """Configurations of one task where there are n.

    Example:
        >>> [task_size(n) for n in (5, 25, 100, 5000)]
        [8, 8, 25, 32]
    """
    return min(TASK_CONFIGURATIONS, max(AT_ONCE, -(-n // TASKS)))


def check(plan: Plan, matrix: OutcomeMatrix, n_trials: int) -> None:
    """Refuse what cannot be swept before anything is fitted.

    Raises:
        ConfigError: fewer than two models, no trials for a part that must be searched, or latency asked for but not measured.
    """
    if len(matrix.models) < 2:
        raise ConfigError(f"only {', '.join(matrix.models)} was measured; a sweep compares at least two models")
    if n_trials < 1 and plan.searched(n_trials):
        kinds = " and ".join(branch.kind for branch in plan.searched(n_trials))
        raise ConfigError(
            f"{n_trials} trials for a space that must be searched ({kinds}); give at least 1, better 1000"
        )
    unmeasured = [
        name for name, column in zip(matrix.models, matrix.latency_s.T, strict=True) if np.isnan(column).any()
    ]
    if plan.reads_seconds and unmeasured:
        raise ConfigError(
            f"the space asks for {', '.join(plan.reads_seconds)}, but no latency was measured for {', '.join(unmeasured)}; "
            "record latency_s, or leave it out of the space"
        )


def _opened(plan: Plan, asked: Asked, matrix: OutcomeMatrix, seed: int) -> Study | None:
    """The study of what must be searched; None where nothing must. Opened first, so that a wrong journal costs no fit."""
    branches = plan.searched(asked.n_trials)
    if not branches:
        return None
    try:
        from workbench.tuning.space.study import Study
    except ModuleNotFoundError as exc:
        raise MissingExtra("a search over several parameters", "search") from exc
    parameters = plan.parameters(branches)
    goals = plan.space.goals
    subject = {
        "data": sha256_json([matrix.data_hash, matrix.cost_source, list(matrix.prompt_ids)]),
        "space": sha256_json([[p.name, p.to_json()] for p in parameters] + [plan.space.model_dump(mode="json")]),
        "seed": seed,
        "sampler": asked.sampler,
    }
    directions = ["maximize" if goal == "score" else "minimize" for goal in goals]
    return Study(parameters, directions, subject, seed, asked.study, asked.sampler)


def _embedders(plan: Plan, asked: Asked, matrix: OutcomeMatrix, progress: Progress) -> dict[str, Embedder]:
    """The embedders that the bases name, with every prompt's vector at hand."""
    names = dict.fromkeys(basis.embedder for basis in plan.bases if basis.embedder is not None)
    found: dict[str, Embedder] = {}
    for name in names:
        progress(f"embedding {len(matrix)} prompts with {name}")
        embedder = asked.embedders.get(name) or load_embedder(name)
        found[name] = EmbeddedTexts(embedder if name == "static" else CachedEmbedder(embedder), matrix.queries.texts)
    return found


class Search:
    """All that is looked at on the tune split.

    Args:
        plan: the space on these tasks.
        tune: the tune split.
        bases: fitted.
        asked: trials and engine.
        progress: called with a line.
        study: of what must be searched; None where nothing must.
    """

    def __init__(
        self,
        plan: Plan,
        tune: OutcomeMatrix,
        bases: Mapping[Basis, Fitted],
        asked: Asked,
        progress: Progress,
        study: Study | None,
    ) -> None:
        self.plan, self.tune, self.bases, self.asked, self.progress, self.study = (
            plan,
            tune,
            bases,
            asked,
            progress,
            study,
        )
        wants_p95 = "latency-p95" in plan.space.goals
        self._scorers = {
            basis: Scorer.of(fitted.held_out, tune, plan.tasks, wants_p95) for basis, fitted in bases.items()
        }
        self._known: dict[str, Realised] = {}
        self._worst_s = 0.0 if np.isnan(tune.latency_s).any() else float(tune.latency_s.max())

    def proposals(self) -> tuple[list[Proposal], tuple[int, int, int, int, int]]:
        """Every configuration that may become a finalist, and how many were looked at: trials, resumed, searched, listed, swept."""
        swept, n_swept = self._swept()
        listed = list(self._listed())
        points = [*swept, *listed]
        found = [
            Proposal(configuration, "exact sweep" if index < len(swept) else "list", realised)
            for index, (configuration, realised) in enumerate(zip(points, self.realised(points), strict=True))
        ]
        searched, (n_trials, n_resumed, n_searched) = self._searched()
        proposals = [*found, *(Proposal(c, "search", r) for c, r in searched)]
        return proposals, (n_trials, n_resumed, n_searched, len(listed), n_swept)

    def realised(self, configurations: Sequence[Configuration]) -> list[Realised]:
        """What each configuration realises on the held-out predictions; a configuration is scored once."""
        new = {c.key: c for c in configurations if c.key not in self._known}
        by_basis: dict[Basis, list[Configuration]] = {}
        for configuration in new.values():
            by_basis.setdefault(configuration.basis, []).append(configuration)
        for basis, group in by_basis.items():
            objectives = [configuration.objective for configuration in group]
            scorer = self._scorers[basis].prepared(objectives)
            size = task_size(len(objectives))
            tasks = [objectives[i : i + size] for i in range(0, len(objectives), size)]
            for index, found in self.asked.engine.run(Scorer.realised, scorer, tasks):
                for configuration, realised in zip(group[index * size :], found, strict=False):
                    self._known[configuration.key] = realised
        return [self._known[configuration.key] for configuration in configurations]

    def _swept(self) -> tuple[list[Configuration], int]:
        found: dict[str, Configuration] = {}
        n_swept = 0
        for branch, point in self._points(self.plan.exact):
            part = swept_part(self.plan, branch, point, self._held_out(branch, point), self.tune)
            n_swept += part.n_settings
            found |= {configuration.key: configuration for configuration in part.configurations}
        return list(found.values()), n_swept

    def _points(self, branches: Sequence[Branch]) -> Iterator[tuple[Branch, dict[str, float | str | None]]]:
        for branch in branches:
            if branch.swept is not None:
                self.progress(f"sweeping {branch.swept} of {branch.kind} exactly")
            for point in branch.points():
                yield branch, point

    def _held_out(self, branch: Branch, point: Mapping[str, float | str | None]) -> Predictions:
        value = {branch.swept or "": next(p.low for p in branch.free if p.name == branch.swept)}
        return self.bases[self.plan.configuration(branch.kind, {**point, **value}).basis].held_out

    def _listed(self) -> Iterator[Configuration]:
        found = {}
        for branch, point in self._points(self.plan.listed(self.asked.n_trials)):
            configuration = self.plan.configuration(branch.kind, point)
            found[configuration.key] = configuration
        yield from found.values()

    def _searched(self) -> tuple[list[tuple[Configuration, Realised]], tuple[int, int, int]]:
        """The search's front; its trials, how many of them were found in the journal, and how many configurations differ."""
        if self.study is None:
            return [], (0, 0, 0)
        if self.study.n_resumed:
            self.progress(f"going on after {self.study.n_resumed} trials of {self.asked.n_trials}")
        for done in self.study.search(self.asked.n_trials, self._scored):
            if done % 1000 == 0 or done == self.asked.n_trials:
                self.progress(f"{done} of {self.asked.n_trials} trials")
        trials = self.study.trials()
        different = {self._configuration(trial.point).key for trial in trials}
        front = [self._configuration(trials[k].point) for k in self._front(trials)]
        found = {configuration.key: configuration for configuration in front}
        best = list(zip(found.values(), self.realised(list(found.values())), strict=True))
        return best, (len(trials), self.study.n_resumed, len(different))

    def _front(self, trials: Sequence[Trial]) -> IntArray:
        """Places of the trials that break no limit and that no other one beats."""
        able = np.array([k for k, trial in enumerate(trials) if trial.unserved == 0], np.intp)
        if not len(able):
            return able
        signs = np.array([-1.0 if goal == "score" else 1.0 for goal in self.plan.space.goals])
        return able[pareto(signs * np.array([trials[k].values for k in able]))]

    def _configuration(self, point: Mapping[str, float | str | None]) -> Configuration:
        kinds = self.plan.searched(self.asked.n_trials)
        return self.plan.configuration(str(point.get("objective", kinds[0].kind)), point)

    def _scored(self, points: Sequence[dict[str, float | str | None]]) -> list[tuple[tuple[float, ...], float]]:
        realised = self.realised([self._configuration(point) for point in points])
        return [(self._finite(goal_values(r, self.plan.space.goals)), r.unserved) for r in realised]

    def _finite(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """The most seconds ever measured stand in for unknown ones; such a point breaks its limits and is ranked by that."""
        return tuple(value if np.isfinite(value) else self._worst_s for value in values)


def _settled(
    front: Sequence[Proposal],
    choose: OutcomeMatrix,
    bases: Mapping[Basis, Fitted],
    plan: Plan,
    progress: Progress,
) -> Settled:
    """The finalists on the choose split, each decided again by its policy."""
    if not front:
        raise ConfigError(
            "no configuration serves every request of the tune split within its limits; widen slo_s, cost_limit_usd or the floors of hybrid"
        )
    progress(f"scoring {len(front)} finalists on {len(choose)} prompts of the choose split")
    used = dict.fromkeys(proposal.configuration.basis for proposal in front)
    predictions = {basis: bases[basis].predictor.predict(choose.queries) for basis in used}
    wants_p95 = "latency-p95" in plan.space.goals
    scorers = {basis: Scorer.of(predictions[basis], choose, plan.tasks, wants_p95) for basis in used}
    realised, choices = [], []
    for proposal in front:
        scorer, objective = scorers[proposal.configuration.basis], proposal.configuration.objective
        realised.append(scorer.realised([objective], threads=1)[0])
        choices.append(scorer.choices([objective])[0])
    predictors = {basis: bases[basis].predictor for basis in used}
    decide_again(choose, [p.configuration for p in front], predictors, predictions, np.array(choices))
    able = [k for k, found in enumerate(realised) if found.unserved == 0]
    if not able:
        raise ConfigError(
            f"each of the {len(front)} finalists leaves requests of the choose split unserved; "
            "widen slo_s, cost_limit_usd or the floors of hybrid"
        )
    able.sort(key=lambda k: (realised[k].cost_usd, -realised[k].score))
    finalists = tuple(Finalist(front[k], realised[k]) for k in able)
    return Settled(choose, finalists, np.array([choices[k] for k in able]))


def _compared(report: OutcomeMatrix, choice: IntArray, single: int, config: SweepConfig) -> Comparison:
    matrix, column = with_nobody(report, choice)
    return compare(matrix, column, single, np.random.default_rng([config.seed, 1]), config.n_bootstrap)


def _judged(
    found: Comparison, finalist: Finalist, choice: IntArray, matrix: OutcomeMatrix, single: int, config: SweepConfig
) -> SweepVerdict:
    n_unserved = int((choice < 0).sum())
    verdict = judge(
        found,
        str(finalist.configuration),
        matrix.models[single],
        list(matrix.shares(choice).items()),
        config.loss,
        rule=config.rule,
        spend_usd=config.spend_usd,
        report_share=len(choice) / len(matrix),
    )
    if not n_unserved:
        return verdict
    because = (
        f"{n_unserved} of {len(choice)} report requests have no model within the limits of {finalist.configuration}"
    )
    return SweepVerdict("do_not_route", f"{because}, and a limit is hard; {verdict.because}", verdict.power)
