import pytest

from workbench.core import Completion, RateLimited, Request, Timing, Unavailable, Usage
from workbench.testing import FakeClock, ScriptedModel

ASK = Request.from_prompt("one two")


async def test_replies_come_in_order_and_questions_are_remembered():
    model = ScriptedModel("m", ["a", "b"])
    assert [(await model.complete(ASK)).text for _ in range(2)] == ["a", "b"]
    assert model.history == [ASK, ASK]


async def test_an_empty_script_is_unavailable():
    with pytest.raises(Unavailable, match="the script has no reply left for request 1"):
        await ScriptedModel("m", []).complete(ASK)


async def test_an_error_in_the_script_is_raised():
    with pytest.raises(RateLimited):
        await ScriptedModel("m", [RateLimited("slow down", model="m")]).complete(ASK)


async def test_a_function_answers_what_it_sees():
    model = ScriptedModel("m", lambda request: request.prompt.upper())
    assert (await model.complete(ASK)).text == "ONE TWO"


async def test_a_whole_completion_is_given_under_the_models_name():
    given = Completion("x", "other", "length", Usage(1, 2, 3), Timing(9.0), cost_usd=0.5)
    answer = await ScriptedModel("m", [given]).complete(ASK)
    assert (answer.model, answer.usage, answer.cost_usd, answer.finish_reason) == ("m", Usage(1, 2, 3), 0.5, "length")


async def test_time_passes_on_the_clock_it_was_given():
    model = ScriptedModel("m", ["a b c"] * 2, clock=FakeClock(), latency_s=4.0, ttft_s=1.0)
    assert (await model.complete(ASK)).timing == Timing(4.0)
    streamed = [delta async for delta in model.stream(ASK)][-1].completion
    assert streamed is not None
    assert streamed.timing == Timing(4.0, 1.0)


async def test_words_are_its_tokens():
    answer = await ScriptedModel("m", ["a b c"]).complete(ASK)
    assert answer.usage == Usage(prompt_tokens=2, completion_tokens=3, cached_tokens=None)
