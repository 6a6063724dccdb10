import math

import numpy as np
import pytest

from workbench.routing import BudgetPacer, CostAware, PacingConfig, Predictions
from workbench.routing.circumstances import Circumstances
from workbench.routing.pacing import paced_exchange
from workbench.testing import FakeClock

N = 4000


def traffic(seed):
    """Requests on which a dear model is worth different amounts, and their arrival over one period, denser in the middle."""
    rng = np.random.default_rng(seed)
    gain = rng.exponential(0.2, N)
    quality = np.column_stack([np.full(N, 0.5), 0.5 + gain])
    cost = np.column_stack([np.full(N, 0.001), rng.uniform(0.01, 0.03, N)])
    return Predictions(quality, cost, np.full((N, 2), np.nan)), np.sort(rng.beta(2, 2, N)) * 1000


def replay(budget_usd, exchange, seed=0):
    p, at_s = traffic(seed)
    config, spent, score = PacingConfig(budget_usd=budget_usd, period_s=1000), 0.0, 0.0
    for i in range(N):
        given = Circumstances((None,), exchange=np.array([paced_exchange(exchange, spent, at_s[i], config)]))
        column = CostAware(exchange).choose(p[i : i + 1], np.ones((1, 2), bool), given)[0]
        spent += p.cost_usd[i, column]
        score += p.quality[i, column]
    return spent, score / N


def fixed(exchange, seed=0):
    p, _ = traffic(seed)
    column = CostAware(exchange).choose(p, np.ones((N, 2), bool))
    rows = np.arange(N)
    return p.cost_usd[rows, column].sum(), p.quality[rows, column].mean()


@pytest.mark.parametrize("begin", [0.5, 8.0, 200.0])
def test_the_budget_is_used_and_kept_wherever_lambda_begins(begin):
    for budget_usd in (15.0, 30.0):
        spent, _ = replay(budget_usd, begin)
        assert budget_usd * 0.85 < spent < budget_usd * 1.02, "off by a factor of e⁶ at most, 2 % of the budget each"


def test_pacing_buys_nearly_what_the_best_fixed_lambda_would_have():
    spent, score = replay(30.0, 8.0)
    fair = [fixed(exchange) for exchange in np.geomspace(0.5, 100, 200)]
    best = max(quality for cost, quality in fair if cost <= spent)
    cheapest = fixed(math.inf)[1]
    assert score - cheapest > 0.93 * (best - cheapest)


def test_a_spent_budget_takes_the_cheapest():
    config = PacingConfig(budget_usd=1.0, period_s=100)
    assert paced_exchange(3.0, 1.0, 50, config) == math.inf


def test_lambda_rises_with_spending_and_falls_with_time():
    config = PacingConfig(budget_usd=10.0, period_s=100)
    values = [paced_exchange(1.0, spent, 50, config) for spent in np.linspace(0, 9.9, 30)]
    assert values == sorted(values)
    values = [paced_exchange(1.0, 5.0, at, config) for at in np.linspace(0, 100, 30)]
    assert values == sorted(values, reverse=True)


def test_a_new_period_begins_with_a_new_budget():
    clock = FakeClock()
    pacer = BudgetPacer(PacingConfig(budget_usd=1.0, period_s=60), 2.0, clock)
    pacer.spend(1.5)
    assert (pacer.exchange(), pacer.left_usd()) == (math.inf, 0.0)
    clock.advance(125)
    assert pacer.left_usd() == 1.0
    assert pacer.exchange() < 2.0, "5 s into the period nothing is spent, less than planned"
