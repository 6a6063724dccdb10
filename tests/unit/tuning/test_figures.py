import pytest

from workbench.tuning import sweep
from workbench.tuning.figures import frontier_figure, task_figure


@pytest.fixture(scope="module")
def result(specialists):
    pytest.importorskip("matplotlib")
    return sweep(specialists, predictors=("task-mean", "prompt-length"), n_bootstrap=200)


def test_the_frontier_figure_has_units_every_model_and_the_chosen_point(result):
    axes = frontier_figure(result).axes[0]
    assert axes.get_xlabel() == "mean cost (USD per 1,000 requests)"
    assert "0 to 1" in axes.get_ylabel()
    assert {text.get_text() for text in axes.texts} == {"tiny", "base", "spec"}
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"task-mean", "prompt-length", "chosen, 95 %", "random mix, expected value"} <= set(labels)


def test_the_task_figure_shows_each_task_with_its_n_and_the_recorded_means(result):
    figure = task_figure(result)
    axes = figure.axes[0]
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == [f"{task} (n = {n})" for task, n in zip(result.heat["task"], result.heat["n"], strict=True)]
    assert axes.texts[0].get_text() == f"{result.heat['base'][0]:.2f}"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["base", "spec", "tiny", "policy"]


def test_figures_can_be_drawn(result, tmp_path):
    for name, figure in (("frontier", frontier_figure(result)), ("tasks", task_figure(result))):
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
