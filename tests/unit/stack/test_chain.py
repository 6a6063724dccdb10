"""The chain at run time: what an outage costs, who gets how much of the deadline, what a hedge wastes."""

import asyncio
import random

import pytest

from workbench.core import BadResponse, ConfigError, RateLimited, Request, Unavailable
from workbench.models.faults import Fault, FaultSchedule, FaultyModel
from workbench.stack import StackConfig
from workbench.stack.steps.attempts import is_models_fault

CHOOSE = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["far", "tiny"]}
BREAKER = {"consecutive_failures": 3, "cooldown_s": 20, "jitter": 0}


def ask(prompt="one two three", **known):
    return Request.from_prompt(prompt, **known)


def chain(**settings):
    return {"deadline_s": 30, "chain": {"breaker": BREAKER, **settings}}


def broken(lab, stack, name, *faults):
    """The stack's model `name`, failing by a schedule."""
    model = FaultyModel(lab.models[name], FaultSchedule(faults), lab.clock)
    stack._attempts._models[name] = model
    return model.schedule


async def took_s(lab, stack, n=1, **known):
    """Seconds of n requests, one after another, and who answered."""
    found = []
    for _ in range(n):
        start_s = lab.clock.monotonic_s()
        response = await stack.run(ask(**known))
        found.append((round(lab.clock.monotonic_s() - start_s, 6), response.completion.model))
    return found


async def test_an_outage_costs_the_first_requests_a_timeout_and_the_rest_nothing(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(attempt_timeout_s=5))
    hangs = Fault(kind="timeout", every=1, after_s=1000)
    asked = broken(lab, stack, "base", hangs)
    assert await took_s(lab, stack, 3) == [(8.0, "far")] * 3, "5 s until the timeout, 3 s for the answer of far"
    assert await took_s(lab, stack, 5) == [(3.0, "far")] * 5
    assert asked.n_requests == 3
    assert stack.metrics.skipped == {"base": 5}


async def test_a_probe_brings_the_model_back_and_costs_no_request_any_time(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(attempt_timeout_s=5))
    asked = broken(lab, stack, "base", Fault(kind="timeout", at=(1, 2, 3, 4), after_s=1000))
    await took_s(lab, stack, 3)
    lab.clock.advance(20)
    assert await took_s(lab, stack, 3) == [(3.0, "far")] * 3, "the probe of the first one fails beside them"
    assert stack.metrics.probes == {("base", "failed"): 1}
    lab.clock.advance(39)
    assert await took_s(lab, stack) == [(3.0, "far")]
    assert asked.n_requests == 5, "the cooldown doubled, then one more probe"
    assert await took_s(lab, stack, 2) == [(1.0, "base")] * 2
    assert stack.metrics.probes == {("base", "failed"): 1, ("base", "answered"): 1}
    assert stack.metrics.wasted_usd == {"base": 9.0}, "nobody used the probe's answer"


async def test_only_one_of_many_concurrent_requests_probes(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain())
    asked = broken(lab, stack, "base", Fault(kind="server_error", at=(1, 2, 3)))
    await took_s(lab, stack, 3)
    lab.clock.advance(20)
    responses = await asyncio.gather(*(stack.run(ask()) for _ in range(5)))
    assert {response.completion.model for response in responses} == {"far"}
    assert asked.n_requests == 4
    assert (await stack.run(ask())).completion.model == "base"


async def test_a_probe_under_way_does_not_outlive_the_stack(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain())
    broken(lab, stack, "base", Fault(kind="server_error", at=(1, 2, 3)), Fault(kind="timeout", at=(4,), after_s=1e6))
    await took_s(lab, stack, 3)
    lab.clock.advance(20)
    await took_s(lab, stack)
    assert stack.live.in_flight(["base"]) == [1]
    await stack.close()
    await asyncio.sleep(0)
    assert stack.live.in_flight(["base"]) == [0]


async def test_a_rate_limits_retry_after_is_honoured(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain())
    asked = broken(lab, stack, "base", Fault(kind="rate_limited", at=(1,), retry_after_s=9))
    assert await took_s(lab, stack, 3) == [(3.0, "far")] * 3
    assert asked.n_requests == 1
    await took_s(lab, stack)  # 9 s are over: its probe is answered
    assert (await took_s(lab, stack))[0] == (1.0, "base")


async def test_when_every_circuit_is_open_the_models_are_still_asked(lab):
    stack = lab.stack(settle={}, choose={"policy": {"kind": "fixed", "model": "base"}}, answer=chain())
    asked = broken(lab, stack, "base", Fault(kind="server_error", at=(1, 2, 3)))
    for _ in range(3):
        with pytest.raises(Unavailable):
            await stack.run(ask())
    assert await took_s(lab, stack) == [(1.0, "base")]
    assert asked.n_requests == 4


