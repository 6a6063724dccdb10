"""Strategies in a stack: the objective of the configuration over the saved predictor, on live state."""

import asyncio

import numpy as np
import pytest

from workbench.core import ConfigError, Request, Unavailable
from workbench.routing import CostAware, FixedPolicy, Policy, Queries, make_predictor


@pytest.fixture
def routed(lab):
    """Stacks over a policy that predicts base .9 at 9 USD and tiny .6 at 1 USD, one second each."""
    queries = Queries.of(["a", "b"] * 10)
    quality, cost = np.tile([0.9, 0.6], (20, 1)), np.tile([9.0, 1.0], (20, 1))
    predictor = make_predictor("constant").fit(queries, quality, cost, np.ones((20, 2)))
    Policy(("base", "tiny"), predictor, CostAware(0.0)).save(lab.folder / "policy")

    def build(objective=None, fallbacks=(), explore=None, **sections):
        policy = {"kind": "learned", "artifact": "policy", "objective": objective}
        choose = {"policy": policy, "fallbacks": fallbacks, "explore": explore}
        return lab.stack(**{"choose": choose, "settle": {}, **sections})

    return build


async def decided(stack, **known):
    return (await stack.run(Request.from_prompt("one two three", **known))).decision


async def test_the_configurations_objective_stands_in_for_the_saved_one(routed):
    assert (await decided(routed())).model == "base"
    assert (await decided(routed({"kind": "capability", "floor": 0.5}))).model == "tiny"
    by_task = routed({"kind": "capability", "floor": 0.5, "floors": {"sum": 0.8}})
    decision = await decided(by_task, task="sum")
    assert decision.because == "base: 0.90 ≥ 0.8 floor of task sum at 9× the cost of tiny"


async def test_load_moves_requests_to_the_other_model(routed):
    curves = {name: {"concurrency": [1, 4], "seconds": [1.0, 4.0]} for name in ("base", "tiny")}
    curves["base"]["seconds"] = [0.5, 2.0]
    stack = routed({"kind": "latency-aware", "curves": curves})
    responses = await asyncio.gather(*(stack.run(Request.from_prompt(f"q {n}")) for n in range(6)))
    models = [response.decision.model for response in responses]
    assert models[0] == "base"
    assert set(models) == {"base", "tiny"}
    assert "in flight" in responses[-1].decision.because


async def test_spending_paces_itself(routed):
    pacing = {"budget_usd": 60.0, "period_s": 1000.0, "slack": 0.1}
    stack = routed({"kind": "cost-aware", "exchange": 0.01, "pacing": pacing})
    models = [(await decided(stack)).model for _ in range(8)]
    assert models[0] == "base"
    assert models[-1] == "tiny"
    assert stack.pacer.spent_usd < 60


async def test_when_no_model_is_within_the_limits_a_fallback_answers_or_nobody(routed):
    objective = {"kind": "hybrid", "floor": 0.95}
    decision = await decided(routed(objective, fallbacks=("tiny",)))
    assert decision.because.startswith("tiny: none of base, tiny is within the limits of the hybrid objective")
    with pytest.raises(Unavailable, match="within the limits"):
        await decided(routed(objective))


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"kind": "cost-aware", "exchange": 0.0, "pacing": {"budget_usd": 1.0}}, "pacing multiplies exchange"),
        ({"kind": "hybrid", "curves": {"bas": {"concurrency": [1], "seconds": [1]}}}, "did you mean 'base'"),
        ({"kind": "latency-aware", "curves": {"base": {"concurrency": [2, 1], "seconds": [1, 1]}}}, "must ascend"),
        ({"kind": "capabilty", "floor": 0.5}, "capabilty"),
    ],
)
def test_an_objective_that_cannot_work_is_refused(routed, objective, message):
    with pytest.raises(ConfigError, match=message):
        routed(objective)


def test_a_fixed_policy_has_nothing_to_weigh(lab):
    FixedPolicy("base", ("base", "tiny")).save(lab.folder / "policy")
    policy = {"kind": "learned", "artifact": "policy", "objective": {"kind": "capability", "floor": 0.5}}
    with pytest.raises(ConfigError, match="fixed to base and predicts nothing"):
        lab.stack(choose={"policy": policy}, settle={})


async def test_explored_requests_are_logged_with_their_propensity_and_not_kept(lab, routed):
    objective = {"kind": "capability", "floor": 0.0}
    cache = {"exact": {"max_entries": 99, "ttl_s": 60}}
    live = routed(objective, explore={"share": 0.5}, recall=cache, settle={"audit": {"path": "audit.jsonl"}})
    found = [await live.run(Request.from_prompt(f"q {n}", request_id=str(n))) for n in range(40)]
    drawn = [number for number, response in enumerate(found) if response.decision.is_explored]
    assert 4 < len(drawn) < 20
    assert {response.decision.propensity for response in found} == {0.75, 0.25}
    again = Request.from_prompt(f"q {drawn[0]}", request_id="again")
    assert not (await live.run(again)).cached
    check = Request.from_prompt("a check", request_id=str(drawn[0]), use_cache=False)
    assert (await live.run(check)).decision.propensity is None
    assert {record["propensity"] for record in lab.records()} == {0.75, 0.25, None}
    assert {record["chosen"] for record in lab.records()} == {"base", "tiny"}


async def test_recent_first_tokens_decide_where_first_tokens_are_wanted(lab, routed):
    stack = routed({"kind": "latency-aware", "measure": "ttft"})
    for name, ttft_s in (("base", 2.0), ("tiny", 0.1)):
        stack.live.answered(stack.live.begin(name), 1.0 if name == "base" else 9.0, ttft_s)
    assert (await decided(stack)).model == "tiny"
    whole = routed({"kind": "latency-aware"})
    for name, latency_s in (("base", 1.0), ("tiny", 9.0)):
        whole.live.answered(whole.live.begin(name), latency_s)
    assert (await decided(whole)).model == "base"
