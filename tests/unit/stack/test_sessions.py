"""Conversations in a stack stay with their model as long as its warm cache is worth it."""

import numpy as np
import pytest

from workbench.core import ConfigError, Message, Request
from workbench.routing import CostAware, Policy, Queries, make_predictor

CACHED = {"input_usd_per_1m": 1_000_000.0, "output_usd_per_1m": 0.0, "cached_input_usd_per_1m": 0.0}


@pytest.fixture
def routed(lab):
    """`base` is better at "sum", `tiny` at "list", both cost 10 USD a request; a warm cache of base saves one USD a word."""
    lab.cards["base"]["price"] = CACHED
    tasks = ["sum", "list"] * 20
    quality = np.array([[0.9, 0.7] if task == "sum" else [0.7, 0.9] for task in tasks])
    predictor = make_predictor("task-mean").fit(Queries.of(["x"] * 40, tasks), quality, np.full((40, 2), 10.0), quality)
    Policy(("base", "tiny"), predictor, CostAware(0.05)).save(lab.folder / "policy")

    def build(sessions, **sections):
        choose = {"policy": {"kind": "learned", "artifact": "policy"}, "sessions": sessions}
        return lab.stack(choose=choose, settle={}, **sections)

    return build


def turn(n_words, task, n_before=0, session="s"):
    before = tuple(Message("user", "word " * n_words) for _ in range(n_before))
    return Request((*before, Message("user", "word " * n_words)), task=task, session=session)


async def test_a_warm_cache_keeps_the_model_and_says_so(routed):
    stack = routed({"ttl_s": 60})
    assert (await stack.run(turn(8, "sum"))).decision.model == "base"
    decision = (await stack.run(turn(8, "list", n_before=1))).decision
    assert decision.model == "base"
    assert decision.because.endswith("stays with base, 8 warm tokens worth 8 USD")


async def test_a_cold_cache_a_small_one_or_none_lets_it_go(lab, routed):
    stack = routed({"ttl_s": 60})
    await stack.run(turn(8, "sum"))
    lab.clock.advance(61)
    assert (await stack.run(turn(8, "list", n_before=1))).decision.model == "tiny"
    await stack.run(turn(2, "sum", session="small"))
    assert (await stack.run(turn(2, "list", 1, session="small"))).decision.model == "tiny"
    without = routed(None)
    await without.run(turn(8, "sum"))
    assert (await without.run(turn(8, "list", n_before=1))).decision.model == "tiny"


async def test_a_gain_below_the_margin_does_not_move_a_conversation(routed):
    stack = routed({"min_gain": 0.3})
    await stack.run(turn(1, "sum"))
    assert (await stack.run(turn(1, "list", n_before=1))).decision.model == "base"
    assert (await stack.run(turn(1, "list", session="fresh"))).decision.model == "tiny"


async def test_a_request_without_a_session_is_decided_as_in_the_sweep(routed):
    stack = routed({"min_gain": 0.3})
    for _ in range(2):
        assert (await stack.run(turn(1, "list", session=None))).decision.model == "tiny"


def test_sessions_that_cannot_stay_are_refused(lab, routed):
    with pytest.raises(ConfigError, match="a fixed policy never switches"):
        lab.stack(choose={"policy": {"kind": "fixed", "model": "base"}, "sessions": {}})
    pattern = {"kind": "pipeline", "steps": [{"template": "{prompt}"}]}
    with pytest.raises(ConfigError, match="with the pattern pipeline"):
        routed({}, answer={"pattern": pattern})
