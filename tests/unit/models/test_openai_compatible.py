import asyncio
import random

import pytest

from workbench.core import BadResponse, ConfigError, ContextOverflow, RateLimited, Request, Sampling, Unavailable
from workbench.models import Fault, ModelCard, load_model
from workbench.models.openai_compatible import OpenAICompatibleModel
from workbench.testing import StubBehaviour, StubServer

ASK = Request.from_prompt("one two three", sampling=Sampling(max_tokens=10, logprobs=True))


def load(server: StubServer, **card) -> OpenAICompatibleModel:
    card = {"kind": "openai-compatible", "model": "stub", "base_url": server.url, "retries": 0, **card}
    card["options"] = {"first_pause_s": 0.001, **card.get("options", {})}
    return OpenAICompatibleModel("api", ModelCard(**card), rng=random.Random(0))


async def complete(behaviour: StubBehaviour, request: Request = ASK, **card):
    with StubServer(behaviour) as server:
        model = load(server, **card)
        try:
            return await model.complete(request), server.requests
        finally:
            await model.close()


async def test_usage_logprobs_and_compute_are_read():
    answer, _ = await complete(StubBehaviour(cached_tokens=2), flop_per_token=10.0)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.cached_tokens) == (3, 6, 2)
    assert answer.logprob == -3.0
    assert answer.compute_flop == 90.0
    assert answer.timing.ttft_s is not None


async def test_what_a_server_does_not_report_is_null():
    answer, _ = await complete(StubBehaviour(usage_in_streams=False), Request.from_prompt("x"))
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.cached_tokens) == (
        None,
        None,
        None,
    )
    assert answer.logprob is None


async def test_without_a_stream_the_first_token_is_not_timed():
    answer, requests = await complete(StubBehaviour(), options={"stream": False})
    assert answer.timing.ttft_s is None
    assert answer.usage.completion_tokens == 6
    assert not requests[0]["stream"]


async def test_a_request_says_all_that_the_sampling_says():
    schema = {"type": "object"}
    sampling = Sampling(max_tokens=5, temperature=0.5, top_p=0.9, stop=("\n",), seed=7, json_schema=schema)
    card = {"options": {"max_tokens_field": "max_completion_tokens", "extra_body": {"top_k": 3}}}
    answer, (body,) = await complete(StubBehaviour(), Request.from_prompt("x", sampling=sampling), **card)
    wanted = {"max_completion_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "seed": 7, "top_k": 3}
    assert wanted.items() <= body.items()
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert "max_tokens" not in body
    assert "logprobs" not in body
    assert answer.finish_reason == "length"


async def test_a_server_without_stream_usage_is_asked_only_once_for_it():
    with StubServer(StubBehaviour(rejects_stream_options=True)) as server:
        model = load(server)
        for _ in range(2):
            assert (await model.complete(ASK)).text == "An answer of six short words."
        assert ["stream_options" in body for body in server.requests] == [True, False, False]
        await model.close()


@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "cut_stream"])
async def test_a_retryable_failure_is_tried_again(kind):
    answer, requests = await complete(StubBehaviour(faults=[Fault(kind=kind, at=(1,), retry_after_s=0.01)]), retries=1)
    assert answer.text == "An answer of six short words."
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("kind", "error"), [("rate_limited", RateLimited), ("server_error", Unavailable), ("cut_stream", Unavailable)]
)
async def test_the_last_failure_is_raised_when_the_attempts_are_used_up(kind, error):
    with StubServer(StubBehaviour(faults=[Fault(kind=kind, every=1, retry_after_s=0.01)])) as server:
        model = load(server, retries=2)
        with pytest.raises(error):
            await model.complete(ASK)
        assert len(server.requests) == 3
        await model.close()


async def test_a_rate_limit_carries_the_servers_wish():
    with pytest.raises(RateLimited) as caught:
        await complete(StubBehaviour(faults=[Fault(kind="rate_limited", every=1, retry_after_s=1.5)]))
    assert caught.value.retry_after_s == 1.5
    assert caught.value.status == 429


@pytest.mark.parametrize("stream", [True, False])
async def test_nonsense_is_a_bad_response_and_is_not_tried_again(stream):
    with StubServer(StubBehaviour(faults=[Fault(kind="malformed_chunk", every=1)])) as server:
        model = load(server, retries=3, options={"stream": stream})
        with pytest.raises(BadResponse, match="does not follow the protocol"):
            await model.complete(ASK)
        assert len(server.requests) == 1
        await model.close()


