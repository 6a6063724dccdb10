import asyncio

import pytest

from workbench.core import Completion, ModelError, Request, Timing, Unavailable, Usage
from workbench.core.errors import ConfigError
from workbench.core.validation import parse
from workbench.orchestration import CascadeConfig, Deadline, answer_by, judgement
from workbench.testing import FakeClock, ScriptedModel

REQUEST = Request.from_prompt("Capital of Italy?")


class Band:
    """Scripted models under one clock; remembers how each was asked."""

    def __init__(self, **replies):
        self.clock = FakeClock()
        self.models, self.asked = {}, []
        for name, (reply, latency_s) in replies.items():
            self.models[name] = ScriptedModel(name, lambda _, r=reply: r, clock=self.clock, latency_s=latency_s)

    async def ask(self, name, request, *, is_step=False, is_final=True):
        self.asked.append((name, "step" if is_step else "final" if is_final else "tried"))
        return await self.models[name].complete(request)

    async def answer(self, accept, models=("a", "b", "c"), chosen="a"):
        pattern = parse(CascadeConfig, {"kind": "cascade", "models": models, "accept": accept}, "pattern")
        return await answer_by(pattern, REQUEST, chosen, self.ask, Deadline.after(None, self.clock))


def said(text, logprob=None, tokens=2, cost_usd=1.0):
    return Completion(text, "", "stop", Usage(10, tokens), Timing(1.0), cost_usd=cost_usd, logprob=logprob)


SURE = {"kind": "logprob", "threshold": -0.5}


async def test_a_sure_answer_of_the_cheap_model_is_taken():
    band = Band(a=(said("Rome", -0.8), 1), b=(said("Paris"), 5), c=(said("Milan"), 9))
    answered = await band.answer(SURE)
    assert (answered.completion.text, answered.completion.cost_usd) == ("Rome", 1.0)
    assert band.asked == [("a", "tried")]
    assert band.models["a"].history[0].sampling.logprobs
    assert answered.because == "a of a → b → c: a -0.4 ≥ -0.5 log-probability a token"


async def test_an_unsure_one_is_passed_on_and_latencies_and_costs_add_up():
    band = Band(a=(said("Rome", -2.0), 1), b=(said("Paris", -1.1), 5), c=(said("Milan", -99.0), 9))
    answered = await band.answer(SURE)
    assert (answered.completion.text, answered.completion.cost_usd) == ("Milan", 3.0)
    assert answered.completion.timing.latency_s == 15
    assert band.asked == [("a", "tried"), ("b", "tried"), ("c", "final")]
    assert [call.model for call in answered.calls] == ["a", "b", "c"]


async def test_an_answer_of_unknown_log_probability_is_never_accepted():
    band = Band(a=(said("Rome"), 1), b=(said("Paris", -0.1), 1), c=(said("Milan"), 1))
    answered = await band.answer(SURE)
    assert answered.completion.text == "Paris"
    assert "a of unknown log-probability" in answered.because


async def test_a_model_that_fails_is_passed_over():
    band = Band(a=(Unavailable("down", model="a"), 1), b=(said("Paris", -0.1), 1), c=(said("Milan"), 1))
    answered = await band.answer(SURE)
    assert (answered.completion.text, answered.degraded, answered.n_unfinished) == ("Paris", True, 1)


async def test_where_the_last_fails_the_answer_before_stands_and_where_all_fail_the_request_does():
    down = {name: (Unavailable("down", model=name), 1) for name in "abc"}
    answered = await Band(**{**down, "a": (said("Rome", -9.0), 1)}).answer(SURE)
    assert (answered.completion.text, answered.degraded) == ("Rome", True)
    with pytest.raises(ModelError, match="model 'c': down"):
        await Band(**down).answer(SURE)


async def test_two_cheap_answers_that_agree_are_enough_and_are_asked_at_once():
    band = Band(a=(said("Rome"), 2), b=(said("rome."), 3), c=(said("Milan"), 9))
    answered = await band.answer({"kind": "agreement"})
    assert (answered.completion.text, answered.completion.model) == ("Rome", "a")
    assert (answered.completion.timing.latency_s, answered.completion.cost_usd) == (3, 2.0)
    assert "a and b agree" in answered.because


