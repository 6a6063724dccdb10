import asyncio

import pytest

from workbench.core import Completion, ModelError, Request, Timing, Unavailable, Usage
from workbench.core.errors import ConfigError
from workbench.core.validation import parse
from workbench.orchestration import Deadline, FanOutConfig, PipelineConfig, SingleConfig, answer_by
from workbench.testing import FakeClock, ScriptedModel

REQUEST = Request.from_prompt("What is {previous}?")


class Band:
    """Scripted models under one clock, and an `ask` over them."""

    def __init__(self, **replies):
        self.clock = FakeClock()
        self.models = {}
        for name, (reply, latency_s) in replies.items():
            self.models[name] = ScriptedModel(name, lambda _, r=reply: r, clock=self.clock, latency_s=latency_s)

    async def ask(self, name, request):
        return await self.models[name].complete(request)

    async def answer(self, pattern, chosen="a", deadline_s=None):
        return await answer_by(pattern, REQUEST, chosen, self.ask, Deadline.after(deadline_s, self.clock))


def fan_out(*models, **settings):
    return FanOutConfig(kind="fan_out", models=models, **settings)


def completion(text, cost_usd=None, logprob=None, tokens=2):
    usage = Usage(10, tokens)
    return Completion(text, "", "stop", usage, Timing(1.0), cost_usd=cost_usd, logprob=logprob)


async def test_single_asks_the_chosen_model_and_keeps_its_answer():
    band = Band(a=(completion("yes", cost_usd=0.5), 2), b=("no", 1))
    answered = await band.answer(SingleConfig(kind="single"))
    assert (answered.completion.text, answered.completion.cost_usd) == ("yes", 0.5)
    assert not band.models["b"].history


def pipeline(*steps):
    return PipelineConfig.model_validate({"kind": "pipeline", "steps": list(steps)})


async def test_a_pipeline_shows_each_step_the_answer_before():
    band = Band(a=(completion("a draft {prompt}", cost_usd=0.25), 2), b=(completion("final", cost_usd=0.5), 3))
    steps = {"template": "Draft: {prompt}"}, {"model": "b", "template": "{prompt} / {previous}", "max_tokens": 9}
    answered = await band.answer(pipeline(*steps))
    assert band.models["a"].history[0].prompt == "Draft: What is {previous}?"
    assert band.models["b"].history[0].prompt == "What is {previous}? / a draft {prompt}"
    assert band.models["b"].history[0].sampling.max_tokens == 9
    assert answered.completion.text == "final"
    assert answered.completion.usage.total_tokens == 24
    assert answered.completion.cost_usd == 0.75
    assert answered.completion.timing.latency_s == 5
    assert answered.because == "a → b"


async def test_an_unknown_cost_of_one_step_makes_the_sum_unknown():
    band = Band(a=(completion("x", cost_usd=0.25), 1), b=(completion("y"), 1))
    answered = await band.answer(pipeline({"template": "{prompt}"}, {"model": "b", "template": "{previous}"}))
    assert answered.completion.cost_usd is None


def test_the_first_step_of_a_pipeline_has_nothing_before_it():
    with pytest.raises(ConfigError, match=r"the first step has no \{previous\}"):
        parse(PipelineConfig, {"kind": "pipeline", "steps": [{"template": "{previous}"}]}, "x")


async def test_the_majority_counts_without_case_and_full_stop():
    band = Band(a=("Rome", 1), b=("Paris.", 2), c=("paris", 3))
    answered = await band.answer(fan_out("chosen", "b", "c"))
    assert answered.completion.text == "Paris."
    assert answered.completion.timing.latency_s == 3
    assert answered.completion.usage.completion_tokens == 3
    assert not answered.degraded


async def test_a_tie_goes_to_the_chosen_model_then_to_the_first():
    band = Band(a=("x", 3), b=("y", 1), c=("z", 2))
    assert (await band.answer(fan_out("b", "c", "a"), chosen="a")).completion.text == "x"
    assert (await band.answer(fan_out("c", "b"), chosen="a")).completion.text == "z"


async def test_first_valid_takes_the_first_answer_and_cancels_the_rest():
    band = Band(a=(Unavailable("down", model="a"), 0), b=("quick", 1), c=("slow", 9))
    answered = await band.answer(fan_out("a", "b", "c", join="first_valid"))
    assert answered.completion.text == "quick"
    assert band.clock.monotonic_s() == 1
    assert answered.n_unfinished == 2
    assert answered.completion.usage.total_tokens is None, "what the cancelled calls used is not known"


async def test_best_logprob_compares_by_token():
    long, short = completion("long", logprob=-4.0, tokens=8), completion("short", logprob=-2.0, tokens=2)
    band = Band(a=(short, 1), b=(long, 1), c=("unknown", 1))
    assert (await band.answer(fan_out("a", "b", "c", join="best_logprob"))).completion.text == "long"


async def test_failures_are_tolerated_down_to_the_quorum():
    band = Band(a=("yes", 1), b=(Unavailable("down", model="b"), 0), c=("yes", 1))
    answered = await band.answer(fan_out("a", "b", "c", quorum=2))
    assert answered.completion.text == "yes"
    assert answered.degraded
    with pytest.raises(Unavailable, match=r"2 of 3 models answered, the quorum is 3: model 'b': down"):
        await band.answer(fan_out("a", "b", "c", quorum=3))


async def test_late_models_are_left_out_at_the_deadline():
    band = Band(a=("yes", 1), b=("no", 50))
    answered = await band.answer(fan_out("a", "b", deadline_s=5))
    assert (answered.completion.text, answered.degraded) == ("yes", True)
    assert band.clock.monotonic_s() == 5


async def test_cancelling_cancels_all_siblings(soon):
    begun, ended = [], []

    async def ask(name, request):
        begun.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    work = answer_by(fan_out("a", "b"), REQUEST, "a", ask, Deadline.after(None, FakeClock(manual=True)))
    task = asyncio.ensure_future(work)
    await soon(lambda: len(begun) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["a", "b"]


async def test_a_fault_that_is_no_models_fault_ends_the_request():
    async def ask(name, request):
        if name == "a":
            raise KeyError("a bug")
        await asyncio.Event().wait()

    with pytest.raises(KeyError):
        await answer_by(fan_out("a", "b"), REQUEST, "a", ask, Deadline.after(None, FakeClock(manual=True)))


async def test_when_all_fail_every_reason_is_told():
    band = Band(a=(Unavailable("down", model="a"), 0), b=(Unavailable("gone", model="b"), 0))
    with pytest.raises(ModelError, match=r"model 'a': down; model 'b': gone"):
        await band.answer(fan_out("a", "b"))
