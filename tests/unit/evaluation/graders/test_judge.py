import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import Unavailable
from workbench.core.price import TokenPrice
from workbench.evaluation.graders import JudgeConfig, JudgeGrader, parse_judgement
from workbench.models import ModelCard
from workbench.testing import ScriptedModel

PRICED = ModelCard(kind="scripted", model="j", price=TokenPrice(input_usd_per_1m=0, output_usd_per_1m=1e6))


@pytest.mark.parametrize(
    ("text", "rubric", "score"),
    [
        ("yes", "yes_no", 1.0),
        ("No.", "yes_no", 0.0),
        ("Yes, yes!", "yes_no", 1.0),
        ("yes and no", "yes_no", None),
        ("nobody knows", "yes_no", None),
        ("8", "points", 0.8),
        ("I give 7.5 of 10 points", "points", None),
        ("Score: 7.5/10", "points", 0.75),
        ("10", "points", 1.0),
        ("11", "points", None),
        ("-3", "points", None),
        ("80%", "points", None),
        ("excellent", "points", None),
    ],
)
def test_judgements_are_read_or_left_unread(text: str, rubric: str, score: float | None):
    assert parse_judgement(text, rubric) == score


@given(st.text(), st.sampled_from(["yes_no", "points"]))
def test_no_judgement_leaves_the_range(text, rubric):
    score = parse_judgement(text, rubric)
    assert score is None or 0 <= score <= 1


async def test_a_judge_sees_question_answer_and_reference():
    judge = ScriptedModel("judge", ["yes"])
    await JudgeGrader(judge, JudgeConfig(instructions="Spelling counts.")).grade("Capital of Italy?", "Rome", "Roma")
    assert judge.history[0].prompt == (
        "Spelling counts.\nQuestion: Capital of Italy?\nReference answer: Roma\nAnswer: Rome\nIs the answer correct? Reply with yes or no."
    )


async def test_tokens_and_cost_of_judging_are_returned():
    grade = await JudgeGrader(ScriptedModel("judge", ["Yes it is"], card=PRICED)).grade("a b", "c", None)
    assert (grade.score, grade.usage.completion_tokens, grade.cost_usd) == (1.0, 3, 3.0)


async def test_an_unreadable_judgement_has_a_reason_and_still_costs():
    grade = await JudgeGrader(ScriptedModel("judge", ["hm"], card=PRICED)).grade("a", "b", "c")
    assert (grade.score, grade.because, grade.cost_usd) == (None, "unreadable judgement: 'hm'", 1.0)


async def test_a_judge_that_fails_gives_no_score():
    judge = ScriptedModel("judge", [Unavailable("down", model="judge"), "no"])
    first, second = await JudgeGrader(judge).grade_many([("a", "b", "c"), ("d", "e", "f")])
    assert (first.score, first.because) == (None, "the judge failed: Unavailable: model 'judge': down")
    assert second.score == 0.0
