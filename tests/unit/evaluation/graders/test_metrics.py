import evaluate
import pytest

from workbench.core import ConfigError
from workbench.evaluation.graders import GRADERS, grade, metric


@pytest.mark.parametrize("name", GRADERS.names())
def test_the_metric_is_the_grader_over_a_list(name: str):
    answers, references = ["1", "[2]", "A"], ["1", "2", "A"] if name != "json" else ["1", "2", '"A"']
    references = ["A", "B", "A"] if name == "choice" else references
    found = metric(name).compute(predictions=answers, references=references)
    assert found["scores"] == [grade(name, a, r) for a, r in zip(answers, references, strict=True)]
    assert found["mean"] == pytest.approx(sum(found["scores"]) / 3)


def test_a_metric_is_one_of_evaluate_and_takes_options_and_pieces():
    near = metric("numeric:tolerance=1")
    assert isinstance(near, evaluate.Metric)
    near.add_batch(predictions=["3"], references=["4"])
    near.add(prediction="3", reference="5")
    assert near.compute() == {"mean": 0.5, "scores": [1.0, 0.0]}


def test_metrics_combine_as_evaluate_has_it():
    both = evaluate.combine([metric("exact"), metric("contains")])
    found = both.compute(predictions=["yes!"], references=["yes"])
    assert sorted(found.values(), key=str) == sorted([0.0, [0.0], 1.0, [1.0]], key=str)


def test_a_judge_is_no_metric_over_texts():
    with pytest.raises(ConfigError, match="JudgeGrader"):
        metric("judge")
