from collections import Counter

import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.tuning import OutcomeMatrix, three_way_split


def test_samples_are_averaged_and_a_failure_scores_zero(make_outcomes):
    score = np.array([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], float)
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0]] * 2, errors=[(1, 0)]))
    column = {name: j for j, name in enumerate(matrix.models)}
    assert matrix.score[:, column["tiny"]].tolist() == [0.5, 0.0]
    assert matrix.score[:, column["base"]].tolist() == [1.0, 0.5]
    assert matrix.samples.shape == (2, 2, 2)


def test_only_prompts_that_every_model_answered_are_kept(make_outcomes):
    score = np.ones((10, 2))
    score[3, 1] = np.nan
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0]] * 10))
    assert len(matrix) == 9
    assert "p00003" not in matrix.prompt_ids
    assert matrix.notes == ("1 of 10 prompts were left out: not every model has a score on them",)


def test_a_model_that_misses_more_than_half_is_refused_by_name(make_outcomes):
    score = np.ones((10, 2))
    score[:6, 1] = np.nan
    with pytest.raises(ConfigError, match="'base' has scores on 4 of 10 prompts"):
        OutcomeMatrix.from_outcomes(make_outcomes(score, [[1.0, 2.0]] * 10))


def test_without_costs_two_models_get_unit_costs_and_three_are_asked_for(make_outcomes):
    better = np.tile([0.2, 0.9], (10, 1))
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(better))
    assert matrix.cost_usd[0].tolist() == [1.0, 0.0]  # columns are sorted: base, tiny
    assert matrix.cost_source.startswith("unit: base=1, tiny=0")
    with pytest.raises(ConfigError, match="--cost tiny=USD"):
        OutcomeMatrix.from_outcomes(make_outcomes(np.ones((10, 3))))


def test_nominal_costs_are_checked_and_stated(make_outcomes):
    outcomes = make_outcomes(np.ones((10, 2)))
    matrix = OutcomeMatrix.from_outcomes(outcomes, {"tiny": 0.5, "base": 2.0})
    assert matrix.cost_usd[0].tolist() == [2.0, 0.5]
    assert matrix.cost_source == "nominal: base=2, tiny=0.5"
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        OutcomeMatrix.from_outcomes(outcomes, {"tinny": 1.0})
    with pytest.raises(ConfigError, match="finite"):
        OutcomeMatrix.from_outcomes(outcomes, {"tiny": float("inf")})
    with pytest.raises(ConfigError, match="no cost was measured for base"):
        OutcomeMatrix.from_outcomes(outcomes, {"tiny": 1.0})


def test_a_cell_without_cost_gets_the_models_mean_and_says_so(make_outcomes):
    cost = [[1.0, 2.0]] * 9 + [[3.0, None]]
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((10, 2)), cost))
    assert matrix.cost_usd[-1].tolist() == [2.0, 3.0]
    assert "base 1" in matrix.notes[0]


def test_the_split_keeps_groups_whole_and_covers_every_prompt_once(make_outcomes):
    groups = [f"g{i // 3}" for i in range(300)]
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((300, 2)), [[1.0, 2.0]] * 300, groups=groups))
    split = three_way_split(matrix, seed=5)
    parts = [split.tune, split.choose, split.report]
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    seen = [{matrix.groups[i] for i in part} for part in parts]
    assert sum(len(part) for part in seen) == len(set().union(*seen))


def test_each_task_is_divided_in_the_asked_shares(make_outcomes):
    tasks = ["common"] * 300 + ["rare"] * 50
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((350, 2)), [[1.0, 2.0]] * 350, tasks=tasks))
    split = three_way_split(matrix, seed=1)
    for part, share in ((split.tune, 0.4), (split.choose, 0.2), (split.report, 0.4)):
        counts = Counter(matrix.queries.tasks[i] for i in part)
        assert counts["common"] == pytest.approx(300 * share, abs=2)
        assert counts["rare"] == pytest.approx(50 * share, abs=2)


def test_another_seed_gives_another_split_and_the_same_seed_the_same(make_outcomes):
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((100, 2)), [[1.0, 2.0]] * 100))
    first, again, other = (three_way_split(matrix, seed).tune.tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_five_prompts_are_too_few(make_outcomes):
    matrix = OutcomeMatrix.from_outcomes(make_outcomes(np.ones((5, 2)), [[1.0, 2.0]] * 5))
    with pytest.raises(ConfigError, match="5 independent prompts"):
        three_way_split(matrix)
