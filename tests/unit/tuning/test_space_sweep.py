import dataclasses
import json

import numpy as np
import pytest

from workbench.core import ConfigError, WorkbenchError
from workbench.core.validation import parse
from workbench.evaluation.engine import LocalEngine
from workbench.routing import FixedPolicy, Policy, Queries
from workbench.testing.contracts import SpaceSweepDocument
from workbench.tuning import OutcomeMatrix, SweepConfig, three_way_split
from workbench.tuning.frontier import Frontier, cost_aware_switches
from workbench.tuning.space import SpaceConfig, space_sweep
from workbench.tuning.space.fits import fitted_bases
from workbench.tuning.space.plan import Basis, Plan
from workbench.tuning.space.scoring import Scorer
from workbench.tuning.space.swept import pareto, swept_part

QUICK = {"n_trials": 120, "n_bootstrap": 200}
LIST = {"predictor": ["task-mean", "constant"], "objective": "cost-aware"}


def space_of(**keys):
    return parse(SpaceConfig, {"schema_version": 1, **keys}, "space")


TWO_WEIGHTS = space_of(
    goals=["score", "cost", "latency", "latency-p95"],
    predictor=["task-mean", "constant"],
    calibration=["none", "isotonic"],
    objective=["hybrid", "cost-aware"],
    exchange={"low": 1e3, "high": 1e7, "log": True},
    per_second={"low": 0.0, "high": 1.0},
)


@pytest.fixture(scope="module")
def result(specialists):
    return space_sweep(specialists, TWO_WEIGHTS, **QUICK)


def test_a_space_finds_the_specialists_and_its_document_keeps_the_contract(result):
    document = json.loads(json.dumps(result.document, allow_nan=False))
    SpaceSweepDocument.model_validate(document)
    assert document["verdict"] == "route"
    assert document["chosen"]["score"] > document["baselines"]["best single (base)"]["score"] + 0.1
    assert {"plain sweep", "task label", "random at the same mix", "oracle"} <= set(document["baselines"])
    looked = document["looked_at"]
    assert looked["in_all"] == looked["searched"] + looked["listed"] + looked["swept"]
    assert looked["trials"] == 120
    assert looked["swept"] > 0
    assert looked["finalists"] == len(document["front"])


def test_optimism_is_shown_for_both_steps(result):
    chosen = result.document["chosen"]
    line = next(line for line in result.document["front"] if line["is_chosen"])
    assert chosen["optimism_tune"] == pytest.approx(line["tune"]["score"] - line["choose"]["score"])
    assert chosen["optimism"] == pytest.approx(line["choose"]["score"] - chosen["score"])


def test_the_policy_decides_alone_what_the_report_says_and_survives_saving(result, tmp_path):
    queries = Queries.of(result.report["prompt"].to_list(), result.report["task"].to_list())
    assert isinstance(result.policy, Policy)
    alone = [result.policy.decide(queries[i : i + 1])[0].model for i in range(len(queries))]
    assert alone == result.report["choice"].to_list()
    assert result.report["score"].mean() == pytest.approx(result.document["chosen"]["score"])
    result.policy.save(tmp_path)
    assert Policy.load(tmp_path).decide(queries) == result.policy.decide(queries)


def test_no_finalist_beats_another_one_on_the_tune_split(result):
    tune = [line["tune"] for line in result.document["front"]]
    values = np.array([[-t["score"], t["cost_usd_per_1k"], t["latency_s"], t["latency_p95_s"]] for t in tune])
    assert len(pareto(values)) == len(values)


def test_the_same_seed_gives_the_same_document(specialists, result):
    assert space_sweep(specialists, TWO_WEIGHTS, **QUICK).document == result.document


def test_the_engine_changes_nothing(specialists, result):
    assert space_sweep(specialists, TWO_WEIGHTS, engine=LocalEngine(n_threads=3), **QUICK).document == result.document


def test_a_study_that_was_stopped_arrives_at_the_same_result(specialists, result, tmp_path):
    space_sweep(specialists, TWO_WEIGHTS, study=tmp_path, **{**QUICK, "n_trials": 100})
    found = space_sweep(specialists, TWO_WEIGHTS, study=tmp_path, **QUICK).document
    assert (tmp_path / "study.jsonl").exists()
    assert found["looked_at"].pop("resumed") == 100
    expected = {**result.document, "looked_at": {**result.document["looked_at"]}}
    expected["looked_at"].pop("resumed")
    assert found == expected