async def test_an_open_circuit_is_told_in_the_trace_and_the_answer_is_not_kept(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(), recall={"exact": {"max_entries": 10, "ttl_s": 900}})
    broken(lab, stack, "base", Fault(kind="server_error", at=(1, 2, 3)))
    await took_s(lab, stack, 3)
    response = await stack.run(ask())
    assert response.degraded
    assert response.decision.model == "far"
    assert "base" in response.trace.find("answer").because
    assert "3 failures in a row, its circuit is open" in response.trace.find("answer").because
    lab.clock.advance(60)
    assert not (await stack.run(ask())).cached


async def test_the_last_resort_has_the_time_that_was_kept_for_it(lab):
    lab.latency_s.update(base=100.0, far=100.0, tiny=2.0)
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(reserve_s=3))
    assert await took_s(lab, stack) == [(29.0, "tiny")], "27 s for base, nothing for far, 2 of 3 s for tiny"
    assert "far" not in lab.asked


async def test_a_quarter_of_the_deadline_is_kept_where_nothing_is_said(lab):
    lab.latency_s.update(base=100.0, far=100.0, tiny=0.5)
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain())
    assert await took_s(lab, stack, deadline_s=4.0) == [(3.5, "tiny")]


async def test_a_model_learns_how_long_it_may_take(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(attempt_timeout_s=7))
    await stack.run(ask())
    assert lab.models["base"].history[0].deadline_s == 7


async def test_a_caller_in_a_hurry_does_not_open_a_circuit(lab):
    stack = lab.stack(settle={}, choose={**CHOOSE, "fallbacks": ["tiny"]}, answer=chain())
    for _ in range(10):
        with pytest.raises(Unavailable):
            await stack.run(ask(deadline_s=0.01))
    assert await took_s(lab, stack) == [(1.0, "base")]


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (BadResponse("wrong key", model="a", status=401), True),
        (BadResponse("its chat template refuses the messages", model="a"), False),
        (BadResponse("temperature is no number", model="a", status=400), False),
        (RateLimited("slow down", model="a"), True),
    ],
)
def test_a_request_that_is_wrong_itself_does_not_count_against_the_model(error, counts):
    assert is_models_fault(error) is counts


async def test_a_stream_falls_back_before_its_first_text_and_waits_only_its_share_for_it(lab):
    lab.latency_s["base"] = 100.0
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(attempt_timeout_s=5))
    lab.models["base"].ttft_s = 50.0
    texts = [piece.text async for piece in stack.stream(ask())]
    assert "".join(texts) == "far answer"
    assert lab.clock.monotonic_s() == 8.0


async def test_a_stream_that_has_begun_has_the_whole_deadline(lab):
    lab.latency_s["base"] = 20.0
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(attempt_timeout_s=5))
    assert "".join([piece.text async for piece in stack.stream(ask())]) == "the base answer"


async def test_a_cut_stream_counts_against_the_model(lab):
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain())
    broken(lab, stack, "base", Fault(kind="cut_stream", every=1, after_pieces=0))
    for _ in range(4):
        assert "".join([piece.text async for piece in stack.stream(ask())]) == "far answer"
    assert stack.metrics.skipped == {"base": 1}


async def test_no_call_stays_in_flight(lab, soon):
    lab.clock.manual = True
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(hedge={"min_calls": 2}))
    for _ in range(2):
        stack.live.answered(stack.live.begin("base"), 0.5)
    tasks = [asyncio.ensure_future(stack.run(ask())) for _ in range(3)]
    await soon(lambda: stack.live.in_flight(["base"]) == [3])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert stack.live.in_flight(["base", "far", "tiny"]) == [0, 0, 0]


# hedging


def hedging(lab, latencies_s, **settings):
    """A stack whose `base` usually takes 1 s, then these."""
    hedge = {"percentile": 95, "min_calls": 20, "most_share": 1.0, **settings}
    stack = lab.stack(settle={}, choose={**CHOOSE, "fallbacks": ["tiny"]}, answer=chain(hedge=hedge))
    for _ in range(20):
        stack.live.answered(stack.live.begin("base"), 1.0)
    lab.models["base"].latency_s = latencies_s
    return stack


