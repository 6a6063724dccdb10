import random

import pytest

from workbench.models import Fault, ModelCard
from workbench.models.probing import LONG, PROMPT, SHORT, Capabilities, probe
from workbench.testing import StubBehaviour, StubServer

LENGTHY = " ".join(["wave"] * (2 * LONG))


async def probed(behaviour: StubBehaviour, **card) -> Capabilities:
    with StubServer(behaviour) as server:
        return await probe(ModelCard(kind="openai-compatible", model="stub", base_url=server.url, **card))


def seeded(body):
    return str(random.Random(body["seed"]).random()) if body.get("seed") else LENGTHY


async def test_a_server_that_does_everything():
    found = await probed(StubBehaviour(reply=seeded, cached_tokens=0))
    assert found == Capabilities(
        max_tokens_field="max_tokens",
        streams=True,
        accepts_stream_options=True,
        usage_in_streams=True,
        usage_unasked=False,
        usage=True,
        cached_tokens=True,
        logprobs=True,
        seed=True,
        reasons={},
    )
    assert found.advice() == {}


async def test_a_server_that_refuses_stream_options_is_no_server_without_streams():
    found = await probed(StubBehaviour(rejects_stream_options=True))
    assert (found.streams, found.accepts_stream_options, found.usage_in_streams) == (True, False, False)
    assert found.advice() == {"stream": False}


async def test_usage_that_comes_unasked_is_seen():
    found = await probed(StubBehaviour(rejects_stream_options=True, usage_unasked=True))
    assert (found.usage_unasked, found.usage_in_streams) == (True, False)
    assert found.advice() == {}


async def test_stream_options_may_be_read_over():
    found = await probed(StubBehaviour(usage_in_streams=False))
    assert (found.accepts_stream_options, found.usage_in_streams, found.usage) == (True, False, True)


async def test_a_server_that_answers_whole_when_asked_to_stream_does_not_stream():
    found = await probed(StubBehaviour(ignores=("stream",)))
    assert (found.streams, found.usage_in_streams) == (False, False)
    assert found.advice() == {"stream": False}


@pytest.mark.parametrize("quirk", ["rejects", "ignores"])
async def test_the_newer_field_is_found_where_the_older_does_not_limit(quirk):
    found = await probed(StubBehaviour(reply=LENGTHY, **{quirk: ("max_tokens",)}))
    assert found.max_tokens_field == "max_completion_tokens"
    assert found.advice() == {"max_tokens_field": "max_completion_tokens"}
    assert found.streams is True


async def test_a_server_that_nothing_limits_is_said_to_be_one():
    found = await probed(StubBehaviour(reply=LENGTHY, ignores=("max_tokens", "max_completion_tokens")))
    assert found.max_tokens_field is None
    assert f"{2 * LONG} tokens came where {SHORT} was the limit" in found.reasons["max_tokens_field"]
    assert found.streams is True


@pytest.mark.parametrize("quirk", ["rejects", "ignores"])
async def test_log_probabilities_are_missed(quirk):
    assert (await probed(StubBehaviour(**{quirk: ("logprobs",)}))).logprobs is False


async def test_cached_tokens_that_are_not_reported_are_missed():
    assert (await probed(StubBehaviour())).cached_tokens is False


async def test_a_seed_that_does_not_bind_the_draw_is_told():
    rng = random.Random(0)
    found = await probed(StubBehaviour(reply=lambda body: str(rng.random())))
    assert found.seed is False


async def test_a_seed_that_is_refused_is_not_honoured():
    assert (await probed(StubBehaviour(rejects=("seed",)))).seed is False


async def test_draws_that_never_differ_say_nothing_about_the_seed():
    found = await probed(StubBehaviour(reply="always this"))
    assert found.seed is None
    assert "all the same, whatever the seed" in found.reasons["seed"]


async def test_a_server_that_is_not_there_leaves_everything_unknown_with_the_reason():
    found = await probe(
        ModelCard(kind="openai-compatible", model="stub", base_url="http://127.0.0.1:9/v1", timeout_s=2)
    )
    assert found.streams is found.seed is found.max_tokens_field is None
    assert "refused" in found.reasons["streams"]
    assert found.advice() == {}


async def test_a_busy_server_leaves_unknown_what_it_was_too_busy_for():
    found = await probed(StubBehaviour(faults=[Fault(kind="rate_limited", at=(2,))]))
    assert (found.streams, found.usage_in_streams) == (None, True)
    assert "status 429" in found.reasons["streams"]


async def test_nonsense_is_no_answer():
    found = await probed(StubBehaviour(faults=[Fault(kind="malformed_chunk", every=1)]))
    assert found.streams is None
    assert found.reasons["streams"]


async def test_a_key_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("PROBE_KEY", "s3cret-right")
    assert (await probed(StubBehaviour(key="s3cret-right"), api_key="env:PROBE_KEY")).streams is True
    refused = await probed(StubBehaviour(key="another"), api_key="env:PROBE_KEY")
    assert refused.streams is None
    assert "status 401" in refused.reasons["max_tokens_field"]
    assert "s3cret" not in str(refused)


async def test_few_and_short_questions_are_asked():
    with StubServer(StubBehaviour(reply=seeded)) as server:
        await probe(ModelCard(kind="openai-compatible", model="stub", base_url=server.url))
    assert len(server.requests) <= 12
    assert {body["messages"][0]["content"] for body in server.requests} == {PROMPT}
    assert max(body["max_tokens"] for body in server.requests) == LONG
