"""A decision finds its words when they are read; nobody can tell by what it says."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from workbench.routing import Alternative, CostAware, Decision, FixedPolicy, Policy, Queries, make_predictor

ALTERNATIVES = (Alternative("base", 0.5, 0.1),)


class Told:
    """Says what it is asked for, and counts how often."""

    def __init__(self):
        self.asked = []

    def __call__(self, name):
        self.asked.append(name)
        return {"because": "tiny: 0.50 predicted", "alternatives": ALTERNATIVES}[name]


def told_later():
    tell = Told()
    return Decision.told_later("tiny", 0.5, 0.01, tell), tell


def at_once():
    return Decision("tiny", "tiny: 0.50 predicted", 0.5, 0.01, ALTERNATIVES)


def test_words_are_found_once_and_only_when_they_are_read():
    decision, tell = told_later()
    assert (decision.model, decision.predicted_quality, decision.predicted_cost_usd) == ("tiny", 0.5, 0.01)
    assert (decision.propensity, decision.is_explored, tell.asked) == (None, False, [])
    assert decision.because == decision.because == "tiny: 0.50 predicted"
    assert decision.alternatives is decision.alternatives
    assert tell.asked == ["because", "alternatives"]


@pytest.mark.parametrize(
    "seen",
    [
        lambda d: d,
        repr,
        hash,
        Decision.to_json,
        lambda d: json.dumps(d.to_json()),
        lambda d: pickle.loads(pickle.dumps(d)),
        copy.copy,
        copy.deepcopy,
        lambda d: replace(d, because=d.because + "!"),
        lambda d: replace(d, propensity=0.5, is_explored=True),
    ],
)
def test_it_looks_like_one_that_was_told_at_once(seen):
    assert seen(told_later()[0]) == seen(at_once())


def test_it_is_frozen_and_knows_no_other_names():
    decision, _ = told_later()
    with pytest.raises(FrozenInstanceError):
        decision.model = "base"
    with pytest.raises(AttributeError, match="no attribute 'becuase'"):
        decision.becuase  # noqa: B018


def test_an_explanation_is_of_the_moment_of_the_decision(measured):
    policy = Policy(("tiny", "base", "big"), make_predictor("task-mean").fit(*measured), CostAware(0.1))
    eligible = np.array([[True, True, False]])
    decision, again = (policy.decide(measured[0][:1], eligible)[0] for _ in range(2))
    told = decision.because, decision.alternatives
    eligible[:] = False
    assert (again.because, again.alternatives) == told


def test_a_fixed_policy_says_the_same_of_every_request():
    assert FixedPolicy("base").decide(Queries.of(["a", "b"]))[1].to_json() == {
        "model": "base",
        "because": "base: fixed by the configuration",
        "predicted_quality": None,
        "predicted_cost_usd": None,
        "propensity": None,
        "is_explored": False,
        "alternatives": [],
    }