async def test_a_slow_call_is_hedged_and_what_it_wastes_is_counted(lab):
    stack = hedging(lab, 10.0)
    response = await stack.run(ask())
    assert (response.completion.model, response.latency_s, response.degraded) == ("tiny", 1.5, True)
    assert stack.metrics.hedges == {("tiny", "base", "won"): 1}
    assert stack.metrics.wasted_usd == {"base": 3 + 128 * 2}, "at most: its longest answer"
    assert "hedged: tiny answered before base" in response.trace.find("answer").because
    assert stack.live.in_flight(["base", "tiny"]) == [0, 0]


async def test_a_call_of_usual_length_is_not_hedged(lab):
    stack = hedging(lab, 0.9)
    assert (await stack.run(ask())).completion.model == "base"
    assert lab.asked == {"base": 1}


async def test_the_first_model_may_still_win(lab):
    stack = hedging(lab, 1.2)
    response = await stack.run(ask())
    assert (response.completion.model, response.degraded, response.latency_s) == ("base", False, 1.2)
    assert stack.metrics.hedges == {("base", "tiny", "lost"): 1}


async def test_when_both_answer_at_once_the_first_counts_and_both_are_paid(lab):
    stack = hedging(lab, 1.5)
    response = await stack.run(ask())
    assert response.completion.model in ("base", "tiny")
    assert stack.metrics.cost_usd["base"] == 9.0


async def test_when_both_fail_the_chain_goes_on(lab):
    stack = hedging(lab, 10.0, model="far")
    broken(lab, stack, "base", Fault(kind="server_error", every=1, after_s=4.0))
    broken(lab, stack, "far", Fault(kind="server_error", every=1, after_s=1.0))
    response = await stack.run(ask())
    assert response.completion.model == "tiny"
    assert not stack.metrics.hedges


async def test_too_few_answers_say_nothing_about_slowness(lab):
    stack = hedging(lab, 10.0, min_calls=50)
    assert (await stack.run(ask())).completion.model == "base"


# what is refused at load


def config(lab, answer, **choose):
    data = {"schema_version": 1, "name": "t", "models": lab.cards, "choose": {**CHOOSE, **choose}, "answer": answer}
    return StackConfig.from_data(data, "stack.yaml")


@pytest.mark.parametrize(
    ("answer", "choose", "message"),
    [
        ({"deadline_s": 5, "chain": {"reserve_s": 5}}, {}, "answer.chain.reserve_s: 5 s kept for the last"),
        ({"chain": {"hedge": {}}}, {"fallbacks": ()}, "answer.chain.hedge: nobody can be asked"),
        ({"chain": {"hedge": {"model": "tinny"}}}, {}, "answer.chain.hedge.model: unknown model 'tinny'"),
        ({"chain": {"breaker": {"cooldwn_s": 3}}}, {}, "cooldwn_s"),
    ],
)
def test_a_chain_that_cannot_keep_its_promise_is_refused(lab, answer, choose, message):
    with pytest.raises(ConfigError, match=message):
        config(lab, answer, **choose)


async def test_a_stack_file_without_a_chain_still_loads_and_watches_circuits(lab):
    assert config(lab, {}).answer.chain.breaker is not None


# all together


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_fails_every_request_is_answered_in_time_and_nothing_stays_open(lab, seed):
    """Two models that fail at random behind hedges and circuits, a healthy last resort, requests at once and some cancelled."""
    rng = random.Random(seed)
    lab.latency_s.update(base=1.0, far=1.5, tiny=0.5)
    hedge = {"percentile": 80, "min_calls": 5, "most_share": 0.5}
    stack = lab.stack(settle={}, choose=CHOOSE, answer=chain(attempt_timeout_s=4, reserve_s=3, hedge=hedge))
    for name in ("base", "far"):
        kinds = ("server_error", "timeout", "rate_limited", "cut_stream")
        faults = [
            Fault(kind=kind, probability=0.15, seed=rng.randrange(99), after_s=rng.choice([0.0, 2.0, 500.0]))
            for kind in kinds
        ]
        broken(lab, stack, name, *faults)
    leavers = []
    for turn in range(8):
        requests = [asyncio.ensure_future(stack.run(ask(f"{turn} {n}"))) for n in range(6)]
        leaver = asyncio.ensure_future(stack.run(ask(f"{turn} leaves")))
        leavers.append(leaver)
        start_s = lab.clock.monotonic_s()
        for response in await asyncio.gather(*requests):
            assert response.text
            assert response.latency_s <= 30
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        assert lab.clock.monotonic_s() - start_s < 600
        lab.clock.advance(rng.uniform(0, 40))
    await stack.close()
    await asyncio.sleep(0)
    assert stack.live.in_flight(["base", "far", "tiny"]) == [0, 0, 0]
    answered = stack.metrics.requests
    assert sum(n for (outcome, _), n in answered.items() if outcome == "answered") >= 48
    assert sum(answered.values()) == 56