async def test_a_stream_that_has_begun_is_not_begun_again():
    with StubServer(StubBehaviour(faults=[Fault(kind="cut_stream", every=1, after_pieces=2)])) as server:
        model = load(server, retries=3)
        stream = model.stream(ASK)
        assert [(await anext(stream)).text for _ in range(2)] == ["An", " answer"]
        with pytest.raises(Unavailable, match="ended before the answer was complete"):
            await anext(stream)
        assert len(server.requests) == 1
        await model.close()


async def test_a_silent_server_is_left_after_the_timeout():
    with pytest.raises(Unavailable, match=r"no answer within 0.1 s or the deadline"):
        await complete(StubBehaviour(faults=[Fault(kind="timeout", every=1, after_s=20)]), timeout_s=0.1)


async def test_a_server_that_falls_silent_within_its_answer_is_left_at_the_deadline():
    with pytest.raises(Unavailable, match="or the deadline"):
        await complete(StubBehaviour(token_s=5), Request.from_prompt("x", deadline_s=0.3))


async def test_a_reader_that_dawdles_meets_the_deadline_too(monkeypatch):
    with StubServer(StubBehaviour(reply="word " * 128, token_s=0.1)) as server:
        model = load(server)
        stream = model.stream(Request.from_prompt("x", deadline_s=300))
        assert (await anext(stream)).text == "word"
        loop, now_s = asyncio.get_running_loop(), asyncio.get_running_loop().time
        monkeypatch.setattr(loop, "time", lambda: now_s() + 400)  # the reader was away
        with pytest.raises(Unavailable, match="or the deadline"):
            _ = [delta async for delta in stream]
        await model.close()


async def test_no_attempt_begins_that_the_deadline_would_cut():
    request = Request.from_prompt("x", deadline_s=20)
    with StubServer(StubBehaviour(faults=[Fault(kind="rate_limited", every=1, retry_after_s=30)])) as server:
        model = load(server, retries=5)
        with pytest.raises(RateLimited):
            await model.complete(request)
        assert len(server.requests) == 1
        await model.close()


async def test_a_prompt_too_long_for_the_server_is_a_context_overflow():
    with pytest.raises(ContextOverflow) as caught:
        await complete(StubBehaviour(context_window=2))
    assert (caught.value.prompt_tokens, caught.value.context_window) == (3, 2)


async def test_nobody_listening_is_unavailable():
    with StubServer() as server:
        model = load(server)
    with pytest.raises(Unavailable, match="cannot reach the server"):
        await model.complete(ASK)
    await model.close()


async def test_the_key_is_sent_and_never_shown(monkeypatch, caplog):
    monkeypatch.setenv("STUB_KEY", "sk-very-secret")
    caplog.set_level("DEBUG")
    with StubServer(StubBehaviour(key="another")) as server:
        model = load(server, api_key="env:STUB_KEY")
        with pytest.raises(BadResponse, match=r"refused the key \(status 401\)") as caught:
            await model.complete(ASK)
        assert server.authorizations == ["Bearer sk-very-secret"]
        await model.close()
    shown = [str(caught.value), repr(model), caplog.text, str(caught.value.__cause__)]
    assert not any("sk-very-secret" in text for text in shown)


async def test_without_a_key_none_is_sent_not_even_the_environments(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with StubServer() as server:
        model = load(server)
        await model.complete(ASK)
        assert server.authorizations == [None]
        await model.close()


def test_a_missing_key_names_its_variable(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    card = ModelCard(kind="openai-compatible", model="x", base_url="http://127.0.0.1/v1", api_key="env:NO_SUCH_KEY")
    with pytest.raises(ConfigError, match="the environment variable NO_SUCH_KEY is not set"):
        load_model("api", card)


@pytest.mark.parametrize("url", [None, "localhost:8000/v1"])
def test_an_address_must_be_a_url(url):
    with pytest.raises(ConfigError, match="base_url must be the server's http"):
        load_model("api", ModelCard(kind="openai-compatible", model="x", base_url=url))


@pytest.mark.parametrize("slow", [{"ttft_s": 600.0}, {"token_s": 600.0}])
async def test_a_cancelled_request_closes_its_stream(soon, slow):
    with StubServer(StubBehaviour(**slow)) as server:
        model = load(server)
        task = asyncio.create_task(model.complete(ASK))
        await soon(lambda: server.requests)
        server.behaviour = StubBehaviour()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await model.complete(ASK)).text == "An answer of six short words."
        await model.close()
