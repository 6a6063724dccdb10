import asyncio
import random

import pytest

from workbench.core import (
    BadResponse,
    ConfigError,
    ContextOverflow,
    Message,
    RateLimited,
    Request,
    Sampling,
    Unavailable,
)
from workbench.models import Fault, ModelCard, load_model
from workbench.models.anthropic_model import AnthropicModel
from workbench.testing import StubAnthropicBehaviour, StubAnthropicServer

ASK = Request.from_prompt("one two three", sampling=Sampling(max_tokens=10))
TEXT = "An answer of six short words."
STREAMS = pytest.mark.parametrize("stream", [True, False])


def load(server: StubAnthropicServer, **card) -> AnthropicModel:
    card = {"kind": "anthropic", "model": "stub", "base_url": server.url, "retries": 0, **card}
    card["options"] = {"first_pause_s": 0.001, **card.get("options", {})}
    return AnthropicModel("claude", ModelCard(**card), rng=random.Random(0))


async def complete(behaviour: StubAnthropicBehaviour, request: Request = ASK, **card):
    with StubAnthropicServer(behaviour) as server:
        model = load(server, **card)
        try:
            return await model.complete(request), server.requests
        finally:
            await model.close()


@STREAMS
async def test_counts_are_all_inclusive(stream):
    behaviour = StubAnthropicBehaviour(cached_tokens=1, cache_write_tokens=1)
    answer, _ = await complete(behaviour, flop_per_token=10.0, options={"stream": stream})
    usage = answer.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens) == (3, 1, 1)
    assert usage.completion_tokens == 6
    assert usage.reasoning_tokens is None
    assert answer.compute_flop == 90.0
    assert answer.logprob is None


@STREAMS
async def test_thinking_is_counted_and_not_shown(stream):
    answer, _ = await complete(StubAnthropicBehaviour(thinking="well let me see"), options={"stream": stream})
    assert answer.text == TEXT
    assert (answer.usage.completion_tokens, answer.usage.reasoning_tokens) == (10, 4)


async def test_only_a_stream_times_the_first_token():
    streamed, _ = await complete(StubAnthropicBehaviour(ttft_s=0.02, token_s=0.002))
    whole, _ = await complete(StubAnthropicBehaviour(), options={"stream": False})
    assert whole.timing.ttft_s is None
    assert 0.02 <= streamed.timing.ttft_s < streamed.timing.latency_s


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "blocked"),
        ("a_reason_of_next_year", "stop"),
    ],
)
@STREAMS
async def test_each_stop_reason_has_its_finish_reason(stated, reason, stream):
    answer, _ = await complete(StubAnthropicBehaviour(stop_reason=stated), options={"stream": stream})
    assert answer.finish_reason == reason


async def test_a_request_says_what_the_sampling_says_in_the_apis_words():
    schema = {"type": "object"}
    sampling = Sampling(max_tokens=5, temperature=0.5, stop=("\n",), seed=7, logprobs=True, json_schema=schema)
    messages = (Message("system", "Be brief."), Message("user", "x"), Message("assistant", "y"), Message("user", "z"))
    _, (body,) = await complete(StubAnthropicBehaviour(), Request(messages, sampling))
    assert body == {
        "model": "stub",
        "stream": True,
        "max_tokens": 5,
        "temperature": 0.5,
        "stop_sequences": ["\n"],
        "system": "Be brief.",
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "y"},
            {"role": "user", "content": "z"},
        ],
    }


async def test_further_fields_are_sent_and_null_leaves_one_out():
    options = {"extra_body": {"top_k": 3, "temperature": None, "max_tokens": 7}}
    _, (body,) = await complete(StubAnthropicBehaviour(), options=options)
    assert (body["top_k"], body["max_tokens"], "temperature" in body) == (3, 7, False)


async def test_the_prompt_cache_is_told_where_the_shared_part_ends():
    mark = {"type": "ephemeral", "ttl": "1h"}
    turns = (Message("system", "Long rules."), Message("user", "x"), Message("assistant", "y"), Message("user", "z"))
    _, (body,) = await complete(StubAnthropicBehaviour(), Request(turns, ASK.sampling), options={"cache_prompt": "1h"})
    assert body["system"] == [{"type": "text", "text": "Long rules.", "cache_control": mark}]
    assert [isinstance(message["content"], list) for message in body["messages"]] == [False, True, False]
    assert body["messages"][1]["content"][0]["cache_control"] == mark


