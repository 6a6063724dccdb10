"""Intervals and oracles against cases with a known answer."""

from random import Random

import pytest

from workbench.evaluation.reference import build_suite
from workbench.evaluation.reference.scores import above_chance, expected_oracle, lucky_oracle
from workbench.evaluation.reference.targets import EASY_TASKS


def test_easy_kinds_are_those_of_difficulty_one_only():
    items = build_suite("test", 40)
    assert set(EASY_TASKS) == {i.task for i in items} - {i.task for i in items if i.difficulty > 1}


def test_chance_is_taken_out():
    assert above_chance(0.75, 0.5) == pytest.approx(0.5)
    assert above_chance(0.4, 0.5) == 0.0


def test_coin_tossing_models_raise_the_lucky_oracle_but_not_the_expected_one():
    items = build_suite("test", 400, tasks=("fact_check",))
    rng = Random(0)
    hits = {f"coin-{k}": [rng.random() < 0.5 for _ in items] for k in range(5)}
    assert lucky_oracle(hits) > 0.95
    assert expected_oracle(items, hits) == pytest.approx(0.5, abs=0.06)


def test_two_perfect_specialists_make_a_perfect_expected_oracle():
    items = build_suite("test", 40, tasks=("sort", "email"))
    hits = {name: [item.task == name for item in items] for name in ("sort", "email")}
    assert expected_oracle(items, hits) == 1.0
