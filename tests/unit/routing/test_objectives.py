import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.routing import Capability, CostAware, FixedChoice, Predictions
from workbench.routing.objective_json import objective_from_json, objective_to_json


def predictions(quality, cost):
    quality, cost = np.array(quality, float), np.array(cost, float)
    return Predictions(quality, cost, np.full(quality.shape, np.nan))


def everywhere(p):
    return np.ones(p.quality.shape, bool)


def test_cost_aware_weighs_score_against_money():
    p = predictions(
        [[0.5, 0.9]], [[1.0, 3.0]]
    )  # the strong model costs 2 USD more for 0.4 score: worth it below λ = 0.2
    assert CostAware(0.19).choose(p, everywhere(p)).tolist() == [1]
    assert CostAware(0.21).choose(p, everywhere(p)).tolist() == [0]


def test_on_a_tie_the_cheaper_model_is_chosen_then_the_first():
    p = predictions([[0.5, 0.5, 0.5]], [[2.0, 1.0, 1.0]])
    assert CostAware(0.0).choose(p, everywhere(p)).tolist() == [1]


def test_an_infinite_exchange_rate_takes_the_cheapest_and_the_better_of_equals():
    p = predictions([[0.1, 0.2, 0.9]], [[1.0, 1.0, 2.0]])
    assert CostAware(np.inf).choose(p, everywhere(p)).tolist() == [1]


def test_capability_takes_the_cheapest_that_reaches_the_floor_and_the_best_when_none_does():
    p = predictions([[0.5, 0.7, 0.9], [0.5, 0.3, 0.4]], [[1, 2, 3], [1, 2, 3]])
    assert Capability(0.6).choose(p, everywhere(p)).tolist() == [1, 0]
    assert Capability(0.7).choose(p, everywhere(p)).tolist() == [1, 0]


@pytest.mark.parametrize("objective", [CostAware(0.0), CostAware(np.inf), Capability(0.5), FixedChoice(1)])
def test_an_ineligible_model_is_never_chosen(objective):
    p = predictions([[0.5, 0.9]] * 2, [[1.0, 0.5]] * 2)
    assert objective.choose(p, np.array([[True, False], [False, False]])).tolist() in ([0, -1], [-1, -1])


@pytest.mark.parametrize("objective", [CostAware(2.5), Capability(0.5), FixedChoice(1)])
def test_an_objective_survives_json(objective):
    assert objective_from_json(objective_to_json(objective)) == objective


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="0 or more"):
        CostAware(-1.0)
    with pytest.raises(ConfigError, match="not a number"):
        Capability(float("nan"))
    with pytest.raises(ConfigError, match="did you mean 'cost-aware'"):
        objective_from_json({"kind": "cost-awar"})
    with pytest.raises(ConfigError, match="cannot be built"):
        objective_from_json({"kind": "cost-aware", "lambda": 1})
