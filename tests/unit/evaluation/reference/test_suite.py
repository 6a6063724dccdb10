"""The generated suite: split, wordings, determinism, and answers checked by a second computation."""

import calendar
import datetime
import hashlib
import json
import re
from random import Random

import pytest

from workbench.evaluation.reference import TASKS, build_suite, draw_instance, split_of
from workbench.evaluation.reference.fact_tasks import ask_hop2, ask_lookup, draw_chain_world
from workbench.evaluation.reference.math_tasks import draw_plan, draw_story
from workbench.evaluation.reference.wordings import WORDINGS, held_out_wordings, seen_wordings

SUITE_SHA256 = "7b2c18113ffdd08dc4e1b8e0da76826ed3e1d341fb21675d6a2626caa926ce7a"


def test_the_default_suite_is_the_one_the_checkpoints_were_measured_on():
    rows = [item.to_record() for item in build_suite("test", 20, seed=1, wordings="both")]
    assert hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest() == SUITE_SHA256


def test_the_same_arguments_give_the_same_suite_and_another_seed_another():
    assert build_suite("test", 5, seed=3) == build_suite("test", 5, seed=3)
    assert build_suite("test", 5, seed=3) != build_suite("test", 5, seed=4)


def test_splits_share_no_canonical_instance():
    groups = {split: {i.group for i in build_suite(split, 60, wordings="both")} for split in ("train", "dev", "test")}
    assert not groups["test"] & groups["train"]
    assert not groups["test"] & groups["dev"]
    assert not groups["dev"] & groups["train"]


def test_about_a_tenth_of_the_instances_is_test():
    splits = [split_of(f"key-{number}") for number in range(20_000)]
    assert splits.count("test") / len(splits) == pytest.approx(0.10, abs=0.01)
    assert splits.count("dev") / len(splits) == pytest.approx(0.05, abs=0.01)


def test_commuted_inverse_and_judged_sums_share_one_key():
    keys = {}
    rng = Random(0)
    for task in ("add_short", "subtract", "sum_check"):
        for _ in range(4000):
            instance = TASKS[task].draw(rng)
            a, b = int(instance.slots["a"]), int(instance.slots["b"])
            fact = tuple(sorted((b, a - b) if task == "subtract" else (a, b)))
            assert keys.setdefault(fact, instance.key) == instance.key


def test_a_story_its_plan_and_the_bare_sum_share_one_key():
    story, plan = draw_story(Random(7)), draw_plan(Random(7))
    assert story.key == plan.key
    assert eval(plan.answer) == int(story.answer)


def test_questions_over_one_world_share_one_key_whatever_the_order_of_facts():
    world = draw_chain_world(Random(1))
    turned = type(world)(tuple(reversed(world.facts)))
    keys = {ask_lookup(Random(2), world).key, ask_hop2(Random(3), world).key, ask_lookup(Random(4), turned).key}
    assert keys == {world.key}


@pytest.mark.parametrize("task", list(TASKS))
def test_every_kind_has_many_wordings_and_whole_held_out_ones(task):
    assert 15 <= len(WORDINGS[task]) <= 25
    assert len(set(WORDINGS[task])) == len(WORDINGS[task])
    assert len(held_out_wordings(task)) == 4
    assert not set(held_out_wordings(task)) & set(seen_wordings(task))


def _words(sentence):
    return set(re.findall(r"[A-Za-z]+|[^\sA-Za-z]", re.sub(r"\{\w+\}", "", sentence)))


def test_held_out_wordings_use_only_words_of_trained_wordings():
    trained = set().union(*(_words(w) for task in WORDINGS for w in seen_wordings(task)))
    unknown = {(w, *(_words(w) - trained)) for task in WORDINGS for w in held_out_wordings(task) if _words(w) - trained}
    assert not unknown


def test_items_say_whether_their_wording_is_held_out():
    assert all(item.is_held_out for item in build_suite("dev", 3, wordings="held_out"))
    assert not any(item.is_held_out for item in build_suite("dev", 3, wordings="seen"))


@pytest.mark.parametrize("task", list(TASKS))
def test_every_kind_reports_sound_difficulty_chance_and_domain(task):
    for item in build_suite("test", 30, tasks=(task,)):
        assert item.difficulty in {1, 2, 3}
        assert 0 <= item.chance <= 1
        assert item.domain in {"text", "math"}
        assert item.answer == item.answer.strip() != ""


def _numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def _instances(task, count=200):
    rng = Random(f"check-{task}")
    return [draw_instance(task, rng, "test") for _ in range(count)]


ARITHMETIC = {
    "add_short": lambda a, b: a + b,
    "add_long": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "compare": max,
}


@pytest.mark.parametrize("task", list(ARITHMETIC))
def test_arithmetic_answers_are_right(task):
    for instance in _instances(task):
        assert int(instance.answer) == ARITHMETIC[task](int(instance.slots["a"]), int(instance.slots["b"]))


def test_stories_and_chains_add_up():
    for instance in _instances("story") + _instances("add_three"):
        assert sum(_numbers(" ".join(instance.slots.values()))) == int(instance.answer)


def test_sum_checks_say_yes_exactly_when_the_sum_is_right():
    for instance in _instances("sum_check"):
        a, b, c = (int(instance.slots[name]) for name in "abc")
        assert instance.answer == ("yes" if a + b == c else "no")


def test_sorted_lists_are_sorted():
    for instance in _instances("sort"):
        assert _numbers(instance.answer) == sorted(_numbers(instance.slots["numbers"]))


def test_letter_kinds_are_right():
    for instance in _instances("reverse"):
        assert instance.answer == instance.slots["letters"][::-1]
    for instance in _instances("count_letter"):
        assert int(instance.answer) == instance.slots["letters"].split().count(instance.slots["letter"])


def test_weekdays_follow_the_calendar():
    monday = datetime.date(2024, 1, 1)
    for instance in _instances("weekday", 50):
        start = list(calendar.day_name).index(instance.slots["day"])
        day = monday + datetime.timedelta(days=start + int(instance.slots["count"]))
        assert instance.answer == calendar.day_name[day.weekday()]


def test_iso_dates_parse_to_the_written_date():
    for instance in _instances("iso_date"):
        date = datetime.date.fromisoformat(instance.answer)
        assert {str(date.day), str(date.year), date.strftime("%B")} == set(re.findall(r"\w+", instance.slots["date"]))


def test_json_answers_are_objects_about_the_text():
    for instance in _instances("json"):
        person = json.loads(instance.answer)
        assert set(person) == {"name", "age", "city"}
        assert all(str(value) in instance.slots["text"] for value in person.values())


def test_extracted_strings_occur_once_in_the_text():
    for instance in _instances("email") + _instances("order_code"):
        assert instance.slots["text"].count(instance.answer) == 1


def test_two_hop_answers_follow_the_stated_facts():
    for instance in _instances("hop2"):
        facts = dict(re.findall(r"(\w+) works for (\w+)\.", instance.slots["facts"]))
        homes = dict(re.findall(r"(\w+) lives in (\w+)\.", instance.slots["facts"]))
        assert instance.answer == homes[facts[instance.slots["what"].split()[-1]]]


def test_unanswerable_passages_are_answered_with_not_in_the_context():
    for instance in _instances("passages"):
        place = instance.slots["what"].split(" of the ")[1]
        assert (instance.answer == "not in the context") == (f"The {place} opened" not in instance.slots["facts"])
