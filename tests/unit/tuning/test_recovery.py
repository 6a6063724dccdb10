"""What a router between two models recovers: against slow resampling, closed forms and worlds whose truth is known."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tuning.conftest import outcomes_of
from workbench.core import ConfigError
from workbench.embedding import load_embedder
from workbench.evaluation.statistics import resampled_weights
from workbench.tuning import OutcomeMatrix, apgr, call_curve
from workbench.tuning.recovery import (
    NO_LABEL,
    apgr_difference,
    apgr_draws,
    folds_by_task,
    out_of_fold_uplift,
    random_spread,
    recovery,
    weak_and_strong,
    without_tasks,
)
from workbench.tuning.recovery_figures import recovery_figure


def matrix_of(weak, strong, *, tasks=None, groups=None) -> OutcomeMatrix:
    score = np.stack([np.asarray(weak, float), np.asarray(strong, float)], axis=1)
    return OutcomeMatrix.from_outcomes(outcomes_of(score, tasks=tasks, groups=groups, models=("weak", "strong")))


@pytest.fixture(scope="module")
def two_subjects() -> OutcomeMatrix:
    """400 prompts: the strong model is better in `hard` only."""
    rng = np.random.default_rng(0)
    tasks = ["hard" if i % 2 else "easy" for i in range(400)]
    weak = np.where(np.arange(400) % 2, rng.random(400) < 0.2, rng.random(400) < 0.8)
    strong = rng.random(400) < 0.8
    return matrix_of(weak, strong, tasks=tasks)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 40), ties=st.booleans())
def test_a_resample_is_the_curve_of_the_rows_repeated(seed: int, n: int, ties: bool):
    rng = np.random.default_rng(seed)
    weak, strong = rng.random(n) * 0.5, 0.4 + rng.random(n) * 0.6
    signal = rng.integers(0, 3, n).astype(float) if ties else rng.random(n)
    matrix = matrix_of(weak, strong, groups=[f"g{i % 7}" for i in range(n)])
    low, high = weak_and_strong(matrix)
    names, group = np.unique(np.array(matrix.groups), return_inverse=True)
    weights = next(resampled_weights(len(names), 5, np.random.default_rng(1)))
    for found, weight in zip(apgr_draws(signal, matrix, 5), weights, strict=True):
        rows = np.repeat(np.arange(n), weight[group].astype(int))
        slow = call_curve(signal[rows], matrix.score[rows, low], matrix.score[rows, high])
        if slow.score[-1] > slow.score[0]:
            assert found == pytest.approx(apgr(slow))
        else:
            assert np.isnan(found)


def test_a_signal_that_is_the_same_everywhere_recovers_what_chance_does(two_subjects: OutcomeMatrix):
    found = recovery(np.zeros(len(two_subjects)), two_subjects, draws=50)
    assert found.apgr == pytest.approx(0.5)
    assert found.apgr_ci == pytest.approx((0.5, 0.5))
    assert found.cpt == pytest.approx({20: 0.2, 50: 0.5, 80: 0.8})


def test_a_gap_that_vanishes_in_resamples_has_no_interval():
    found = recovery(np.arange(4.0), matrix_of([0, 1, 0, 1], [1, 1, 0, 0.5]), draws=200)
    assert found.apgr_ci is None
    assert found.to_dict()["apgr_ci"] is None


def test_the_label_is_worth_what_the_subjects_differ_in(two_subjects: OutcomeMatrix):
    embedder = load_embedder("static")
    found = recovery(out_of_fold_uplift("task-mean", two_subjects, embedder), two_subjects, draws=100)
    assert found.apgr_ci is not None
    assert found.apgr_ci[0] > 0.6
    assert found.cpt[80] < 0.55  # half of the prompts are hard


def test_a_hidden_label_cannot_be_read(two_subjects: OutcomeMatrix):
    signal = out_of_fold_uplift("task-mean" + NO_LABEL, two_subjects, load_embedder("static"))
    assert len(np.unique(signal)) <= 5  # one mean a fold
    assert set(without_tasks(two_subjects).queries.tasks) == {None}


def test_nothing_is_learned_from_the_rows_that_are_judged():
    rng = np.random.default_rng(3)
    matrix = matrix_of(rng.random(300) < 0.4, rng.random(300) < 0.7)  # nothing to learn
    found = recovery(out_of_fold_uplift("knn", matrix, load_embedder("static")), matrix, draws=100)
    assert abs(found.apgr - 0.5) < 4 * random_spread(matrix)


def test_rows_may_be_kept_from_learning_and_are_judged_all_the_same(two_subjects: OutcomeMatrix):
    easy = np.array([task == "easy" for task in two_subjects.queries.tasks])
    signal = out_of_fold_uplift("constant", two_subjects, load_embedder("static"), learn_from=~easy)
    weak, strong = weak_and_strong(two_subjects)
    hard = two_subjects.score[~easy]
    assert signal == pytest.approx((hard[:, strong] - hard[:, weak]).mean(), abs=0.1)


def test_held_out_tasks_are_whole(two_subjects: OutcomeMatrix):
    folds = folds_by_task(two_subjects)
    assert {len(set(folds[[t == task for t in two_subjects.queries.tasks]])) for task in ("easy", "hard")} == {1}


def test_the_difference_of_a_signal_to_itself_is_nothing(two_subjects: OutcomeMatrix):
    signal = np.random.default_rng(1).random(len(two_subjects))
    assert apgr_difference(signal, signal, two_subjects, draws=50) == (0.0, (0.0, 0.0))


def test_only_two_models_with_a_gap_between_them_have_one_to_recover(specialists):
    with pytest.raises(ConfigError, match="needs two models of different mean score, found base"):
        weak_and_strong(OutcomeMatrix.from_outcomes(specialists))
    equal = matrix_of([0, 1], [1, 0.5])
    equal = dataclasses.replace(equal, score=np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(ConfigError, match=r"strong 0\.5000, weak 0\.5000"):
        weak_and_strong(equal)


def test_the_figure_names_each_router_and_its_area(two_subjects: OutcomeMatrix):
    found = recovery(np.arange(400.0), two_subjects, draws=50)
    figure = recovery_figure({"MMLU": {"length": found, "oracle": found}}, left_out=("oracle",))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(labels) == 2
    assert labels[1].startswith(f"length, APGR {found.apgr:.3f} [")
