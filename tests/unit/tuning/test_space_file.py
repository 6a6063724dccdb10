from pathlib import Path

import pytest

from workbench.core import ConfigError
from workbench.routing import Capability, CostAware, Hybrid
from workbench.tuning.space import Plan, load_space
from workbench.tuning.space.plan import Basis
from workbench.tuning.space.schema import space_schema

ROOT = Path(__file__).parents[3]
TWO = "objective: hybrid\nexchange: {low: 1, high: 10}\nper_second: {low: 0, high: 1}\n"


@pytest.fixture
def space(tmp_path):
    def written(text, version="schema_version: 1\n"):
        (tmp_path / "space.yaml").write_text(version + text)
        return load_space(tmp_path / "space.yaml")

    return written


def test_the_shipped_spaces_load_and_the_published_schema_is_current():
    found = {path.stem: load_space(path) for path in (ROOT / "notebooks/spaces").glob("*.yaml")}
    assert {"two_weights", "floors_by_task"} <= set(found)
    assert (ROOT / "docs/schemas/space.schema.json").read_text() == space_schema(), "run `make schemas`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objektive: hybrid", "did you mean 'objective'"),
        ("objective: hybird\nexchange: 1", "did you mean 'hybrid'"),
        ("objective: cost-aware\nexchange: {low: 5, high: 1}", "low 5 is above high 1"),
        ("objective: cost-aware\nexchange: {low: 0, high: 1, log: true}", "begins above 0"),
        ("objective: cost-aware\nexchange: {low: 1, high: 2, step: 1, log: true}", "not both"),
        ("objective: cost-aware\nexchange: {low: 1, high: 2, step: 0}", "greater than 0"),
        ("objective: cost-aware\nexchange: {low: 1, hihg: 2}", "did you mean 'high'"),
        ("objective: cost-aware\nexchange: {low: 1, high: .inf}", "exchange"),
        ("objective: cost-aware\nexchange: .nan", "exchange"),
        ("objective: cost-aware\nexchange: yes", "not yes or no"),
        ("objective: cost-aware\nexchange: []", "at least 1 item"),
        ("objective: cost-aware\nexchange: {low: -1, high: 2}", "0 or more"),
        ("objective: cost-aware", "needs exchange"),
        ("objective: capability\nfloor: [0.5, null]", "needs floor"),
        ("objective: cost-aware\nexchange: 1\nper_second: 2", "per_second is a number of hybrid"),
        ("objective: hybrid\nexchange: 1\nslo_s: 0", "above 0"),
        ("objective: []\nexchange: 1", "at least 1 item"),
        ("objective: [hybrid, hybrid]\nexchange: 1", "twice"),
        (TWO + "predictor: [stack, rigde]", "did you mean 'ridge'"),
        (TWO + "embedder: minlm", "did you mean 'minilm'"),
        (TWO + "calibration: isotnic", "did you mean 'isotonic'"),
        (TWO + "goals: [cost]", "goals are score"),
        (TWO + "goals: [score, speed]", "goals"),
        (TWO + "floors: {add: null}", "floor of task 'add' is null"),
    ],
)
def test_what_means_nothing_is_refused_with_the_nearest_name(space, text, message):
    with pytest.raises(ConfigError, match=message):
        space(text)


def test_an_empty_or_missing_file_says_what_is_needed(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="is empty; give at least schema_version"):
        load_space(tmp_path / "empty.yaml")
    with pytest.raises(ConfigError, match="no space at"):
        load_space(tmp_path / "missing.yaml")


def test_a_newer_format_is_refused(space):
    with pytest.raises(ConfigError, match="schema_version"):
        space(TWO, version="schema_version: 2\n")