@STREAMS
@pytest.mark.parametrize(("keep", "n_1h"), [("5m", 0), ("1h", 2)])
async def test_what_is_kept_for_an_hour_is_counted_apart(keep, n_1h, stream):
    request = Request((Message("system", "Long rules."), Message("user", "x")), ASK.sampling)
    options = {"cache_prompt": keep, "stream": stream}
    answer, _ = await complete(StubAnthropicBehaviour(cache_write_tokens=2), request, options=options)
    assert (answer.usage.prompt_tokens, answer.usage.cache_write_tokens) == (3, 2)
    assert answer.usage.cache_write_1h_tokens == n_1h


@STREAMS
@pytest.mark.parametrize("kind", ["rate_limited", "server_error"])
async def test_a_retryable_failure_is_tried_again(kind, stream):
    behaviour = StubAnthropicBehaviour(faults=[Fault(kind=kind, at=(1,), retry_after_s=0.01)], server_error_status=529)
    answer, requests = await complete(behaviour, retries=1, options={"stream": stream})
    assert answer.text == TEXT
    assert len(requests) == 2


async def test_an_overloaded_server_is_unavailable_with_its_status():
    behaviour = StubAnthropicBehaviour(faults=[Fault(kind="server_error", every=1)], server_error_status=529)
    with pytest.raises(Unavailable, match="status 529: Overloaded") as caught:
        await complete(behaviour)
    assert caught.value.status == 529


async def test_a_rate_limit_carries_the_servers_wish():
    behaviour = StubAnthropicBehaviour(faults=[Fault(kind="rate_limited", every=1, retry_after_s=1.5)])
    with pytest.raises(RateLimited) as caught:
        await complete(behaviour)
    assert caught.value.retry_after_s == 1.5


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("overloaded_error", Unavailable, "status 529: Overloaded"),
        ("rate_limit_error", RateLimited, "slow down"),
        ("invalid_request_error", BadResponse, "status 400"),
        ("an_error_of_next_year", Unavailable, "ended the stream with an error: Overloaded"),
        (None, Unavailable, "ended before the answer was complete"),
    ],
)
async def test_an_error_inside_a_stream_is_told_by_its_type(kind, error, said):
    behaviour = StubAnthropicBehaviour(faults=[Fault(kind="cut_stream", every=1)], cuts_with=kind)
    with pytest.raises(error, match=said):
        await complete(behaviour)


async def test_a_stream_that_has_begun_is_not_begun_again():
    behaviour = StubAnthropicBehaviour(
        faults=[Fault(kind="cut_stream", every=1, after_pieces=2)], cuts_with="overloaded_error"
    )
    with StubAnthropicServer(behaviour) as server:
        model = load(server, retries=3)
        stream = model.stream(ASK)
        assert [(await anext(stream)).text for _ in range(2)] == ["An", " answer"]
        with pytest.raises(Unavailable, match="Overloaded"):
            await anext(stream)
        assert len(server.requests) == 1
        await model.close()


@STREAMS
async def test_nonsense_is_a_bad_response_and_is_not_tried_again(stream):
    with StubAnthropicServer(StubAnthropicBehaviour(faults=[Fault(kind="malformed_chunk", every=1)])) as server:
        model = load(server, retries=3, options={"stream": stream})
        with pytest.raises(BadResponse, match="does not follow the protocol"):
            await model.complete(ASK)
        assert len(server.requests) == 1
        await model.close()


@STREAMS
async def test_a_silent_server_is_left_after_the_timeout(stream):
    behaviour = StubAnthropicBehaviour(faults=[Fault(kind="timeout", every=1, after_s=20)])
    with pytest.raises(Unavailable, match=r"no answer within 0.2 s or the deadline"):
        await complete(behaviour, timeout_s=0.2, options={"stream": stream})


async def test_a_server_that_falls_silent_within_its_answer_is_left_at_the_deadline():
    request = Request.from_prompt("x", deadline_s=0.3)
    with pytest.raises(Unavailable, match="or the deadline"):
        await complete(StubAnthropicBehaviour(token_s=5), request)


