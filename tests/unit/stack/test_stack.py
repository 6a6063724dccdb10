import asyncio
import json

import pytest

from workbench.core import (
    Blocked,
    BudgetExceeded,
    ConfigError,
    ContextOverflow,
    Message,
    Request,
    Sampling,
    StoreError,
    Unavailable,
)
from workbench.stack import Stack

STEPS = ["admit", "inspect", "recall", "choose", "compose", "answer", "check", "settle"]
CACHE = {"exact": {"max_entries": 10, "ttl_s": 60}}
BLOCK = {"guards": [{"kind": "phrases", "phrases": ["forbidden thing"]}]}


def ask(prompt="one two three", **known):
    return Request.from_prompt(prompt, **known)


async def test_a_request_goes_all_the_way_and_every_step_explains_itself(lab):
    response = await lab.stack().run(ask())
    assert response.text == "the base answer"
    assert [step.name for step in response.trace.steps] == STEPS
    assert all(step.because for step in response.trace.steps)
    assert response.decision.model == "base"
    assert (response.cached, response.degraded) == (False, False)
    assert response.latency_s == response.completion.timing.latency_s == 1.0
    assert response.completion.cost_usd == 3 * 1 + 3 * 2


async def test_a_response_prints_without_the_prompt(lab):
    response = await lab.stack().run(ask("a <secret> prompt"))
    assert "secret" not in str(response.trace)
    assert "secret" not in json.dumps(response.trace.to_dict())
    assert "base, 1000.0 ms, 9 USD" in str(response)
    assert "<table>" in response._repr_html_()


async def test_html_in_an_answer_is_text(lab):
    lab.replies["base"] = "<script>alert(1)</script>"
    assert "<script>" not in (await lab.stack().run(ask()))._repr_html_()


async def test_each_request_leaves_one_audit_record_without_text(lab):
    stack = lab.stack(inspect=BLOCK)
    await stack.run(ask("my password is hunter2", request_id="r1", session="jane", tenant="acme"))
    with pytest.raises(Blocked):
        await stack.run(ask("hunter2 forbidden thing", request_id="r2"))
    first, second = lab.records()
    assert (first["outcome"], first["model"], first["cost_usd"]) == ("answered", "base", 10.0)
    assert (second["outcome"], second["error"], second["calls"]) == ("blocked", "Blocked", [])
    assert second["verdicts"] == [
        {"stage": "inspect", "guard": "phrases", "action": "block", "status": "ok", "findings": 1}
    ]
    assert first["config_sha256"] == stack.config.sha256()
    for text in ("hunter2", "forbidden", "base answer", "jane", "acme"):
        assert text not in lab.audit_text()


async def test_a_blocked_prompt_never_reaches_a_model(lab):
    stack = lab.stack(inspect=BLOCK)
    with pytest.raises(Blocked, match="the prompt was blocked: phrases: block in turn 0") as caught:
        await stack.run(ask("a FORBIDDEN\u200b thing"))
    assert caught.value.guard == "phrases"
    assert not lab.asked
    assert stack.metrics.requests["blocked", ""] == 1


async def test_every_turn_is_inspected_not_only_the_last(lab):
    turns = (Message("user", "a forbidden thing"), Message("assistant", "no"), Message("user", "go on"))
    with pytest.raises(Blocked, match="turn 0"):
        await lab.stack(inspect=BLOCK).run(Request(turns))


async def test_a_rewriting_guard_changes_what_the_model_receives(lab):
    guard = {"kind": "phrases", "phrases": ["jane doe"], "action": "rewrite", "replacement": "[name]"}
    response = await lab.stack(inspect={"guards": [guard]}).run(ask("I am Jane  Doe, hello"))
    assert lab.models["base"].history[0].prompt == "I am [name], hello"
    assert "rewrite in turn 0" in response.trace.find("inspect").because


async def test_a_shadow_guard_records_and_lets_pass(lab):
    guard = {"kind": "phrases", "phrases": ["forbidden thing"], "mode": "shadow"}
    stack = lab.stack(inspect={"guards": [guard]})
    response = await stack.run(ask("a forbidden thing"))
    assert response.verdicts[0].is_shadow
    assert stack.metrics.guards["inspect", "phrases", "block"] == 1