def test_where_only_lambda_is_free_it_is_swept_exactly_whatever_is_chosen_beside_it(space):
    plan = Plan(
        space("objective: cost-aware\npredictor: [ridge, task-mean]\nexchange: {low: 1, high: 10, log: true}\n"), ()
    )
    (branch,) = plan.exact
    assert branch.swept == "exchange"
    assert [point["predictor"] for point in branch.points()] == ["ridge", "task-mean"]
    assert plan.searched(100) == plan.listed(100) == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TWO, (0, 1, 0)),
        ("objective: hybrid\nexchange: {low: 1, high: 2}\nper_second: [0, 1]", (1, 0, 0)),
        ("objective: hybrid\nexchange: {low: 1, high: 2}\nper_second: {low: 1, high: 1}", (1, 0, 0)),
        ("objective: hybrid\nexchange: {low: 1, high: 2}\nslo_s: [1, null]", (0, 1, 0)),
        ("objective: capability\nfloor: {low: 0, high: 1}", (1, 0, 0)),
        ("objective: capability\nfloor: 0.5\nfloors: {'*': {low: 0, high: 1}}", (0, 1, 0)),
        ("objective: hybrid\nexchange: {low: 0, high: 1, step: 0.1}\nper_second: [0, 1]", (0, 0, 1)),
        ("objective: [cost-aware, capability]\nexchange: {low: 0, high: 1}\nfloor: [0.5, 0.6]", (1, 0, 1)),
    ],
)
def test_each_kind_of_objective_is_swept_searched_or_listed(space, text, parts):
    plan = Plan(space(text), ("a", "b"))
    assert (len(plan.exact), len(plan.searched(100)), len(plan.listed(100))) == parts


def test_a_finite_part_with_more_points_than_trials_is_searched(space):
    plan = Plan(space("objective: hybrid\nexchange: {low: 0, high: 9, step: 1}\nper_second: [0, 1]"), ())
    assert [branch.n_listed for branch in plan.listed(20)] == [20]
    assert len(plan.searched(19)) == 1


def test_a_step_ends_at_the_last_value_that_fits(space):
    plan = Plan(space("objective: hybrid\nexchange: {low: 0, high: 1, step: 0.3}\nper_second: [0, 1]"), ())
    parameter = next(p for p in plan.branches[0].free if p.name == "exchange")
    assert parameter.listed() == pytest.approx((0.0, 0.3, 0.6, 0.9))


def test_every_task_gets_a_floor_of_its_own_and_an_unknown_one_is_refused(space):
    found = space("objective: capability\nfloor: 0.5\nfloors: {'*': {low: 0, high: 1}, b: 0.7}")
    plan = Plan(found, ("a", "b"))
    assert [p.name for p in plan.branches[0].free] == ["floors.a"]
    built = plan.configuration("capability", {"floors.a": 0.2})
    assert built.objective == Capability(0.5, {"a": 0.2, "b": 0.7})
    with pytest.raises(ConfigError, match="name no tasks"):
        Plan(found.model_copy(update={"floors": {"*": 0.3}}), ())
    with pytest.raises(ConfigError, match="did you mean 'add'"):
        Plan(space("objective: capability\nfloor: {low: 0, high: 1}\nfloors: {ad: 0.5}"), ("add", "sort"))


def test_one_fixed_parameter_stays_and_nothing_free_is_refused(space):
    plan = Plan(space("objective: hybrid\nexchange: 3\nper_second: {low: 0, high: 1}\ncost_limit_usd: 2"), ())
    assert plan.configuration("hybrid", {"per_second": 0.5}).objective == Hybrid(3.0, 0.5, cost_limit_usd=2.0)
    with pytest.raises(ConfigError, match="nothing is free"):
        Plan(space("objective: cost-aware\nexchange: {low: 2, high: 2}"), ())


def test_a_predictor_that_reads_no_texts_has_no_embedder(space):
    text = (
        "objective: cost-aware\nexchange: {low: 1, high: 2}\npredictor: [task-mean, ridge]\nembedder: [static, minilm]"
    )
    plan = Plan(space(text), ())
    assert set(plan.bases) == {
        Basis("task-mean", None, "none"),
        Basis("ridge", "static", "none"),
        Basis("ridge", "minilm", "none"),
    }
    built = plan.configuration("cost-aware", {"exchange": 1.5, "predictor": "task-mean", "embedder": "minilm"})
    assert built.basis.embedder is None
    assert built.objective == CostAware(1.5)


def test_what_needs_measured_latency_is_named(space):
    plan = Plan(space(TWO + "goals: [score, latency-p95]\nslo_s: 2"), ())
    assert plan.reads_seconds == ("goal latency-p95", "per_second (μ)", "slo_s")
    assert Plan(space("objective: hybrid\nexchange: {low: 1, high: 2}\nper_second: 0"), ()).reads_seconds == ()
