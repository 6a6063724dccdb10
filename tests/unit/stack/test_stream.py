import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core import BadResponse, Blocked, Delta, Request, Sampling, Unavailable

CACHE = {"exact": {"max_entries": 10, "ttl_s": 60}}
PHRASES = {"guards": [{"kind": "phrases", "phrases": ["forbidden thing"]}]}
NO_DEADLINE = {"deadline_s": None}  # models that do not sleep on the fake clock leave its hours to the alarm
FALLBACK = {"choose": {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}}


def ask(prompt="one two three", **known):
    return Request.from_prompt(prompt, **known)


async def collect(stack, request, pieces=None):
    """Pieces of text and the Response on the last one."""
    pieces = [] if pieces is None else pieces
    response = None
    async for piece in stack.stream(request):
        if piece.text:
            pieces.append(piece.text)
        response = piece.response
    return pieces, response


class Cut:
    """A model whose stream breaks off after some pieces."""

    def __init__(self, model, pieces, error=None):
        self.__dict__.update(model.__dict__)
        self.model, self.pieces, self.error, self.is_closed_early = model, pieces, error, False

    def count_prompt_tokens(self, request):
        return self.model.count_prompt_tokens(request)

    async def stream(self, request):
        try:
            for piece in self.pieces:
                yield Delta(piece)
                await asyncio.sleep(0)
        except (GeneratorExit, asyncio.CancelledError):
            self.is_closed_early = True
            raise
        if self.error:
            raise self.error


async def test_pieces_add_up_to_the_answer_of_a_run(lab):
    stack = lab.stack()
    pieces, response = await collect(stack, ask())
    whole = await stack.run(ask())
    assert pieces == ["the", " base", " answer"]
    assert response.text == "".join(pieces) == whole.text
    assert response.completion.usage == whole.completion.usage
    assert response.completion.cost_usd == whole.completion.cost_usd
    assert [step.name for step in response.trace.steps] == [step.name for step in whole.trace.steps]
    assert lab.records()[0]["outcome"] == "answered"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["forbidden", "thing", " ", "x", "\u200b", "a", " name "]), max_size=12).map("".join))
def test_a_stream_gives_what_a_run_gives(tmp_path, text):
    from workbench.stack import Stack, StackConfig
    from workbench.testing import FakeClock, ScriptedModel

    guards = [{"kind": "phrases", "phrases": ["forbidden thing"]}, {"kind": "length", "max_chars": 30}]
    data = {
        "schema_version": 1,
        "name": "x",
        "models": {"m": {"kind": "scripted", "model": "m"}},
        "choose": {"policy": {"kind": "fixed", "model": "m"}},
        "check": {"guards": guards},
    }

    async def both():
        clock = FakeClock()
        model = ScriptedModel("m", lambda _: text, clock=clock)
        config = StackConfig.from_data(data, "x")
        stack = Stack.from_config(config, base_dir=tmp_path, models={"m": model}, clock=clock)
        pieces: list[str] = []
        outcomes = []
        for work in (stack.run(ask()), collect(stack, ask(), pieces)):
            try:
                await work
                outcomes.append("answered")
            except Blocked as exc:
                outcomes.append(exc.guard)
        return outcomes, "".join(pieces)

    (run, streamed), released = asyncio.run(both())
    assert (run == "answered") == (streamed == "answered")
    assert text.startswith(released)
    assert run != "answered" or released == text


async def test_a_blocked_stream_stops_before_the_phrase_and_stops_the_model(lab):
    lab.replies["base"] = "this is the forbidden thing you asked for and much more of it"
    stack = lab.stack(check=PHRASES, admit={"session_budget": {"tokens": 900}}, answer=NO_DEADLINE)
    model = stack._attempts._models["base"] = Cut(lab.models["base"], list(lab.replies["base"]))
    pieces = []
    with pytest.raises(Blocked, match="the answer was blocked: phrases"):
        await collect(stack, ask(session="s"), pieces)
    assert "".join(pieces) == "this is the "
    assert model.is_closed_early
    assert lab.records()[0]["outcome"] == "blocked"
    assert stack._admit.budget.left("public", "s") == 900 - (3 + 128), "what the model had done is not known"