async def test_no_attempt_begins_that_the_deadline_would_cut():
    request = Request.from_prompt("x", deadline_s=20)
    behaviour = StubAnthropicBehaviour(faults=[Fault(kind="rate_limited", every=1, retry_after_s=30)])
    with StubAnthropicServer(behaviour) as server:
        model = load(server, retries=5)
        with pytest.raises(RateLimited):
            await model.complete(request)
        assert len(server.requests) == 1
        await model.close()


async def test_a_prompt_too_long_for_the_server_is_a_context_overflow():
    with pytest.raises(ContextOverflow) as caught:
        await complete(StubAnthropicBehaviour(context_window=2))
    assert (caught.value.prompt_tokens, caught.value.context_window) == (3, 2)


async def test_a_role_the_api_does_not_have_is_refused_before_it_is_sent():
    with StubAnthropicServer() as server:
        model = load(server)
        with pytest.raises(BadResponse, match="found 'tool'"):
            await model.complete(Request((Message("user", "x"), Message("tool", "y")), ASK.sampling))
        assert server.requests == []
        await model.close()


async def test_nobody_listening_is_unavailable():
    with StubAnthropicServer() as server:
        model = load(server)
    with pytest.raises(Unavailable, match="cannot reach the server"):
        await model.complete(ASK)
    await model.close()


async def test_an_unknown_model_is_a_bad_response_that_says_so():
    with pytest.raises(BadResponse, match="status 404: model: nope"):
        await complete(StubAnthropicBehaviour(), model="nope")


@STREAMS
async def test_the_key_is_sent_and_never_shown(monkeypatch, caplog, stream):
    monkeypatch.setenv("STUB_KEY", "sk-ant-very-secret")
    caplog.set_level("DEBUG")
    with StubAnthropicServer(StubAnthropicBehaviour(key="another")) as server:
        model = load(server, api_key="env:STUB_KEY", options={"stream": stream})
        with pytest.raises(BadResponse, match=r"refused the key \(status 401\)") as caught:
            await model.complete(ASK)
        assert "sk-ant-very-secret" in str(server.headers[0])
        await model.close()
    shown = [str(caught.value), repr(model), caplog.text, str(caught.value.__cause__), repr(caught.value.__cause__)]
    assert not any("sk-ant-very-secret" in text for text in shown)


async def test_without_a_key_none_is_sent_not_even_the_environments(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-somebody-else")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    with StubAnthropicServer() as server:
        model = load(server)
        await model.complete(ASK)
        assert not {"authorization", "x-api-key"} & set(server.headers[0])
        assert "somebody-else" not in str(server.headers[0])
        await model.close()


async def test_an_address_may_end_in_v1_or_a_slash():
    for ending in ("", "/", "/v1", "/v1/"):
        with StubAnthropicServer() as server:
            model = load(server, base_url=server.url + ending)
            assert (await model.complete(ASK)).text == TEXT
            await model.close()


def test_log_probabilities_are_refused_at_load():
    with pytest.raises(ConfigError, match="tells no log-probabilities"):
        load_model("claude", ModelCard(kind="anthropic", model="x", base_url="http://127.0.0.1", logprobs=True))


def test_without_key_and_address_it_says_what_to_add():
    with pytest.raises(ConfigError, match="api_key: env:ANTHROPIC_API_KEY"):
        load_model("claude", ModelCard(kind="anthropic", model="x"))


async def test_a_closed_model_says_so():
    with StubAnthropicServer() as server:
        model = load(server)
        await model.close()
        with pytest.raises(Unavailable, match="it was closed"):
            await model.complete(ASK)


@pytest.mark.parametrize("slow", [{"ttft_s": 600.0}, {"token_s": 600.0}])
async def test_a_cancelled_request_leaves_the_model_able_to_answer(soon, slow):
    with StubAnthropicServer(StubAnthropicBehaviour(**slow)) as server:
        model = load(server)
        task = asyncio.create_task(model.complete(ASK))
        await soon(lambda: server.requests)
        server.behaviour = StubAnthropicBehaviour()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await model.complete(ASK)).text == TEXT
        await model.close()
