"""The training stream: no test instance, no held-out sentence, the forms the workbench asks in."""

import json
import re
from random import Random

import pytest

from workbench.evaluation.reference import split_of
from workbench.evaluation.reference.conversations import FORMS, draw_conversation, draw_form, mixture_for
from workbench.evaluation.reference.fact_tasks import RELATIONS
from workbench.evaluation.reference.wordings import WORDINGS, held_out_wordings, seen_wordings

BOTH = mixture_for(("text", "math"))


def _pattern(wording):
    return re.compile(re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(wording)))


def _drawn(count, seed=0):
    rng = Random(seed)
    return [draw_conversation(BOTH, rng) for _ in range(count)]


def test_no_held_out_sentence_is_in_the_training_stream():
    questions = [question for conversation in _drawn(3000) for question, _ in conversation.turns]
    for task in WORDINGS:
        trained = {re.sub(r"\{\w+\}", "", w).strip() for other in WORDINGS for w in seen_wordings(other)}
        for wording in held_out_wordings(task):
            fixed = [part for part in re.split(r"\{\w+\}", wording) if len(part.split()) > 3]
            if fixed and not any(part.strip() in sentence for part in fixed for sentence in trained):
                assert not any(all(part in question for part in fixed) for question in questions), wording


def test_no_sum_of_the_test_split_is_in_the_training_stream():
    questions = [question for c in _drawn(4000) for question, _ in c.turns]
    pairs = [pair for question in questions for pair in re.findall(r"(?<![+\d] )\b(\d+) \+ (\d+)\b(?! \+)", question)]
    splits = {split_of("sum|" + "|".join(map(str, sorted(map(int, pair))))) for pair in pairs}
    assert len(pairs) > 100
    assert splits == {"train"}


def test_no_story_of_the_test_split_is_in_the_training_stream():
    answers = [answer for c in _drawn(4000) for _, answer in c.turns]
    plans = [answer.split("+") for answer in answers if re.fullmatch(r"\d+\+\d+\+\d+", answer)]
    splits = {split_of("sum|" + "|".join(map(str, sorted(map(int, plan))))) for plan in plans}
    assert len(plans) > 50
    assert splits == {"train"}


FACT = re.compile(
    "|".join(form.replace(".", r"\.").format(r"\b(?!Here)[A-Z]\w+", r"\w+") for form, _ in RELATIONS.values())
)


def test_no_world_of_the_test_split_is_in_the_training_stream():
    rng = Random(1)
    for question, answer in (draw_form("same_facts", BOTH, rng).turns[0] for _ in range(400)):
        facts = FACT.findall(question)
        stated = facts[:-1] if answer in {"yes", "no", '{"answer": "yes"}', '{"answer": "no"}'} else facts
        assert len(stated) >= 3
        assert split_of("world|" + "|".join(sorted(stated))) == "train"


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_can_be_drawn_from_every_split(form):
    for split in ("train", "test"):
        conversation = draw_form(form, BOTH, Random(5), split)
        assert all(question and answer for question, answer in conversation.turns)


def test_the_stream_holds_system_prompts_several_turns_and_json_answers():
    drawn = _drawn(600)
    assert any(c.system for c in drawn)
    assert any(len(c.turns) > 3 for c in drawn)
    forms = [a for c in drawn if c.system and "JSON" in c.system for _, a in c.turns]
    assert forms
    assert all(isinstance(json.loads(answer), dict) for answer in forms)


def test_messages_end_with_the_question_when_the_last_answer_is_left_out():
    conversation = draw_form("examples", BOTH, Random(2))
    assert conversation.messages(with_last_answer=False)[-1]["role"] == "user"
    assert conversation.messages()[-1] == {"role": "assistant", "content": conversation.turns[-1][1]}


def test_a_specialist_sees_only_its_domain():
    mixture = mixture_for(("math",))
    assert "sort" in mixture.tasks
    assert "lookup" not in mixture.tasks
    assert "same_facts" not in dict(mixture.form_weights)