async def test_answers_are_gathered_until_one_comes_twice():
    replies = {"a": ("Rome", 1), "b": ("Paris", 1), "c": ("Paris", 1), "d": ("Milan", 1)}
    answered = await Band(**replies).answer({"kind": "agreement"}, models=tuple("abcd"))
    assert (answered.completion.text, answered.completion.model) == ("Paris", "b")
    replies["c"] = ("Oslo", 1)
    answered = await Band(**replies).answer({"kind": "agreement"}, models=tuple("abcd"))
    assert answered.completion.text == "Milan"


async def test_one_of_two_cheap_models_that_fails_agrees_with_nobody():
    band = Band(a=(Unavailable("down", model="a"), 1), b=("Rome", 1), c=("Milan", 1))
    answered = await band.answer({"kind": "agreement"})
    assert (answered.completion.text, answered.degraded) == ("Milan", True)


JUDGE = {"kind": "judge", "model": "j", "template": "Q {prompt} A {answer}?", "threshold": 0.5}


async def test_a_judge_sees_question_and_answer_and_is_paid_for():
    band = Band(a=(said("Rome {prompt}"), 1), b=(said("Milan"), 1), j=(said("Yes."), 4))
    answered = await band.answer(JUDGE, models=("a", "b"))
    assert (answered.completion.text, answered.completion.cost_usd) == ("Rome {prompt}", 2.0)
    assert answered.completion.timing.latency_s == 5
    assert band.models["j"].history[0].prompt == "Q Capital of Italy? A Rome {prompt}?"
    assert band.asked == [("a", "tried"), ("j", "step")]


@pytest.mark.parametrize("reply", ["no", "perhaps", Unavailable("down", model="j")])
async def test_what_the_judge_does_not_approve_is_passed_on(reply):
    band = Band(a=(said("Rome"), 1), b=(said("Milan"), 1), j=(reply, 4))
    answered = await band.answer(JUDGE, models=("a", "b"))
    assert answered.completion.text == "Milan"


async def test_a_mark_counts_by_its_scale():
    for mark, text in (("7", "Rome"), ("3", "Milan")):
        band = Band(a=("Rome", 1), b=("Milan", 1), j=(f"Mark: {mark}", 4))
        assert (await band.answer({**JUDGE, "scale": 10}, models=("a", "b"))).completion.text == text


@pytest.mark.parametrize(
    ("text", "mark"), [("YES", 1.0), ("'No'", 0.0), ("0.25", 0.25), ("", None), ("yesterday", None), ("-3", -3.0)]
)
def test_a_judgement_is_read_or_it_is_none(text, mark):
    assert judgement(text) == mark


async def test_chosen_stands_for_the_policys_model_and_is_asked_once():
    band = Band(a=(said("Rome", -9.0), 1), b=(said("Milan"), 1))
    answered = await band.answer(SURE, models=("chosen", "a", "b"), chosen="a")
    assert answered.completion.text == "Milan"
    assert [name for name, _ in band.asked] == ["a", "b"]


async def test_cancelling_cancels_both_first_models(soon):
    band = Band(a=("Rome", 1000), b=("Rome", 1000), c=("Milan", 1))
    band.clock.manual = True
    task = asyncio.ensure_future(band.answer({"kind": "agreement"}))
    await soon(lambda: len(band.clock._sleepers) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not band.clock._sleepers


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({"models": ["a"], "accept": SURE}, "models"),
        ({"models": ["a", "b"], "accept": {"kind": "agreement"}}, "at least three models"),
        ({"models": ["a", "b"], "accept": {"kind": "logprob", "threshold": 0.5}}, "threshold"),
        ({"models": ["a", "b"], "accept": {**JUDGE, "template": "Is it right?"}}, r"needs \{answer\}"),
    ],
)
def test_a_cascade_that_cannot_work_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=message):
        parse(CascadeConfig, {"kind": "cascade", **pattern}, "pattern")