def test_a_study_of_another_space_seed_or_data_is_refused_before_anything_is_fitted(
    specialists, make_outcomes, tmp_path
):
    space_sweep(specialists, TWO_WEIGHTS, study=tmp_path, **{**QUICK, "n_trials": 10})
    wider = TWO_WEIGHTS.model_copy(update={"predictor": ("task-mean",)})
    other = make_outcomes(np.eye(2)[np.arange(100) % 2], [[1.0, 2.0]] * 100, latency=[1.0, 2.0])
    for outcomes, space, seed, name in (
        (specialists, wider, 0, "space"),
        (specialists, TWO_WEIGHTS, 1, "seed"),
        (other, TWO_WEIGHTS, 0, "data"),
    ):
        with pytest.raises(ConfigError, match=f"another {name}"):
            space_sweep(outcomes, space, study=tmp_path, seed=seed, **QUICK)


def test_lambda_alone_is_swept_exactly_and_no_trials_are_needed(specialists):
    space = space_of(exchange={"low": 0.0, "high": 1e9}, **LIST)
    document = space_sweep(specialists, space, n_trials=0, n_bootstrap=200).document
    assert document["looked_at"]["trials"] == 0
    assert {line["found_by"] for line in document["front"]} == {"exact sweep"}


def test_the_exact_part_reaches_every_point_of_the_frontier_that_nothing_beats(specialists):
    matrix = OutcomeMatrix.from_outcomes(specialists)
    tune = matrix.take(three_way_split(matrix).tune)
    plan = Plan(space_of(**{**LIST, "predictor": "task-mean"}, exchange={"low": 0.0, "high": 1e9}), ())
    held_out = fitted_bases(tune, plan.bases, {}, LocalEngine(), lambda line: None)[plan.bases[0]].held_out
    (branch,) = plan.exact
    part = swept_part(plan, branch, {}, held_out, tune)
    frontier = Frontier.of(cost_aware_switches(held_out.quality, held_out.cost_usd), tune.score, tune.cost_usd)
    best = pareto(np.column_stack([-frontier.score, frontier.cost_usd]))
    realised = Scorer.of(held_out, tune, (), False).realised([c.objective for c in part.configurations])
    assert part.n_settings == len(frontier)
    assert sorted(r.score for r in realised) == pytest.approx(sorted(frontier.score[best].tolist()))


def test_exact_thresholds_stay_inside_the_range_of_the_space(specialists):
    low, high = 2e4, 9e4
    space = space_of(exchange={"low": low, "high": high}, **LIST)
    front = space_sweep(specialists, space, n_bootstrap=200).document["front"]
    assert all(low <= line["objective"]["exchange"] <= high for line in front)


def test_a_finite_space_is_looked_at_whole(specialists):
    space = space_of(predictor="task-mean", objective="hybrid", exchange=[1e4, 1e5, 1e6], per_second=[0, 0.1])
    looked = space_sweep(specialists, space, **QUICK).document["looked_at"]
    assert (looked["listed"], looked["trials"], looked["in_all"]) == (6, 0, 6)


def test_floors_by_task_are_swept_jointly(specialists):
    space = space_of(
        predictor="task-mean",
        calibration="isotonic",
        objective="capability",
        floor=0.5,
        floors={"*": {"low": 0, "high": 1}},
    )
    found = space_sweep(specialists, space, **QUICK)
    floors = found.document["configuration"]["objective"]["floors"]
    assert set(floors) == {"add", "copy", "dates", "sort"}
    assert found.document["verdict"] == "route"
    assert "and floors of" not in str(floors)


def test_a_held_out_prediction_never_saw_its_own_row(make_outcomes):
    """Scores are noise: a predictor that saw its rows would predict them, a held-out one cannot."""
    rng = np.random.default_rng(0)
    tasks = [f"t{i // 2}" for i in range(400)]
    score = (rng.random((400, 2)) < 0.5).astype(float)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0]] * 400, tasks=tasks, groups=tasks))
    basis = Basis("task-mean", None, "none")
    fitted = fitted_bases(matrix, [basis], {}, LocalEngine(), lambda line: None)[basis]
    assert abs(np.corrcoef(fitted.held_out.quality[:, 0], score[:, 0])[0, 1]) < 0.2
    for task in ("t0", "t7"):
        rows = np.array([t == task for t in tasks])
        assert np.unique(fitted.held_out.quality[rows], axis=0).shape[0] == 1