async def test_a_blocked_answer_is_not_given(lab):
    lab.replies["base"] = "here is the forbidden thing"
    with pytest.raises(Blocked, match="the answer was blocked"):
        await lab.stack(check=BLOCK, recall=CACHE).run(ask())
    assert lab.records()[0]["cost_usd"] == 13.0, "it was paid for all the same"


async def test_an_answer_must_fit_the_requests_own_schema(lab):
    stack = lab.stack(check={"guards": [{"kind": "json_schema", "deadline_s": 300}]})
    with pytest.raises(Blocked, match="not_json"):
        await stack.run(ask(sampling=Sampling(json_schema={"type": "object"})))
    assert (await stack.run(ask())).text == "the base answer"


async def test_a_schema_that_is_none_is_refused_before_a_model_is_asked(lab):
    stack = lab.stack(check={"guards": [{"kind": "json_schema", "deadline_s": 300}]})
    with pytest.raises(ConfigError, match="JSON Schema of the answer is not valid"):
        await stack.run(ask(sampling=Sampling(json_schema={"type": "objct"})))
    assert not lab.asked


# admit


async def test_the_key_decides_whose_request_it_is(lab, monkeypatch):
    monkeypatch.setenv("KEY_A", "aaa")
    stack = lab.stack(admit={"api_keys": {"env:KEY_A": "team-a"}})
    response = await stack.run(ask(tenant="somebody-else"), api_key="aaa")
    assert "tenant 'team-a'" in response.trace.find("admit").because
    for key, what in (("wrong", "an unknown API key"), (None, "no API key")):
        with pytest.raises(Blocked, match=what) as caught:
            await stack.run(ask(), api_key=key)
        assert caught.value.guard == "identity"
    assert lab.asked == {"base": 1}


async def test_a_key_that_is_not_set_is_named_when_the_stack_is_built(lab, monkeypatch):
    monkeypatch.delenv("KEY_A", raising=False)
    with pytest.raises(ConfigError, match=r"admit.api_keys: the environment variable KEY_A is not set"):
        lab.stack(admit={"api_keys": {"env:KEY_A": "team-a"}})


async def test_too_many_requests_are_told_when_to_come_again(lab):
    stack = lab.stack(admit={"rate_limit": {"requests_per_minute": 60, "burst": 1}})
    results = await asyncio.gather(*(stack.run(ask()) for _ in range(3)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, BudgetExceeded)]
    assert [error.retry_after_s for error in refused] == [1.0, 1.0]
    assert stack.metrics.requests["refused", ""] == 2


async def test_over_budget_is_refused_before_the_model_is_asked(lab):
    stack = lab.stack(admit={"session_budget": {"tokens": 30}}, compose={"max_answer_tokens": 20})
    await stack.run(ask(session="s"))  # 3 + 20 reserved, 3 + 3 used
    await stack.run(ask(session="s"))
    with pytest.raises(BudgetExceeded, match=r"session 's' has 18 of 30 tokens left, the request may need 23"):
        await stack.run(ask(session="s"))
    assert lab.asked == {"base": 2}
    assert lab.records()[-1]["outcome"] == "refused"
    await stack.run(ask(session="another"))