async def test_a_guard_of_whole_answers_releases_at_the_end(lab):
    lab.replies["base"] = '{"a": 1}'
    stack = lab.stack(check={"guards": [{"kind": "json_schema", "deadline_s": 300}]})
    pieces, _ = await collect(stack, ask(sampling=Sampling(json_schema={"type": "object"})))
    assert pieces == ['{"a": 1}']
    pieces = []
    with pytest.raises(Blocked):
        await collect(stack, ask(sampling=Sampling(json_schema={"type": "array"})), pieces)
    assert pieces == []


async def test_a_rewritten_stream_is_rewritten_whole(lab):
    lab.replies["base"] = "the forbidden  thing is here"
    guards = [{"kind": "phrases", "phrases": ["forbidden thing"], "action": "rewrite"}]
    pieces, response = await collect(lab.stack(check={"guards": guards}), ask())
    assert pieces == ["the [removed] is here"]
    assert response.text == "the [removed] is here"


async def test_a_stored_answer_is_streamed_and_a_streamed_one_is_stored(lab):
    stack = lab.stack(recall=CACHE)
    await collect(stack, ask())
    assert (await stack.run(ask())).cached
    pieces, response = await collect(stack, ask())
    assert pieces == ["the base answer"]
    assert response.cached
    assert lab.asked == {"base": 1}


async def test_a_fallback_steps_in_before_the_first_text(lab):
    lab.replies["base"] = [Unavailable("down", model="base")]
    pieces, response = await collect(lab.stack(**FALLBACK), ask())
    assert pieces == ["tiny", " answer"]
    assert response.degraded
    assert response.completion.model == "tiny"


async def test_after_the_first_text_a_cut_stream_is_an_error(lab):
    stack = lab.stack(**FALLBACK, answer=NO_DEADLINE)
    cut = Unavailable("the stream was cut", model="base")
    stack._attempts._models["base"] = Cut(lab.models["base"], ["the ", "base "], cut)
    pieces = []
    with pytest.raises(Unavailable, match="the stream was cut"):
        await collect(stack, ask(), pieces)
    assert pieces == ["the ", "base "]
    assert "tiny" not in lab.asked
    assert lab.records()[0]["outcome"] == "failed"


async def test_a_stream_without_its_last_piece_is_an_error(lab):
    stack = lab.stack(answer=NO_DEADLINE)
    stack._attempts._models["base"] = Cut(lab.models["base"], ["the "])
    with pytest.raises(BadResponse, match="ended without its last piece"):
        await collect(stack, ask())


async def test_the_deadline_ends_a_stream(lab):
    lab.latency_s["base"] = 10.0
    pieces = []
    with pytest.raises(Unavailable, match="no answer within"):
        await collect(lab.stack(), ask(deadline_s=6.0), pieces)
    assert pieces == ["the", " base"]
    assert lab.clock.monotonic_s() == 6.0


async def test_a_listener_who_leaves_is_settled(lab):
    stack = lab.stack(admit={"session_budget": {"tokens": 900}})
    stream = stack.stream(ask(session="s"))
    assert (await anext(stream)).text == "the"
    await stream.aclose()
    await stack.close()
    assert lab.records()[0]["outcome"] == "cancelled"
    assert lab.records()[0]["cost_usd"] is None
    assert stack._admit.budget.left("public", "s") == 900 - (3 + 128), "what the model had done is not known"
    assert stack._admit.budget._accounts["public", "s"].reserved == 0


async def test_several_models_release_at_the_end(lab):
    pattern = {"kind": "fan_out", "models": ["base", "tiny"]}
    pieces, response = await collect(lab.stack(answer={"pattern": pattern}), ask())
    assert pieces == ["the base answer"]
    assert response.completion.timing.latency_s == 1.0


async def test_the_time_to_the_first_text_is_counted(lab):
    stack = lab.stack()
    await collect(stack, ask())
    assert stack.metrics.ttft_s.n == 1
    assert stack.metrics.ttft_s.total == 0.1
