"""A cascade in a stack: promises, circuits, budgets and prices."""

import pytest

from workbench.core import Completion, ConfigError, Request, Timing, Unavailable, Usage

SURE = {"kind": "logprob", "threshold": -0.5}


def said(text, logprob):
    return Completion(text, "", "stop", Usage(3, 2), Timing(1.0), logprob=logprob)


@pytest.fixture
def cascade(lab):
    for name in ("tiny", "base"):
        lab.cards[name]["logprobs"] = True
    lab.replies.update(tiny=lambda _: said("tiny answer", -0.4), base=lambda _: said("base answer", -4.0))

    def build(models=("tiny", "base"), accept=SURE, choose=None, **sections):
        choose = choose or {"policy": {"kind": "fixed", "model": "tiny"}}
        pattern = {"kind": "cascade", "models": models, "accept": accept}
        return lab.stack(answer={"pattern": pattern}, choose=choose, settle={}, **sections)

    return build


def ask(**known):
    return Request.from_prompt("one two three", **known)


async def test_the_cheap_answer_is_taken_when_it_is_sure(lab, cascade):
    response = await cascade().run(ask())
    assert (response.text, response.completion.cost_usd, response.latency_s) == ("tiny answer", 7.0, 0.5)
    assert "tiny -0.2 ≥ -0.5 log-probability a token" in response.trace.find("answer").because


async def test_both_are_paid_when_it_is_not(lab, cascade):
    lab.replies["tiny"] = lambda _: said("tiny answer", -4.0)
    response = await cascade().run(ask())
    assert (response.text, response.completion.cost_usd, response.latency_s) == ("base answer", 14.0, 1.5)
    assert not response.degraded


async def test_a_cheap_model_that_is_down_is_passed_over_and_then_not_asked(lab, cascade):
    lab.replies["tiny"] = lambda _: Unavailable("down", model="tiny")
    stack = cascade(choose={"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["base"]})
    for _ in range(5):
        response = await stack.run(ask())
        assert (response.text, response.degraded) == ("base answer", True)
    assert len(lab.models["tiny"].history) == 3, "its circuit is open"


async def test_a_judge_is_asked_in_its_own_words(lab, cascade):
    lab.replies["far"] = "yes"
    compose = {"default": {"template": "Question: {prompt}", "system": "Be short."}}
    accept = {"kind": "judge", "model": "far", "template": "{answer}?"}
    response = await cascade(accept=accept, compose=compose).run(ask())
    assert response.text == "tiny answer"
    assert [message.content for message in lab.models["far"].history[0].messages] == ["Be short.", "tiny answer?"]


async def test_a_session_reserves_for_all_calls_a_cascade_can_take(lab, cascade):
    accept = {"kind": "judge", "model": "far"}
    stack = cascade(accept=accept, admit={"session_budget": {"tokens": 9000}}, compose={"max_answer_tokens": 20})
    response = await stack.run(ask(session="s"))
    assert "69 tokens reserved" in response.trace.find("admit").because, "three calls of 3 + 20 tokens"


async def test_a_stream_of_a_cascade_comes_whole(cascade):
    pieces = [piece.text async for piece in cascade().stream(ask())]
    assert pieces == ["tiny answer", ""]


@pytest.mark.parametrize(
    ("models", "accept", "message"),
    [
        (("far", "base"), SURE, r"models.far.logprobs is false"),
        (("tiny", "bas"), SURE, r"answer.pattern.models\[1\]: unknown model 'bas'"),
        (("tiny", "base"), {"kind": "judge", "model": "jane"}, "answer.pattern.accept.model: unknown model 'jane'"),
    ],
)
def test_a_cascade_that_cannot_keep_its_promise_is_refused(cascade, models, accept, message):
    with pytest.raises(ConfigError, match=message):
        cascade(models, accept)


async def test_the_decision_tells_the_cascade_and_not_a_choice_that_nobody_uses(cascade):
    decision = (await cascade(choose={"policy": {"kind": "fixed", "model": "far"}}).run(ask())).decision
    assert (
        decision.because == "tiny → base: an answer stands from log-probability -0.5 a token, the last one in any case"
    )


async def test_a_cascade_with_the_chosen_model_tells_why_it_was_chosen_too(cascade):
    choose = {"policy": {"kind": "fixed", "model": "base"}}
    decision = (await cascade(("tiny", "chosen"), choose=choose).run(ask())).decision
    assert decision.because.startswith("tiny → base: an answer stands from")
    assert decision.because.endswith("; base: fixed by the configuration")


async def test_a_cascade_of_the_chosen_model_twice_is_one_model(cascade):
    choose = {"policy": {"kind": "fixed", "model": "tiny"}}
    decision = (await cascade(("tiny", "chosen"), choose=choose).run(ask())).decision
    assert decision.because.startswith("tiny: alone in its cascade")


async def test_judges_and_agreement_are_told_as_they_decide(lab, cascade):
    lab.replies["far"] = "yes"
    judged = (await cascade(accept={"kind": "judge", "model": "far"}).run(ask())).decision
    assert judged.because == "tiny → base: an answer stands where far judges it ≥ 0.5, the last one in any case"
    agreed = (await cascade(("tiny", "base", "far"), {"kind": "agreement"}).run(ask())).decision
    assert agreed.because.startswith(
        "tiny → base → far: the first two at once, then one by one until two answers agree"
    )