async def test_concurrent_requests_of_a_session_do_not_overspend(lab):
    stack = lab.stack(admit={"session_budget": {"tokens": 50}}, compose={"max_answer_tokens": 20})
    results = await asyncio.gather(*(stack.run(ask(session="s")) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 3


async def test_a_region_reaches_only_models_in_it(lab):
    stack = lab.stack(choose={"policy": {"kind": "fixed", "model": "far"}, "fallbacks": ["base"]})
    response = await stack.run(ask(region="local"))
    assert response.decision.model == "base"
    assert lab.asked == {"base": 1}
    assert lab.records()[0]["region"] == "local"
    with pytest.raises(Blocked, match="no model may process a request of region 'mars'; models are in eu, local"):
        await stack.run(ask(region="mars"))


async def test_a_fallback_outside_the_region_is_not_asked(lab):
    lab.replies["base"] = [Unavailable("down", model="base")]
    stack = lab.stack(choose={"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["far", "tiny"]})
    assert (await stack.run(ask(region="local"))).completion.model == "tiny"
    assert "far" not in lab.asked


# recall


async def test_the_same_question_again_costs_nothing(lab):
    stack = lab.stack(recall=CACHE)
    first, second = await stack.run(ask()), await stack.run(ask())
    assert (first.cached, second.cached) == (False, True)
    assert second.text == first.text
    assert second.completion.cost_usd == 0.0
    assert lab.asked == {"base": 1}
    assert "costs 0" in second.trace.find("recall").because
    assert second.decision == first.decision
    assert stack.metrics.cache == {"miss": 1, "hit": 1}
    assert lab.records()[1]["cached"] is True


async def test_two_tenants_never_share_an_answer(lab):
    stack = lab.stack(recall=CACHE)
    await stack.run(ask(tenant="a"))
    assert not (await stack.run(ask(tenant="b"))).cached
    assert not (await asyncio.gather(stack.run(ask("x", tenant="a")), stack.run(ask("x", tenant="b"))))[1].cached
    assert lab.asked == {"base": 4}


@pytest.mark.parametrize("known", [{"use_cache": False}, {"sampling": Sampling(temperature=0.5)}])
async def test_a_fresh_answer_is_made_where_one_is_asked_for(lab, known):
    stack = lab.stack(recall=CACHE)
    for _ in range(2):
        assert not (await stack.run(ask(**known))).cached
    assert lab.asked == {"base": 2}


async def test_a_stale_answer_is_made_anew(lab):
    stack = lab.stack(recall=CACHE)
    await stack.run(ask())
    lab.clock.advance(61)
    assert not (await stack.run(ask())).cached


async def test_a_cut_answer_is_not_kept(lab):
    from workbench.core import Completion, Timing, Usage

    lab.replies["base"] = Completion("cut of", "base", "length", Usage(1, 2), Timing(1.0))
    stack = lab.stack(recall=CACHE)
    await stack.run(ask())
    assert not (await stack.run(ask())).cached


async def test_a_fallbacks_answer_is_not_kept(lab):
    lab.replies["base"] = [Unavailable("down", model="base"), "back again"]
    stack = lab.stack(recall=CACHE, choose={"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]})
    assert (await stack.run(ask())).degraded
    assert (await stack.run(ask())).text == "back again"


async def test_concurrent_askers_share_one_answer_and_one_bill(lab):
    stack = lab.stack(recall=CACHE, admit={"session_budget": {"tokens": 1000}})
    responses = await asyncio.gather(*(stack.run(ask(session=f"s{n}")) for n in range(4)))
    assert lab.asked == {"base": 1}
    assert [response.cached for response in responses] == [False, True, True, True]
    assert [response.completion.cost_usd for response in responses] == [9.0, 0.0, 0.0, 0.0]
    assert [stack._admit.budget.left("public", f"s{n}") for n in range(4)] == [994, 1000, 1000, 1000]


async def test_when_the_first_asker_leaves_the_others_are_answered_and_it_pays(lab, soon):
    lab.clock.manual = True
    stack = lab.stack(recall=CACHE, admit={"session_budget": {"tokens": 1000}})
    leader = asyncio.ensure_future(stack.run(ask(session="leader")))
    follower = asyncio.ensure_future(stack.run(ask(session="follower")))
    await soon(lambda: [flight.n_waiting for flight in stack._recall._flights._flights.values()] == [2])
    await soon(lambda: lab.asked == {"base": 1})
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    lab.clock.manual = False
    assert (await follower).cached
    assert stack._admit.budget.left("public", "follower") == 1000
    assert stack._admit.budget.left("public", "leader") == 994
    assert stack.metrics.cost_usd["base"] == 9.0


# answer


async def test_a_fallback_steps_in_and_says_so(lab):
    lab.replies["base"] = [Unavailable("down", model="base")]
    stack = lab.stack(choose={"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["base", "far", "tiny"]})
    response = await stack.run(ask())
    assert (response.text, response.degraded) == ("far answer", True)
    assert "far stepped in for base (model 'base': down)" in response.trace.find("answer").because
    assert stack.metrics.fallbacks == {("base", "far"): 1}
    assert response.decision.model == "base"


async def test_when_all_fail_every_reason_is_told_and_the_budget_is_given_back(lab):
    lab.replies.update(base=[Unavailable("down", model="base")], tiny=[Unavailable("gone", model="tiny")])
    choose = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}
    stack = lab.stack(choose=choose, admit={"session_budget": {"tokens": 900}})
    with pytest.raises(Unavailable, match="model 'base': down; model 'tiny': gone"):
        await stack.run(ask(session="s"))
    assert stack._admit.budget.left("public", "s") == 900
    assert lab.records()[0]["outcome"] == "failed"


@pytest.mark.parametrize(("known", "answer"), [({"deadline_s": 0.7}, {}), ({}, {"deadline_s": 0.7})])
async def test_nothing_is_waited_for_after_the_deadline(lab, known, answer):
    choose = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}
    stack = lab.stack(choose=choose, answer={**answer, "chain": {"reserve_s": 0.0}})
    with pytest.raises(Unavailable, match="no answer within"):
        await stack.run(ask(**known))
    assert lab.clock.monotonic_s() == 0.7
    assert lab.asked == {"base": 1}, "there is no time for a fallback"


async def test_cancelling_settles_the_budget_and_leaves_a_record(lab, soon):
    lab.clock.manual = True
    stack = lab.stack(admit={"session_budget": {"tokens": 1000}}, compose={"max_answer_tokens": 20})
    task = asyncio.ensure_future(stack.run(ask(session="s")))
    await soon(lambda: lab.asked == {"base": 1})
    assert stack._admit.budget.left("public", "s") == 977
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stack.close()
    assert lab.records()[0]["outcome"] == "cancelled"
    assert lab.records()[0]["cost_usd"] is None, "nobody knows what the model had done by then"
    assert stack._admit.budget.left("public", "s") == 977, "what may have been used is charged"
    assert stack._admit.budget._accounts["public", "s"].reserved == 0


async def test_models_answer_together(lab):
    lab.replies.update(base="Rome", tiny="paris", far="Paris.")
    pattern = {"kind": "fan_out", "models": ["chosen", "tiny", "far"], "join": "majority"}
    response = await lab.stack(answer={"pattern": pattern}).run(ask())
    assert response.text == "paris"
    assert response.completion.cost_usd == 3 * 3 + 2 * 3
    assert response.latency_s == 3.0
    assert lab.records()[0]["calls"] == ["tiny", "base", "far"]


async def test_models_answer_in_turn(lab):
    steps = [{"template": "Draft: {prompt}"}, {"model": "tiny", "template": "Shorten: {previous}"}]
    compose = {"default": {"system": "Be kind.", "template": "Q: {prompt}"}}
    response = await lab.stack(answer={"pattern": {"kind": "pipeline", "steps": steps}}, compose=compose).run(ask())
    assert response.text == "tiny answer"
    asked = lab.models["tiny"].history[0].messages
    assert [message.content for message in asked] == ["Be kind.", "Shorten: the base answer"]


# compose and choose


async def test_the_template_of_the_task_is_used_and_the_policy_sees_the_prompt_as_sent(lab):
    compose = {"default": {"template": "D {prompt}"}, "by_task": {"add": {"template": "A {prompt}", "system": "Add."}}}
    stack = lab.stack(compose=compose)
    await stack.run(ask("1 2", task="add"))
    await stack.run(ask("1 2"))
    assert [request.prompt for request in lab.models["base"].history] == ["A 1 2", "D 1 2"]
    assert lab.models["base"].history[0].messages[0].content == "Add."


async def test_turns_left_out_are_told(lab):
    turns = tuple(Message("user" if n % 2 == 0 else "assistant", "word " * 30) for n in range(9))
    lab.cards["base"]["context_window"] = 100
    response = await lab.stack(compose={"max_answer_tokens": 20}).run(Request(turns))
    assert "the 4 oldest turns left out" in response.trace.find("compose").because


async def test_a_model_whose_window_holds_the_prompt_steps_in_for_one_that_does_not(lab):
    lab.cards["base"]["context_window"] = 40
    choose = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}
    stack = lab.stack(choose=choose, compose={"max_answer_tokens": 20})
    assert (await stack.run(ask("word " * 50))).decision.model == "tiny"
    with pytest.raises(ContextOverflow, match="500 tokens"):
        await stack.run(ask("word " * 500))


async def test_capabilities_are_respected(lab):
    lab.cards["base"]["capabilities"] = ["sort"]
    choose = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}
    stack = lab.stack(choose=choose)
    models = [(await stack.run(ask(task=task))).completion.model for task in ("sort", "add", None)]
    assert models == ["base", "tiny", "base"]


async def test_a_cost_limit_is_judged_by_the_longest_answer(lab):
    lab.cards["tiny"]["price"] = {"input_usd_per_1m": 1.0, "output_usd_per_1m": 1.0}
    choose = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}
    stack = lab.stack(choose=choose, compose={"max_answer_tokens": 10})
    models = [(await stack.run(ask(cost_limit_usd=limit))).completion.model for limit in (23.0, 22.9)]
    assert models == ["base", "tiny"]
    with pytest.raises(BudgetExceeded, match="up to 23 USD, the request allows 1e-09 USD"):
        await stack.run(ask(cost_limit_usd=1e-9))


async def test_a_saved_policy_decides(lab):
    from workbench.routing import FixedPolicy

    FixedPolicy("tiny", ("base", "tiny")).save(lab.folder / "policy")
    stack = lab.stack(choose={"policy": {"kind": "learned", "artifact": "policy"}})
    assert (await stack.run(ask())).completion.model == "tiny"
    FixedPolicy("huge").save(lab.folder / "policy")
    with pytest.raises(ConfigError, match=r"the policy in .* chooses among huge; models has no 'huge'"):
        lab.stack(choose={"policy": {"kind": "learned", "artifact": "policy"}})


async def test_another_policy_is_another_cache(lab):
    from workbench.routing import FixedPolicy

    scopes = []
    for name in ("tiny", "base"):
        FixedPolicy(name, ("base", "tiny")).save(lab.folder / "policy")
        scopes.append(lab.stack(choose={"policy": {"kind": "learned", "artifact": "policy"}}, settle={})._recall._scope)
    assert scopes[0] != scopes[1]


# settle


@pytest.mark.parametrize("how", ["block", "degrade"])
async def test_a_record_that_cannot_be_written_leads_to_what_is_configured(lab, monkeypatch, how):
    stack = lab.stack(settle={"audit": {"path": "audit.jsonl", "on_failure": how}})

    def full(records):
        raise StoreError("the disk is full")

    monkeypatch.setattr(stack._audit._journal, "append", full)
    if how == "block":
        with pytest.raises(StoreError, match="the disk is full"):
            await stack.run(ask())
    else:
        response = await stack.run(ask())
        assert response.degraded
        assert "NO audit record" in response.trace.find("settle").because
    assert stack.metrics.audit_failures == 1


async def test_what_was_used_is_counted(lab):
    stack = lab.stack()
    await stack.run(ask())
    metrics = stack.metrics
    assert metrics.requests == {("answered", "base"): 1}
    assert metrics.tokens == {("prompt", "base"): 3, ("completion", "base"): 3}
    assert metrics.cost_usd == {"base": 9.0}
    assert metrics.latency_s["answered"].n == 1
    assert metrics.latency_s["answered"].total == 1.0


async def test_closing_twice_is_safe_and_leaves_models_that_were_handed_in(lab):
    stack = lab.stack()
    await stack.close()
    await stack.close()
    assert not lab.models["base"].is_closed


def test_a_model_that_was_not_handed_in_is_named(lab):
    config = lab.stack(settle={}).config
    with pytest.raises(ConfigError, match=r"no model 'base' was handed in: did you mean 'bas'"):
        Stack.from_config(config, base_dir=lab.folder, models={"bas": lab.models["base"]})