def test_optimism_of_a_search_over_noise_does_not_reach_the_verdict(make_outcomes):
    """Equal models, nothing to find; of 12 verdicts more than 3 false ones would have probability below 1e-3 at 2.5 % each."""
    space = space_of(
        predictor=["prompt-length", "task-mean"],
        objective=["capability"],
        floor=0.5,
        floors={"*": {"low": 0, "high": 1}},
    )
    tasks = [f"t{i % 6}" for i in range(240)]
    wrong = 0
    for seed in range(12):
        score = (np.random.default_rng(seed).random((240, 2)) < 0.7).astype(float)
        outcomes = make_outcomes(score, [[1.0, 1.0]] * 240, tasks=tasks)
        wrong += space_sweep(outcomes, space, n_trials=100, n_bootstrap=200).is_routing
    assert wrong <= 3


def test_an_evaluation_that_differs_from_the_policy_is_an_error(specialists, monkeypatch):
    honest = Scorer.choices

    def wrong(self, objectives):
        choices = honest(self, objectives)
        choices[0, 0] = (choices[0, 0] + 1) % 3
        return choices

    monkeypatch.setattr(Scorer, "choices", wrong)
    with pytest.raises(WorkbenchError, match="chooses column"):
        space_sweep(specialists, space_of(exchange=[1e4, 1e5], **LIST), **QUICK)


def test_limits_that_nobody_meets_are_said(specialists):
    space = space_of(
        predictor="task-mean",
        objective="hybrid",
        exchange={"low": 1, "high": 10},
        per_second={"low": 0, "high": 1},
        slo_s=0.01,
    )
    with pytest.raises(ConfigError, match="no configuration serves every request of the tune split"):
        space_sweep(specialists, space, **QUICK)


def test_only_configurations_that_serve_everybody_are_finalists(specialists):
    space = space_of(
        predictor="task-mean", objective="hybrid", exchange=[1e4, 1e5], slo_s=[None, 0.01], per_second=[0, 0.1]
    )
    document = space_sweep(specialists, space, **QUICK).document
    assert document["looked_at"]["in_all"] == 8
    assert {line["objective"]["slo_s"] for line in document["front"]} == {None}


def test_a_latency_goal_without_measured_latency_is_refused(make_outcomes):
    outcomes = make_outcomes(np.eye(2)[np.arange(100) % 2], [[1.0, 2.0]] * 100)
    with pytest.raises(ConfigError, match=r"goal latency, .*per_second.*no latency was measured for base, tiny"):
        space_sweep(outcomes, TWO_WEIGHTS, **QUICK)


def test_no_trials_for_a_space_that_must_be_searched_is_refused(specialists):
    with pytest.raises(ConfigError, match=r"0 trials for a space that must be searched \(hybrid\)"):
        space_sweep(specialists, TWO_WEIGHTS, n_trials=0)


def test_one_model_cannot_be_compared(make_outcomes):
    with pytest.raises(ConfigError, match="at least two models"):
        space_sweep(make_outcomes(np.ones((100, 1)), [[1.0]] * 100), space_of(exchange=[1, 2], **LIST))


def test_a_no_serves_the_best_single_model(make_outcomes):
    found = space_sweep(
        make_outcomes([[0.0, 1.0]] * 100, [[2.0, 1.0]] * 100),
        space_of(objective="cost-aware", predictor="prompt-length", exchange={"low": 0, "high": 10}),
        n_bootstrap=200,
    )
    assert found.document["verdict"] == "do_not_route"
    assert found.policy == FixedPolicy("base", ("base", "tiny"))
    assert set(found.report["choice"]) == set(found.pilot["choice"]) == {"base"}


def test_the_front_is_a_table(result):
    assert result.front.height == len(result.document["front"])
    assert {"predictor", "objective.exchange", "tune.score", "choose.cost_usd_per_1k"} <= set(result.front.columns)
    assert set(result.figures()) == {"front"}
    assert result.figures("space") == {}


def test_requests_that_nobody_may_serve_on_the_report_split_forbid_to_route(specialists):
    from workbench.tuning.space.finalists import with_nobody
    from workbench.tuning.space.sweep import Asked, _compared, _judged, space_state

    matrix = OutcomeMatrix.from_outcomes(specialists)
    config = SweepConfig(n_bootstrap=200)
    state = space_state(matrix, Asked(space_of(exchange=[1e4, 1e5], **LIST)), config, lambda line: None)
    choice = state.choice.copy()
    choice[:2] = -1
    beside, column = with_nobody(state.report, choice)
    assert beside.models[-1] == "nobody"
    assert set(column[:2].tolist()) == {3}
    found = _compared(state.report, choice, state.single, config)
    verdict = _judged(found, state.chosen, choice, matrix, state.single, config)
    assert verdict.answer == "do_not_route"
    assert "2 of 240 report requests have no model within the limits" in verdict.because
    assert dataclasses.replace(state, verdict=verdict).policy == FixedPolicy("base", matrix.models)
